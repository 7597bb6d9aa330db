"""The whole chain on real digits: shares of the time, equal steps, gains, and a run that kills do not change."""

from __future__ import annotations

import dataclasses
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.formats import hold
from support.inline import Inline
from support.killed import kill_when, start
from support.page import Page
from support.simulated import LEARNED
from support.spaces import BASE, SMALL

import budgetnet
from budgetnet import PAPER, Budget, Coefficients, cost, scale
from budgetnet.cli import main
from budgetnet.cluster import executor as where_module
from budgetnet.cluster.executor import LocalExecutor
from budgetnet.cluster.ray_cluster import Cluster
from budgetnet.data import ImageSet, open_images
from budgetnet.experiments.baseline.request import SearchRequest
from budgetnet.experiments.coefficients.entrants import base_of, space_of
from budgetnet.experiments.family import _Asked, _Chain, tolerance_for
from budgetnet.experiments.family.family import MemberTraining, family_of, job_for, train_family, train_member
from budgetnet.experiments.family.members import PHIS, members_of, published_members
from budgetnet.experiments.family.plan import SHARES, Job, family_seconds, jobs_of, makespan, planned, shared
from budgetnet.experiments.family.result import Family, Part, gains_of, member_of
from budgetnet.experiments.family.statement import statement
from budgetnet.model.weights import load_model
from budgetnet.networks import Network
from budgetnet.networks.scaling import factors
from budgetnet.parallel.progress import silent
from budgetnet.training.augmenting import Augment
from budgetnet.training.job import Timing
from budgetnet.training.plan import TooShort, config_row
from budgetnet.training.predictions import TestPredictions
from budgetnet.training.recipe import MODERN
from budgetnet.training.train import Timings, with_steps

Capture = pytest.CaptureFixture[str]
CHOSEN = Coefficients(1.3, 1.2, 1.0)


@pytest.fixture(scope="module")
def digits() -> ImageSet:
    return open_images("digits", 0)


@pytest.fixture
def job(digits: ImageSet, tmp_path: Path) -> Job:
    networks = [row for _, _, row in members_of(BASE, CHOSEN)]
    return job_for(networks, digits, "digits", "modern", 0, tmp_path, LocalExecutor(), "float32", None)


def test_a_family_is_its_base_scaled() -> None:
    rows = members_of(BASE, CHOSEN)
    assert [(name, phi) for name, phi, _ in rows] == [("S0", 0), ("S1", 1), ("S2", 2), ("S3", 3)]
    for name, phi, network in rows:
        assert network.name == name and BASE.name in network.source
        scaled = scale(BASE, phi, coefficients=CHOSEN)
        assert network == dataclasses.replace(scaled, name=name, source=network.source)
    macs = [cost(network).macs for _, _, network in rows]
    assert macs == sorted(macs) and macs[3] > 4 * macs[0]
    assert factors(3.0, coefficients=CHOSEN).depth == pytest.approx(1.3**3)


def test_the_published_family_is_the_papers() -> None:
    rows = published_members()
    assert [row.resolution_px[0] for row in rows] == [224, 240, 260, 300]
    assert [row.blocks for row in rows] == [16, 23, 23, 26]
    assert [row.published_top1 for row in rows] == [77.1, 79.1, 80.1, 81.6]
    assert all("arXiv" in row.source for row in rows) and rows[0].params == 5_288_548


@given(st.lists(st.floats(0.1, 100.0), min_size=1, max_size=12), st.integers(1, 5))
def test_a_schedule_takes_what_it_must(seconds: list[float], workers: int) -> None:
    found = makespan(seconds, workers)
    assert max(max(seconds), sum(seconds) / workers) <= found * (1 + 1e-9)
    assert found <= sum(seconds) / workers + max(seconds)
    assert makespan(seconds, 1) == pytest.approx(sum(seconds))


def timings(*rates: float) -> tuple[Timing, ...]:
    return tuple(Timing(rate, rate, 0.5) for rate in rates)


RATES = (8000.0, 4000.0, 2000.0, 1000.0)


def timed_as(monkeypatch: pytest.MonkeyPatch, *rates: float) -> None:
    monkeypatch.setattr(where_module, "timed", lambda *_, **__: Timings(timings(*rates), 1.0))


def test_the_time_is_shared_by_the_rule(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    timed_as(monkeypatch, *RATES)
    stand_in = members_of(BASE, PAPER)
    found = shared(job, stand_in, time.monotonic(), 10_800, None)
    assert sum(SHARES.values()) == 1.0 and found["shares"] == dict(SHARES)
    assert found["seconds"] == pytest.approx({"baseline": 5400, "coefficients": 2700, "family": 2700}, abs=2)
    assert found["coefficient_seeds"] == 3
    with pytest.raises(TooShort, match="too short for a baseline, coefficients and a family; give at least") as short:
        shared(job, stand_in, time.monotonic(), 20, None)
    enough = shared(job, stand_in, time.monotonic(), short.value.least_seconds + 4, None)
    assert 1 <= enough["coefficient_seeds"] <= 3


def test_members_train_for_equal_steps_in_the_time(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    timed_as(monkeypatch, *RATES)
    members = members_of(BASE, CHOSEN)
    for seconds in (60.0, 600.0):
        plan = planned(job, members, time.monotonic(), seconds, None)
        assert {row["config"]["steps"] for row in plan["members"]} == {plan["steps"]}
        takes = [family_seconds(job, timings(*RATES), plan["seeds"], plan["steps"] + more) for more in (0, 1)]
        left = seconds * 0.97 - 6.0
        assert takes[0] <= left < takes[1] + 0.2, "as many steps as the time allows"
        assert plan["seeds"] == 1 or plan["steps"] >= job.enough_steps
    with pytest.raises(TooShort, match=r"4 trainings of \d+ steps; give at least"):
        planned(job, members, time.monotonic(), 7.0, None)


def family_plan(job: Job, seeds: int, steps: int) -> dict[str, object]:
    rows = [
        {"id": name, "config": config_row(with_steps(job.config(name, network), steps))}
        for name, _, network in members_of(BASE, CHOSEN)
    ]
    recipe, preprocessing = job.draft.recipe.to_dict(), dataclasses.asdict(job.draft.preprocessing)
    more = {"recipe": recipe, "preprocessing": preprocessing, "seed": 0, "cooldown_steps": 1}
    return {**more, "seeds": seeds, "members": rows}


def test_trainings_share_a_split_and_the_largest_begins(job: Job) -> None:
    jobs = jobs_of(family_plan(job, 2, 4), job.context)
    assert [job.config.id for job in jobs[:3]] == ["S3-seed0", "S3-seed1", "S2-seed0"] and len(jobs) == 8
    assert {job.context.split_seed for job in jobs} == {0} and {job.config.seed for job in jobs} == {0, 1}
    assert {job.trunk_until + job.cooldown_steps for job in jobs} == {4}


def test_the_first_seeds_weights_are_kept(job: Job, tmp_path: Path) -> None:
    job = next(job for job in jobs_of(family_plan(job, 1, 2), job.context) if job.config.id == "S0-seed0")
    assert train_member(MemberTraining(job))
    found = load_model(tmp_path / "S0.safetensors")
    assert found.network.name == "S0" and found.network.stages == BASE.stages and len(found.classes) == 10
    assert job.predictions.exists() and not job.weights.exists()


@pytest.mark.slow
def test_a_family_goes_on_to_the_same_weights(
    digits: ImageSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Inline.done = []
    timed_as(monkeypatch, 150.0, 150.0, 150.0, 150.0)
    monkeypatch.setattr(where_module, "Workers", Inline)
    whole = {"recipe_name": "modern", "seed": 0, "precision": "float32", "seconds": {"family": 100}}
    whole |= {"budget": {"macs": 10**6}}

    def made() -> Family:
        training = train_family(tmp_path / "family", BASE, CHOSEN, digits, whole, "digits", LocalExecutor(), silent)
        return family_of(training, tmp_path, CHOSEN, Budget(macs=10**6), ())

    first = made()
    assert Inline.done == ["S3-seed0", "S2-seed0", "S1-seed0", "S0-seed0"]
    assert [row.macs for row in first.members] == [cost(network).macs for _, _, network in members_of(BASE, CHOSEN)]
    assert len({row.accuracy for row in first.members}) > 1 and first.test_images == len(digits.indices("test"))
    weights = {path.name: path.read_bytes() for path in tmp_path.glob("family/*.safetensors")}
    assert len(weights) == 4
    (tmp_path / "family" / "answers" / "S1-seed0.npz").unlink()
    (tmp_path / "family" / "S1.safetensors").unlink()
    (tmp_path / "family" / "training" / "S1-seed0" / "final.npz").unlink()
    assert made() == first and Inline.done[4:] == ["S1-seed0"]
    assert {path.name: path.read_bytes() for path in tmp_path.glob("family/*.safetensors")} == weights


def predictions_of(right: list[bool]) -> list[TestPredictions]:
    return [TestPredictions(0, np.arange(len(right)), np.array(right), False, LEARNED)]


def test_a_step_gains_what_its_images_say() -> None:
    half, more = [place % 2 == 0 for place in range(200)], [place % 2 == 0 or place < 80 for place in range(200)]
    rows = gains_of(
        {
            "S0": predictions_of(half),
            "S1": predictions_of(more),
            "S2": predictions_of(more),
            "S3": predictions_of(half),
        }
    )
    assert [(row.a, row.b) for row in rows] == [("S1", "S0"), ("S2", "S1"), ("S3", "S2")]
    assert [row.difference for row in rows] == pytest.approx([0.2, 0.0, -0.2])
    assert [row.stands for row in rows] == [True, False, True] and rows[1].low < 0 < rows[1].high


def family(tmp_path: Path) -> Family:
    tests = {f"S{phi}": predictions_of([place % 5 > 2 - phi // 2 for place in range(100)]) for phi in PHIS}
    members = tuple(
        member_of(name, phi, network, tests[name], Budget(macs=10**6), 100.0, None if phi else 2.5)
        for name, phi, network in members_of(BASE, CHOSEN)
    )
    found = Family(
        run=tmp_path,
        coefficients=CHOSEN,
        members=members,
        gains=gains_of(tests),
        published=published_members(),
        steps=40,
        batch=32,
        epochs=1.5,
        test_images=100,
        parts=(Part("baseline", "baseline/report.html", ("It won.",)),),
        statement=(),
        report=tmp_path / "report.html",
    )
    return dataclasses.replace(found, statement=statement(found))


def test_a_family_is_a_file(tmp_path: Path) -> None:
    made = family(tmp_path)
    row = json.loads(json.dumps(made.to_file()))
    hold(row, "family.json")
    assert Family.from_file(row, tmp_path, made.report) == made
    del row["gains"]
    with pytest.raises(ValueError, match=r"family.json in .* is damaged: gains is missing"):
        Family.from_file(row, tmp_path, made.report)


def test_the_statement_says_what_does_not_compare(tmp_path: Path) -> None:
    text = " ".join(statement(family(tmp_path)))
    for words in (
        "S1 over S0",
        "not told apart",
        "40 steps of 32 images, 1.5 epochs, with one seed",
        "The budget is that of S0",
    ):
        assert words in text
    assert "others' trainings on ImageNet" in text


def test_the_tolerance_leaves_a_choice(digits: ImageSet) -> None:
    tolerance = tolerance_for(digits, BASE)
    base = base_of(digits, BASE)
    assert len(space_of(digits, base, 2.0, tolerance, "macs").candidates) > 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--macs", "100"], "no network on the compound path"),
        (["--time", "30s"], "give at least one limit"),
        (["--macs", "1M", "--time", "0s"], "time"),
        (["--macs", "1M", "--base", "efficientnet"], "there is no network"),
        (["--macs", "1M", "--space", "absent.json"], "there is no space file absent.json"),
        (["--macs", "1M", "--recipe", "fast"], "Choose from"),
    ],
)
def test_bad_input_is_one_line(arguments: list[str], words: str, tmp_path: Path, capsys: Capture) -> None:
    run = tmp_path / "run"
    assert main(["search", "family", "digits", *arguments, "--out", str(run)]) == 2
    printed = capsys.readouterr()
    (line,) = [line for line in printed.err.splitlines() if line.startswith("budgetnet:")]
    assert words.lower() in line.lower() and printed.out == ""
    assert not run.exists()


def test_a_part_that_is_too_short_says_the_least_for_all(
    digits: ImageSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The baseline has a half of what is left: 60 s for it are 120 s for the chain, and 10 s that are gone."""

    def short(*_: object, **more: object) -> None:
        raise TooShort(45, "for a search", 60.0)

    monkeypatch.setattr("budgetnet.experiments.family.search_baseline", short)
    plan = {"time_seconds": 100, "seconds": {"baseline": 45}, "seed": 0, "precision": "float32", "augmentation": []}
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    request = SearchRequest(Budget(macs=1), 100.0, None, "mobilenet_v2", -0.07, 0, MODERN, "float32", Augment())
    asked = _Asked("digits", request)
    chain = _Chain(tmp_path, plan, asked, digits, silent)
    with pytest.raises(TooShort, match="baseline has 45 s of them; give at least 130 s"):
        chain.finish()
    assert not (tmp_path / "plan.json").exists(), "nothing came of it"


def test_arguments_reach_the_chain(monkeypatch: pytest.MonkeyPatch, capsys: Capture, tmp_path: Path) -> None:
    import budgetnet

    seen: dict[str, object] = {}

    def noted(data: str, budget: Budget, **more: object) -> None:
        seen.update(more, data=data, budget=budget)
        raise ValueError("noted")

    file = tmp_path / "space.json"
    file.write_text(SMALL.to_json(), encoding="utf-8")
    monkeypatch.setattr(budgetnet, "search_family", noted)
    line = ["search", "family", "photos", "--macs", "8M", "--space", str(file), "--base", "mobilenet_v2", "--seed", "7"]
    line += ["--exponent", "-0.02"]
    line += ["--time", "2h", "--recipe", "paper", "--precision", "bfloat16", "--out", "here", "--fresh"]
    line += ["--flip", "off"]
    line += ["--cluster", "10.0.0.1:6379", "--gpus-per-trial", "1", "--storage", "/mnt/shared"]
    assert main(line) == 2
    assert capsys.readouterr().err == "budgetnet: noted\n"
    assert seen.pop("progress") is not None
    assert seen == {
        "data": "photos",
        "budget": Budget(macs=8_000_000),
        "time_seconds": 7200.0,
        "space": SMALL,
        "base": "mobilenet_v2",
        "exponent": -0.02,
        "seed": 7,
        "augment": Augment(flip="off"),
        "recipe": "paper",
        "precision": "bfloat16",
        "device": "cpu",
        "out": Path("here"),
        "fresh": True,
        "cluster": Cluster("10.0.0.1:6379", gpus_per_trial=1.0, storage="/mnt/shared"),
    }


@pytest.mark.slow
def test_too_little_time_leaves_nothing(tmp_path: Path, capsys: Capture) -> None:
    run = tmp_path / "run"
    space = tmp_path / "space.json"
    space.write_text(SMALL.to_json())
    arguments = ["search", "family", "digits", "--macs", "150K", "--space", str(space), "--time", "10s"]
    assert main([*arguments, "--out", str(run)]) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert "10 s are too short for a baseline, coefficients and a family; give at least" in line
    assert not run.exists()


SECONDS = "240s"
STAGES: dict[str, Callable[[Path], bool]] = {
    "the baseline": lambda run: (run / "baseline" / "events.jsonl").exists(),
    "coefficients": lambda run: any(run.glob("coefficients/training/*/*.npz")),
    "the family": lambda run: any(run.glob("family/answers/*.npz")),
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A chain that nothing disturbed, and the arguments that made it, but for its folder."""
    folder = tmp_path_factory.mktemp("chain")
    space, run = folder / "space.json", folder / "whole"
    space.write_text(SMALL.to_json())
    arguments = ["search", "family", "digits", "--macs", "150K", "--space", str(space), "--time", SECONDS, "--out"]
    assert main([*arguments, str(run)]) == 0
    return run, arguments


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_the_result_as_files(whole: tuple[Path, list[str]], capsys: Capture) -> None:
    run, arguments = whole
    for name, schema in (
        ("plan.json", "plan.json, all"),
        ("baseline/plan.json", "plan.json, search"),
        ("coefficients/plan.json", "plan.json, search coefficients"),
        ("family/plan.json", "plan.json, family"),
        ("family.json", "family.json"),
    ):
        hold(json.loads((run / name).read_text()), schema)
    assert main([*arguments, str(run), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    hold(found, "search family --json")
    winner = Network.from_json((run / "baseline" / "network.json").read_text())
    members = [Network.from_json((run / "family" / f"S{phi}.json").read_text()) for phi in PHIS]
    assert members[0].stages == winner.stages and Budget(macs=150_000).check(members[0]).fits
    chosen = json.loads((run / "coefficients" / "coefficients.json").read_text())
    assert found["coefficients"] == {name: chosen[name] for name in ("alpha", "beta", "gamma")}
    assert members[1].stages == scale(winner, 1.0, coefficients=Coefficients(**found["coefficients"])).stages
    page = Page((run / "report.html").read_text())
    links = {address for address in page.values("href") + page.values("src") if address[:1] != "#"}
    assert {"baseline/report.html", "coefficients/report.html", "family/S0.json"} <= links
    for address in links - {address for address in links if address.startswith("data:")}:
        assert (run / address).is_file(), address
    assert "published" in page.text and "S3" in page.text


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_other_commands_take_the_family(whole: tuple[Path, list[str]], capsys: Capture, tmp_path: Path) -> None:
    run, _ = whole
    file, weights, found = (str(run / "family" / name) for name in ("S1.json", "S1.safetensors", "../coefficients"))
    for command in (["cost", file], ["fit", file, "--macs", "200K"], ["scale", file, "--coefficients", found]):
        assert main([*command, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)
    assert main(["evaluate", weights, "digits", "--json"]) == 0
    row = json.loads((run / "family.json").read_text())["members"][1]
    assert json.loads(capsys.readouterr().out)["top1"] == pytest.approx(row["seeds"][0])
    solved = ["solve", "digits", "--base", file, "--macs", "1M", "--coefficients", found, "--strategy", "compound"]
    assert main([*solved, "--time", "40s", "--out", str(tmp_path / "solved"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["fit"]["cost"]["macs"] <= 1_000_000


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_kills_in_every_part_change_nothing(whole: tuple[Path, list[str]], tmp_path: Path) -> None:
    run, arguments = whole
    other = tmp_path / "other"
    for part in ("", *SHARES):
        (other / part).mkdir()
        shutil.copy(run / part / "plan.json", other / part / "plan.json")
    program = [sys.executable, "-c", "import sys; from budgetnet.cli import main; sys.exit(main(sys.argv[1:]))"]
    command = [*program, *arguments, str(other)]
    for reached in STAGES.values():
        kill_when(command, lambda reached=reached: reached(other))
    process = start(command)
    _, error = process.communicate(timeout=900)
    assert process.returncode == 0, error.decode()
    same = ["baseline/network.json", "coefficients/coefficients.json"]
    same += [f"family/S{phi}.{kind}" for phi in PHIS for kind in ("json", "safetensors")]
    for name in same:
        assert (other / name).read_bytes() == (run / name).read_bytes(), name
    ours, theirs = (json.loads((folder / "family.json").read_text()) for folder in (run, other))
    for row in (*ours["members"], *theirs["members"]):
        row.pop("training_seconds")  # the clock's
    assert ours == theirs


def test_the_former_name_says_the_new_one(capsys: Capture) -> None:
    assert main(["search", "all", "digits", "--macs", "2M"]) == 2
    assert capsys.readouterr().err == (
        "budgetnet: search all is now called search family; see budgetnet search family --help\n"
    )
    with pytest.raises(AttributeError, match=r"budgetnet.search_all is now called budgetnet.search_family"):
        budgetnet.search_all  # noqa: B018
