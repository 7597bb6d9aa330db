"""Families side by side: who takes part, what the numbers say, and the same bits whatever kills it."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import itertools
import json
import math
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.compared import ALONE, compared
from support.executor import InlineExecutor, StoppedError
from support.formats import hold
from support.killed import kill_when, start, timeless
from support.networks import PLAIN, SQUEEZED
from support.page import Page
from support.simulated import LEARNED, LEARNED_NOTHING

import budgetnet
from budgetnet import Budget, BudgetError, Network, compare, fit, network
from budgetnet.cli import main, show
from budgetnet.cli.report import print_report
from budgetnet.costs.network_cost import cost
from budgetnet.data import ImageSet, open_images
from budgetnet.experiments.bases import adapted_bases, largest_px, last_px
from budgetnet.experiments.compare.ablation import ablations
from budgetnet.experiments.compare.costs import at_costs, costs_report
from budgetnet.experiments.compare.describe import blocks, design, origin
from budgetnet.experiments.compare.entrants import FAMILIES, families
from budgetnet.experiments.compare.findings import findings
from budgetnet.experiments.compare.pictures import MOST_TICKS, cost_ticks
from budgetnet.experiments.compare.plan import ComparePlan, planned_entrant
from budgetnet.experiments.compare.published import published_tables
from budgetnet.experiments.compare.recommendations import recommendations
from budgetnet.experiments.compare.report import report
from budgetnet.experiments.compare.request import CompareRequest, Question
from budgetnet.experiments.compare.result import Compared, Comparison, pairs_of, published_of, seed_score
from budgetnet.experiments.compare.scalings import SCALINGS, grown_from, scalings
from budgetnet.experiments.compare.specs import EntrantSpec, specs_of
from budgetnet.experiments.compare.suite import all_questions
from budgetnet.experiments.report import write_report
from budgetnet.model.build import build
from budgetnet.model.weights import save_weights
from budgetnet.networks import RELU, Stage, zoo
from budgetnet.networks.scaling import PAPER, Coefficients
from budgetnet.parallel.workers import ProcessGroup
from budgetnet.runs.folder import several_lock
from budgetnet.runs.record import FORMAT as PLAN_FORMAT
from budgetnet.runs.record import Amendment, append_amendment, read_record
from budgetnet.training import pretrained
from budgetnet.training.augmenting import Augment
from budgetnet.training.events import StepEvent, training_seconds
from budgetnet.training.job import JobContext, Timing, TrainingJob
from budgetnet.training.predictions import TestPredictions
from budgetnet.training.recipe import RECIPES, trained_network
from budgetnet.training.stopwatch import MachineClock, timed
from budgetnet.training.trainer import TrainingSpec

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


def test_recommendations_follow_what_was_measured() -> None:
    def row(name: str, accuracy: float, macs: int, params: int, latency_ms: float | None) -> Compared:
        costs = {"macs": macs, "params": params, "activations": params, "peak_bytes": params}
        return compared(name, accuracy, measurement=dataclasses.replace(ALONE, latency_ms=latency_ms), **costs)

    rows = [row("best", 0.9, 30, 30, 3.0), row("fast", 0.8, 20, 30, 1.0), row("lost", 0.7, 25, 30, 2.0)]
    words = recommendations(rows)
    assert words["best"].startswith(
        "where accuracy counts most, with the least parameters, activations and memory; fits "
    )
    assert words["fast"].startswith("under a tight limit on multiply-adds and time an image; fits ")
    assert words["lost"].startswith("under no limit better than another here; fits ")
    rows[2] = row("lost", 0.7, 25, 30, None)
    without = recommendations(rows)["fast"]
    assert without.startswith("under a tight limit on multiply-adds;"), "a time that is not known of all"


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


def request_of(networks: Sequence[str | Network] = (PLAIN,), **changes: Any) -> CompareRequest:
    """A request about these bases; `changes` are other fields."""
    request = CompareRequest(
        question="families",
        budget=BUDGET,
        time_seconds=60.0,
        seeds=2,
        networks=tuple(networks),
        strategy="compound",
        coefficients=PAPER,
        pretrained="none",
        recipe=None,
        precision="float32",
        augment=Augment(),
        start_share=0.5,
    )
    return dataclasses.replace(request, **changes)


def specs(images: ImageSet, networks: Sequence[str | Network] = (PLAIN,), **changes: Any) -> tuple[EntrantSpec, ...]:
    return specs_of(request_of(networks, **changes), images, "cpu")[0]


def test_ablations_are_trained_with_stochastic_depth(digits: ImageSet) -> None:
    rows = specs(digits, ["efficientnet_b0"], question="ablation", budget=Budget(macs=2_000_000))
    assert all(row.training.recipe.drop_path is None for row in rows)
    kept = trained_network(rows[0].training.network, rows[0].training.recipe, 100)
    assert kept.drop_path == network("efficientnet_b0").drop_path > 0.0


def test_equal_seconds_are_steps_by_speed(digits: ImageSet) -> None:
    (spec,) = specs(digits)
    slow, fast = (planned_entrant(spec, Timing(rate, rate, 1.0), 10.0) for rate in (640.0, 1280.0))
    assert (slow.steps, fast.steps) == (100, 200)
    assert slow.cooldown_steps == 50 and slow.recipe.name == "modern"


SPEED, SECONDS = 2e8, 200.0
"""A machine on which trainings of a few digits see their images about as often as they must, and time enough that the
seconds which a busy machine takes to plan are few of them."""
STARTED = [f"compare/{name}, seed {seed}" for seed in (0, 1) for name in ("plain", "squeezed")]


def made(run: Path, data: Path, executor: InlineExecutor | None = None, **options: Any) -> Comparison:
    """A comparison of two small networks by two seeds, in this process."""
    asked: dict[str, Any] = {"time_seconds": SECONDS, "seeds": 2, "networks": [PLAIN, SQUEEZED], **options}
    return compare(data, BUDGET, out=run, cluster=executor or InlineExecutor(SPEED), **asked)


@dataclasses.dataclass(frozen=True)
class Finished:
    """A comparison that is done, which no test changes, and the jobs that it started."""

    found: Comparison
    data: Path
    started: tuple[str, ...]

    @property
    def run(self) -> Path:
        return self.found.run


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, few_digits: Path) -> Finished:
    executor = InlineExecutor(SPEED)
    found = made(tmp_path_factory.mktemp("finished") / "run", few_digits, executor)
    return Finished(found, few_digits, tuple(executor.started))


def test_a_comparison_from_end_to_end(finished: Finished) -> None:
    found, run = finished.found, finished.run
    assert list(finished.started) == STARTED, "one seed after another"
    assert {row.id for row in found.networks} == {"plain", "squeezed"}
    assert [row.accuracy for row in found.networks] == sorted((row.accuracy for row in found.networks), reverse=True)
    hold(json.loads((run / "plan.json").read_text()), "plan.json, compare")
    hold(json.loads((run / "comparison.json").read_text()), "comparison.json")
    train_images = len(open_images(finished.data, 0).indices("train"))
    for row in found.networks:
        hold(json.loads((run / "networks" / f"{row.id}.json").read_text()), "Network")
        assert row.macs <= BUDGET.macs and (row.image_ms is None) == (row.measurement.refusal is not None)
        assert row.epochs == pytest.approx(row.steps * row.batch / train_images) and row.epochs >= 4.0
    by_hand(found, finished.data)
    assert not list(run.glob("training/*/*.pt")) and not list(run.glob("training/*/*.safetensors"))


def test_a_finished_one_is_shown_again_and_is_of_its_request(finished: Finished) -> None:
    executor = InlineExecutor(SPEED)
    assert made(finished.run, finished.data, executor) == finished.found and executor.started == []
    with pytest.raises(ValueError, match="begun with another number of seeds"):
        made(finished.run, finished.data, seeds=3)


def test_stopped_it_goes_on_to_the_same_scores(finished: Finished, tmp_path: Path) -> None:
    """As a kill in one of the trainings leaves it; the test that is slow kills in earnest."""
    run = Path(shutil.copytree(finished.run, tmp_path / "run"))
    (run / "comparison.json").unlink()
    (run / "answers" / "squeezed-seed0.npz").unlink()
    (run / "training" / "squeezed-seed0" / "final.npz").unlink()
    executor = InlineExecutor(SPEED)
    again = made(run, finished.data, executor)
    assert executor.started == [STARTED[1]], "what is done is not done again"
    assert [row.seeds for row in again.networks] == [row.seeds for row in finished.found.networks]


def test_steps_and_epochs_are_those_that_were_taken(finished: Finished, tmp_path: Path) -> None:
    """As a machine leaves it that became slower in one of a network's two trainings."""
    run = Path(shutil.copytree(finished.run, tmp_path / "run"))
    (run / "comparison.json").unlink()
    before = {row.id: row for row in finished.found.networks}
    planned = before["plain"].steps
    append_amendment(run, Amendment("plain-seed1", "final", 3, planned // 4, planned // 2 - planned // 4))
    found = made(run, finished.data, InlineExecutor(SPEED))
    after = {row.id: row for row in found.networks}
    assert after["plain"].steps == round((planned + planned // 2) / 2)
    shorter = (planned + planned // 2) / 2 / planned
    assert after["plain"].epochs == pytest.approx(shorter * before["plain"].epochs)
    same = [getattr(rows["squeezed"], name) for name in ("steps", "epochs") for rows in (before, after)]
    assert same[0] == same[1] and same[2] == same[3], "its machine kept the time"
    text = Page(found.report.read_text(encoding="utf-8")).text.replace("\N{NO-BREAK SPACE}", " ")
    assert "the machine became slower, and 1 training had fewer" in text and "1 time, for the machine" in text
    assert "had fewer" not in Page(finished.found.report.read_text(encoding="utf-8")).text
    row = json.loads((run / "comparison.json").read_text())
    row["networks"][[one["id"] for one in row["networks"]].index("squeezed")]["steps"] -= 1
    (run / "comparison.json").write_text(json.dumps(row))
    with pytest.raises(ValueError, match="steps of squeezed in networks are other than in plan"):
        made(run, finished.data, InlineExecutor(SPEED))


@pytest.mark.slow
def test_where_nothing_was_learned_nothing_is_compared(few_digits: Path, tmp_path: Path) -> None:
    still = dataclasses.replace(RECIPES["modern"], name="still", learning_rate=1e-12, zero_classifier=False)
    with pytest.raises(ValueError, match=r"the training of .*, the best of all, learned nothing") as caught:
        made(tmp_path / "run", few_digits, InlineExecutor(SPEED / 2), seeds=1, recipe=still)
    assert "\n" not in str(caught.value) and not (tmp_path / "run" / "comparison.json").exists()


def by_hand(found: Comparison, data: Path) -> None:
    """Accuracies and differences from the answers that are kept."""
    right: dict[tuple[str, int], np.ndarray] = {}
    files: set[str] = set()
    for row in found.networks:
        for seed in (0, 1):
            images = open_images(data, seed)
            with np.load(found.run / "answers" / f"{row.id}-seed{seed}.npz") as kept:
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
    assert pair.seeds == pytest.approx(differences) and pair.low is not None and pair.high is not None
    assert pair.low < pair.difference < pair.high


def shown_page(path: Path, pictures: int) -> tuple[Page, str]:
    """A page that needs nothing but itself, and its text."""
    source = path.read_text(encoding="utf-8")
    page = Page(source)
    ids = page.values("id")
    assert "//" not in source and not {tag for tag, _ in page.tags} & {"script", "iframe"}
    assert len(ids) == len(set(ids)) and source.count("<svg") == pictures
    return page, page.text.replace("\N{NO-BREAK SPACE}", " ")


def test_the_page_says_what_the_comparison_says(finished: Finished, tmp_path: Path, capsys: Capture) -> None:
    found = finished.found
    timed = dataclasses.replace(
        found, disturbance=None, networks=tuple(dataclasses.replace(row, measurement=ALONE) for row in found.networks)
    )
    _, text = shown_page(write_report(report(found.record, timed), tmp_path / "timed"), 6)
    print_report(report(found.record, timed))
    shown = capsys.readouterr().out.replace("\N{NO-BREAK SPACE}", " ")
    for row in timed.networks:
        assert row.blocks in text and f"{ALONE.image_ms:.2f}" in text
        interval = f"{100 * row.low:.1f} to {100 * row.high:.1f}"
        assert interval in text and interval in shown and row.label in shown
    assert all(sentence in text and sentence in " ".join(shown.split()) for sentence in found.statement)
    assert "budgetnet compare" in text and "disturbed" not in text and "no time" not in text
    disturbed = dataclasses.replace(timed, disturbance="other programs took 90 % of a core")
    _, text = shown_page(write_report(report(found.record, disturbed), tmp_path / "disturbed"), 6)
    assert text.count("The times (ms) are disturbed: other programs took 90 % of a core.") == 3
    assert f"{ALONE.image_ms:.2f}" in text, "it is given all the same"
    unsteady = dataclasses.replace(ALONE, latency_ms=None, halves_ratio=1.83)
    rows = (dataclasses.replace(timed.networks[0], measurement=unsteady), *timed.networks[1:])
    untimed = dataclasses.replace(timed, networks=rows)
    _, text = shown_page(write_report(report(found.record, untimed), tmp_path / "untimed"), 6)
    said = f"{rows[0].label} has no time (ms): two halves of its runs, taken in turns, differ 1.8 times."
    assert text.count(said) == 2 and "disturbed" not in text
    shown_page(finished.found.report, 6)


def relabelled(once: Comparison, folder: Path, **changes: Any) -> Comparison:
    """The same comparison in another folder, as of another request."""
    record = dataclasses.replace(once.record, request=dataclasses.replace(once.record.request, **changes))
    return dataclasses.replace(once, run=folder, report=folder / "report.html", record=record)


def test_all_questions_divide_the_time_and_one_page_holds_them_all(finished: Finished, tmp_path: Path) -> None:
    asked: dict[str, float] = {}

    def ask(question: Question, seconds: float, folder: Path | None) -> Comparison:
        asked[question] = seconds
        assert folder == tmp_path / "all" / question
        return relabelled(finished.found, folder, question=question)

    found = all_questions(ask, 57 * 60, tmp_path / "all", families=2)
    hold(json.loads(json.dumps(show.plain(found))), "compare --all --json")
    assert sum(asked.values()) == pytest.approx(57 * 60)
    assert asked["ablation"] / 9 == pytest.approx(asked["families"] / 2) == pytest.approx(asked["scaling"] / 5)
    page, text = shown_page(found.report, 3 * 6)
    assert {"families", "scaling", "ablation", "families-table"} <= set(page.values("id"))
    assert all(text.count(sentence) == 3 for sentence in finished.found.statement)
    assert "table 7" in text and "resnet50" in text, "beside the ways to scale stand those of the paper"


def test_at_several_costs_one_page_has_the_curves(finished: Finished, tmp_path: Path, capsys: Capture) -> None:
    def at(share: float, folder: Path | None) -> Comparison:
        assert folder is not None
        shutil.copytree(finished.run, folder)
        return relabelled(finished.found, folder, budget=BUDGET.times(share), question="scaling")

    found = at_costs(at, [1.0, 0.5], tmp_path / "run")
    assert found.shares == (0.5, 1.0)
    hold(json.loads(json.dumps(show.plain(found))), "compare --shares --json")
    page, text = shown_page(found.report, 2)
    for one in found.comparisons:
        assert all(sentence in text for sentence in one.statement)
        assert all(f"{100 * row.accuracy:.1f}" in text for row in one.networks)
    assert "at most 75 K MACs" in text or "75 K MACs" in text
    assert "table 7" in text and "resnet50" in text
    links = [value for value in page.values("href") if value and value.endswith(".html")]
    assert len(links) == 2 and all((found.run / link).is_file() for link in links)
    print_report(costs_report(found))
    shown = capsys.readouterr().out
    assert all(str(one.report) in shown for one in found.comparisons) and str(found.report) in shown


def all_at_once(found: Comparison, out: Path) -> Path:
    """The page of `--all`, over one comparison that is taken for three."""

    def ask(question: Question, seconds: float, folder: Path | None) -> Comparison:
        assert folder is not None
        shutil.copytree(found.run, folder, dirs_exist_ok=True)
        return relabelled(found, folder, question=question)

    return all_questions(ask, 60.0, out, families=2).report


def at_two_costs(found: Comparison, out: Path) -> Path:
    """The page of `--shares`, likewise."""

    def at(share: float, folder: Path | None) -> Comparison:
        assert folder is not None
        shutil.copytree(found.run, folder, dirs_exist_ok=True)
        return relabelled(found, folder, budget=BUDGET.times(share))

    return at_costs(at, [1.0, 0.5], out).report


@pytest.mark.parametrize("several", [all_at_once, at_two_costs])
def test_a_page_over_several_comparisons_replaces_nothing_of_somebody_else(
    finished: Finished, several: Callable[[Comparison, Path], Path], tmp_path: Path
) -> None:
    def refused(out: Path, words: str) -> None:
        before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
        with pytest.raises(ValueError, match=words) as caught:
            several(finished.found, out)
        assert "\n" not in str(caught.value) and str(out) in str(caught.value)
        assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before

    for name in ("mine", "photos"):
        (tmp_path / name).mkdir()
    (tmp_path / "mine" / "report.html").write_text("my own")
    refused(tmp_path / "mine", "holds files but no run")
    for part in ("families", "share-1"):
        (tmp_path / "photos" / part).mkdir()
        (tmp_path / "photos" / part / "leaf.png").write_bytes(b"")
    refused(tmp_path / "photos", "holds files but no")
    shutil.copytree(finished.run, tmp_path / "one")
    refused(tmp_path / "one", "it is one run and not several")

    out = tmp_path / "new" / "out"
    page = several(finished.found, out).read_bytes()
    with several_lock(out, ("families", "share-*")):
        refused(out, "in use by another process")
    (out / "report.html").unlink()
    assert several(finished.found, out).read_bytes() == page, "the same call draws it again, over the same runs"


def test_where_no_comparison_came_of_it_no_folder_is_left(tmp_path: Path) -> None:
    def at(share: float, folder: Path | None) -> Comparison:
        raise ValueError("refused")

    with pytest.raises(ValueError, match="refused"):
        at_costs(at, [1.0, 0.5], tmp_path / "a" / "b")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.* is left out")
def test_ways_to_scale_at_several_costs(few_digits: Path, tmp_path: Path) -> None:
    executor = InlineExecutor(3e8)

    def at(share: float, folder: Path | None) -> Comparison:
        assert folder is not None
        return compare(
            few_digits,
            Budget(macs=400_000).times(share),
            time_seconds=600.0,
            seeds=1,
            networks=[PLAIN],
            question="scaling",
            out=folder,
            cluster=executor,
        )

    half, whole = at_costs(at, [1.0, 0.5], tmp_path / "run").comparisons
    most = [max(row.macs for row in one.networks) for one in (half, whole)]
    assert most[0] <= 200_000 < most[1] <= 400_000
    assert {row.strategy for row in whole.networks} == {row.id for row in whole.networks} <= set(SCALINGS)
    assert executor.started
    executor.started.clear()
    at_costs(at, [1.0, 0.5], tmp_path / "run")
    assert executor.started == [], "finished ones are shown again"


@given(st.integers(1, 10**10), st.floats(4.0, 10**6), st.sampled_from(["macs", "params", "peak_bytes"]))
def test_ticks_of_a_wide_axis_are_few_and_evenly_spread(low: int, times: float, cost: str) -> None:
    ends = low / 1.25, low * times * 1.25
    ticks = cost_ticks(*ends, cost, logarithmic=True)
    assert 1 <= len(ticks) <= MOST_TICKS and ticks == sorted(ticks) and ends[0] <= ticks[0] and ticks[-1] <= ends[1]
    steps = [after / before for before, after in itertools.pairwise(ticks)]
    assert all(step <= 3 * min(steps) for step in steps)
    if cost == "peak_bytes":
        assert all(math.log2(tick).is_integer() for tick in ticks)


def test_published_scalings_are_counted() -> None:
    tables = published_tables()
    assert [row.base for row in tables] == ["efficientnet_b0", "mobilenet_v1", "mobilenet_v2", "resnet50"]
    b0, resnet = tables[0], tables[-1]
    # ../shared/reference/published.json: 1.575, 1.450, 1.538 and 1.80 G, and ResNet's two that look swapped.
    assert [row.counted for row in b0.lines[1:]] == ["1.58", "1.45", "1.54", "1.80"]
    assert [f"{float(row.counted):.1f}" for row in resnet.lines[1:3]] == ["14.6", "16.1"]
    assert b0.spread == pytest.approx(1.80 / 1.45 - 1, abs=0.01)


def test_a_time_that_is_too_short_says_what_is_needed(few_digits: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    with pytest.raises(ValueError, match="for 4 trainings, 1 at a time") as caught:
        made(run, few_digits, InlineExecutor(SPEED / 10))
    needed = int(str(caught.value).split()[-2])
    assert "\n" not in str(caught.value) and not run.exists() and needed > SECONDS
    with pytest.raises(StoppedError):
        made(run, few_digits, InlineExecutor(SPEED / 10, stop_after=0), time_seconds=float(needed))
    record = read_record(run, "compare", CompareRequest, ComparePlan)
    assert record is not None and record.plan.slots == 1
    train_images = len(open_images(few_digits, 0).indices("train"))
    assert all(row.config(0).epochs(train_images) >= 4.0 for row in record.plan.entrants)


def test_pretrained_networks_begin_from_relatives_and_strangers_are_refused(digits: ImageSet, tmp_path: Path) -> None:
    source, row = tmp_path / "parent.safetensors", {"mean": [0.3], "std": [0.4]}
    parent = dataclasses.replace(PLAIN, name="parent", classes=10, in_channels=1)
    other = dataclasses.replace(PLAIN, name="other", stages=(*PLAIN.stages, Stage(16, activation=RELU)))
    save_weights(source, build(parent, seed=5), [str(digit) for digit in range(10)], row)
    with pytest.raises(ValueError, match=r"other cannot inherit from .* which is parent") as caught:
        compare("digits", BUDGET, networks=[PLAIN, other], pretrained=str(source), out=tmp_path / "run")
    assert "\n" not in str(caught.value) and not (tmp_path / "run").exists()
    (spec,) = specs(digits, pretrained=str(source))
    assert spec.parent == str(source) and spec.training.recipe.name == "finetune"
    assert spec.training.preprocessing.mean == (0.3,) and spec.entrant.dropped_strides == 0
    with pytest.warns(UserWarning, match="no pretrained relative of plain"):
        (spec,) = specs(digits, pretrained="auto")
    assert spec.parent is None and spec.training.recipe.name == "modern"


def test_a_family_takes_the_form_that_its_weights_have() -> None:
    google = functools.partial(pretrained.forms_for, sources={"lite0": network("tf_efficientnet_lite0")})
    assert google("auto", ["efficientnet_lite0"]) == ["tf_efficientnet_lite0"]
    assert google("auto", ["mobilenet_v1"]) == ["mobilenet_v1"]
    assert google("none", ["efficientnet_lite0"]) == ["efficientnet_lite0"]
    timm = functools.partial(pretrained.forms_for, sources={"timm": network("efficientnet_lite0")})
    assert timm("auto", ["efficientnet_lite0"]) == ["efficientnet_lite0"]


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
    """The findings about such answers."""
    tests = answers_of(rights)
    order = sorted(rights, key=lambda name: -float(np.mean(rights[name])))
    rows = [compared(name, float(np.mean(rights[name])), tuple(map(seed_score, tests[name]))) for name in order]
    pairs, images = pairs_of(tests, order, reference), 400 * len(rights[order[0]])
    assert len(pairs) == (len(order) * (len(order) - 1) // 2 if reference is None else len(order) - 1)
    return " ".join(findings(rows, pairs, images, reference))


def test_findings_say_where_trainings_took_unequal_time() -> None:
    scores = tuple(map(seed_score, answers_of({"a": [0.9]})["a"]))
    even, uneven = (
        " ".join(findings([compared(name, 0.9, scores, training_seconds=took[name]) for name in took], [], 400))
        for took in ({"a": 100.0, "b": 119.0}, {"a": 100.0, "b": 121.0})
    )
    assert "should take equally long" not in even
    assert "Trainings took 100 to 121 s" in uneven


def test_the_seconds_of_a_training_leave_out_what_a_kill_cost(digits: ImageSet, tmp_path: Path) -> None:
    (spec,) = specs(digits)
    job = TrainingJob(
        spec.training.for_steps(100),
        JobContext("digits", 0, 8, str(tmp_path / "training")),
        "final",
        "compare/plain, seed 0",
        50,
        50,
    )

    def event(step: int, seconds: float, phase: str = job.phase) -> StepEvent:
        return StepEvent("step", phase, step, 0.5, 0.9, step / 10, 0.001, seconds)

    began = [event(step, step / 10) for step in (10, 30, 60)]
    again = [event(step, 3 + (step - 40) / 10) for step in (50, 90)]  # from a checkpoint at 40
    other = event(5, 500.0, "compare/other, seed 0")
    assert training_seconds([*began, other, *again], job) == pytest.approx(10.0)
    assert training_seconds([began[0], other], job) is None
    cooled = event(70, 1.01)  # its seconds began with the cool-down
    assert training_seconds([began[0], cooled], job) is None
    (tmp_path / "plan.json").write_text(json.dumps({"format": PLAN_FORMAT, "amendments": []}))
    append_amendment(tmp_path, Amendment(job.config.id, "final", 30, 30, 20))
    assert training_seconds([*began, other, *again], job) == pytest.approx(5.0), "half of the planned steps"


def test_a_slow_moment_strikes_no_network_alone(digits: ImageSet, tmp_path: Path) -> None:
    trainings = [row.training for row in specs(digits, [PLAIN, SQUEEZED])]
    slow_first = iter([50.0, 200.0, 100.0, 190.0, 110.0, 210.0])

    class Stopwatch:
        """Gives these timings in their order."""

        startup_seconds = 0.0

        def time(self, asked: Sequence[TrainingSpec], context: JobContext, seconds: float) -> tuple[Timing, ...]:
            assert list(asked) == trainings * 3
            return tuple(Timing(rate, 2 * rate, 1.0) for rate, _ in zip(slow_first, asked, strict=True))

    class Clock(MachineClock):
        @contextlib.contextmanager
        def stopwatch(self, *_: Any) -> Iterator[Stopwatch]:
            yield Stopwatch()

    found = timed(trainings, JobContext("digits", 0, 8, str(tmp_path)), ProcessGroup(2, 1), None, True, 3, Clock())
    assert found.configs == (Timing(100.0, 200.0, 3.0), Timing(200.0, 400.0, 3.0))


def test_findings_claim_what_the_data_show_and_no_more() -> None:
    clear = said({"a": [0.9, 0.91, 0.9], "b": [0.8, 0.8, 0.81], "c": [0.8, 0.8025, 0.8075]})
    assert "a has the highest mean, 90.3 %, and that is more than every other's." in clear
    assert "More accurate: a than b by +10.0 points" in clear and " and c by +10.0 points" in clear
    assert "No difference shown, for its interval includes 0: b from c." in clear
    alike = said({"a": [0.9, 0.8], "b": [0.8, 0.89]})
    assert "not shown to be more than b" in alike and "No pair is shown to differ." in alike
    assert "seeds differ by more than the choice of images" in alike
    assert "One seed is one training of each" in said({"a": [0.9], "b": [0.5]})
    parts = said({"a": [0.9, 0.9], "b": [0.8, 0.8], "c": [0.96, 0.96], "d": [0.9, 0.9025]}, "a")
    assert "Of 3 changes to a: b is shown to cost accuracy; c is shown to gain some." in parts
    assert "No difference shown, for its interval includes 0: a from d." in parts
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
        (["compare", "digits", "--macs", "1M", "--shares", "0.5,half"], "not numbers; give some as 0.5,1"),
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
        "device": "auto",
        "cluster": None,
        "out": Path("here"),
        "fresh": True,
    }


COMMAND = timeless("compare", "digits", "--macs", "400K", "--time", "75s", "--seeds", "2")
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
