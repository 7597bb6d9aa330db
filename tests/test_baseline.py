"""The search for a baseline on real digits: scores, a run that kills do not change, results as files."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.baseline_search import GREY, PREPROCESSING, REQUEST, made_again, record_of, scores_in
from support.executor import InlineExecutor, StoppedError
from support.formats import hold
from support.killed import kill_when, timeless
from support.page import Page
from support.simulated import SimulatedClock, TimelessClock
from support.spaces import BASE, BUDGET, SMALL

from bench.ranking import main as rank
from budgetnet import Budget
from budgetnet.budgets.feasible_space import FeasibleSpace
from budgetnet.budgets.search_space import Architecture, Space
from budgetnet.cli import main
from budgetnet.cli.report import print_report
from budgetnet.cli.show import plain
from budgetnet.cluster.executor import LocalExecutor
from budgetnet.cluster.ray_cluster import Cluster
from budgetnet.codec import to_plain
from budgetnet.data import ImageSet, open_images
from budgetnet.experiments.baseline import SEARCH_BASELINE, space_for
from budgetnet.experiments.baseline.objective import Score
from budgetnet.experiments.baseline.plan import BaselinePlan, Rung, finals_of, propose, semifinals_of
from budgetnet.experiments.baseline.report import report
from budgetnet.experiments.baseline.result import FILE, Baseline
from budgetnet.experiments.baseline.run import final_jobs, semifinal_jobs
from budgetnet.experiments.baseline.scoring import CandidateScoring
from budgetnet.experiments.bases import last_px
from budgetnet.experiments.compute import Compute
from budgetnet.experiments.experiment import Context, perform
from budgetnet.experiments.report import Facts
from budgetnet.experiments.timing import TimeBudget
from budgetnet.networks import Network
from budgetnet.parallel.progress import silent
from budgetnet.runs.record import Amendment
from budgetnet.training.job import Job, JobContext, TrainingJob, run_job
from budgetnet.training.plan import TooShort
from budgetnet.training.trainer import TrainingSpec

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def digits() -> ImageSet:
    return open_images("digits", 0)


@pytest.mark.slow
def test_a_candidate_is_scored_by_its_own_training(digits: ImageSet, tmp_path: Path) -> None:
    context = JobContext("digits", 0, 8, str(tmp_path / "training"))
    (tmp_path / "training").mkdir()
    config = TrainingSpec("candidate", BASE, GREY, PREPROCESSING, 0, 32).for_steps(60)
    scoring = CandidateScoring(FeasibleSpace.of(SMALL, BUDGET), context, config, digits)
    rows = [scoring.space.sample(number) for number in range(2)]
    assert run_job(scoring.job(rows[0]))
    predictions = scoring.job(rows[0]).scores
    when, scores = predictions.stat().st_mtime_ns, dict[str, Score]()

    def on_result(one: Architecture, found: Score) -> None:
        assert one.id != rows[0].id or not predictions.exists() or predictions.stat().st_mtime_ns == when
        assert scores.setdefault(one.id, found) == found, "a score that is kept is read"

    with scoring.open(LocalExecutor(), 1, silent) as score_batch:
        score_batch(rows, on_result)
        written = [scoring.file(row).stat().st_mtime_ns for row in rows]
        score_batch(rows, on_result)
    assert [scoring.file(row).stat().st_mtime_ns for row in rows] == written
    assert set(scores) == {row.id for row in rows} and all(0.2 < found.accuracy <= 1.0 for found in scores.values())
    assert len(set(scores.values())) == 2
    assert not list((tmp_path / "training").iterdir()), "no checkpoint of a candidate stays"
    hold(json.loads(scoring.file(rows[0]).read_text()), "candidates/ID.json")
    scoring.file(rows[0]).write_text('{"format": "budgetnet.score.v1", "accuracy": "high", "log_loss": 1.0}')
    with (
        scoring.open(LocalExecutor(), 1, silent) as score_batch,
        pytest.raises(ValueError, match=f"{rows[0].id}.json is damaged: accuracy is 'high'; it must be a number"),
    ):
        score_batch(rows, on_result)


def test_a_space_for_images_lies_around_the_largest_base_that_fits(digits: ImageSet) -> None:
    budget = Budget(macs=1_000_000)
    space = space_for(digits, budget, "mobilenet_v2")
    assert budget.check(space.base).fits and budget.price(space.base).macs > 500_000
    assert (space.base.classes, space.base.in_channels) == (10, 1)
    assert FeasibleSpace.of(space, budget).fits(FeasibleSpace.of(space, budget).sample(0))


def test_a_base_for_small_images_keeps_their_size_where_its_map_would_vanish(digits: ImageSet) -> None:
    base = space_for(digits, Budget(macs=8_000_000), "efficientnet_b0").base
    assert base.resolution_px == (32, 32) and last_px(base) == 4
    roomy = space_for(digits, Budget(macs=150_000_000), "efficientnet_b0").base
    assert last_px(roomy) >= 4 and roomy.resolution_px[0] >= 32


FAR = 1e12
"""A moment that no test reaches."""


@dataclass
class Machine(InlineExecutor):
    """Slow, so that few steps are planned; it keeps the jobs' deadlines, from the beginning on."""

    speed: float = 2.2e9
    deadlines: list[float] = field(default_factory=list)

    def begin(self, job: Job) -> None:
        super().begin(job)
        assert isinstance(job, TrainingJob) and job.deadline is not None
        self.deadlines.append(job.deadline - FAR)


@dataclass(frozen=True)
class StillClock(SimulatedClock):
    """Time stands still, and deadlines are never missed."""

    def deadline(self, seconds: float) -> float | None:
        return FAR + seconds


def made(data: Path, run: Path, executor: InlineExecutor | Cluster, **options: Any) -> Baseline:
    """The search by a clock that stands still."""
    request, compute = dataclasses.replace(REQUEST, **options), Compute(cluster=executor)
    return perform(SEARCH_BASELINE, request, str(data), compute, run, False, request.time_seconds, None, StillClock())


@pytest.fixture(scope="module")
def searched(few_digits: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Baseline, Machine]:
    """A whole search, and the executor that made it."""
    executor = Machine()
    return made(few_digits, tmp_path_factory.mktemp("baseline") / "run", executor), executor


def test_finals_share_the_split_of_the_search_and_semifinals_have_a_seed_of_their_own(
    digits: ImageSet, tmp_path: Path
) -> None:
    record = record_of(digits, seed=5)
    at = JobContext("digits", 5, 8, str(tmp_path))
    jobs = final_jobs(record, [("one", BASE), ("base", BASE)], at)
    assert [job.config.id for job in jobs] == ["one-seed0", "base-seed0", "one-seed1", "base-seed1"]
    assert [job.config.seed for job in jobs] == [5, 5, 6, 6]
    assert {job.context.split_seed for job in jobs} == {5}
    assert {job.trunk_until + job.cooldown_steps for job in jobs} == {30}
    (again,) = semifinal_jobs(record, [("one", BASE)], at)
    assert (again.trunk_until + again.cooldown_steps, again.config.seed, again.context.split_seed) == (8, 7, 5)
    assert again.folder not in {job.folder for job in jobs}


@pytest.mark.parametrize(
    ("slots", "seconds", "finalists", "seeds"),
    [(2, 60.0, 3, 1), (2, 10**5, 3, 3), (8, 60.0, 7, 1), (1, 60.0, 2, 1)],
)
def test_no_core_waits_in_the_finals_for_want_of_finalists(
    digits: ImageSet, slots: int, seconds: float, finalists: int, seeds: int
) -> None:
    found_seeds, found = finals_of(digits, 32, 100.0, slots, seconds)
    assert (found.networks, found_seeds, found.trainings) == (finalists, seeds, (finalists + 1) * seeds)
    assert found.seconds(slots) <= seconds


@pytest.mark.parametrize(
    ("slots", "seconds", "networks"), [(2, 300.0, 16), (2, 60.0, 6), (2, 1.0, None), (64, 60.0, 16)]
)
def test_as_many_semifinals_as_time_allows_or_none(
    digits: ImageSet, slots: int, seconds: float, networks: int | None
) -> None:
    finals = Rung(3, 4, 200, 1.0, 1.0)
    found = semifinals_of(digits, 32, 100.0, slots, seconds, finals)
    assert (found and found.networks) == networks
    assert found is None or (found.seconds(slots) <= seconds and found.steps == 50)
    few = semifinals_of(digits, 32, 100.0, slots, seconds, finals, most=3)
    assert few is None, "a space of as many networks as there are finalists"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--macs", "100"], "no network on the compound path"),
        (["--time", "30s"], "give at least one limit"),
        (["--macs", "1M", "--time", "0s"], "time"),
        (["--macs", "1M", "--base", "efficientnet"], "there is no network"),
        (["--macs", "1M", "--space", "absent.json"], "there is no space file absent.json"),
        (["--macs", "1M", "--sampler", "grid"], "Choose from"),
        (["--macs", "1M", "--sampler", "tpe"], "Choose from"),
        (["--macs", "1M", "--scorer", "supernet"], "--scorer"),
        (["--macs", "1M", "--exponent", "0.07"], "exponent is 0.07; give one from -1 to 0"),
        (["--macs", "1M", "--write-space", "space.txt"], "a space's file ends in .json"),
    ],
)
def test_bad_input_is_one_line(arguments: list[str], words: str, tmp_path: Path, capsys: Capture) -> None:
    run = tmp_path / "run"
    assert main(["search", "baseline", "digits", *arguments, "--out", str(run)]) == 2
    printed = capsys.readouterr()
    (line,) = [line for line in printed.err.splitlines() if line.startswith("budgetnet:")]
    assert words.lower() in line.lower() and printed.out == ""
    assert not run.exists()


def test_bad_spaces_are_one_line(tmp_path: Path, capsys: Capture) -> None:
    file = tmp_path / "space.json"
    row = json.loads(SMALL.to_json())
    for change, words in ((dict(kinds=[]), "the space is empty"), (dict(kinds=["dense"]), "block is 'dense'")):
        row["stages"][1] = change
        file.write_text(json.dumps(row))
        arguments = ["search", "baseline", "digits", "--macs", "1M", "--space", str(file)]
        assert main([*arguments, "--out", str(tmp_path / "run")]) == 2
        assert words in capsys.readouterr().err
    file.write_text(SMALL.to_json())
    arguments = ["search", "baseline", "digits", "--macs", "10", "--space", str(file)]
    assert main([*arguments, "--out", str(tmp_path / "run")]) == 2
    assert "no network of the space keeps macs <= 10" in capsys.readouterr().err


def test_the_default_space_is_written_to_be_edited(tmp_path: Path, capsys: Capture) -> None:
    file = tmp_path / "space.json"
    arguments = ["search", "baseline", "digits", "--macs", "1M", "--base", "mobilenet_v2"]
    assert main([*arguments, "--write-space", str(file)]) == 0
    assert "networks around mobilenet_v2" in capsys.readouterr().out
    assert Space.from_json(file.read_text()) == space_for(open_images("digits", 0), Budget(macs=10**6), "mobilenet_v2")
    hold(json.loads(file.read_text()), "space.json")


def test_a_search_makes_what_it_planned(searched: tuple[Baseline, Machine]) -> None:
    found, executor = searched
    plan = found.record.plan
    assert plan.semifinals is not None
    assert len(found.candidates) == plan.scores.networks and len(found.semifinals) == plan.semifinals.networks
    phases = itertools.groupby(phase.split("/")[0] for phase in executor.started)
    rungs = {"candidates": plan.scores, "semifinals": plan.semifinals, "finals": plan.finals}
    counts = {phase: rung.trainings for phase, rung in rungs.items()}
    assert [(phase, len(list(rows))) for phase, rows in phases] == list(counts.items())
    hold(json.loads((found.run / "plan.json").read_text()), "plan.json, search baseline")
    hold(json.loads((found.run / FILE).read_text()), "baseline.json")
    hold(plain(found), "search baseline --json")
    assert found.network == Network.from_json((found.run / "network.json").read_text())


def test_every_training_leaves_later_ones_their_time(searched: tuple[Baseline, Machine]) -> None:
    found, executor = searched
    plan = found.record.plan
    assert plan.semifinals is not None and len(executor.deadlines) == len(executor.started)
    assert executor.deadlines == sorted(executor.deadlines)
    ends = itertools.accumulate(rung.trainings for rung in (plan.scores, plan.semifinals, plan.finals))
    last = [executor.deadlines[end - 1] for end in ends]
    assert last[0] <= 60 - plan.after_scores and last[1] <= 60 - plan.after_semifinals and last[2] <= 60


def test_the_page_of_a_search(searched: tuple[Baseline, Machine], capsys: Capture) -> None:
    found, _ = searched
    page = Page((found.run / "report.html").read_text())
    assert all(address[:1] == "#" or address[:5] == "data:" for address in page.values("href") + page.values("src"))
    assert all(sentence in page.text for sentence in found.statement) and "Not known for this search" in page.text
    shown = report(found.record, found)
    print_report(shown)
    printed = capsys.readouterr().out
    assert found.network.name in printed and f"{found.network.name}" in page.text
    for table in shown.tables():
        assert all(len(row.cells) == len(table.columns) for row in table.rows)
    amended = dataclasses.replace(found.record, amendments=(Amendment("one", "final", 9, 9, 2),))
    (facts,) = (block for block in report(amended, found).sections[-1].blocks if isinstance(block, Facts))
    assert facts.rows["Planned again"] == "1 time, for the machine became slower"


def test_a_finished_search_is_shown_again_and_another_one_refused(
    searched: tuple[Baseline, Machine], few_digits: Path, tmp_path: Path
) -> None:
    found, _ = searched
    run, executor = tmp_path / "run", Machine()
    shutil.copytree(found.run, run)
    again = made(few_digits, run, executor)
    assert to_plain(again) == to_plain(found) and executor.started == []
    assert made(few_digits, run, Cluster("127.0.0.1:1", storage=str(tmp_path))) == again, "it needs no cluster"
    for name, value in (("sampler", "random"), ("space", None), ("exponent", 0.0)):
        with pytest.raises(ValueError, match=f"was begun with another {name}"):
            made(few_digits, run, executor, **{name: value})
    (run / FILE).write_text(json.dumps(json.loads((run / FILE).read_text()) | {"hypervolume": "0"}))
    with pytest.raises(ValueError, match=r"baseline.json is damaged") as error:
        made(few_digits, run, executor)
    assert "\n" not in str(error.value)


@pytest.mark.slow
@pytest.mark.parametrize("left", [10, 6, 2])
def test_a_stopped_search_goes_on_to_the_same_answer(
    searched: tuple[Baseline, Machine], few_digits: Path, tmp_path: Path, left: int
) -> None:
    """In the scores, the semifinals and the finals."""
    expected, whole = searched
    stopped, rest = Machine(stop_after=len(whole.started) - left), Machine()
    with pytest.raises(StoppedError):
        made(few_digits, tmp_path / "run", stopped)
    assert to_plain(made(few_digits, tmp_path / "run", rest)) == to_plain(expected)
    assert [*stopped.started, *rest.started] == whole.started, "nothing is made twice"


def test_too_short_a_time_says_how_long_it_takes(digits: ImageSet, tmp_path: Path) -> None:
    def planned(seconds: float) -> BaselinePlan:
        time = TimeBudget(StillClock(), 0.0, seconds)
        request = dataclasses.replace(REQUEST, time_seconds=seconds)
        return propose(request, Context(tmp_path, "digits", (digits,), Machine(), "float32", time, None, 0))

    with pytest.raises(TooShort, match=r"10 s are too short for a search and final trainings") as error:
        planned(10.0)
    assert planned(math.ceil(error.value.least_seconds)).scores.networks >= 4


@pytest.fixture(scope="module")
def killed_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str], dict[str, str]]:
    """A search that was killed as it began, while it searched and in its semifinals, then finished; its scores at the
    second kill."""
    folder = tmp_path_factory.mktemp("baseline")
    space, run = folder / "space.json", folder / "run"
    space.write_text(SMALL.to_json())
    arguments = ["search", "baseline", "digits", "--macs", "150K", "--space", str(space), "--time", "180s"]
    command = timeless(*arguments, "--out", str(run))
    kill_when(command, lambda: (run / "events.jsonl").exists())
    kill_when(command, lambda: len(scores_in(run)) >= 4)
    before = scores_in(run)
    kill_when(command, lambda: any((run / "training").glob("*-semifinal/final.npz")))
    assert main([*arguments, "--out", str(run)], TimelessClock()) == 0
    return run, arguments, before


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_no_score_is_made_twice(killed_run: tuple[Path, list[str], dict[str, str]]) -> None:
    run, _, before = killed_run
    after = scores_in(run)
    plan, found = (json.loads((run / name).read_text()) for name in ("plan.json", "baseline.json"))
    assert 4 <= len(before) < len(after) == plan["plan"]["scores"]["networks"]
    assert before.items() <= after.items()
    scores = {name: json.loads(text) for name, text in after.items()}
    assert {row["id"]: row["accuracy"] for row in found["candidates"]} == {
        name: row["accuracy"] for name, row in scores.items()
    }


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_result_as_files(killed_run: tuple[Path, list[str], dict[str, str]], capsys: Capture) -> None:
    run, arguments, _ = killed_run
    hold(json.loads((run / "plan.json").read_text()), "plan.json, search baseline")
    found = json.loads((run / "baseline.json").read_text())
    hold(found, "baseline.json")
    assert main([*arguments, "--out", str(run), "--json"]) == 0
    hold(json.loads(capsys.readouterr().out), "search baseline --json")
    winner = Network.from_json((run / "network.json").read_text())
    assert winner.name.endswith(found["winner"]) and BUDGET.check(winner).fits
    for row in found["candidates"]:
        assert row["macs"] <= 150_000 and row["reward"] == row["accuracy"] * (row["macs"] / 150_000) ** -0.07
    rewards = [row["reward"] for row in found["finals"][:-1]]
    assert rewards == sorted(rewards, reverse=True) and found["finals"][-1]["id"] == "base"
    assert found["networks_in_space"] == SMALL.count
    behind = found["finals"][-1]["reward"] > rewards[0]
    assert any("the base is ahead" in sentence for sentence in found["statement"]) == behind
    answers = np.load(run / "answers" / f"{found['winner']}-seed0.npz")
    right = answers["probabilities"].argmax(1) == answers["labels"]
    assert found["finals"][0]["seeds"][0] == right.mean()
    plan = json.loads((run / "plan.json").read_text())["plan"]
    again = found["semifinals"]
    assert len(again) <= plan["semifinals"]["networks"] and all(row["macs"] <= 150_000 for row in again)
    assert [row["reward"] for row in again] == sorted((row["reward"] for row in again), reverse=True)
    assert {row["id"] for row in found["finals"][:-1]} == {row["id"] for row in again[: plan["finals"]["networks"]]}
    scores = {row["id"]: row["accuracy"] for row in found["candidates"]}
    known = [row for row in again if row["id"] in scores]
    assert any(row["accuracy"] != scores[row["id"]] for row in known), "a semifinal is a training of its own"
    for row in found["finals"][:-1]:
        assert row["search_accuracy"] == scores.get(row["id"]), "what was predicted has no score"
    page = Page((run / "report.html").read_text())
    assert all(address[:1] == "#" or address[:5] == "data:" for address in page.values("href") + page.values("src"))
    assert winner.name in page.text


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_other_commands_take_the_winner(killed_run: tuple[Path, list[str], dict[str, str]], capsys: Capture) -> None:
    run, arguments, _ = killed_run
    file = str(run / "network.json")
    for command in (["cost", file], ["fit", file, "--macs", "150K"], ["scale", file, "--phi", "1"]):
        assert main([*command, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)
    assert main(["scale", str(run), "--phi", "0", "--json"]) == 0  # a run's folder is its network, too
    changed = ["1s" if word == "180s" else word for word in arguments]
    assert main([*changed, "--out", str(run)]) == 2
    assert "was begun with another time" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_what_the_scores_are_worth_is_measured_and_shown(
    killed_run: tuple[Path, list[str], dict[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    run = tmp_path / "run"
    shutil.copytree(killed_run[0], run)
    arguments = ["digits", "--run", str(run), "--out", str(tmp_path / "ranking"), "--networks", "4", "--steps", "20"]
    monkeypatch.setattr(sys, "argv", ["ranking", *arguments])
    rank()
    row = json.loads((run / "ranking.json").read_text())
    assert len(row["networks"]) == 4 and -1 <= row["low"] <= row["tau"] <= row["high"] <= 1
    random = row["random_search"]
    assert random["search_macs"] > random["training_macs"] > 0
    assert random["trainings"] == min(4, random["affordable"])
    assert [one["reward"] for one in random["finals"]] == sorted(
        (one["reward"] for one in random["finals"]), reverse=True
    )
    for found in (random["winner"], random["all_finals"]):
        assert -1 <= found["low"] <= found["difference"] <= found["high"] <= 1
    assert f"Kendall's tau {row['tau']:+.2f}" in capsys.readouterr().out
    words = Page((run / "report.html").read_text()).text
    assert "Of 4 networks drawn from the space, each also trained alone for 20 steps" in words
    assert f"Random search with {random['trainings']} such trainings" in words
    written = scores_in(run)
    rank()
    assert scores_in(run) == written, "what is done is read"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_kills_change_nothing(killed_run: tuple[Path, list[str], dict[str, str]], tmp_path: Path) -> None:
    run, _, _ = killed_run
    made_again(run, tmp_path / "again")
    ours, theirs = (json.loads((folder / FILE).read_text()) for folder in (run, tmp_path / "again"))
    assert ours == theirs
    assert scores_in(run) == scores_in(tmp_path / "again")
