"""A machine of a speed that a test chooses: the same plan on every real one, however busy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Self

from budgetnet.parallel.progress import Progress
from budgetnet.parallel.workers import ProcessGroup
from budgetnet.training.chance import AgainstChance
from budgetnet.training.job import JobContext, Timing
from budgetnet.training.speed import TrainingLimits, image_work
from budgetnet.training.stopwatch import TIMING_SECONDS, MachineClock
from budgetnet.training.trainer import TrainingSpec


@dataclass(frozen=True)
class SimulatedStopwatch:
    """Rates by the estimate of a training's work; two processes at one training are 1.8 times as fast as one."""

    speed: float
    startup_seconds: float = 1.0

    def time(
        self, configs: Sequence[TrainingSpec], context: JobContext, seconds: float = TIMING_SECONDS
    ) -> tuple[Timing, ...]:
        rates = [self.speed / image_work(config.network, config.batch) for config in configs]
        return tuple(Timing(rate, 1.8 * rate, seconds) for rate in rates)


@dataclass(frozen=True)
class SimulatedClock:
    """Time stands still but for what the plan foresees; `speed` is work a second of one process."""

    speed: float = 8e9
    earlier_seconds: float = 0.0

    def for_part(self) -> Self:
        return self

    def now(self) -> float:
        return 0.0

    def deadline(self, seconds: float) -> float | None:
        return None

    @contextmanager
    def stopwatch(
        self, device: str, group: ProcessGroup, progress: Progress | None = None, single_process: bool = False
    ) -> Iterator[SimulatedStopwatch]:
        yield SimulatedStopwatch(self.speed)


@dataclass(frozen=True)
class TimelessClock(MachineClock):
    """This machine's clock, by which no training has to be done at any time: its steps are as planned, however busy
    the machine is."""

    def deadline(self, seconds: float) -> float | None:
        return None


def limits_of(work: float, images: int = 1257, batch: int = 64, seconds: float = 60.0) -> TrainingLimits:
    """What there is to train with: so much work, and memory enough for anything."""
    return TrainingLimits(seconds, seconds / 2, work, images, batch, 4.0, 20.0, 10**15, 8, "adamw", True)


LEARNED = AgainstChance(0.5, 2.3, -1.5, 100, "test")
"""What a training that learned something has."""
LEARNED_NOTHING = AgainstChance(2.4, 2.3, 0.2, 100, "test")
