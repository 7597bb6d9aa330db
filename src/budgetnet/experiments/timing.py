"""How the time of an experiment is shared among its trainings: once, for all kinds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from budgetnet.data import ImageSet
from budgetnet.training.job import Timing
from budgetnet.training.stopwatch import Clock

FORWARD_RATE = 2.0
"""Images a second of a forward pass, as a multiple of those of a training step. Measured: two to three."""
FINISH_SECONDS = 4.0
"""For the report, behind all that is predicted."""
SPARE_SHARE = 0.03
"""Of the time: left for steps that turn out slower than the timed ones."""


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


def prediction_seconds(count: int, timing: Timing) -> float:
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
