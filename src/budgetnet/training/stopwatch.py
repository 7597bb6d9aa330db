"""What a plan's clock is: the time of day, and how fast configs train here. Tests bring their own."""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Protocol, Self, runtime_checkable

from budgetnet.parallel.progress import Progress, Update, silent
from budgetnet.parallel.ranks import Launched, together
from budgetnet.parallel.workers import ProcessGroup, Workers
from budgetnet.training.job import JobContext, Timing, time_config, time_single_process
from budgetnet.training.trainer import TrainingSpec

TIMING_SECONDS = 2.0


class Stopwatch(Protocol):
    """Times steps of trainings, as often as it is asked."""

    @property
    def startup_seconds(self) -> float:
        """How long workers take to start: what the timings so far took without their steps."""
        ...

    def time(
        self, configs: Sequence[TrainingSpec], context: JobContext, seconds: float = TIMING_SECONDS
    ) -> tuple[Timing, ...]:
        """Images a second of each config; about so many seconds are spent on each."""
        ...


@runtime_checkable
class Clock(Protocol):
    """Where a plan's seconds come from."""

    @property
    def earlier_seconds(self) -> float:
        """What was taken before the work began: it counts."""
        ...

    def for_part(self) -> Clock:
        """The same clock for a part of the work, which counts what was taken before as the whole's alone."""
        ...

    def now(self) -> float:
        """Seconds from some moment on."""
        ...

    def deadline(self, seconds: float) -> float | None:
        """The moment in so many seconds, as `time.time` has it; None where time is simulated."""
        ...

    def stopwatch(
        self, device: str, group: ProcessGroup, progress: Progress | None = None, single_process: bool = False
    ) -> AbstractContextManager[Stopwatch]:
        """A stopwatch with all of the process group at work; `single_process`: only as each trains by itself."""
        ...


@dataclass(frozen=True, slots=True)
class MachineClock:
    """This machine's clock. Its stopwatches have worker processes, which stay from one timing to the next.

    `earlier_seconds` are what the process took before the work began: of a command line, its start.
    """

    earlier_seconds: float = 0.0

    def for_part(self) -> Self:
        """With nothing taken before."""
        return dataclasses.replace(self, earlier_seconds=0.0)

    def now(self) -> float:
        """`time.monotonic`."""
        return time.monotonic()

    def deadline(self, seconds: float) -> float | None:
        """From now on."""
        return time.time() + seconds

    @contextmanager
    def stopwatch(
        self, device: str, group: ProcessGroup, progress: Progress | None = None, single_process: bool = False
    ) -> Iterator[Stopwatch]:
        """Real training steps, timed in every process of the process group at once."""
        function = time_single_process if single_process else time_config
        with together(function, group, device, progress) as processes:
            yield _WorkersStopwatch(processes, progress or silent)


MACHINE = MachineClock()


_TimedJob = tuple[TrainingSpec, JobContext, float]
_Processes = Workers[_TimedJob, Timing | None] | Launched[_TimedJob, Timing | None]


class _WorkersStopwatch:
    def __init__(self, workers: _Processes, progress: Progress) -> None:
        self.workers, self.progress = workers, progress
        self._asked = self._done = 0
        self._waited = 0.0

    @property
    def startup_seconds(self) -> float:
        return max(0.0, self._waited)

    def time(
        self, configs: Sequence[TrainingSpec], context: JobContext, seconds: float = TIMING_SECONDS
    ) -> tuple[Timing, ...]:
        before = time.monotonic()
        self._asked += len(configs)

        def on_result(*_: object) -> None:
            self._done += 1
            self.progress(Update("timing", self._done, self._asked))

        answers = self.workers.run([(config, context, seconds) for config in configs], on_result)
        found = [timing for timing in answers if timing is not None]
        self._waited += time.monotonic() - before - sum(timing.seconds for timing in found)
        return tuple(found)


def median_timing(timings: Sequence[Timing]) -> Timing:
    """Of each rate the median; the seconds of all."""
    single_process, data_parallel = (
        statistics.median(getattr(one, name) for one in timings) for name in ("single_process", "data_parallel")
    )
    return Timing(single_process, data_parallel, sum(one.seconds for one in timings))


@dataclass(frozen=True, slots=True)
class Timings:
    """Images a second of each config on this machine, and how long its workers take to start."""

    configs: tuple[Timing, ...]
    startup_seconds: float


def timed(
    configs: Sequence[TrainingSpec],
    context: JobContext,
    group: ProcessGroup,
    progress: Progress | None = None,
    single_process: bool = False,
    rounds: int = 1,
    clock: Clock = MACHINE,
) -> Timings:
    """Time some training steps of each config now, with all of the process group at work.

    `single_process`: only as each trains by itself. In several rounds of all configs the median counts, so that a slow
    moment or a worker's first steps do not strike one config alone.
    """
    with clock.stopwatch(context.device, group, progress, single_process) as stopwatch:
        found = stopwatch.time(list(configs) * rounds, context, TIMING_SECONDS / rounds)
    timings = tuple(median_timing(found[index :: len(configs)]) for index in range(len(configs)))
    return Timings(timings, stopwatch.startup_seconds)
