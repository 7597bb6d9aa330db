"""How the time of an experiment is shared among its trainings: once, for all kinds."""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass

from budgetnet.codec import NonNegativeInt, NotEmpty, PositiveInt
from budgetnet.data import ImageSet
from budgetnet.training.job import Timing
from budgetnet.training.stopwatch import Clock
from budgetnet.training.trainer import TrainingSpec

FORWARD_RATE = 2.0
"""A forward pass takes this many times as many images a second as a training step. Measured: two to three."""
FINISH_SECONDS = 4.0
"""The report is given this time, behind all that is predicted."""
SPARE_SHARE = 0.03
"""This share of the time is left for steps that turn out slower than the timed ones."""
RUNG_COOLDOWN_SHARE = 0.3
"""The short cool-down before a rung's score takes this share of the rung's steps."""


@dataclass(frozen=True, slots=True)
class TimeBudget:
    """When a run began, by its clock, and how many seconds it may take in all; infinite where time is not limited.

    `spent` are the seconds that earlier starts of the same run took.
    """

    clock: Clock
    began: float
    seconds: float
    spent: float = 0.0

    @property
    def elapsed_seconds(self) -> float:
        """What the run has taken so far."""
        return self.spent + self.clock.now() - self.began

    @property
    def left_seconds(self) -> float:
        """What is left now, without a spare part for steps slower than the timed ones."""
        return self.seconds * (1 - SPARE_SHARE) - self.elapsed_seconds

    def each(self, trainings: int, slots: int, other_seconds: float) -> float:
        """Seconds for each of several equal trainings, `slots` of them at a time, beside `other_seconds` of work."""
        return (self.left_seconds - other_seconds) / math.ceil(trainings / slots)

    def needed(self, trainings: int, slots: int, other_seconds: float, each_seconds: float) -> float:
        """Seconds in all that give each training so many, with a fifth to spare."""
        work = self.elapsed_seconds + other_seconds + math.ceil(trainings / slots) * each_seconds
        return 1.2 * work / (1 - SPARE_SHARE)

    def left_for(self, other_seconds: float) -> float:
        """What is left of the whole time now, beside `other_seconds` of work; never below 0."""
        return max(0.0, self.seconds - self.elapsed_seconds - other_seconds)

    def deadlines(self, trainings: int, slots: int, other_seconds: float) -> tuple[float | None, ...]:
        """When each of several equal trainings is to be done, `slots` at a time, from now on; `other_seconds` of work
        come behind them. None where time is not limited."""
        waves = math.ceil(trainings / slots)
        each = self.left_for(other_seconds) / max(1, waves)
        if math.isinf(each):
            return (None,) * trainings
        return tuple(self.clock.deadline((1 + index // slots) * each) for index in range(trainings))

    def planned_deadlines(self, seconds: Sequence[float], slots: int, other_seconds: float) -> tuple[float | None, ...]:
        """As `deadlines`, of trainings in their order for which so many seconds were planned.

        Each leaves those behind it the time that was planned for them, or where there is less their part of it: so the
        start of workers and other small delays do not cost short trainings their steps.
        """
        left = self.left_for(other_seconds)
        if math.isinf(left):
            return (None,) * len(seconds)
        ends = ends_of(seconds, slots)
        last = max(ends, default=0.0)
        share = min(1.0, left / last) if last else 1.0
        return tuple(self.clock.deadline(left - share * (last - end)) for end in ends)


def ends_of(seconds: Sequence[float], slots: int) -> list[float]:
    """When each of these jobs is done, each in its turn taken by the slot that is free first."""
    free, ends = [0.0] * slots, list[float]()
    for one in seconds:
        ends.append(free[0] + one)
        heapq.heapreplace(free, ends[-1])
    return ends


def prediction_seconds(count: float, timing: Timing) -> float:
    """Time that one process takes to predict so many images."""
    return count / (FORWARD_RATE * timing.single_process)


def evaluation_seconds(images: ImageSet, timing: Timing) -> float:
    """Time for the validation images, by one process, and the test images, by all of them together."""
    together = len(images.indices("test")) / (FORWARD_RATE * timing.data_parallel)
    return prediction_seconds(len(images.indices("validation")), timing) + together


def slowest_prediction_seconds(images: ImageSet, timings: Sequence[Timing], splits: Sequence[str]) -> float:
    """Time that one process takes to predict these splits with the slowest of the timed networks."""
    count = sum(len(images.indices(split)) for split in splits)
    return max(prediction_seconds(count, timing) for timing in timings)


@dataclass(frozen=True, slots=True)
class RungSteps:
    """Where a rung of a race leaves a training's trunk, and the steps of its cool-down."""

    trunk_until: PositiveInt
    cooldown_steps: NonNegativeInt


@dataclass(frozen=True, slots=True)
class RaceSteps:
    """A training's way through the rungs of a race; `steps` are those of the whole training, to its end."""

    steps: PositiveInt
    warmup_steps: NonNegativeInt
    rungs: NotEmpty[RungSteps]


def race_steps(
    spec: TrainingSpec, timing: Timing, rung_seconds: Sequence[float], final_seconds: float, scored_images: int
) -> RaceSteps:
    """The steps of a training in rungs of so many seconds, which pay for the score on `scored_images` too.

    After the last rung it goes on from the trunk for `final_seconds`, by all processes together.
    """
    rungs: list[RungSteps] = []
    trunk = 0
    for seconds in rung_seconds:
        left = seconds - prediction_seconds(scored_images, timing)
        steps = max(2, int(left * timing.single_process / spec.batch))
        cooldown = max(1, round(RUNG_COOLDOWN_SHARE * steps))
        trunk += steps - cooldown
        rungs.append(RungSteps(trunk, cooldown))
    total = trunk + max(2, int(final_seconds * timing.data_parallel / spec.batch))
    warmup = max(1, min(round(spec.recipe.warmup_share * total), rungs[0].trunk_until // 2))
    return RaceSteps(total, warmup, tuple(rungs))
