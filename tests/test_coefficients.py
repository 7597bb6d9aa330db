"""A search for coefficients: from images to a file, the same bits whatever kills it, and what the numbers say."""

from __future__ import annotations

import dataclasses
import json
import math
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.executor import InlineExecutor
from support.formats import hold
from support.killed import kill_when, start, timeless
from support.networks import GROWABLE as BASE
from support.networks import PLAIN
from support.page import Page
from support.simulated import LEARNED, LEARNED_NOTHING, SimulatedClock, TimelessClock

from budgetnet import scale, search_coefficients
from budgetnet.budgets.coefficient_space import Interval, Region, price
from budgetnet.budgets.coefficients_file import read_coefficients
from budgetnet.cli import main
from budgetnet.cluster.ray_cluster import Cluster
from budgetnet.data import ImageSet, open_images
from budgetnet.experiments.coefficients import SEARCH_COEFFICIENTS
from budgetnet.experiments.coefficients.entrants import (
    base_of,
    entrants_for,
    entrants_of,
    first_of,
    matched,
    same_network,
)
from budgetnet.experiments.coefficients.findings import findings
from budgetnet.experiments.coefficients.plan import (
    LEAST_EARLY_STEPS,
    CoefficientsPlan,
    Seconds,
    least_seconds,
    most_racing,
    propose,
    shared,
)
from budgetnet.experiments.coefficients.request import CoefficientsRequest
from budgetnet.experiments.coefficients.result import Check, CoefficientSearch, Needed, Ranked
from budgetnet.experiments.coefficients.run import check_learned
from budgetnet.experiments.coefficients.scoring import Predictions, differences_of, needed_for, score_of
from budgetnet.experiments.coefficients.triangle import at, hull
from budgetnet.experiments.compute import Compute
from budgetnet.experiments.experiment import Context, perform
from budgetnet.experiments.race import survivors
from budgetnet.experiments.timing import TimeBudget, prediction_seconds
from budgetnet.networks.scaling import PAPER, Coefficients
from budgetnet.runs.record import Record, data_record, machine_record, save_record
from budgetnet.statistics import over_seeds, with_shared_split
from budgetnet.training.augmenting import Augment, augment_of
from budgetnet.training.job import Timing
from budgetnet.training.recipe import MODERN

Capture = pytest.CaptureFixture[str]
REQUEST = CoefficientsRequest(
    base=BASE,
    growth=2.0,
    tolerance=0.2,
    measure="macs",
    candidates=4,
    finalists=3,
    seeds=2,
    time_seconds=50.0,
    seed=0,
    recipe=MODERN,
    precision="float32",
    augment=augment_of("none"),
    train_bytes=None,
)


@pytest.fixture(scope="module")
def digits() -> ImageSet:
    return open_images("digits", 0)


def machine() -> InlineExecutor:
    """Slow, so that few steps are planned."""
    return InlineExecutor(speed=2.5e9, count=8)


def made(run: Path, executor: InlineExecutor | Cluster, **options: Any) -> CoefficientSearch:
    """The search by a clock that stands still."""
    request = dataclasses.replace(REQUEST, **options)
    compute = Compute(cluster=executor)
    return perform(
        SEARCH_COEFFICIENTS, request, "digits", compute, run, False, request.time_seconds, None, SimulatedClock()
    )


def planned(run: Path, digits: ImageSet, executor: InlineExecutor, **options: Any) -> CoefficientsPlan:
    """The plan alone."""
    request = dataclasses.replace(REQUEST, **options)
    time = TimeBudget(SimulatedClock(), 0.0, request.time_seconds)
    return propose(request, Context(run, "digits", (digits,), executor, "float32", time, None, 0))


@pytest.mark.slow
def test_a_search_from_end_to_end(tmp_path: Path, capsys: Capture) -> None:
    run, executor = tmp_path / "run", machine()
    found = made(run, executor)
    plan = json.loads((run / "plan.json").read_text())
    hold(plan, "plan.json, search coefficients")
    kept = plan["plan"]["kept"]
    assert kept == [4, 2] and found.record.plan.incumbent.id == "n01"
    raced = executor.started[: kept[0]]
    assert raced == [f"race/n{place:02d}" for place in range(1, 5)], "the first rung, one seed each"
    last = [phase.split(", ") for phase in executor.started[4:8]]
    assert len({name for name, _ in last}) == 2 and {seed for _, seed in last} == {"seed 0", "seed 1"}
    assert "last/n01" in {name for name, _ in last}, "the paper's goes on to the last rung"
    checks = {f"check/{name}, seed {seed}" for name in ("found", "paper") for seed in (0, 1)}
    assert set(executor.started[8:]) == checks
    file = json.loads((run / "coefficients.json").read_text())
    hold(file, "coefficients.json")
    assert list(file)[:4] == ["format", "alpha", "beta", "gamma"]
    by_hand(found, run)
    page_of(found)
    best = found.best
    adapted = found.base
    assert (adapted.classes, adapted.in_channels, adapted.resolution_px) == (10, 1, BASE.resolution_px)
    assert scale(adapted, 1.0, coefficients=found.coefficients) == best.network and found.coefficients in found.region
    assert abs(price(best.network, "macs") / found.base_cost / 2 - 1) <= 0.2
    assert main(["scale", "efficientnet_b0", "--coefficients", str(run), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["scaling"]["depth"] == found.coefficients.alpha
    executor.started.clear()
    assert made(run, executor) == found and executor.started == [], "a finished one is shown again"
    assert made(run, Cluster("127.0.0.1:1", storage=str(tmp_path))) == found, "and needs no cluster"
    for options, name in (
        ({"seeds": 3}, "number of seeds"),
        ({"growth": 3.0}, "growth"),
        ({"base": "mobilenet_v1"}, "base"),
    ):
        with pytest.raises(ValueError, match=f"begun with another {name}"):
            made(run, executor, **options)
    killed(run)
    assert made(run, executor) == found, "the same bits"
    assert executor.started == ["race/n02", f"last/{best.id}, seed 1", "check/found, seed 0"], (
        "what is done is not done again"
    )


def test_a_race_in_which_nothing_was_learned_has_no_answer() -> None:
    lost = [dataclasses.replace(one, chance=LEARNED_NOTHING) for one in predictions(0.0)]
    with pytest.raises(ValueError, match=r"the training of n01, the best of the race, learned nothing"):
        check_learned("n01", lost, 0.3)
    check_learned("n01", [*lost, *predictions(0.0, seeds=1)], 0.3)


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
    assert found.check.difference.accuracy.difference == pytest.approx(
        np.mean(rights["found"]) - np.mean(rights["paper"])
    )


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
    found = shared(1000.0, [24, 12, 6, 3], 3, 2)
    assert found.rungs == pytest.approx([found.last / 16, found.last / 8, found.last / 4])
    turns = [*zip(found.rungs, (12, 6, 3), strict=True), (found.last, 5), (found.check, 3)]
    assert sum(one * many for one, many in turns) == pytest.approx(1000.0)
    assert 3 * found.check == pytest.approx(330.0)
    alone = shared(1000.0, [3], 1, 3)
    assert alone == Seconds((), 670.0, 330.0), "no early rung where all meet in the last"


def test_the_last_rung_and_the_check_have_the_least_steps_and_early_rungs_need_them_not() -> None:
    one, splits, kept = Timing(400.0, 400.0, 0.0), [100, 200], [24, 12, 6, 4]
    least = least_seconds(kept, 3, 8, 64, splits, one, one, steps=900)
    found = shared(least, kept, 3, 8)
    steps = [
        (seconds - prediction_seconds(count, one)) * one.single_process / 64
        for seconds, count in ((found.last, splits[0]), (found.check, sum(splits)))
    ]
    assert min(steps) == pytest.approx(900.0) and found.rungs[0] < found.last / 10


def test_few_race_where_the_first_rung_would_be_too_short() -> None:
    fast, slow = Timing(640.0, 640.0, 0.0), Timing(64.0, 64.0, 0.0)
    found = {left: most_racing([fast] * 12, 4, 3, 2, left, 64, 100) for left in (10.0, 100.0, 400.0)}
    assert found[10.0] == 4 and found[400.0] == 12 and 4 < found[100.0] < 12
    for count in (found[100.0], found[100.0] + 1):
        seconds = shared(100.0, survivors(count, 4), 3, 2)
        enough = (seconds.rungs[0] - prediction_seconds(100, fast)) * 10 >= LEAST_EARLY_STEPS
        assert enough == (count == found[100.0])
    assert most_racing([*[fast] * 6, slow], 4, 3, 2, 300.0, 64, 100) == 6, "the slow one is left out"
    assert most_racing([slow] * 3, 4, 3, 2, 1.0, 64, 100) == 3


def test_the_first_of_the_entrants_are_those_of_a_smaller_draw(digits: ImageSet) -> None:
    many, few = (entrants_of(digits, base_of(digits, BASE), 2.0, 0.2, "macs", most) for most in (6, 4))
    assert first_of(many, 4) == few


def test_too_little_time_says_what_is_needed_and_that_is_enough(digits: ImageSet, tmp_path: Path) -> None:
    executor = machine()
    with pytest.raises(ValueError, match=r"too short to race 2 networks .* give at least \d+ s, or fewer") as caught:
        made(tmp_path / "run", executor, time_seconds=5.0, candidates=2)
    assert "\n" not in str(caught.value) and not (tmp_path / "run").exists()
    needed = float(str(caught.value).split("at least ")[1].split(" s")[0])
    plan = planned(tmp_path / "run", digits, executor, time_seconds=needed, candidates=2)
    least = 4 * len(digits.indices("train")) / plan.batch
    assert all(min(row.last_steps, row.check.steps) >= least for row in plan.entrants)
    assert plan.paper.steps >= least


def test_a_fresh_search_that_is_refused_leaves_the_one_of_before(tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text('{"format": "budgetnet.plan.v2"}')
    (tmp_path / "coefficients.json").write_text("{}")
    short = dataclasses.replace(REQUEST, time_seconds=5.0, candidates=2)
    with pytest.raises(ValueError, match="too short"):
        perform(SEARCH_COEFFICIENTS, short, "digits", Compute(cluster=machine()), tmp_path, True, 5.0)
    assert (tmp_path / "coefficients.json").exists()


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
        search_coefficients("digits", out=tmp_path / "run", **{"base": BASE, "time_seconds": 60.0, **options})
    assert "\n" not in str(caught.value) and not (tmp_path / "run").exists()


def test_other_images_in_the_same_folder_are_refused(digits: ImageSet, tmp_path: Path, capsys: Capture) -> None:
    run = tmp_path / "run"
    run.mkdir()
    about = dataclasses.replace(data_record("digits", digits), fingerprint="another")
    plan = planned(run, digits, machine())
    save_record(run, Record(SEARCH_COEFFICIENTS.name, about, 0, machine_record(), REQUEST, plan))
    with pytest.raises(ValueError, match="was begun on other images"):
        made(run, machine())
    assert main(["compare", "digits", "--macs", "1M", "--out", str(run)]) == 2
    assert "holds a run of 'search coefficients'" in capsys.readouterr().err


def test_coefficients_of_the_version_before_are_read(tmp_path: Path) -> None:
    file = tmp_path / "coefficients.json"
    file.write_text('{"format": "budgetnet.coefficients.v1", "alpha": 1.2, "beta": 1.1, "gamma": 1.15}')
    assert read_coefficients(file) == PAPER
    file.write_text('{"format": "budgetnet.coefficients.v3", "alpha": 1.2, "beta": 1.1, "gamma": 1.15}')
    with pytest.raises(ValueError, match="holds no coefficients"):
        read_coefficients(file)


def predictions(shift: float, seeds: int = 3, luck: float = 0.0, count: int = 400, start: int = 0) -> list[Predictions]:
    """Losses around 0.5 + shift, the same images in every seed; `luck` moves whole trainings."""
    found: list[Predictions] = []
    for seed in range(seeds):
        random = np.random.default_rng(100 * start + seed)
        losses = np.abs(random.normal(0.5 + shift, 0.2, count)) + luck * random.normal()
        found.append(Predictions(seed, np.arange(count), losses < 0.7, losses, False, LEARNED))
    return found


def test_pairs_are_told_apart_or_not() -> None:
    tests = {"a": predictions(0.0), "b": predictions(0.002, start=1), "c": predictions(0.5, start=2)}
    rows = {(row.a, row.b): row for row in differences_of(tests, ["a", "b", "c"])}
    apart, alike = rows["a", "c"].log_loss, rows["a", "b"].log_loss
    assert apart.significant_holm and apart.difference == pytest.approx(-0.5, abs=0.05)
    assert apart.difference == pytest.approx(np.mean(apart.seeds)) and len(apart.seeds) == 3
    assert not alike.significant and alike.low is not None and alike.high is not None and alike.low < 0 < alike.high
    score = score_of(tests["a"])
    assert score.log_loss_low < score.log_loss < score.log_loss_high and score.accuracy_low < score.accuracy
    lost = [dataclasses.replace(one, losses=np.full(400, 16.1), diverged=True) for one in tests["a"]]
    assert differences_of({"lost": lost, **tests}, ["lost", "a"])[0].log_loss.difference > 15


def test_both_errors_count_with_shared_split() -> None:
    found = over_seeds([(row.indices, row.losses) for row in predictions(0.0, luck=0.1)])
    both = with_shared_split(found, 3)
    assert found.error_seeds is not None
    assert both.standard_error == pytest.approx(math.hypot(found.error_images, found.error_seeds))
    assert both.standard_error > found.standard_error
    one = over_seeds([(row.indices, row.losses) for row in predictions(0.0, seeds=1)])
    assert with_shared_split(one, 1) == one


def test_intervals_on_one_split_hold_the_truth() -> None:
    """Two networks with a true difference, on images that all seeds share, each training with luck of its own."""
    held = 0
    for draw in range(400):
        random = np.random.default_rng(draw)
        images = random.normal(0.05, 0.5, 200)  # how much harder each image is for one than for the other
        seeds = [(np.arange(200), images + random.normal(0, 0.3, 200) + random.normal(0, 0.04)) for _ in range(3)]
        found = with_shared_split(over_seeds(seeds), 3)
        half = found.quantile * found.standard_error
        held += abs(found.mean - 0.05) <= half
    assert 0.93 <= held / 400 <= 0.995


def test_what_it_takes_to_tell_two_apart() -> None:
    pair = differences_of({"a": predictions(0.0), "b": predictions(0.01, start=1)}, ["a", "b"])[0]

    def needed(difference: float, images: float, seeds: float | None) -> Needed | None:
        row = dataclasses.replace(pair.log_loss, difference=difference, error_images=images, error_seeds=seeds)
        return needed_for(dataclasses.replace(pair, log_loss=row), 100.0, 2)

    found = needed(-0.02, 0.012, 0.016)
    assert found is not None and found.times == pytest.approx(2.80**2, rel=0.01), "both errors together are 0.02"
    assert found.seeds is None, "no number of seeds makes up for the images"
    assert found.hours == pytest.approx(2 * 24 * 100 / 2 / 3600)
    more = needed(-0.02, 0.005, 0.0194)
    assert more is not None
    assert more.seeds == math.ceil(3 * (2.8016 * 0.0194) ** 2 / (0.02**2 - (2.8016 * 0.005) ** 2))
    assert needed(-0.02, 0.005, None) is None and needed(0.0, 0.005, 0.01) is None


def test_the_findings_say_what_is_shown_and_what_not() -> None:
    region = Region(Interval(1.0, 1.000000005), Interval(1.2, 1.25), Interval(1.1, 1.15))
    rows = {"n03": predictions(0.0), "n01": predictions(0.003, start=1)}
    coefficients = Coefficients(1.0, 1.22, 1.12)
    ranking = [
        Ranked(name, coefficients, region, PLAIN, 1, 1, 1, True, name == "n01", score_of(one), score_of(one))
        for name, one in rows.items()
    ]
    pairs = differences_of(rows, list(rows))
    needed = [one for row in pairs if (one := needed_for(row, 60.0, 2))]
    text = " ".join(findings(ranking, pairs, ["n01"], needed, Check(True, 2.0, 100, (), None)))
    assert "not shown to differ from n01 (1, 1.22, 1.12)" in text and "nearest to the paper's choice" in text
    assert "alpha exactly 1, beta from 1.2 to 1.25 and gamma from 1.1 to 1.15" in text
    assert "To tell n03" in text and "give the same network at this cost" in text
    clear = differences_of({"n03": predictions(0.0), "n01": predictions(0.5, start=1)}, list(rows))
    assert "shown to differ from every other" in " ".join(
        findings(ranking, clear, [], [], Check(True, 2.0, 1, (), None))
    )


def test_a_hull_holds_its_points() -> None:
    points = [at(place) for place in ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0), (0.3, 0.3, 0.4))]
    assert sorted(hull(points)) == sorted(points[:3])
    assert hull(points[:1]) == points[:1]


def test_solve_and_compare_take_coefficients(digits: ImageSet, capsys: Capture) -> None:
    from budgetnet import Budget, fit
    from budgetnet.experiments.activations.networks import SMALL
    from budgetnet.experiments.bases import adapted_bases, largest_px
    from budgetnet.experiments.compare.entrants import families
    from budgetnet.experiments.compare.scalings import scalings
    from budgetnet.experiments.solve.candidates import candidates

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
        "device": "auto",
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
    command = timeless(*arguments, str(other))
    assert main([*arguments, str(whole), "--json"], TimelessClock()) == 0
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
