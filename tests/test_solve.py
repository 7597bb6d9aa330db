"""The main job: candidates, the race and its plan, and the same winner whatever kills it."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from support.executor import InlineExecutor
from support.killed import kill_when, start, timeless
from support.simulated import SimulatedClock, limits_of
from support.spaces import BASE

from budgetnet.budgets.budget import Budget, BudgetError
from budgetnet.cli import main
from budgetnet.data import ImageSet, default_preprocessing, open_images
from budgetnet.experiments.bases import adapted_bases, base_px
from budgetnet.experiments.experiment import Context
from budgetnet.experiments.solve import solve
from budgetnet.experiments.solve.candidates import LEAST_SHARE, Contender, candidates
from budgetnet.experiments.solve.plan import Field, SolvePlan, entrant_of, entrants_for, planned
from budgetnet.experiments.solve.run import raced, trained_winner, training_job
from budgetnet.experiments.timing import TimeBudget
from budgetnet.model.files import load_tensors
from budgetnet.networks.scaling import FIT_STRATEGIES
from budgetnet.networks.zoo import network
from budgetnet.parallel.workers import ProcessGroup
from budgetnet.training.job import JobContext, Timing, TrainingJob
from budgetnet.training.recipe import MODERN
from budgetnet.training.trainer import TrainingSpec


@pytest.fixture(scope="module")
def digits() -> ImageSet:
    return open_images("digits", 0)


def test_candidates_keep_the_budget_and_the_raced_use_it(digits: ImageSet) -> None:
    budget = Budget(macs=2_000_000, params=1_500_000)
    found = candidates(digits, budget, 6)
    raced = [row for row in found if row.raced]
    assert len(raced) == 6 and found[:6] == tuple(raced)
    assert all(budget.check(row.network).fits for row in found)
    assert all(row.share >= LEAST_SHARE for row in raced)
    assert all(row.network.classes == 10 and row.network.in_channels == 1 for row in found)
    assert len({row.id for row in found}) == len(found)
    shapes = {dataclasses.replace(row.network, name="-", source="-").to_json() for row in found}
    assert len(shapes) == len(found), "equal networks are merged"
    assert len({row.base for row in raced}) >= 3, "unlike each other"


def test_under_several_limits_those_of_several_dials_race(digits: ImageSet) -> None:
    budget = Budget(macs=2_000_000, weight_bytes=60_000, peak_activation_bytes=30_000, dtype="int8")
    found = candidates(digits, budget, 2, ["mobilenet_v1", "mobilenet_v2"], FIT_STRATEGIES)
    raced = {row.strategy for row in found if row.raced}
    assert raced and raced <= {"joint", "staged"}
    assert {row.strategy for row in found} > raced, "the others are listed"
    reasons = {row.why for row in found if row.strategy not in ("joint", "staged") and row.at_its_limit}
    assert reasons == {"has one dial, and those of several use more of the limits"}
    alone = candidates(digits, budget, 2, ["mobilenet_v1"], ["width"])
    assert {row.strategy for row in alone if row.raced} == {"width"}


@pytest.mark.slow
def test_candidates_are_the_same_every_time(digits: ImageSet) -> None:
    budget = Budget(macs=3_000_000)
    assert candidates(digits, budget, 4) == candidates(digits, budget, 4)


def test_an_impossible_budget_names_the_limit(digits: ImageSet) -> None:
    with pytest.raises(BudgetError) as caught:
        candidates(digits, Budget(macs=1000), 4)
    assert caught.value.limit == "macs" and "\n" not in str(caught.value)


@pytest.mark.parametrize(("median_px", "expected"), [(8, 32), (32, 32), (85, 84), (112, 112), (480, 224)])
def test_scaling_starts_from_the_images_own_size(digits: ImageSet, median_px: int, expected: int) -> None:
    sized = dataclasses.replace(digits, sizes_px=((median_px, median_px + 40),) * len(digits))
    assert base_px(sized) == expected
    dropped = {drop for _, drop, _ in adapted_bases(sized, ["mobilenet_v2"])}
    assert dropped == ({0, 1, 2} if expected < 96 else {0})


def test_a_base_of_few_strides_drops_those_that_it_has(digits: ImageSet) -> None:
    assert [dropped for _, dropped, _ in adapted_bases(digits, [BASE])] == [0, 1]
    rows = candidates(digits, Budget(macs=1_000_000), 2, [BASE], ["compound"])
    assert rows and all(row.dropped_strides <= 1 for row in rows)


@pytest.mark.parametrize(("seconds", "workers", "expected"), [(100, 2, 2), (900, 2, 5), (900, 8, 12), (36000, 2, 12)])
def test_entrants_follow_the_core_seconds_of_the_race(seconds: float, workers: int, expected: int) -> None:
    assert entrants_for(seconds, workers) == expected


def spec_of(row: Contender) -> TrainingSpec:
    return TrainingSpec(row.id, row.network, MODERN, default_preprocessing(1), 0, 32)


def test_an_entrants_steps_follow_its_speed(digits: ImageSet) -> None:
    row = candidates(digits, Budget(macs=2_000_000), 2)[0]
    slow, fast = (
        entrant_of(row, spec_of(row), Timing(rate, 1.5 * rate, 1.0), [10.0, 20.0], 60.0, 0) for rate in (320.0, 640.0)
    )
    for one, ratio in ((slow, 1), (fast, 2)):
        first, second = one.rungs
        assert first.trunk_until + first.cooldown_steps == 100 * ratio
        assert second.trunk_until + second.cooldown_steps - first.trunk_until == 200 * ratio
    assert slow.final is not None
    end = slow.final.trunk_until + slow.final.cooldown_steps
    assert end == slow.config.steps == slow.rungs[1].trunk_until + 60 * 480 // 32
    assert slow.final.trunk_until >= slow.rungs[1].trunk_until
    scored = entrant_of(row, spec_of(row), Timing(320.0, 480.0, 1.0), [10.0], 60.0, scored_images=640).rungs[0]
    assert scored.trunk_until + scored.cooldown_steps == 90, "a second of a rung is for its score"


def test_bases_of_one_name_are_told_apart_and_ids_are_folders(digits: ImageSet) -> None:
    budget, base = Budget(macs=2_000_000), network("mobilenet_v1")
    other = dataclasses.replace(network("mobilenet_v2"), name="mobilenet_v1")
    with pytest.raises(ValueError, match="two bases are called mobilenet_v1") as caught:
        candidates(digits, budget, 2, ["mobilenet_v1", other])
    assert "\n" not in str(caught.value)
    assert candidates(digits, budget, 2, [base, "mobilenet_v1"]) == candidates(digits, budget, 2, [base])
    odd = dataclasses.replace(base, name="../my net: 1")
    assert {row.id for row in candidates(digits, budget, 2, [odd], ["width"]) if not row.dropped_strides} <= {
        "_._my_net_1-width"
    }


def plan_of(found: Sequence[Contender], to_the_end: bool = False) -> SolvePlan:
    """A plan of one rung of two steps for the raced ones."""
    entrants = tuple(
        entrant_of(row, spec_of(row), Timing(320.0, 480.0, 1.0), [0.2], 60.0, 0) for row in found if row.raced
    )
    if to_the_end:
        short = [dataclasses.replace(row.config, steps=2, warmup_steps=1) for row in entrants]
        pairs = zip(entrants, short, strict=True)
        entrants = tuple(dataclasses.replace(row, config=config, final=None) for row, config in pairs)
    return SolvePlan(
        parent=None,
        recipe=MODERN,
        augmentation=(),
        side_px=8,
        group=ProcessGroup(1, 1),
        slots=1,
        training=limits_of(1e12),
        candidates=tuple(row.row() for row in found),
        kept=(len(entrants),),
        incumbent=None,
        entrants=entrants,
        race_seconds=1.0,
        final_seconds=None if to_the_end else 60.0,
        finish_seconds=1.0,
        held_out=0,
    )


def context_of(digits: ImageSet, run: Path, executor: InlineExecutor | None = None) -> Context:
    time = TimeBudget(SimulatedClock(), 0.0, 60.0)
    return Context(run, "digits", (digits,), executor or InlineExecutor(), "float32", time, None, 0)


def first_rungs(plan: SolvePlan, context: Context) -> list[TrainingJob]:
    return [training_job(row, context, plan, "rung-0", f"race/{row.id}", row.rungs[0], None) for row in plan.entrants]


def answered(job: TrainingJob, answers: np.ndarray, digits: ImageSet) -> None:
    """The job as it is done, with these answers to the validation images."""
    job.folder.mkdir(parents=True, exist_ok=True)
    job.weights.touch()
    np.savez(job.scores, probabilities=answers, indices=digits.indices("validation"))


def right_answers(digits: ImageSet) -> np.ndarray:
    return np.eye(10, dtype=np.float32)[np.asarray(digits.labels)[digits.indices("validation")]]


def test_a_finalist_whose_training_diverges_is_passed_over(digits: ImageSet, tmp_path: Path) -> None:
    plan, context = plan_of(candidates(digits, Budget(macs=2_000_000), 2)), context_of(digits, tmp_path)
    best, second = jobs = first_rungs(plan, context)
    right = right_answers(digits)
    answered(best, right, digits)
    answered(second, right[::-1], digits)
    finals = [dataclasses.replace(job, name="final", phase="final") for job in jobs]
    finals[0].diverged.touch()
    answered(finals[1], right, digits)
    choice, final = trained_winner(plan, context, jobs)
    assert choice.id == final.config.id == second.config.id
    assert not final.learns_validation, "its rung had learned nothing, so the validation images are kept to judge it by"
    assert f"the final training of {best.config.id} diverged" in choice.reason
    finals[1].scores.unlink()
    finals[1].diverged.touch()
    with pytest.raises(ValueError, match="every finalist diverged") as caught:
        trained_winner(plan, context, jobs)
    assert "\n" not in str(caught.value)


def test_three_that_are_trained_to_the_end_meet_in_one_rung(digits: ImageSet, tmp_path: Path) -> None:
    three = plan_of(candidates(digits, Budget(macs=2_000_000), 3), to_the_end=True)
    plan, context = dataclasses.replace(three, slots=3), context_of(digits, tmp_path)
    for job in first_rungs(plan, context):
        answered(job, right_answers(digits), digits)
    (jobs,) = raced(plan, context)
    assert [job.config.id for job in jobs] == [row.id for row in plan.entrants] and len(jobs) == 3


def test_a_rung_that_is_done_is_not_run_again(digits: ImageSet, tmp_path: Path) -> None:
    plan, executor = plan_of(candidates(digits, Budget(macs=2_000_000), 2, [BASE])), InlineExecutor()
    context = context_of(digits, tmp_path, executor)
    answered(first_rungs(plan, context)[0], right_answers(digits), digits)
    (jobs,) = raced(plan, context)
    assert executor.started == [jobs[1].phase] and all(job.scores.exists() for job in jobs)


@pytest.mark.parametrize("entrants", [2, 3])
@pytest.mark.parametrize(("data_parallel", "to_the_end"), [(1.9, True), (3.0, False)])
def test_where_each_entrant_has_a_core_all_are_trained_to_the_end(
    data_parallel: float, to_the_end: bool, entrants: int, digits: ImageSet, tmp_path: Path
) -> None:
    """Unless all cores at one training do so much more that a race gives its winner far more steps."""
    found = tuple(row for row in candidates(digits, Budget(macs=2_000_000), entrants) if row.raced)
    specs, timing = tuple(map(spec_of, found)), Timing(320.0, 320.0 * data_parallel, 1.0)
    context = JobContext("digits", 0, 8, str(tmp_path / "training"))
    field = Field(found, limits_of(1e12), specs, (timing,) * len(specs), ProcessGroup(entrants, 1), context, 1.0)
    time = TimeBudget(SimulatedClock(), 0.0, 200.0)
    shared = planned(field, digits, time, slots=entrants)
    assert (shared.final_seconds is None) is to_the_end
    if to_the_end:
        assert shared.kept == (entrants,) and {len(row.rungs) for row in shared.entrants} == {1}
    for row in shared.entrants:
        last = row.rungs[-1] if to_the_end else row.final
        assert last is not None and last.trunk_until + last.cooldown_steps == row.config.steps
        assert (row.final is None) is to_the_end
    assert planned(field, digits, time, slots=1).final_seconds is not None


def test_of_two_trained_to_the_end_the_better_is_the_answer(digits: ImageSet, tmp_path: Path) -> None:
    plan = plan_of(candidates(digits, Budget(macs=2_000_000), 2), to_the_end=True)
    context = context_of(digits, tmp_path)
    jobs, right = first_rungs(plan, context), right_answers(digits)
    answered(jobs[0], 0.5 * right + 0.05, digits)
    answered(jobs[1], right, digits)
    choice, final = trained_winner(plan, context, jobs)
    assert final is jobs[1] and choice.id == jobs[1].config.id
    answered(jobs[1], np.where(right > 0, right, np.nan), digits)
    assert trained_winner(plan, context, jobs)[1] is jobs[0], "answers that are not numbers are passed over"
    answered(jobs[0], right[::-1], digits)
    with pytest.raises(ValueError, match="learned nothing"):
        trained_winner(plan, context, jobs)


def test_bad_arguments_are_one_line(tmp_path: Path) -> None:
    budget = Budget(macs=2_000_000)
    for options, words in [
        ({"time_seconds": 3}, "at least 20"),
        ({"time_seconds": float("inf")}, "at least 20"),
        ({"recipe": "magic"}, "paper, modern"),
        ({"device": "abacus"}, "cpu, cuda, mps"),
        ({"bases": ["efficientnet_b99"]}, "efficientnet_b0"),
    ]:
        with pytest.raises(ValueError, match=words) as caught:
            solve("digits", budget, out=tmp_path / "run", **options)
        assert "\n" not in str(caught.value)


COMMAND = timeless("solve", "digits", "--macs", "1M", "--time", "40s", "--out")


@pytest.fixture(params=[1, 2], ids=["a core: race and final training", "two cores: mostly trained to the end"])
def cores(request: pytest.FixtureRequest) -> Iterator[int]:
    """This process and what it starts keep to so many cores."""
    if not hasattr(os, "sched_setaffinity") or len(os.sched_getaffinity(0)) < request.param:
        pytest.skip(f"cannot keep to {request.param} cores here")
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, set(sorted(before)[: request.param]))
    yield request.param
    os.sched_setaffinity(0, before)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_anywhere_it_ends_with_the_same_winner_and_weights(tmp_path: Path, monkeypatch, cores: int) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    run, undisturbed = tmp_path / "run", tmp_path / "undisturbed"
    training = run / "training"
    kill_when([*COMMAND, str(run)], lambda: (run / "plan.json").exists())
    kill_when([*COMMAND, str(run)], lambda: any(training.glob("*/trunk.pt")))
    kill_when([*COMMAND, str(run)], lambda: any(training.glob("*/rung-0.npz")))
    first = {path: path.stat().st_mtime_ns for path in training.glob("*/rung-0.npz")}
    to_the_end = json.loads((run / "plan.json").read_text())["plan"]["final_seconds"] is None
    assert not (to_the_end and cores == 1)  # on two cores the timing of this machine decides
    if not to_the_end:
        kill_when([*COMMAND, str(run)], lambda: '"final"' in (run / "events.jsonl").read_text())
    assert start([*COMMAND, str(run)]).wait() == 0
    assert first == {path: path.stat().st_mtime_ns for path in first}, "a finished rung is not run again"
    undisturbed.mkdir()
    shutil.copy(run / "plan.json", undisturbed)
    assert start([*COMMAND, str(undisturbed)]).wait() == 0
    ours, theirs = (json.loads((one / "metrics.json").read_text()) for one in (run, undisturbed))
    assert all(ours[key] == theirs[key] for key in ("choice", "test", "race", "calibration"))
    assert ours["calibration"]["split"] == ("validation" if to_the_end else "held out")
    expected = load_tensors(undisturbed / "weights.safetensors")[0]
    found = load_tensors(run / "weights.safetensors")[0]
    assert all(torch.equal(tensor, found[name]) for name, tensor in expected.items())
    assert ours["test"]["top1"] > 0.5
    assert "<html" in (run / "report.html").read_text()
    again = subprocess.run([*COMMAND, str(run), "--json"], capture_output=True, check=True)
    assert json.loads(again.stdout)["test"]["top1"] == ours["test"]["top1"]


def test_of_limits_in_different_units_the_one_missed_by_the_least_factor_is_named(digits: ImageSet) -> None:
    # One base uses 11,264 bytes of 1000, another 328,544 MACs of 50,000: the factor is what compares.
    bases = ["mobilenet_v1", "mobilenet_v3_small"]
    with pytest.raises(BudgetError) as caught:
        candidates(digits, Budget(macs=50_000, peak_activation_bytes=1000), 2, bases, ["compound"])
    assert caught.value.limit == "macs" and caught.value.excess == 278_544


def test_a_dry_run_says_what_would_race_and_trains_nothing(
    few_digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    asked = ["solve", str(few_digits), "--macs", "1M", "--base", "mobilenet_v2", "--time", "10m", "--dry-run"]
    assert main([*asked, "--json"]) == 0
    row = json.loads(capsys.readouterr().out)
    ids = [one["id"] for one in row["entrants"]]
    assert ids and ids == [one["id"] for one in row["candidates"] if one["raced"]]
    assert all(one["macs"] <= 1_000_000 for one in row["candidates"]) and row["race_seconds"] < 600
    assert main(asked) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in ids) and "The race would take" in shown
    assert row["parent"] is None and "drawn weights" in shown
    assert not (tmp_path / "runs").exists(), "no run was begun"
