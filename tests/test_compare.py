"""Families side by side: who takes part, what the numbers say, and the same bits whatever kills it."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
import math
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from budgetnet.experiments.compare.drafts import Draft, drafts_of
from budgetnet.experiments.compare.statement import statement
from budgetnet.experiments.compare.suited import suited
from budgetnet.experiments.compare.words import blocks, design, origin
from hypothesis import given
from hypothesis import strategies as st
from support.formats import hold
from support.inline import Inline
from support.killed import kill_when, start
from support.networks import PLAIN, SQUEEZED
from support.page import Page
from support.simulated import LEARNED, LEARNED_NOTHING

import budgetnet
from budgetnet import Budget, BudgetError, Network, compare, fit, network
from budgetnet.cli import main
from budgetnet.cluster import where as where_module
from budgetnet.costs.network_cost import cost
from budgetnet.data import ImageSet, open_images
from budgetnet.experiments.bases import adapted_bases, largest_px, last_px
from budgetnet.experiments.compare.ablation import ablations
from budgetnet.experiments.compare.entrants import FAMILIES, families
from budgetnet.experiments.compare.pictures import MOST_TICKS, cost_ticks
from budgetnet.experiments.compare.plan import entrant_row
from budgetnet.experiments.compare.published import published_lines
from budgetnet.experiments.compare.result import Comparison, pairs_of, published_of, seed_score
from budgetnet.experiments.compare.scalings import SCALINGS, grown_from, scalings
from budgetnet.inspect.latency import Measurement
from budgetnet.model.build import build
from budgetnet.model.weights import save_weights
from budgetnet.networks import RELU, Stage, zoo
from budgetnet.networks.scaling import Coefficients
from budgetnet.parallel.workers import ProcessGroup
from budgetnet.training import pretrained
from budgetnet.training.augmenting import Augment
from budgetnet.training.job import JobContext, Timing, TrainingJob
from budgetnet.training.predictions import TestPredictions, training_seconds
from budgetnet.training.recipe import trained_network
from budgetnet.training.stopwatch import MachineClock
from budgetnet.training.train import Timings, timed, with_steps
from budgetnet.training.trainer import TrainingConfig

module = sys.modules[compare.__module__]
train_module = sys.modules[timed.__module__]
plan_module = sys.modules[entrant_row.__module__]
measuring = sys.modules[budgetnet.measure.__module__]
Capture = pytest.CaptureFixture[str]
BUDGET = Budget(macs=150_000)


@pytest.fixture(scope="module")
def digits() -> ImageSet:
    return open_images("digits", 0)


def test_every_family_keeps_the_budget_by_one_rule(digits: ImageSet) -> None:
    budget = Budget(macs=2_000_000)
    entrants, left_out = families(digits, budget)
    assert [row.id for row in entrants] == list(FAMILIES) and left_out == ()
    assert all(budget.check(row.network).fits for row in entrants)
    assert all((row.network.classes, row.network.in_channels) == (10, 1) for row in entrants)
    for name, dropped, base in adapted_bases(digits, FAMILIES):
        with contextlib.suppress(BudgetError):
            other = fit(base, budget, largest_px=largest_px(digits)).network
            ours = next(row for row in entrants if row.base == name)
            assert min(last_px(other), 4) <= min(last_px(ours.network), 4), "the map is as large as 4 px or can be"
            assert dropped >= ours.dropped_strides or last_px(other) < min(last_px(ours.network), 4), "as few as can be"


def test_a_family_that_cannot_is_left_out_with_its_limit(digits: ImageSet) -> None:
    entrants, left_out = families(digits, Budget(macs=500_000), ["mobilenet_v1", "mobilenet_v3_large"])
    assert [row.base for row in entrants] == ["mobilenet_v1"]
    assert [row.base for row in left_out] == ["mobilenet_v3_large"]
    assert "macs" in left_out[0].reason and "500,000" in left_out[0].reason
    with pytest.raises(BudgetError) as caught:
        families(digits, Budget(macs=1000), ["mobilenet_v1", "mobilenet_v3_large"])
    assert caught.value.limit == "macs"


def test_the_origin_of_a_base_is_its_familys_or_its_files() -> None:
    assert origin("mobilenet_v1", "") == zoo.origin("mobilenet_v1") == "by hand (arXiv:1704.04861, section 3)"
    assert zoo.origin("tf_efficientnet_b0") == zoo.origin("efficientnet_b7")
    assert zoo.origin("mobilenet_v2_140") == zoo.origin("mobilenet_v2")
    assert origin("small", "ours") == "ours" and "no source" in origin("small", "")
    for name in zoo.names():
        assert re.search(r"by hand|search|by a rule", zoo.origin(name)), name
        assert re.search(r"arXiv:\d{4}\.\d{5}|README", zoo.origin(name)), name


def test_words_are_read_from_the_rows() -> None:
    assert blocks(network("mobilenet_v1")).startswith("13 depthwise separable blocks, kernels 3x3, no squeeze")
    assert "no skips" in blocks(network("mobilenet_v1")) and "ReLU6" in blocks(network("mobilenet_v1"))
    b0 = blocks(network("efficientnet_b0"))
    assert "16 inverted bottlenecks (MBConv), kernels 3x3 and 5x5, expansion 1 to 6" in b0
    assert "squeeze-and-excitation in all (0.25 of the block's input, Swish inside), Swish, skips in 9" in b0
    v3 = blocks(network("mobilenet_v3_large"))
    assert "in 8 of 15 (0.25 of the expanded channels, ReLU inside)" in v3 and "ReLU and hard Swish" in v3
    renamed = dataclasses.replace(network("mobilenet_v1"), name="efficientnet_b0")
    assert blocks(renamed) == blocks(network("mobilenet_v1"))
    assert "stem, head and the repeats of the first and last stage kept" in design(
        "compound", network("efficientnet_lite0").rounding
    )


def test_one_base_in_every_way_at_a_matched_cost(digits: ImageSet) -> None:
    budget = Budget(macs=2_000_000)
    entrants, left_out = scalings(digits, budget)
    assert [row.id for row in entrants] == [name for name in SCALINGS if name != "width"]
    assert [(row.base, row.reason) for row in left_out] == [
        ("width", "within this budget it gives the same network as dWr")
    ], "none is trained twice"
    assert len({row.dropped_strides for row in entrants}) == 1, "the same strides for all"
    assert len({row.base for row in entrants}) == 1 and all(row.phi > 0 for row in entrants), "all grow from one"
    assert all(budget.check(row.network).fits and row.strategy == row.id for row in entrants)
    assert all(budget.check(row.network).binding.share > 0.8 for row in entrants), "costs are matched"
    assert len({dataclasses.replace(row.network, name="-") for row in entrants}) == len(entrants)


@pytest.mark.slow
def test_strategies_grow_from_the_base_or_from_a_smaller_one(digits: ImageSet) -> None:
    small = next(network for _, dropped, network in adapted_bases(digits, [PLAIN]) if dropped == 0)
    roomy = Budget(macs=2 * cost(small).macs)
    assert grown_from(digits, roomy, PLAIN) == (PLAIN.name, 0, small), "a base that is small enough stays"
    budget = Budget(macs=2_000_000)
    _, _, half = grown_from(digits, budget)
    assert 0.25 <= budget.check(half).binding.share <= 0.5
    assert last_px(grown_from(digits, budget.times(8))[2]) == 4, "a last map of 4 px comes before all else"
    tight = Budget(macs=2 * cost(PLAIN).macs // 50)
    assert not tight.check(grown_from(digits, tight, "mobilenet_v3_large")[2]).fits, (
        "the smallest, where all are larger"
    )

    at_once = [scalings(digits, budget.times(share), start_share=0.25 / share)[0] for share in (0.5, 1.0)]
    assert len({row.base for entrants in at_once for row in entrants}) == 1, "one start for several costs"
    for share in (0.0, 0.6, math.nan):
        with pytest.raises(ValueError, match=r"above 0 and at most 0\.5"):
            scalings(digits, budget, start_share=share)


def test_uses_are_read_from_what_was_measured() -> None:
    measured = {field.name: None for field in dataclasses.fields(Measurement)} | {"batch": 1}

    def row(name: str, accuracy: float, macs: int, params: int, latency_ms: float | None) -> dict[str, Any]:
        costs = {"macs": macs, "params": params, "activations": params, "peak_bytes": params}
        network = json.loads(PLAIN.to_json())
        return {"id": name, "accuracy": accuracy, **costs, "network": network} | {
            "measurement": {**measured, "latency_ms": latency_ms}
        }

    rows = [row("best", 0.9, 30, 30, 3.0), row("fast", 0.8, 20, 30, 1.0), row("lost", 0.7, 25, 30, 2.0)]
    words = suited(rows)
    assert words["best"].startswith(
        "where accuracy counts most, with the least parameters, activations and memory; fits "
    )
    assert words["fast"].startswith("under a tight limit on multiply-adds and time an image; fits ")
    assert words["lost"].startswith("under no limit better than another here; fits ")
    rows[2] = row("lost", 0.7, 25, 30, None)
    assert suited(rows)["fast"].startswith("under a tight limit on multiply-adds;"), "a time that is not known of all"


def test_a_part_is_taken_away_and_what_it_cost_given_back(digits: ImageSet) -> None:
    budget = Budget(macs=2_000_000)
    entrants, _ = ablations(digits, budget)
    rows = {row.id: row.network for row in entrants}
    assert rows.keys() == {
        *("whole", "relu", "no-squeeze", "squeeze-r4", "squeeze-r16", "squeeze-relu", "kernel-3", "no-skip"),
        "no-drop-path",
    }
    assert all(budget.check(one).fits for one in rows.values())
    assert all(stage.squeeze is None for stage in rows["no-squeeze"].stages)
    assert {stage.activation.kind for stage in rows["relu"].stages} == {"relu"}
    assert {stage.squeeze.inner.kind for stage in rows["squeeze-relu"].stages if stage.squeeze} == {"relu"}
    assert {stage.kernel for stage in rows["kernel-3"].stages} == {3}
    assert not any(stage.residual for stage in rows["no-skip"].stages)
    assert rows["no-drop-path"].drop_path == 0.0 < rows["whole"].drop_path
    sixteenth = rows["squeeze-r16"].stage_blocks()[1][0]
    assert sixteenth.squeezed == int(sixteenth.expanded / 16)
    other, _ = ablations(digits, budget, "mobilenet_v3_large")
    assert {"squeeze-swish", "no-squeeze"} < {row.id for row in other} and "relu" not in {row.id for row in other}


def test_ablations_are_trained_with_stochastic_depth(digits: ImageSet) -> None:
    drafts, _ = drafts_of(digits, Budget(macs=2_000_000), "ablation", ["efficientnet_b0"], "compound", "none", None)
    assert all(row.config.recipe.drop_path is None for row in drafts)
    kept = trained_network(drafts[0].config.network, drafts[0].config.recipe, 100)
    assert kept.drop_path == network("efficientnet_b0").drop_path > 0.0


def draft_of(digits: ImageSet, base: Network) -> Draft:
    drafts, _ = drafts_of(digits, BUDGET, "families", [base], "compound", "none", None)
    return drafts[0]


def test_equal_seconds_are_steps_by_speed(digits: ImageSet) -> None:
    draft = draft_of(digits, PLAIN)
    slow, fast = (entrant_row(draft, Timing(rate, rate, 1.0), 10.0) for rate in (640.0, 1280.0))
    assert (slow["config"]["steps"], fast["config"]["steps"]) == (100, 200)
    assert slow["cooldown_steps"] == 50 and slow["recipe"]["name"] == "modern"


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps by speeds that are given, not by the clock; training in this process; a machine that is ours."""

    def planned(drafts: Sequence[Draft], *_: Any) -> dict[str, Any]:
        rows = [entrant_row(row, Timing(64.0, 64.0, 1.0), 12.0 + 2 * context) for context, row in enumerate(drafts)]
        return {"processes": 1, "threads": 1, "seconds_each": 12.0, "entrants": rows}

    Inline.done = []
    monkeypatch.setattr(module, "planned", planned)
    monkeypatch.setattr(where_module, "Workers", Inline)
    monkeypatch.setattr(module, "MEASURED_SECONDS", 0.5)
    monkeypatch.setattr(measuring._Watch, "others_cores", lambda self: 0.0)


def made(run: Path, **options: Any) -> Comparison:
    asked: dict[str, Any] = {"seeds": 2, "networks": [PLAIN, SQUEEZED], "out": run, **options}
    return compare("digits", BUDGET, **asked)


def test_a_comparison_from_end_to_end(short: None, tmp_path: Path) -> None:
    run = tmp_path / "run"
    found = made(run)
    assert Inline.done == ["plain-seed0", "squeezed-seed0", "plain-seed1", "squeezed-seed1"], "one seed after another"
    assert {row.id for row in found.networks} == {"plain", "squeezed"}
    assert [row.accuracy for row in found.networks] == sorted((row.accuracy for row in found.networks), reverse=True)
    hold(json.loads((run / "plan.json").read_text()), "plan.json, compare")
    hold(json.loads((run / "comparison.json").read_text()), "comparison.json")
    for row in found.networks:
        hold(json.loads((run / "networks" / f"{row.id}.json").read_text()), "Network")
        assert row.macs <= BUDGET.macs and row.measurement.alone and row.measurement.latency_ms
        assert row.epochs == pytest.approx(row.steps * row.batch / len(open_images("digits", 0).indices("train")))
    by_hand(found, run)
    assert not list(run.glob("training/*/*.pt")) and not list(run.glob("training/*/*.safetensors"))
    Inline.done.clear()
    again = made(run)
    assert again == found and Inline.done == [], "a finished one is shown again"
    with pytest.raises(ValueError, match="begun with another seeds"):
        made(run, seeds=3)
    page_of(found)
    killed(run)
    again = made(run)
    assert Inline.done == ["squeezed-seed0"], "what is done is not done again"
    assert [row.seeds for row in again.networks] == [row.seeds for row in found.networks]


def test_where_nothing_was_learned_nothing_is_compared(
    short: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def one_step(drafts: Sequence[Draft], *_: Any) -> dict[str, Any]:
        rows = [entrant_row(row, Timing(64.0, 64.0, 1.0), 0.0) for row in drafts]
        return {"processes": 1, "threads": 1, "seconds_each": 0.0, "entrants": rows}

    monkeypatch.setattr(module, "planned", one_step)
    with pytest.raises(ValueError, match=r"the training of .*, the best of all, learned nothing") as caught:
        made(tmp_path / "run", seeds=1)
    assert "\n" not in str(caught.value) and not (tmp_path / "run" / "comparison.json").exists()


def killed(run: Path) -> None:
    """As a kill in one of the trainings leaves it; the test that is slow kills in earnest."""
    (run / "comparison.json").unlink()
    (run / "answers" / "squeezed-seed0.npz").unlink()
    (run / "training" / "squeezed-seed0" / "final.npz").unlink()


def by_hand(found: Comparison, run: Path) -> None:
    """Accuracies and differences from the answers that are kept."""
    right: dict[tuple[str, int], np.ndarray] = {}
    files: set[str] = set()
    for row in found.networks:
        for seed in (0, 1):
            images = open_images("digits", seed)
            with np.load(run / "answers" / f"{row.id}-seed{seed}.npz") as kept:
                indices = images.indices("test")
                assert kept["files"].tolist() == [images.files[index] for index in indices]
                labels = np.asarray(images.labels)[indices]
                right[row.id, seed] = kept["probabilities"].argmax(1) == labels
                files |= set(kept["files"].tolist())
        means = [right[row.id, seed].mean() for seed in (0, 1)]
        assert row.accuracy == pytest.approx(np.mean(means)) and [one.accuracy for one in row.seeds] == means
        assert row.low < row.accuracy < row.high
    assert found.test_images == len(files)
    (pair,) = found.pairs
    differences = [right[pair.a, seed].mean() - right[pair.b, seed].mean() for seed in (0, 1)]
    assert pair.difference == pytest.approx(np.mean(differences))
    assert pair.error_seeds == pytest.approx(np.std(differences, ddof=1) / np.sqrt(2))
    assert pair.standard_error == pytest.approx(max(pair.error_images, pair.error_seeds or 0.0))


def page_of(found: Comparison) -> None:
    """The page says what the comparison says, and needs nothing but itself."""
    source = found.report.read_text(encoding="utf-8")
    page = Page(source)
    text = page.text.replace("\N{NO-BREAK SPACE}", " ")
    for row in found.networks:
        assert row.blocks in text and f"{100 * row.low:.1f} to {100 * row.high:.1f}" in text
        assert row.measurement.image_ms is not None and f"{row.measurement.image_ms:.2f}" in text
    assert all(sentence in text for sentence in found.statement)
    assert "//" not in source and not {tag for tag, _ in page.tags} & {"script", "link"} - {"link"}
    ids = page.values("id")
    assert len(ids) == len(set(ids)) and source.count("<svg") == 6


@pytest.mark.slow
def test_all_questions_divide_the_time_and_one_page_holds_them_all(
    short: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    once = made(tmp_path / "once")
    asked: dict[str, tuple[float, object]] = {}

    def stand_in(data: str, budget: Budget, **more: Any) -> Comparison:
        question, run = more["question"], more["out"]
        asked[question] = more["time_seconds"], more["networks"]
        shutil.copytree(once.run, run)
        plan = json.loads((run / "plan.json").read_text())
        (run / "plan.json").write_text(json.dumps({**plan, "question": question}))
        return dataclasses.replace(once, run=run)

    monkeypatch.setattr(budgetnet, "compare", stand_in)
    command = ["compare", "digits", "--macs", "400K", "--time", "57m", "--out", str(tmp_path / "all"), "--all"]
    assert main([*command, "--networks", "mobilenet_v1", "mobilenet_v2", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    hold(found, "compare --all --json")
    seconds = {question: time for question, (time, _) in asked.items()}
    assert sum(seconds.values()) == pytest.approx(57 * 60)
    assert seconds["ablation"] / 9 == pytest.approx(seconds["families"] / 2) == pytest.approx(seconds["scaling"] / 5)
    assert [networks for _, networks in asked.values()] == [["mobilenet_v1", "mobilenet_v2"], None, None]
    source = Path(found["report"]).read_text(encoding="utf-8")
    page = Page(source)
    ids = page.values("id")
    assert len(ids) == len(set(ids)) and {"families", "scaling", "ablation", "families-table"} <= set(ids)
    assert source.count("<svg") == 3 * 6 and "//" not in source
    assert all(page.text.count(sentence) == 3 for sentence in once.statement)
    shutil.rmtree(tmp_path / "all")
    assert main(command) == 0
    assert f"{tmp_path / 'all' / 'report.html'}" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.* is left out")
def test_at_several_costs_each_is_a_comparison_and_one_page_has_the_curves(
    short: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plain.json").write_text(PLAIN.to_json(), encoding="utf-8")
    command = ["compare", "digits", "--macs", "400000", "--scaling", "--networks", "plain.json", "--seeds", "2"]
    command += ["--shares", "1,0.5", "--time", "10m", "--json"]
    assert main(command) == 0
    found = json.loads(capsys.readouterr().out)
    hold(found, "compare --shares --json")
    assert found["shares"] == [0.5, 1.0]
    half, whole = found["comparisons"]
    most = [max(row["macs"] for row in one["networks"]) for one in (half, whole)]
    assert most[0] <= 200_000 < most[1] <= 400_000
    plans = [json.loads((Path(one["run"]) / "plan.json").read_text()) for one in (half, whole)]
    assert [plan["budget"]["macs"] for plan in plans] == [200_000, 400_000]
    assert [plan["time_seconds"] for plan in plans] == [300.0, 300.0]
    page = Page(Path(found["report"]).read_text(encoding="utf-8"))
    text = page.text.replace("\N{NO-BREAK SPACE}", " ")
    for one in (half, whole):
        assert all(sentence in text for sentence in one["statement"])
        assert all(f"{100 * row['accuracy']:.1f}" in text for row in one["networks"])
    assert "table 7" in text and "resnet50" in text
    links = [value for value in page.values("href") if value.endswith(".html")]
    assert len(links) == 2 and all((Path(found["run"]) / link).is_file() for link in links)
    Inline.done.clear()
    assert main([*command[:-1], "--out", found["run"]]) == 0, "in a folder of its own"
    assert (Path(found["run"]) / "share-0.5" / "report.html").is_file() and Inline.done
    Inline.done.clear()
    assert main(command[:-1]) == 0 and Inline.done == [], "finished ones are shown again"
    assert "At 0.5 of it:" in capsys.readouterr().out


@given(st.integers(1, 10**10), st.floats(4.0, 10**6), st.sampled_from(["macs", "params", "peak_bytes"]))
def test_ticks_of_a_wide_axis_are_few_and_evenly_spread(low: int, times: float, cost: str) -> None:
    ends = low / 1.25, low * times * 1.25
    ticks = cost_ticks(*ends, cost, logarithmic=True)
    assert 1 <= len(ticks) <= MOST_TICKS and ticks == sorted(ticks) and ends[0] <= ticks[0] and ticks[-1] <= ends[1]
    steps = [after / before for before, after in itertools.pairwise(ticks)]
    assert all(step <= 3 * min(steps) for step in steps)
    if cost == "peak_bytes":
        assert all(math.log2(tick).is_integer() for tick in ticks)


def test_published_scalings_are_counted(digits: ImageSet) -> None:
    tables = published_lines()
    assert [row.base for row in tables] == ["efficientnet_b0", "mobilenet_v1", "mobilenet_v2", "resnet50"]
    b0, resnet = tables[0], tables[-1]
    # ../shared/reference/published.json: 1.575, 1.450, 1.538 and 1.80 G, and ResNet's two that look swapped.
    assert [row.counted for row in b0.lines[1:]] == ["1.58", "1.45", "1.54", "1.80"]
    assert [f"{float(row.counted):.1f}" for row in resnet.lines[1:3]] == ["14.6", "16.1"]
    assert b0.single_process == pytest.approx(1.80 / 1.45 - 1, abs=0.01)


@pytest.mark.slow
def test_a_time_that_is_too_short_says_what_is_needed(
    digits: ImageSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    speeds = Timings((Timing(10.0, 10.0, 1.0), Timing(10.0, 10.0, 1.0)), 2.0)
    monkeypatch.setattr(plan_module, "timed", lambda *_, **__: speeds)
    with pytest.raises(ValueError, match="4 trainings") as caught:
        made(tmp_path / "run", time_seconds=30.0)
    needed = int(str(caught.value).split()[-2])
    assert "\n" not in str(caught.value) and not (tmp_path / "run").exists()
    assert needed > 2 * 10 * 64 / 10, "ten steps of 64 images at 10 a second, twice on two cores"
    monkeypatch.setattr(module._Run, "finish", lambda self: self.plan)
    plan = made(tmp_path / "run", time_seconds=float(needed))  # long enough: it would go on to train
    assert all(row["config"]["steps"] >= 10 for row in plan["entrants"])


def test_pretrained_networks_begin_from_relatives_and_strangers_are_refused(short: None, tmp_path: Path) -> None:
    source, row = tmp_path / "parent.safetensors", {"mean": [0.3], "std": [0.4]}
    parent = dataclasses.replace(PLAIN, name="parent", classes=10, in_channels=1)
    other = dataclasses.replace(PLAIN, name="other", stages=(*PLAIN.stages, Stage(16, activation=RELU)))
    save_weights(source, build(parent, seed=5), [str(digit) for digit in range(10)], row)
    with pytest.raises(ValueError, match=r"other cannot inherit from .* which is parent") as caught:
        made(tmp_path / "run", networks=[PLAIN, other], pretrained=str(source))
    assert "\n" not in str(caught.value) and not (tmp_path / "run").exists()
    drafts, _ = drafts_of(open_images("digits", 0), BUDGET, "families", [PLAIN], "compound", str(source), None)
    assert drafts[0].parent == str(source) and drafts[0].config.recipe.name == "finetune"
    assert drafts[0].config.preprocessing.mean == (0.3,) and drafts[0].entrant.dropped_strides == 0
    with pytest.warns(UserWarning, match="no pretrained relative of plain"):
        drafts, _ = drafts_of(open_images("digits", 0), BUDGET, "families", [PLAIN], "compound", "auto", None)
    assert drafts[0].parent is None and drafts[0].config.recipe.name == "modern"


def test_a_family_takes_the_form_that_its_weights_have(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretrained, "installed", lambda: {"lite0": network("tf_efficientnet_lite0")})
    assert pretrained.forms_for("auto", ["efficientnet_lite0"]) == ["tf_efficientnet_lite0"]
    assert pretrained.forms_for("auto", ["mobilenet_v1"]) == ["mobilenet_v1"]
    assert pretrained.forms_for("none", ["efficientnet_lite0"]) == ["efficientnet_lite0"]
    monkeypatch.setattr(pretrained, "installed", lambda: {"timm": network("efficientnet_lite0")})
    assert pretrained.forms_for("auto", ["efficientnet_lite0"]) == ["efficientnet_lite0"]


def answers_of(rights: dict[str, list[float]], count: int = 400) -> dict[str, list[TestPredictions]]:
    """Answers of networks that are right as often as that, seed by seed; the better the more alike."""
    found: dict[str, list[TestPredictions]] = {}
    for name, shares in rights.items():
        found[name] = [
            TestPredictions(
                seed,
                np.arange(count) + seed * count,
                np.arange(count) < share * count,
                diverged=share == 0.0,
                chance=LEARNED if share > 0.1 else LEARNED_NOTHING,
            )
            for seed, share in enumerate(shares)
        ]
    return found


def said(rights: dict[str, list[float]], reference: str | None = None) -> str:
    """The statement about such answers."""
    tests = answers_of(rights)
    order = sorted(rights, key=lambda name: -float(np.mean(rights[name])))
    rows = [Row(name, name, float(np.mean(rights[name])), tuple(map(seed_score, tests[name]))) for name in order]
    pairs, images = pairs_of(tests, order, reference), 400 * len(rights[order[0]])
    assert len(pairs) == (len(order) * (len(order) - 1) // 2 if reference is None else len(order) - 1)
    return " ".join(statement(rows, pairs, images, reference))  # type: ignore[arg-type]


@dataclasses.dataclass(frozen=True)
class Row:
    """What a statement reads of a network."""

    id: str
    label: str
    accuracy: float
    seeds: tuple[Any, ...]
    recipe: str = "modern"
    training_seconds: float | None = None


def test_the_statement_says_where_trainings_took_unequal_time() -> None:
    scores = tuple(map(seed_score, answers_of({"a": [0.9]})["a"]))
    even, uneven = (
        " ".join(statement([Row(name, name, 0.9, scores, training_seconds=took[name]) for name in took], [], 400))  # type: ignore[arg-type]
        for took in ({"a": 100.0, "b": 119.0}, {"a": 100.0, "b": 121.0})
    )
    assert "should take equally long" not in even
    assert "Trainings took 100 to 121 s" in uneven


def test_the_seconds_of_a_training_leave_out_what_a_kill_cost(digits: ImageSet, tmp_path: Path) -> None:
    (draft, *_), _ = drafts_of(digits, BUDGET, "families", [PLAIN], "compound", "none", None)
    job = TrainingJob(
        with_steps(draft.config, 100),
        JobContext("digits", 0, 8, str(tmp_path)),
        "final",
        "compare/plain, seed 0",
        50,
        50,
    )
    row = {"kind": "step", "phase": job.phase}
    began = [{**row, "step": step, "seconds": step / 10} for step in (10, 30, 60)]
    again = [{**row, "step": step, "seconds": 3 + (step - 40) / 10} for step in (50, 90)]  # from a checkpoint at 40
    other = {**row, "phase": "compare/other, seed 0", "step": 5, "seconds": 500.0}
    assert training_seconds([*began, other, *again], job) == pytest.approx(10.0)
    assert training_seconds([began[0], other], job) is None
    cooled = {**row, "step": 70, "seconds": 1.01}  # its seconds began with the cool-down
    assert training_seconds([began[0], cooled], job) is None


def test_a_slow_moment_strikes_no_course_alone(
    digits: ImageSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configs = [
        row.config for row in drafts_of(digits, BUDGET, "families", [PLAIN, SQUEEZED], "compound", "none", None)[0]
    ]
    slow_first = iter([50.0, 200.0, 100.0, 190.0, 110.0, 210.0])

    class Stopwatch:
        """Gives these timings in their order."""

        startup_seconds = 0.0

        def time(self, asked: Sequence[TrainingConfig], context: JobContext, seconds: float) -> tuple[Timing, ...]:
            assert list(asked) == configs * 3
            return tuple(Timing(rate, 2 * rate, 1.0) for rate, _ in zip(slow_first, asked, strict=True))

    class Clock(MachineClock):
        @contextlib.contextmanager
        def stopwatch(self, *_: Any) -> Iterator[Stopwatch]:
            yield Stopwatch()

    found = timed(configs, JobContext("digits", 0, 8, str(tmp_path)), ProcessGroup(2, 1), None, True, 3, Clock())
    assert found.configs == (Timing(100.0, 200.0, 3.0), Timing(200.0, 400.0, 3.0))


def test_the_statement_claims_what_the_data_show_and_no_more() -> None:
    clear = said({"a": [0.9, 0.91, 0.9], "b": [0.8, 0.8, 0.81], "c": [0.8, 0.8025, 0.8075]})
    assert "a has the highest mean, 90.3 %, and that is more than every other's." in clear
    assert "More accurate: a than b by +10.0 points" in clear and " and c by +10.0 points" in clear
    assert "Not told apart, for the interval of the difference includes 0: b from c." in clear
    alike = said({"a": [0.9, 0.8], "b": [0.8, 0.89]})
    assert "not shown to be more than b" in alike and "No pair is shown to differ." in alike
    assert "seeds differ by more than the choice of images" in alike
    assert "One seed is one training of each" in said({"a": [0.9], "b": [0.5]})
    parts = said({"a": [0.9, 0.9], "b": [0.8, 0.8], "c": [0.96, 0.96], "d": [0.9, 0.9025]}, "a")
    assert "Of 3 changes to a: b is shown to cost accuracy; c is shown to gain some." in parts
    assert "the interval of the difference includes 0: a from d." in parts
    none = said({"a": [0.9, 0.9], "b": [0.9, 0.9025]}, "a")
    assert "Of 1 change to a: none is shown to cost accuracy or to gain some." in none and "No pair" not in none
    assert "c than a by +6.0 points" in parts and "a than b by +10.0 points" in parts
    assert "b diverged in seed 1" in said({"a": [0.9, 0.9], "b": [0.8, 0.0]})
    assert "b learned nothing in seed 1:" in said({"a": [0.9, 0.9], "b": [0.8, 0.1]})


def test_figures_of_others_belong_to_their_own_networks(digits: ImageSet) -> None:
    entrants, _ = families(digits, Budget(macs=2_000_000), ["efficientnet_b0"])
    row = published_of("efficientnet_b0", entrants[0].network)
    assert row is not None and row.top1 == 77.1
    assert published_of("plain", PLAIN) is None
    assert published_of("efficientnet_b0", PLAIN) is None, "another network of that name"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["compare", "digits"], "at least one limit"),
        (["compare", "digits", "--macs", "1M", "--seeds", "0"], "seeds is 0"),
        (["compare", "digits", "--macs", "1M", "--time", "60"], "with its unit"),
        (["compare", "digits", "--macs", "1M", "--networks", "nothing"], "nothing"),
        (["compare", "digits", "--macs", "1M", "--networks", "mobilenet_v1"], "at least two networks"),
        (
            ["compare", "digits", "--macs", "1M", "--networks", "mobilenet_v1,mobilenet_v1"],
            "mobilenet_v1 is given more than once",
        ),
        (["compare", "digits", "--macs", "1M", "--strategy", "wide"], '"width"'),
        (["compare", "digits", "--macs", "1M", "--recipe", "magic"], "modern"),
        (["compare", "digits", "--macs", "1K"], "the smallest"),
        (["compare", "nowhere", "--macs", "1M"], "there is no folder nowhere"),
        (["compare", "few", "--macs", "1M"], "it needs at least 3"),
        (["compare", "digits", "--macs", "1M", "--scaling", "--ablate"], "either --scaling or --ablate"),
        (["compare", "digits", "--macs", "1M", "--scaling", "--strategy", "width"], "the strategies themselves"),
        (["compare", "digits", "--macs", "1M", "--ablate", "--networks", "mobilenet_v1,mobilenet_v2"], "give one"),
        (["compare", "digits", "--macs", "1M", "--ablate", "--networks", "mobilenet_v1"], "none of the parts"),
        (["compare", "digits", "--macs", "1M", "--shares", "0.5"], "at least two different ones"),
        (["compare", "digits", "--macs", "1M", "--scaling", "--start-share", "2"], "at most 0.5"),
        (["compare", "digits", "--macs", "1M", "--start-share", "0.5"], "is for --scaling"),
        (["compare", "digits", "--macs", "1M", "--all", "--ablate"], "leave --scaling, --ablate"),
        (["compare", "digits", "--macs", "1M", "--all", "--strategy", "width"], "and --strategy out"),
        (["compare", "digits", "--macs", "1M", "--shares", "0.5,2"], "above 0 and at most 1"),
        (["compare", "digits", "--macs", "1M", "--shares", "0.5,half"], "no numbers; give some as 0.5,1"),
        (["compare"], "give DATA, a folder with a folder of images for each class"),
    ],
)
def test_bad_input_is_one_line_and_code_2(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, arguments: list[str], words: str
) -> None:
    from PIL import Image

    monkeypatch.chdir(tmp_path)
    for name in ("one", "two"):
        (tmp_path / "few" / name).mkdir(parents=True)
        Image.new("RGB", (40, 40), (ord(name[0]), 9, 9)).save(tmp_path / "few" / name / f"{name}.png")
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and words in captured.err
    assert captured.err.startswith("budgetnet: ") and captured.err.count("\n") == 1
    assert not (tmp_path / "runs").exists() or not list((tmp_path / "runs").iterdir())


def test_arguments_reach_compare(monkeypatch: pytest.MonkeyPatch, capsys: Capture, tmp_path: Path) -> None:
    seen: dict[str, object] = {}

    def noted(data: str, budget: object, **more: object) -> None:
        seen.update(more, data=data, budget=budget)
        raise ValueError("noted")

    (tmp_path / "own.json").write_text(PLAIN.to_json(), encoding="utf-8")
    monkeypatch.setattr(budgetnet, "compare", noted)
    main(
        ["compare", "photos", "--params", "3M", "--seeds", "5", "--time", "2h", "--networks", "mobilenet_v1",
         str(tmp_path / "own.json"), "--strategy", "width", "--pretrained", "auto", "--recipe", "paper",
         "--precision", "bfloat16", "--out", "here", "--fresh", "--coefficients", "1.3,1.1,1.05", "--turn", "off"]
    )  # fmt: skip
    capsys.readouterr()
    assert seen.pop("progress") is not None
    assert seen == {
        "data": "photos",
        "budget": Budget(params=3_000_000),
        "start_share": 0.5,
        "time_seconds": 7200.0,
        "seeds": 5,
        "networks": ["mobilenet_v1", PLAIN],
        "strategy": "width",
        "coefficients": Coefficients(1.3, 1.1, 1.05),
        "question": "families",
        "pretrained": "auto",
        "augment": Augment(turn="off"),
        "recipe": "paper",
        "precision": "bfloat16",
        "device": "cpu",
        "out": Path("here"),
        "fresh": True,
    }


COMMAND = [sys.executable, "-m", "budgetnet", "compare", "digits", "--macs", "400K", "--time", "75s", "--seeds", "2"]
COMMAND += ["--networks", "mobilenet_v1", "mobilenet_v2", "--out"]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_anywhere_it_ends_with_the_same_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    run, undisturbed = tmp_path / "run", tmp_path / "undisturbed"
    kill_when([*COMMAND, str(run)], lambda: (run / "plan.json").exists())
    kill_when(
        [*COMMAND, str(run)],
        lambda: '"step"' in (run / "events.jsonl").read_text() if (run / "events.jsonl").exists() else False,
    )
    kill_when([*COMMAND, str(run)], lambda: any(run.glob("answers/*.npz")))
    first = {path: path.stat().st_mtime_ns for path in run.glob("answers/*.npz")}
    assert start([*COMMAND, str(run)]).wait() == 0
    assert first == {path: path.stat().st_mtime_ns for path in first}, "a training that is done is not run again"
    undisturbed.mkdir()
    shutil.copy(run / "plan.json", undisturbed)
    assert start([*COMMAND, str(undisturbed)]).wait() == 0
    names = sorted(path.name for path in (undisturbed / "answers").iterdir())
    assert names == sorted(path.name for path in (run / "answers").iterdir()) and len(names) == 4
    for name in names:
        ours, theirs = (np.load(one / "answers" / name) for one in (run, undisturbed))
        assert all(np.array_equal(ours[key], theirs[key]) for key in ("probabilities", "indices", "files", "labels"))
    again = subprocess.run([*COMMAND, str(run), "--json"], capture_output=True, check=True)
    row = json.loads(again.stdout)
    hold(row, "Comparison")
    assert min(one["accuracy"] for one in row["networks"]) > 0.5
