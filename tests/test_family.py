"""A family search on real digits: shares of the time, equal steps, gains, and a run that kills do not change."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.executor import InlineExecutor, StoppedError
from support.formats import hold
from support.killed import kill_when, start, timeless
from support.page import Page
from support.simulated import LEARNED, SimulatedClock
from support.spaces import BASE, SMALL

import budgetnet
from budgetnet import Budget, Coefficients, cost, scale
from budgetnet.cli import main
from budgetnet.cli.show import plain
from budgetnet.cluster.ray_cluster import Cluster
from budgetnet.codec import from_record, to_plain
from budgetnet.data import ImageSet, open_images
from budgetnet.experiments.coefficients.entrants import base_of, space_of
from budgetnet.experiments.compute import Compute
from budgetnet.experiments.experiment import Context, perform
from budgetnet.experiments.family.findings import findings
from budgetnet.experiments.family.members import PHIS, members_of, published_members
from budgetnet.experiments.family.plan import BASELINE, PARTS, FamilyPlan, shared
from budgetnet.experiments.family.report import members_report, report
from budgetnet.experiments.family.request import FamilyRequest
from budgetnet.experiments.family.result import FORMAT, Family, SearchPart
from budgetnet.experiments.family.run import TRAIN_MEMBERS, _leaving_nothing, _part, tolerance_for
from budgetnet.experiments.family.training import (
    Member,
    MembersPlan,
    MembersRequest,
    PlannedMember,
    TrainedMembers,
    TrainingSizes,
    gains_of,
    jobs_of,
    member_of,
    propose,
    sizes_of,
    train_member,
)
from budgetnet.experiments.report import Table, write_report
from budgetnet.experiments.timing import TimeBudget, ends_of
from budgetnet.model.weights import load_model
from budgetnet.networks import Network
from budgetnet.networks.scaling import factors
from budgetnet.runs.record import Amendment, Record, append_amendment, data_record, machine_record
from budgetnet.training.augmenting import Augment, augment_of
from budgetnet.training.job import JobContext, Timing
from budgetnet.training.plan import TooShort, preprocessing_for
from budgetnet.training.predictions import TestPredictions
from budgetnet.training.recipe import MODERN
from budgetnet.training.stopwatch import Timings

Capture = pytest.CaptureFixture[str]
CHOSEN = Coefficients(1.3, 1.2, 1.0)
REQUEST = FamilyRequest(
    Budget(macs=10**6), 100.0, SMALL, "mobilenet_v2", -0.07, 0, MODERN, "float32", augment_of("none")
)
MEMBERS = MembersRequest(BASE, CHOSEN, Budget(macs=10**6), 60.0, 0, MODERN, "float32", augment_of("none"))


@pytest.fixture(scope="module")
def digits() -> ImageSet:
    return open_images("digits", 0)


@pytest.fixture
def sizes(digits: ImageSet) -> TrainingSizes:
    return sizes_of(digits, 64, 2)


def test_a_family_is_its_base_scaled() -> None:
    rows = members_of(BASE, CHOSEN)
    assert [(row.id, row.phi) for row in rows] == [("S0", 0), ("S1", 1), ("S2", 2), ("S3", 3)]
    for row in rows:
        assert row.network.name == row.id and BASE.name in row.network.source
        scaled = scale(BASE, row.phi, coefficients=CHOSEN)
        assert row.network == dataclasses.replace(scaled, name=row.id, source=row.network.source)
    macs = [cost(row.network).macs for row in rows]
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
    found = max(ends_of(seconds, workers))
    assert max(max(seconds), sum(seconds) / workers) <= found * (1 + 1e-9)
    assert found <= sum(seconds) / workers + max(seconds)
    assert max(ends_of(seconds, 1)) == pytest.approx(sum(seconds))


def timings(*rates: float) -> tuple[Timing, ...]:
    return tuple(Timing(rate, rate, 0.5) for rate in rates)


RATES = (8000.0, 4000.0, 2000.0, 1000.0)


def test_the_time_is_shared_by_the_rule(sizes: TrainingSizes) -> None:
    measured = Timings(timings(*RATES), 1.0)
    assert sum(part.share for part in PARTS) == 1.0
    found = shared(10_800, 0.0, (), measured, sizes)
    assert (found.baseline_seconds, found.coefficients_seconds, found.family_seconds) == (5400, 2700, 2700)
    assert found.coefficient_seeds == 3
    with pytest.raises(TooShort, match="too short for a baseline, coefficients and a family; give at least") as short:
        shared(20, 4.0, (), measured, sizes)
    enough = shared(short.value.least_seconds + 4, 4.0, (), measured, sizes)
    assert 1 <= enough.coefficient_seeds <= 3


def planned(digits: ImageSet, run: Path, executor: InlineExecutor, seconds: float) -> MembersPlan:
    time = TimeBudget(SimulatedClock(), 0.0, seconds)
    request = dataclasses.replace(MEMBERS, time_seconds=seconds)
    return propose(request, Context(run, "digits", (digits,), executor, "float32", time, None, 0))


def test_members_train_for_equal_steps_in_the_time(digits: ImageSet, tmp_path: Path) -> None:
    executor = InlineExecutor(speed=8e9, count=2)
    for seconds in (60.0, 600.0):
        plan = planned(digits, tmp_path, executor, seconds)
        rates = timings(*(member.images_per_second for member in plan.members))
        sizes = sizes_of(digits, plan.batch, plan.slots)
        takes = [sizes.seconds(rates, plan.seeds, plan.steps + more) for more in (0, 1)]
        left = seconds * 0.97 - 5.0
        assert takes[0] <= left < takes[1], "as many steps as the time allows"
        assert plan.seeds == 1 or plan.steps >= sizes.enough_steps
        assert plan.epochs == pytest.approx(plan.steps * plan.batch / sizes.train)
    with pytest.raises(TooShort, match=r"4 trainings of \d+ steps; give at least"):
        planned(digits, tmp_path, executor, 5.5)


def members_plan(digits: ImageSet, seeds: int, steps: int) -> MembersPlan:
    members = tuple(PlannedMember(row.id, row.phi, row.network, 100.0) for row in members_of(BASE, CHOSEN))
    preprocessing = preprocessing_for(digits)
    return MembersPlan(8, MODERN, (), preprocessing, 32, 2, seeds, steps, steps * 32 / 1257, members)


def context_of(run: Path) -> JobContext:
    return JobContext("digits", 0, 8, str(run / "training"))


def test_trainings_share_a_split(digits: ImageSet, tmp_path: Path) -> None:
    plan = members_plan(digits, 2, 4)
    jobs = jobs_of(plan.members[3], plan, 7, context_of(tmp_path))
    assert [job.training.config.id for job in jobs] == ["S3-seed7", "S3-seed8"]
    assert {job.context.split_seed for job in jobs} == {0} and [job.training.config.seed for job in jobs] == [7, 8]
    assert {job.training.trunk_until + job.training.cooldown_steps for job in jobs} == {4}
    assert [job.keeps for job in jobs] == [True, False]


def test_the_first_seeds_weights_are_kept(digits: ImageSet, tmp_path: Path) -> None:
    plan = members_plan(digits, 1, 2)
    (job,) = jobs_of(plan.members[0], plan, 0, context_of(tmp_path))
    assert train_member(job)
    found = load_model(tmp_path / "S0.safetensors")
    assert found.network.name == "S0" and found.network.stages == BASE.stages and len(found.classes) == 10
    assert job.training.predictions.exists() and not job.training.weights.exists()


@pytest.mark.slow
def test_a_family_goes_on_to_the_same_weights(digits: ImageSet, tmp_path: Path) -> None:
    request = dataclasses.replace(MEMBERS, time_seconds=70.0)

    def made(executor: InlineExecutor) -> TrainedMembers:
        return perform(
            TRAIN_MEMBERS,
            request,
            "digits",
            Compute(cluster=executor),
            tmp_path / "family",
            False,
            request.time_seconds,
            None,
            SimulatedClock(),
        )

    with pytest.raises(StoppedError):
        made(InlineExecutor(speed=2e9, stop_after=2))
    first = made(executor := InlineExecutor(speed=2e9))
    assert executor.started == ["family/S1, seed 0", "family/S0, seed 0"], "the largest begins"
    hold(json.loads((tmp_path / "family" / "plan.json").read_text()), "plan.json, family")
    hold(json.loads((tmp_path / "family" / "members.json").read_text()), "members.json")
    assert [row.macs for row in first.members] == [cost(row.network).macs for row in members_of(BASE, CHOSEN)]
    assert len({row.accuracy for row in first.members}) > 1 and first.test_images == len(digits.indices("test"))
    weights = {path.name: path.read_bytes() for path in tmp_path.glob("family/*.safetensors")}
    assert len(weights) == 4
    for lost in ("members.json", "answers/S1-seed0.npz", "S1.safetensors", "training/S1-seed0/final.npz"):
        (tmp_path / "family" / lost).unlink()
    again = made(executor := InlineExecutor(speed=2e9))
    assert executor.started == ["family/S1, seed 0"]
    assert [row.accuracy for row in again.members] == [row.accuracy for row in first.members]
    assert {path.name: path.read_bytes() for path in tmp_path.glob("family/*.safetensors")} == weights
    planned = again.record.plan.steps
    append_amendment(tmp_path / "family", Amendment("S2-seed0", "final", 1, planned - 3, 2))
    (tmp_path / "family" / "members.json").unlink()
    amended = made(executor := InlineExecutor(speed=2e9))
    assert executor.started == [] and [row.steps for row in amended.members] == [None, None, planned - 1, None]


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
    assert [row.significant_holm for row in rows] == [True, False, True]
    assert rows[1].low is not None and rows[1].high is not None and rows[1].low < 0 < rows[1].high


def trained(digits: ImageSet, run: Path) -> TrainedMembers:
    tests = {f"S{phi}": predictions_of([place % 5 > 2 - phi // 2 for place in range(100)]) for phi in PHIS}
    plan = members_plan(digits, 1, 40)
    members = tuple(member_of(row, tests[row.id], Budget(macs=10**6), None if row.phi else 2.5) for row in plan.members)
    about = data_record("digits", digits), 0, machine_record()
    record = Record(TRAIN_MEMBERS.name, *about, MEMBERS, plan)
    return TrainedMembers(run, members, gains_of(tests), 100, run / "report.html", record)


def family(digits: ImageSet, run: Path) -> Family:
    found = trained(digits, run)
    plan = FamilyPlan((), 50, 25, 25, 24, 1)
    record = Record("search family", found.record.data, 0, found.record.machine, REQUEST, plan)
    return Family(
        run=run,
        coefficients=CHOSEN,
        members=found.members,
        gains=found.gains,
        published=published_members(),
        steps=40,
        batch=32,
        epochs=1.5,
        test_images=100,
        parts=(SearchPart("baseline", "baseline/report.html", ("It won.",)),),
        statement=findings(found, CHOSEN),
        report=run / "report.html",
        record=record,
    )


def test_a_family_is_a_file(digits: ImageSet, tmp_path: Path) -> None:
    made = family(digits, tmp_path)
    row = json.loads(json.dumps({"format": FORMAT, **to_plain(made)}))
    hold(row, "family.json")
    hold(plain(made), "search family --json")

    def read() -> Family:
        where = f"family.json in {tmp_path}"
        return from_record(Family, row, FORMAT, where, run=made.run, report=made.report, record=made.record)

    assert read() == made
    del row["gains"]
    with pytest.raises(ValueError, match=r"family.json in .* is damaged: gains is missing"):
        read()


def test_a_report_has_the_family_and_links_the_searches(digits: ImageSet, tmp_path: Path) -> None:
    made = family(digits, tmp_path)
    found = report(made.record, made)
    members, published = found.tables()
    assert [row.cells[0].text for row in members.rows] == ["S0", "S1", "S2", "S3"]
    assert [row.cells[0].text for row in published.rows] == ["B0", "B1", "B2", "B3"]
    page = Page(write_report(found, tmp_path).read_text())
    assert {"baseline/report.html", "family/S0.json"} <= set(page.values("href"))
    text = page.text.replace("\N{NO-BREAK SPACE}", " ")
    assert all(finding.text in text for finding in found.findings)
    assert "--macs 1000000" in text and "--space space.json" in text, "the command to make it again"


def test_members_that_were_cut_are_told(digits: ImageSet, tmp_path: Path) -> None:
    whole, made = trained(digits, tmp_path), family(digits, tmp_path)

    def cut(steps: float) -> tuple[Member, ...]:
        return (*made.members[:3], dataclasses.replace(made.members[3], steps=steps))

    short = dataclasses.replace(whole, members=cut(20.0))
    said = findings(short, CHOSEN)
    made = dataclasses.replace(made, members=cut(20.0), statement=said)
    row = json.loads(json.dumps({"format": FORMAT, **to_plain(made)}))
    hold(row, "family.json")
    assert [one.get("steps") for one in row["members"]] == [None, None, None, 20.0]
    assert any("became slower, and S3 had 20 steps (0.5 epochs)" in sentence for sentence in said)
    assert not any("for the same" in sentence for sentence in said)
    for shown, words in ((report(made.record, made), "S3 had 20 steps (0.8 epochs)"),
                         (members_report(short.record, short), "S3 had 20 steps (0.5 epochs)")):  # fmt: skip
        (table,) = (block for block in shown.sections[0].blocks if isinstance(block, Table) and block.terminal)
        assert "Every member was to have 40 steps" in table.note and words in table.note
        assert "as planned" in table.terminal_note
    (table, *_) = report(made.record, family(digits, tmp_path)).tables()
    assert "Every member had 40 steps" in table.note and "slower" not in table.note
    with pytest.raises(ValueError, match=r"steps of S3 are 40.0, and 40 were planned"):
        dataclasses.replace(whole, members=cut(40.0))


def test_the_findings_say_what_does_not_compare(digits: ImageSet, tmp_path: Path) -> None:
    text = " ".join(findings(trained(digits, tmp_path), CHOSEN))
    for words in (
        "S1 over S0",
        "no difference shown",
        "40 steps of 32 images, 1.0 epochs, with one seed",
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


def test_a_part_that_is_too_short_says_the_least_for_all(digits: ImageSet, tmp_path: Path) -> None:
    """The baseline has a half of what is left: 60 s for it are 120 s for the whole, and 10 s that are gone."""
    record = family(digits, tmp_path).record
    time = TimeBudget(SimulatedClock(), 0.0, 100.0)
    context = Context(tmp_path, "digits", (digits,), InlineExecutor(), "float32", time, None, 0)
    with (
        pytest.raises(TooShort, match="baseline has 45 s of them; give at least 130 s"),
        _part(BASELINE, 45, record, context),
    ):
        raise TooShort(45, "for a search", 60.0)


def test_where_the_first_part_refuses_its_input_nothing_is_left(tmp_path: Path) -> None:
    plan = tmp_path / "plan.json"
    for begun in (True, False):
        plan.write_text('{"format": "budgetnet.plan.v2"}')
        (tmp_path / "elapsed.json").write_text("{}")
        if begun:
            (tmp_path / "baseline").mkdir()
            shutil.copy(plan, tmp_path / "baseline")
        with pytest.raises(ValueError, match="refused"), _leaving_nothing(tmp_path):
            raise ValueError("refused")
        assert plan.exists() == begun
        shutil.rmtree(tmp_path / "baseline", ignore_errors=True)
    assert list(tmp_path.iterdir()) == []


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
        "device": "auto",
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


SECONDS, SPEED = "950s", 1e9
"""On a machine of this speed each part has time enough and little to spare: the plan is the same on every real one."""
STAGES: dict[str, Callable[[Path], bool]] = {
    "the baseline": lambda run: (run / "baseline" / "events.jsonl").exists(),
    "coefficients": lambda run: any(run.glob("coefficients/training/*/*.npz")),
    "the family": lambda run: any(run.glob("family/answers/*.npz")),
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A family search that nothing disturbed, and the arguments that made it, but for its folder."""
    folder = tmp_path_factory.mktemp("chain")
    space, run = folder / "space.json", folder / "whole"
    space.write_text(SMALL.to_json())
    arguments = ["search", "family", "digits", "--macs", "150K", "--space", str(space), "--time", SECONDS, "--out"]
    assert main([*arguments, str(run)], SimulatedClock(SPEED)) == 0
    return run, arguments


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_the_result_as_files(whole: tuple[Path, list[str]], capsys: Capture) -> None:
    run, arguments = whole
    for name, schema in (
        ("plan.json", "plan.json, all"),
        ("baseline/plan.json", "plan.json, search baseline"),
        ("coefficients/plan.json", "plan.json, search coefficients"),
        ("family/plan.json", "plan.json, family"),
        ("family/members.json", "members.json"),
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
    for part in ("", *(part.name for part in PARTS)):
        (other / part).mkdir()
        shutil.copy(run / part / "plan.json", other / part / "plan.json")
    command = timeless(*arguments, str(other), clock=f"SimulatedClock({SPEED})")
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
