"""A search for coefficients: from images to a file, the same bits whatever kills it, and what the numbers say."""

from __future__ import annotations

import dataclasses
import json
import math
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from inline import Inline
from killed import kill_when, start
from simulated import LEARNED, LEARNED_NOTHING
from test_compare import PLAIN
from test_formats import hold
from test_report import Page

from budgetnet import scale, search_coefficients
from budgetnet.budgets.coefficient_space import Interval, Region, price
from budgetnet.cli import main
from budgetnet.cluster import where
from budgetnet.cluster.ray_cluster import Cluster
from budgetnet.data import ImageSet, open_images
from budgetnet.experiments.activations.networks import SMALL
from budgetnet.experiments.coefficients.entrants import (
    base_of,
    entrants_for,
    entrants_of,
    first_of,
    matched,
    same_network,
)
from budgetnet.experiments.coefficients.plan import Seconds
from budgetnet.experiments.coefficients.result import Check, CoefficientSearch, Ranked
from budgetnet.experiments.coefficients.scoring import Answers, difference_of, differences_of, needed_for, score_of
from budgetnet.experiments.coefficients.statement import statement
from budgetnet.experiments.coefficients.triangle import at, hull
from budgetnet.experiments.race import survivors
from budgetnet.networks import RELU, Head, Stage
from budgetnet.networks.scaling import PAPER, Coefficients
from budgetnet.parallel.progress import silent
from budgetnet.statistics import on_one_split, over_seeds
from budgetnet.training.augmenting import Augment
from budgetnet.training.job import Timing
from budgetnet.training.train import Timings, validation_seconds

module = sys.modules[search_coefficients.__module__]
plan_module = sys.modules["budgetnet.experiments.coefficients.plan"]
work_module = sys.modules["budgetnet.experiments.coefficients.work"]
Capture = pytest.CaptureFixture[str]
BASE = dataclasses.replace(
    PLAIN,
    stages=(
        Stage(16, expansion=2.0, activation=RELU),
        Stage(32, repeats=2, stride=2, expansion=2.0, activation=RELU),
    ),
    head=Head(64, activation=RELU),
    resolution_px=(16, 16),
)
"""Small enough to double in every dimension within twice the digits' own size."""


@pytest.fixture(scope="module")
def digits() -> ImageSet:
    return open_images("digits", 0)


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Speeds that are given, not measured; a clock that stands; training in this process."""

    def timed(configs: Sequence[Any], *_: Any, **__: Any) -> Timings:
        return Timings(tuple(Timing(160.0, 160.0, 0.0) for _ in configs), 0.0)

    Inline.done = []
    for one in (module, plan_module):
        monkeypatch.setattr(one, "time", SimpleNamespace(monotonic=lambda: 0.0))
    monkeypatch.setattr(where, "timed", timed)
    monkeypatch.setattr(plan_module, "LEAST_EARLY_STEPS", 5)
    monkeypatch.setattr(where, "workers_for", lambda device: 4)
    monkeypatch.setattr(module, "entrants_for", lambda asked, *_: asked)
    monkeypatch.setattr(where, "Workers", Inline)


def made(run: Path, **options: Any) -> CoefficientSearch:
    asked: dict[str, Any] = {"base": BASE, "tolerance": 0.2, "candidates": 6, "seeds": 2, "time_seconds": 300.0}
    return search_coefficients("digits", out=run, **{**asked, **options})


@pytest.mark.slow
def test_a_search_from_end_to_end(short: None, tmp_path: Path, capsys: Capture) -> None:
    run = tmp_path / "run"
    found = made(run)
    plan = json.loads((run / "plan.json").read_text())
    hold(plan, "plan.json, search coefficients")
    kept = plan["kept"]
    assert kept == [6, 3] and plan["incumbent"] == "n01"
    raced = Inline.done[: kept[0]]
    assert raced == [f"n{place:02d}" for place in range(1, 7)], "the first rung, one seed each"
    last = Inline.done[6:12]
    assert len({name.split("-")[0] for name in last}) == 3 and {name.split("-")[1] for name in last} == {
        "seed0",
        "seed1",
    }
    assert any(name.startswith("n01-") for name in last), "the paper's goes on to the last rung"
    assert set(Inline.done[12:]) == {"found-seed0", "found-seed1", "paper-seed0", "paper-seed1"}
    file = json.loads((run / "coefficients.json").read_text())
    hold(file, "coefficients.json")
    by_hand(found, run)
    page_of(found)
    best = found.best
    adapted = found.base
    assert (adapted.classes, adapted.in_channels, adapted.resolution_px) == (10, 1, BASE.resolution_px)
    assert scale(adapted, 1.0, coefficients=found.coefficients) == best.network and found.coefficients in found.region
    assert abs(price(best.network, "macs") / found.base_cost / 2 - 1) <= 0.2
    assert main(["scale", "efficientnet_b0", "--coefficients", str(run), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["scaling"]["depth"] == found.coefficients.alpha
    Inline.done.clear()
    assert made(run) == found and Inline.done == [], "a finished one is shown again"
    assert made(run, cluster=Cluster("127.0.0.1:1")) == found, "and needs no cluster"
    for options, name in (({"seeds": 3}, "seeds"), ({"growth": 3.0}, "growth"), ({"base": "mobilenet_v1"}, "base")):
        with pytest.raises(ValueError, match=f"begun with another {name}"):
            made(run, **options)
    killed(run)
    assert made(run) == found, "the same bits"
    assert Inline.done == ["n02", f"{best.id}-seed1", "found-seed0"], "what is done is not done again"


def test_a_race_in_which_nothing_was_learned_has_no_answer(digits: ImageSet, tmp_path: Path) -> None:
    plan = {"entrants": [{"id": "n01", "last": {"config": {"steps": 5, "batch": 64}}}]}
    work = work_module.Work(tmp_path, plan, digits, None, None, silent)  # type: ignore[arg-type]
    lost = [dataclasses.replace(one, chance=LEARNED_NOTHING) for one in answers(0.0)]
    with pytest.raises(ValueError, match=r"the training of n01, the best of the race, learned nothing"):
        work._check_learned("n01", lost)
    work._check_learned("n01", [*lost, *answers(0.0, seeds=1)])


def killed(run: Path) -> None:
    """As a kill leaves it; the test that is slow kills in earnest."""
    best = json.loads((run / "coefficients.json").read_text())["ranking"][0]["id"]
    (run / "coefficients.json").unlink()
    (run / "answers" / "found-seed0.npz").unlink()
    for lost in ("found-seed0", f"{best}-seed1"):
        (run / "training" / lost / "final.npz").unlink()
    (run / "training" / "n02" / "rung-0.npz").unlink()


def by_hand(found: CoefficientSearch, run: Path) -> None:
    """Scores and the check from the answers that are kept."""
    images = open_images("digits", 0)
    labels = np.asarray(images.labels)
    for row in found.ranking:
        names = [f"{row.id}-seed{seed}/final" for seed in (0, 1)] if row.finalist else [f"{row.id}/rung-0"]
        losses: list[float] = []
        for name in names:
            with np.load(run / "training" / f"{name}.npz") as kept:
                assert kept["indices"].tolist() == images.indices("validation").tolist()
                true = kept["probabilities"][np.arange(len(kept["indices"])), labels[kept["indices"]]]
                losses.append(float(-np.log(true).mean()))
        assert row.score.log_loss == pytest.approx(np.mean(losses), rel=1e-5)
        assert row.score.log_loss_low < row.score.log_loss < row.score.log_loss_high
    order = [row.score.log_loss for row in found.ranking if row.finalist]
    assert order == sorted(order)
    rights: dict[str, list[float]] = {}
    for name in ("found", "paper"):
        for seed in (0, 1):
            with np.load(run / "answers" / f"{name}-seed{seed}.npz") as kept:
                assert kept["indices"].tolist() == images.indices("test").tolist(), "one split for all seeds"
                rights.setdefault(name, []).append(float((kept["probabilities"].argmax(1) == kept["labels"]).mean()))
    assert found.check.difference is not None
    assert found.check.difference.accuracy == pytest.approx(np.mean(rights["found"]) - np.mean(rights["paper"]))


def page_of(found: CoefficientSearch) -> None:
    """The page says what the search says, and needs nothing but itself."""
    source = found.report.read_text(encoding="utf-8")
    page = Page(source)
    text = page.text.replace("\N{NO-BREAK SPACE}", " ")
    assert all(sentence in text for sentence in (*found.statement, found.drawn))
    for row in found.ranking:
        assert f"{row.score.log_loss:.3f}" in text and f"{row.score.log_loss_low:.3f} to" in text
    assert "//" not in source and not {tag for tag, _ in page.tags} & {"script"}
    ids = page.values("id")
    assert len(ids) == len(set(ids)) and source.count("<svg") == 6
    assert "the paper: 1.2, 1.1, 1.15" in source and "depth alone" in source


def test_who_races(digits: ImageSet) -> None:
    base = base_of(digits, "efficientnet_b0")
    assert base.classes == 10 and base.resolution_px == (32, 32)
    own = base_of(digits, BASE)
    assert own.resolution_px == (16, 16) and own.classes == 10
    rows = entrants_of(digits, own, 2.0, 0.2, "macs", 5)
    assert [row.id for row in rows.rows] == ["n01", "n02", "n03", "n04", "n05"]
    four = 4 * price(own, "macs")
    assert rows.paper.cost == pytest.approx(four, rel=0.35)
    for row in rows.rows:
        near = matched(own, row.candidate.coefficients, "macs", rows.paper.cost)
        assert near == row.check
        for phi in (near.phi - 0.05, near.phi + 0.05):
            other = price(scale(own, phi, coefficients=row.candidate.coefficients), "macs")
            assert abs(math.log(near.cost / rows.paper.cost)) <= abs(math.log(other / rows.paper.cost)) + 1e-12
    assert max(side for row in rows.rows for side in row.candidate.network.resolution_px) <= 32, "twice the images"


def test_networks_that_differ_in_name_alone_are_the_same() -> None:
    one, other = scale(PLAIN, 1.0), scale(PLAIN, 1.0001)
    assert one != other and same_network(one, other)
    assert not same_network(one, scale(PLAIN, 3.0))


def test_the_time_says_how_many_race() -> None:
    assert entrants_for(24, 2700.0, 2) == 24 and entrants_for(24, 240.0, 2) == 6 and entrants_for(24, 1.0, 1) == 2
    assert entrants_for(8, 1e6, 64) == 8


def test_the_time_is_shared_by_lengths() -> None:
    found = plan_module.shared(1000.0, [24, 12, 6, 3], 3, 2)
    assert found.rungs == pytest.approx([found.last / 16, found.last / 8, found.last / 4])
    turns = [*zip(found.rungs, (12, 6, 3), strict=True), (found.last, 5), (found.check, 3)]
    assert sum(one * many for one, many in turns) == pytest.approx(1000.0)
    assert 3 * found.check == pytest.approx(330.0)
    alone = plan_module.shared(1000.0, [3], 1, 3)
    assert alone == Seconds((), 670.0, 330.0), "no early rung where all meet in the last"


def test_the_last_rung_and_the_check_have_the_least_steps_and_early_rungs_need_them_not() -> None:
    one, splits, kept = Timing(400.0, 400.0, 0.0), [100, 200], [24, 12, 6, 4]
    least = plan_module.least_seconds(kept, 3, 8, 64, splits, one, one, steps=900)
    found = plan_module.shared(least, kept, 3, 8)
    steps = [
        (seconds - validation_seconds(count, one)) * one.single_process / 64
        for seconds, count in ((found.last, splits[0]), (found.check, sum(splits)))
    ]
    assert min(steps) == pytest.approx(900.0) and found.rungs[0] < found.last / 10


def test_few_race_where_the_first_rung_would_be_too_short() -> None:
    fast, slow = Timing(640.0, 640.0, 0.0), Timing(64.0, 64.0, 0.0)
    found = {left: plan_module.most_racing([fast] * 12, 4, 3, 2, left, 64, 100) for left in (10.0, 100.0, 400.0)}
    assert found[10.0] == 4 and found[400.0] == 12 and 4 < found[100.0] < 12
    for count in (found[100.0], found[100.0] + 1):
        seconds = plan_module.shared(100.0, survivors(count, 4), 3, 2)
        enough = (seconds.rungs[0] - validation_seconds(100, fast)) * 10 >= plan_module.LEAST_EARLY_STEPS
        assert enough == (count == found[100.0])
    assert plan_module.most_racing([*[fast] * 6, slow], 4, 3, 2, 300.0, 64, 100) == 6, "the slow one is left out"
    assert plan_module.most_racing([slow] * 3, 4, 3, 2, 1.0, 64, 100) == 3


def test_the_first_of_the_entrants_are_those_of_a_smaller_draw(digits: ImageSet) -> None:
    many, few = (entrants_of(digits, base_of(digits, BASE), 2.0, 0.2, "macs", most) for most in (6, 4))
    assert first_of(many, 4) == few


def test_too_little_time_says_what_is_needed_and_that_is_enough(
    short: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ValueError, match=r"too short to race 2 networks .* give at least \d+ s, or fewer") as caught:
        made(tmp_path / "run", time_seconds=5.0, candidates=2)
    assert "\n" not in str(caught.value) and not (tmp_path / "run").exists()
    needed = float(str(caught.value).split("at least ")[1].split(" s")[0])
    monkeypatch.setattr(work_module.Work, "finish", lambda self: self.plan)
    plan: Any = made(tmp_path / "run", time_seconds=needed, candidates=2)
    assert all(row["last"]["config"]["steps"] >= 10 for row in plan["entrants"])
    assert plan["paper"]["config"]["steps"] >= 10


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"growth": 1.0}, "growth is 1.0"),
        ({"tolerance": 1e-7}, "the nearest has"),
        ({"candidates": 1}, "candidates is 1"),
        ({"finalists": 1}, "finalists is 1"),
        ({"seeds": 0}, "seeds is 0"),
        ({"time_seconds": 0.0}, "time is 0.0"),
        ({"measure": "params"}, "choose one of macs"),
        ({"recipe": "none"}, "choose one of"),
        ({"base": "efficientnet_b9"}, "efficientnet_b9"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        made(tmp_path / "run", **options)
    assert "\n" not in str(caught.value) and not (tmp_path / "run").exists()


def test_other_images_in_the_same_folder_are_refused(short: None, tmp_path: Path, capsys: Capture) -> None:
    run = tmp_path / "run"
    run.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(work_module.Work, "finish", lambda self: None)
        made(run)
    plan = json.loads((run / "plan.json").read_text())
    plan["data"]["fingerprint"] = "another"
    (run / "plan.json").write_text(json.dumps(plan))
    with pytest.raises(ValueError, match="was begun on other images"):
        made(run)
    assert main(["compare", "digits", "--macs", "1M", "--out", str(run)]) == 2
    assert "holds a run of 'search coefficients'" in capsys.readouterr().err


def answers(shift: float, seeds: int = 3, luck: float = 0.0, count: int = 400, start: int = 0) -> list[Answers]:
    """Losses around 0.5 + shift, the same images in every seed; `luck` moves whole trainings."""
    found: list[Answers] = []
    for seed in range(seeds):
        random = np.random.default_rng(100 * start + seed)
        losses = np.abs(random.normal(0.5 + shift, 0.2, count)) + luck * random.normal()
        found.append(Answers(seed, np.arange(count), losses < 0.7, losses, False, LEARNED))
    return found


def test_pairs_are_told_apart_or_not() -> None:
    tests = {"a": answers(0.0), "b": answers(0.002, start=1), "c": answers(0.5, start=2)}
    rows = {(row.a, row.b): row for row in differences_of(tests, ["a", "b", "c"])}
    assert rows["a", "c"].stands and rows["a", "c"].log_loss == pytest.approx(-0.5, abs=0.05)
    assert not rows["a", "b"].differs and rows["a", "b"].low < 0 < rows["a", "b"].high
    score = score_of(tests["a"])
    assert score.log_loss_low < score.log_loss < score.log_loss_high and score.accuracy_low < score.accuracy
    lost = [dataclasses.replace(one, losses=np.full(400, 16.1), diverged=True) for one in tests["a"]]
    assert difference_of("lost", "a", lost, tests["a"]).log_loss > 15


def test_both_errors_count_on_one_split() -> None:
    found = over_seeds([(row.indices, row.losses) for row in answers(0.0, luck=0.1)])
    both = on_one_split(found, 3)
    assert found.error_seeds is not None
    assert both.standard_error == pytest.approx(math.hypot(found.error_images, found.error_seeds))
    assert both.standard_error > found.standard_error
    one = over_seeds([(row.indices, row.losses) for row in answers(0.0, seeds=1)])
    assert on_one_split(one, 1) == one


def test_intervals_on_one_split_hold_the_truth() -> None:
    """Two networks with a true difference, on images that all seeds share, each training with luck of its own."""
    held = 0
    for draw in range(400):
        random = np.random.default_rng(draw)
        images = random.normal(0.05, 0.5, 200)  # how much harder each image is for one than for the other
        seeds = [(np.arange(200), images + random.normal(0, 0.3, 200) + random.normal(0, 0.04)) for _ in range(3)]
        found = on_one_split(over_seeds(seeds), 3)
        half = found.quantile * found.standard_error
        held += abs(found.mean - 0.05) <= half
    assert 0.93 <= held / 400 <= 0.995


def test_what_it_takes_to_tell_two_apart() -> None:
    row = differences_of({"a": answers(0.0), "b": answers(0.01, start=1)}, ["a", "b"])[0]
    row = dataclasses.replace(row, log_loss=-0.02, standard_error=0.02, error_images=0.005, error_seeds=0.0194)
    found = needed_for(row, 3, 100.0, 2)
    assert found is not None and found.times == pytest.approx(2.80**2, rel=0.01)
    assert found.seeds == math.ceil(3 * (2.8016 * 0.0194) ** 2 / (0.02**2 - (2.8016 * 0.005) ** 2))
    assert found.hours == pytest.approx(2 * 24 * 100 / 2 / 3600)
    few = needed_for(dataclasses.replace(row, error_images=0.019, error_seeds=0.006), 3, 100.0, 2)
    assert few is not None and few.seeds is None, "no number of seeds makes up for the images"
    assert needed_for(dataclasses.replace(row, error_seeds=None), 1, 100.0, 2) is None


def test_the_statement_says_what_is_shown_and_what_not() -> None:
    region = Region(Interval(1.0, 1.000000005), Interval(1.2, 1.25), Interval(1.1, 1.15))
    rows = {"n03": answers(0.0), "n01": answers(0.003, start=1)}
    coefficients = Coefficients(1.0, 1.22, 1.12)
    ranking = [
        Ranked(name, coefficients, region, PLAIN, 1, 1, 1, True, name == "n01", score_of(one), score_of(one))
        for name, one in rows.items()
    ]
    pairs = differences_of(rows, list(rows))
    needed = [one for row in pairs if (one := needed_for(row, 3, 60.0, 2))]
    text = " ".join(statement(ranking, pairs, ["n01"], needed, Check(True, 2.0, 100, (), None)))
    assert "not told apart from n01 (1, 1.22, 1.12)" in text and "nearest to the paper's choice" in text
    assert "alpha exactly 1, beta from 1.2 to 1.25 and gamma from 1.1 to 1.15" in text
    assert "To tell n03" in text and "give the same network at this cost" in text
    clear = differences_of({"n03": answers(0.0), "n01": answers(0.5, start=1)}, list(rows))
    assert "told apart from every other" in " ".join(statement(ranking, clear, [], [], Check(True, 2.0, 1, (), None)))


def test_a_hull_holds_its_points() -> None:
    points = [at(place) for place in ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0), (0.3, 0.3, 0.4))]
    assert sorted(hull(points)) == sorted(points[:3])
    assert hull(points[:1]) == points[:1]


def test_solve_and_compare_take_coefficients(digits: ImageSet, capsys: Capture) -> None:
    from budgetnet import Budget, fit
    from budgetnet.experiments.bases import adapted_bases, largest_px
    from budgetnet.experiments.compare.entrants import families
    from budgetnet.experiments.compare.scalings import scalings
    from budgetnet.experiments.solve.candidates import candidates
    from budgetnet.training.plan import run_folder

    deep = Coefficients(1.6, 1.02, 1.02)
    budget = Budget(macs=1_500_000)
    by_default, chosen = (families(digits, budget, [SMALL], coefficients=one)[0][0] for one in (PAPER, deep))
    bases = {dropped: base for _, dropped, base in adapted_bases(digits, [SMALL])}
    expected = fit(bases[chosen.dropped_strides], budget, "compound", deep, largest_px(digits))
    assert chosen.network == expected.network != by_default.network
    rows = {row.id: row.network for row in scalings(digits, budget, SMALL, coefficients=deep)[0]}
    assert rows["width"] == {row.id: row.network for row in scalings(digits, budget, SMALL)[0]}["width"]
    found = candidates(digits, budget, 2, [SMALL], ["compound"], coefficients=deep)
    assert any(row.network == expected.network for row in found)
    given = {"coefficients": None}
    assert run_folder(None, "digits", given) == run_folder(None, "digits", {}), "runs of before keep their folder"
    assert run_folder(None, "digits", {"coefficients": dataclasses.asdict(deep)}) != run_folder(None, "digits", {})
    for command in (["solve"], ["compare"]):
        line = [*command, "digits", "--macs", "2M", "--strategy", "width", "--coefficients", "1.3,1.1,1.1"]
        assert main(line) == 2
        assert "belong to the compound strategy" in capsys.readouterr().err


def test_arguments_reach_the_search(monkeypatch: pytest.MonkeyPatch, capsys: Capture, tmp_path: Path) -> None:
    import budgetnet

    seen: dict[str, object] = {}

    def noted(data: str, **more: object) -> None:
        seen.update(more, data=data)
        raise ValueError("noted")

    file = tmp_path / "own.json"
    file.write_text(BASE.to_json(), encoding="utf-8")
    monkeypatch.setattr(budgetnet, "search_coefficients", noted)
    line = ["search", "coefficients", "photos", "--base", str(file), "--growth", "3", "--tolerance", "2%"]
    line += ["--measure", "peak_bytes", "--candidates", "9", "--seeds", "5", "--time", "2h", "--seed", "7"]
    line += ["--finalists", "3", "--recipe", "paper", "--precision", "bfloat16", "--out", "here", "--fresh"]
    line += ["--crop", "off", "--train-bytes", "2GB"]
    assert main(line) == 2
    assert capsys.readouterr().err == "budgetnet: noted\n"
    assert seen.pop("progress") is not None
    assert seen == {
        "data": "photos",
        "base": BASE,
        "growth": 3.0,
        "tolerance": 0.02,
        "measure": "peak_bytes",
        "candidates": 9,
        "finalists": 3,
        "seeds": 5,
        "time_seconds": 7200.0,
        "seed": 7,
        "augment": Augment(crop="off"),
        "train_bytes": 2 * 10**9,
        "recipe": "paper",
        "precision": "bfloat16",
        "device": "cpu",
        "out": Path("here"),
        "fresh": True,
        "cluster": None,
    }


STAGES: dict[str, Callable[[Path], bool]] = {
    "the first rung begins": lambda run: any(run.glob("training/n*/trunk.pt")),
    "half of the first rung": lambda run: len(list(run.glob("training/*/rung-0.npz"))) >= 3,
    "the last rung": lambda run: any(run.glob("training/n*-seed*/trunk.pt")),
    "between trainings of the last rung": lambda run: len(list(run.glob("training/n*-seed*/final.npz"))) >= 3,
    "the check": lambda run: any(run.glob("training/found-seed*/trunk.pt")),
    "an answer of the check": lambda run: any(run.glob("answers/*.npz")),
}


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_kill_at_any_moment_ends_in_the_same_bits(tmp_path: Path, capsys: Capture) -> None:
    base = tmp_path / "plain.json"
    base.write_text(BASE.to_json(), encoding="utf-8")
    arguments = ["search", "coefficients", "digits", "--base", str(base), "--tolerance", "20%", "--seeds", "2"]
    arguments += ["--candidates", "6", "--time", "240s", "--out"]
    whole, other = tmp_path / "whole", tmp_path / "other"
    program = [sys.executable, "-c", "import sys; from budgetnet.cli import main; sys.exit(main(sys.argv[1:]))"]
    command = [*program, *arguments, str(other)]
    assert main([*arguments, str(whole), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    hold(found, "coefficients.json")
    other.mkdir()
    shutil.copy(whole / "plan.json", other / "plan.json")
    for reached in STAGES.values():
        kill_when(command, lambda reached=reached: reached(other))
    process = start(command)
    _, error = process.communicate(timeout=600)
    assert process.returncode == 0, error.decode()
    assert (other / "coefficients.json").read_bytes() == (whole / "coefficients.json").read_bytes()
    kept = sorted(path.relative_to(whole) for path in whole.glob("**/*.npz"))
    assert len(kept) >= 6 + 6 + 4
    for name in kept:
        with np.load(whole / name) as one, np.load(other / name) as two:
            assert all(np.array_equal(one[key], two[key]) for key in one.files), name
    again = subprocess.run([*command, "--json"], capture_output=True, check=True)
    assert json.loads(again.stdout)["alpha"] == found["alpha"]
