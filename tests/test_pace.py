"""Time is kept: a training that will be late takes fewer steps, says so first, and goes the same way when taken up."""

from __future__ import annotations

import dataclasses
import json
import math
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support.networks import PLAIN
from support.simulated import SimulatedClock

from budgetnet.data import default_preprocessing
from budgetnet.experiments.timing import TimeBudget
from budgetnet.model.files import load_tensors
from budgetnet.runs.record import FORMAT, Amendment, amendments_of, append_amendment
from budgetnet.training.job import CHECKPOINT_SECONDS, JobContext, TrainingJob, checkpoint_seconds, run_job
from budgetnet.training.pace import Pace, StepPlan, steps_at
from budgetnet.training.recipe import MODERN
from budgetnet.training.trainer import StepReport, Trainer, TrainingConfig


class SteppedClock:
    """Seconds that pass with every look: `fast` each for the first `until` looks, then `slow`."""

    def __init__(self, fast: float, slow: float, until: int) -> None:
        self.fast, self.slow, self.until = fast, slow, until
        self.looks, self.now = 0, 0.0

    def __call__(self) -> float:
        self.looks += 1
        self.now += self.fast if self.looks <= self.until else self.slow
        return self.now


def job_in(folder: Path, deadline: float | None) -> TrainingJob:
    folder.mkdir(exist_ok=True)
    (folder / "plan.json").write_text(json.dumps({"format": FORMAT, "command": "train", "amendments": []}))
    network = dataclasses.replace(PLAIN, classes=10, in_channels=1, resolution_px=(16, 16))
    config = TrainingConfig("final", network, MODERN, default_preprocessing(1), 0, 16, steps=60, warmup_steps=2)
    context = JobContext("digits", 0, 8, str(folder / "training"))
    return TrainingJob(config, context, "final", "final", 40, 20, deadline=deadline)


def weights(job: TrainingJob) -> dict[str, torch.Tensor]:
    return load_tensors(job.weights)[0]


def test_a_machine_that_becomes_slower_gets_fewer_steps_and_the_same_bits_again(tmp_path: Path) -> None:
    job = job_in(tmp_path / "run", deadline=60.0)  # a second a step at first, and three from the 20th on
    assert run_job(job, clock=SteppedClock(1.0, 3.0, 20))
    amended = amendments_of(tmp_path / "run")
    assert amended and all(row.job == "final" and row.part == "final" for row in amended)
    assert 20 < job.last_step < 60, "fewer than planned"
    last = amended[-1]
    assert last.trunk_until + last.cooldown_steps == job.last_step and last.cooldown_steps > 0
    # The same amendments, taken up by a machine that is not late: the same way to the same bits.
    again = job_in(tmp_path / "again", deadline=None)
    shutil.copy(tmp_path / "run" / "plan.json", tmp_path / "again" / "plan.json")
    assert run_job(again)
    assert amendments_of(tmp_path / "again") == amended
    ours, theirs = weights(job), weights(again)
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in ours.items())


class CutAfter:
    """Interrupts a training behind a step."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_start(self, trainer: Trainer) -> None:
        pass

    def on_step(self, trainer: Trainer, step: StepReport) -> None:
        if step.step > self.step:
            raise KeyboardInterrupt

    def on_checkpoint(self) -> None:
        pass


@pytest.mark.parametrize("cut", [28, *(pytest.param(cut, marks=pytest.mark.slow) for cut in (24, 31))])
def test_one_that_is_killed_behind_an_amendment_goes_on_by_it(
    tmp_path: Path, cut: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BUDGETNET_CHECKPOINT_SECONDS", "0")
    job = job_in(tmp_path / "run", deadline=60.0)
    with pytest.raises(KeyboardInterrupt):
        run_job(job, CutAfter(cut), SteppedClock(1.0, 3.0, 20))
    amended = amendments_of(tmp_path / "run")
    later = dataclasses.replace(job, deadline=None)
    assert run_job(later) and amendments_of(tmp_path / "run") == amended
    whole = job_in(tmp_path / "whole", deadline=None)
    shutil.copy(tmp_path / "run" / "plan.json", tmp_path / "whole" / "plan.json")
    assert run_job(whole)
    theirs = weights(whole)
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in weights(later).items())


def test_one_that_is_too_late_from_the_start_takes_a_few_steps_with_a_cool_down(tmp_path: Path) -> None:
    job = job_in(tmp_path / "run", deadline=1.0)
    assert run_job(job, clock=SteppedClock(1.0, 1.0, 0))
    assert job.last_step < 20 and amendments_of(tmp_path / "run")[-1].cooldown_steps > 0


@pytest.mark.parametrize("given", ["often", "-1", "nan"])
def test_a_time_between_checkpoints_that_is_none_is_one_line(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUDGETNET_CHECKPOINT_SECONDS", given)
    with pytest.raises(ValueError, match=rf"BUDGETNET_CHECKPOINT_SECONDS is '{given}'; give a number") as caught:
        checkpoint_seconds()
    assert "\n" not in str(caught.value)
    monkeypatch.setenv("BUDGETNET_CHECKPOINT_SECONDS", "0.5")
    assert checkpoint_seconds() == 0.5
    monkeypatch.delenv("BUDGETNET_CHECKPOINT_SECONDS")
    assert checkpoint_seconds() == CHECKPOINT_SECONDS


def test_one_that_is_in_time_is_left_alone(tmp_path: Path) -> None:
    job = job_in(tmp_path / "run", deadline=70.0)
    assert run_job(job, clock=SteppedClock(1.0, 1.0, 0))
    assert amendments_of(tmp_path / "run") == () and job.last_step == 60


@given(
    trunk=st.integers(1, 500),
    cooldown=st.integers(1, 300),
    at=st.floats(0.0, 0.999),
    share=st.floats(0.001, 0.999),
)
def test_a_shorter_course_ends_when_it_is_asked_to(trunk: int, cooldown: int, at: float, share: float) -> None:
    planned = StepPlan(trunk, cooldown)
    step = int(at * planned.last_step)
    left = max(1, int(share * (planned.last_step - step)))
    shorter = planned.shortened(step, left)
    assert shorter.last_step == step + left
    if step < trunk:
        assert shorter.trunk_until >= step and 0 <= shorter.cooldown_steps <= left
    else:
        assert shorter.trunk_until == trunk, "what lies behind is as it was"


def test_the_last_amendment_that_a_step_knows_is_its_course() -> None:
    planned = StepPlan(40, 20)
    rows = [Amendment("final", "final", 10, 30, 15), Amendment("final", "final", 20, 22, 8)]
    assert steps_at(9, planned, rows) == planned
    assert steps_at(10, planned, rows) == StepPlan(30, 15)
    assert steps_at(20, planned, rows) == steps_at(30, planned, rows) == StepPlan(22, 8)


def test_a_pace_asks_for_as_many_steps_as_there_is_time_for() -> None:
    clock = SteppedClock(1.0, 1.0, 0)
    pace = Pace(50.0, clock=clock)
    asked = [pace.steps_left(step, StepPlan(60, 40)) for step in range(1, 20)]
    first = next(left for left in asked if left is not None)
    assert 40 <= first <= 48 and asked.count(None) > 10, "not at every step"


def test_amendments_of_trainings_side_by_side_are_all_kept(tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text(json.dumps({"format": FORMAT}))
    rows = [Amendment(str(number), "final", 1, 2, 3) for number in range(40)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda row: append_amendment(tmp_path, row), rows))
    assert sorted(amendments_of(tmp_path), key=lambda row: int(row.job)) == rows


@dataclass(frozen=True)
class Counted(SimulatedClock):
    """A deadline is the number of its seconds."""

    def deadline(self, seconds: float) -> float | None:
        return seconds


def test_a_deadline_leaves_later_trainings_their_planned_time_or_their_part_of_it() -> None:
    time = TimeBudget(Counted(), 0.0, 100.0)
    assert time.deadlines(4, 2, 20.0) == (40.0, 40.0, 80.0, 80.0)
    assert time.planned_deadlines([30.0] * 4, 2, 20.0) == (50.0, 50.0, 80.0, 80.0), "the first may use what is over"
    assert time.planned_deadlines([60.0] * 4, 2, 20.0) == (40.0, 40.0, 80.0, 80.0), "short time cuts all alike"
    assert time.planned_deadlines([30.0, 20.0, 10.0, 10.0], 2, 20.0) == (70.0, 60.0, 70.0, 80.0)
    assert time.planned_deadlines([80.0, 60.0, 60.0, 40.0], 2, 20.0) == pytest.approx((53.3, 40.0, 80.0, 80.0), abs=0.1)
    assert time.planned_deadlines([], 2, 20.0) == ()
    assert TimeBudget(Counted(), 0.0, math.inf).planned_deadlines([1.0, 1.0], 1, 1.0) == (None, None)
