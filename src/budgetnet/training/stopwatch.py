"""What a plan's clock is: the time of day, and how fast courses train here. Tests bring their own."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol, runtime_checkable

from budgetnet.parallel.progress import Progress, Update, silent
from budgetnet.parallel.workers import Team, Workers
from budgetnet.training.leg import Place, Timing, time_apart, time_course
from budgetnet.training.trainer import Course

TIMING_SECONDS = 2.0


class Stopwatch(Protocol):
    """Times steps of courses, as often as it is asked."""

    @property
    def startup_seconds(self) -> float:
        """How long workers take to start: what the timings so far took without their steps."""
        ...

    def time(self, courses: Sequence[Course], place: Place, seconds: float = TIMING_SECONDS) -> tuple[Timing, ...]:
        """Images a second of each course; about so many seconds are spent on each."""
        ...


@runtime_checkable
class Clock(Protocol):
    """Where a plan's seconds come from."""

    def now(self) -> float:
        """Seconds from some moment on."""
        ...

    def stopwatch(
        self, device: str, team: Team, progress: Progress | None = None, apart: bool = False
    ) -> AbstractContextManager[Stopwatch]:
        """A stopwatch with all of the team at work; `apart`: only as each trains by itself."""
        ...


class MachineClock:
    """This machine's clock. Its stopwatches have worker processes, which stay from one timing to the next."""

    def now(self) -> float:
        """`time.monotonic`."""
        return time.monotonic()

    @contextmanager
    def stopwatch(
        self, device: str, team: Team, progress: Progress | None = None, apart: bool = False
    ) -> Iterator[Stopwatch]:
        """Real training steps, timed in every process of the team at once."""
        function = time_apart if apart else time_course
        with Workers(function, team.processes, device, True, progress, team.threads) as workers:
            yield _WorkersStopwatch(workers, progress or silent)


MACHINE = MachineClock()


class _WorkersStopwatch:
    def __init__(self, workers: Workers[tuple[Course, Place, float], Timing | None], progress: Progress) -> None:
        self.workers, self.progress = workers, progress
        self._asked = self._done = 0
        self._waited = 0.0

    @property
    def startup_seconds(self) -> float:
        return max(0.0, self._waited)

    def time(self, courses: Sequence[Course], place: Place, seconds: float = TIMING_SECONDS) -> tuple[Timing, ...]:
        before = time.monotonic()
        self._asked += len(courses)

        def tell(*_: object) -> None:
            self._done += 1
            self.progress(Update("timing", self._done, self._asked))

        answers = self.workers.run([(course, place, seconds) for course in courses], tell)
        found = [timing for timing in answers if timing is not None]
        self._waited += time.monotonic() - before - sum(timing.seconds for timing in found)
        return tuple(found)


def median_timing(timings: Sequence[Timing]) -> Timing:
    """Of each rate the median; the seconds of all."""
    apart, together = (statistics.median(getattr(one, name) for one in timings) for name in ("apart", "together"))
    return Timing(apart, together, sum(one.seconds for one in timings))
