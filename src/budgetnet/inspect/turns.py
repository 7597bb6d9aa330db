"""What is timed takes turns: milliseconds of an inference on this machine, and how much other programs disturbed it.

It knows nothing of what is timed, and needs no torch: exported files are timed by it, too.

Other programs only ever add to a time, so a low quantile of many runs is nearest to what the network takes by itself.
A run that is longer than a time slice of the system is always interrupted where cores are short, and then no quantile
of the clock on the wall helps; but one thread on the CPU has a clock of its own that stands still while it waits for a
core. Which quantile, of which clock: docs/lab-log.md has the evidence, `python -m bench.disturbed` makes it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from budgetnet import arguments
from budgetnet.arguments import integer
from budgetnet.codec import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt
from budgetnet.parallel.progress import Progress, Update, silent
from budgetnet.parallel.workers import cores

ROUNDS = 10
"""How many turns each has, one after another, so that a slow minute of the machine is shared by all."""
WARM_UP_RUNS = 3
LEAST_SECONDS = 0.5
"""The least time of a measurement: the system counts processor time in hundredths of a second, so with less the work of
others could not be told from its rounding."""
OTHERS_CORES = 0.05
"""How many cores other processes may take before a measurement counts as disturbed."""
LOW_PERCENT = 10.0
"""This percentile of the runs is taken for the time of a run that nothing disturbed."""
MOST_RATIO = 1.5
"""The odd and the even rounds give an estimate each; where one is more than this many times the other, none stands."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """How long one inference of `batch` images takes on this machine.

    The times are None where they could not be measured: `refusal` says why. Beside other programs they are given, and
    `disturbance` says so.

    Attributes:
        latency_ms: Milliseconds of a whole batch by itself: the lower decile of the runs by `clock`.
        low_ms: The lower quartile of the runs by the clock on the wall, all that disturbed them included.
        high_ms: The upper quartile by the clock on the wall.
        runs: How many inferences were timed.
        batch: Images at once.
        threads: Computing threads.
        device: Where it was computed.
        alone: Whether other processes took at most 0.05 cores; where not, the times are disturbed.
        others_cores: The processor time that they took, in cores; None where the system does not say.
        median_ms: The median by the clock on the wall; None also in files from before it was stored.
        clock: "processor": the clock of the computing thread, which stands still while the thread waits for a core;
            used for one thread on the CPU. "wall": the clock on the wall, used otherwise.
        halves_ratio: The larger over the smaller of the estimates that the odd and the even rounds give by themselves;
            above 1.5 there are no times. None in files from before it was stored.
    """

    latency_ms: PositiveFloat | None
    low_ms: PositiveFloat | None
    high_ms: PositiveFloat | None
    runs: NonNegativeInt
    batch: PositiveInt
    threads: PositiveInt
    device: str
    alone: bool
    others_cores: NonNegativeFloat | None
    median_ms: PositiveFloat | None = None
    clock: Literal["processor", "wall"] = "wall"
    halves_ratio: PositiveFloat | None = None

    @property
    def image_ms(self) -> float | None:
        """Milliseconds of one image of the batch."""
        return None if self.latency_ms is None else self.latency_ms / self.batch

    @property
    def disturbance(self) -> str | None:
        """What may have disturbed it, in words; None where nothing did."""
        if self.alone:
            return None
        if self.others_cores is None:
            return "this system does not say what else ran"
        return f"other programs took {100 * self.others_cores:.0f} % of a core"

    @property
    def refusal(self) -> str | None:
        """Why there is no time, in words; None where there is one."""
        if self.latency_ms is not None:
            return None
        if self.halves_ratio is None:
            return "none was taken"
        return f"two halves of its runs, taken in turns, differ {self.halves_ratio:.1f} times"


def _busy_seconds() -> float:
    """Processor time of all cores since the machine started, time that a hypervisor took included."""
    import psutil

    row = psutil.cpu_times()._asdict()
    # A guest's time is in the user's already.
    return sum(value for name, value in row.items() if name not in ("idle", "iowait", "guest", "guest_nice"))


@dataclass(frozen=True, slots=True)
class Clocks:
    """Where seconds come from.

    `wall` is the clock on the wall, `thread` that of this thread, `process` that of this process, which stand still
    while it does not compute; `machine` adds up what all cores did. `thread` is None where the system has no fine one.
    """

    wall: Callable[[], float] = time.perf_counter
    thread: Callable[[], float] | None = time.thread_time if hasattr(time, "CLOCK_THREAD_CPUTIME_ID") else None
    process: Callable[[], float] = time.process_time
    machine: Callable[[], float] = _busy_seconds


MACHINE = Clocks()


@dataclass(frozen=True, slots=True)
class Timed:
    """What is timed: its name, and one inference, to its end."""

    name: str
    infer: Callable[[], object]


@dataclass(frozen=True, slots=True)
class TimedRun:
    """Milliseconds of one inference by the clock on the wall, and by the clock that counts (`Measurement.clock`)."""

    wall_ms: float
    own_ms: float


Rounds = Sequence[Sequence[TimedRun]]
"""The runs of one network: those of its first turn, its second, and so on."""


def turns(
    subjects: Sequence[Timed],
    seconds: float,
    clock: Literal["processor", "wall"],
    progress: Progress | None = None,
    clocks: Clocks = MACHINE,
) -> tuple[list[Rounds], float | None]:
    """Each subject's runs, `seconds` of them, and the cores that other programs took; None where the system does not
    say."""
    progress = progress or silent
    own = clocks.thread if clock == "processor" else None
    for subject in subjects:
        for _ in range(WARM_UP_RUNS):
            subject.infer()
    rounds: list[list[Sequence[TimedRun]]] = [[] for _ in subjects]
    others = _Others(clocks)
    for turn in range(ROUNDS):
        for index, subject in enumerate(subjects):
            rounds[index].append(_runs(subject, seconds / ROUNDS, clocks.wall, own))
            progress(Update("measure", turn * len(subjects) + index + 1, ROUNDS * len(subjects), subject.name))
    return list(rounds), others.cores()


def image_measurements(
    subjects: Sequence[Timed], seconds: float, progress: Progress | None = None
) -> list[Measurement]:
    """What is measured of subjects that take one image each, on one thread of the processor, in turns."""
    clock = clock_of(threads=1, device="cpu")
    rounds, others = turns(subjects, seconds, clock, progress)
    return [measurement(row, 1, 1, "cpu", clock, others) for row in rounds]


def measurement(
    rounds: Rounds,
    batch: int,
    threads: int,
    device: str,
    clock: Literal["processor", "wall"],
    others_cores: float | None,
) -> Measurement:
    """What the runs of one network say, and what other programs did meanwhile."""
    wall = [run.wall_ms for runs in rounds for run in runs]
    halves = [low_quantile([run.own_ms for runs in rounds[first::2] for run in runs]) for first in (0, 1)]
    ratio = max(halves) / min(halves)
    times: tuple[float | None, ...] = (None, None, None, None)
    if ratio <= MOST_RATIO:
        latency = low_quantile([run.own_ms for runs in rounds for run in runs])
        times = (latency, *(float(value) for value in np.percentile(wall, (25, 50, 75))))
    latency_ms, low_ms, median_ms, high_ms = times
    return Measurement(
        latency_ms=latency_ms,
        low_ms=low_ms,
        high_ms=high_ms,
        runs=len(wall),
        batch=batch,
        threads=threads,
        device=device,
        alone=others_cores is not None and others_cores <= OTHERS_CORES,
        others_cores=others_cores,
        median_ms=median_ms,
        clock=clock,
        halves_ratio=ratio,
    )


def low_quantile(times_ms: Sequence[float]) -> float:
    """The lower decile: what is left of the runs that nothing disturbed, and not the one luckiest of all."""
    return float(np.percentile(times_ms, LOW_PERCENT))


def checked(batch: int, threads: int, seconds: float) -> tuple[int, int, float]:
    """The arguments of a measurement, as numbers. Raises a one-line `ValueError` for what cannot be measured."""
    batch, threads = integer("batch", batch), integer("threads", threads)
    if threads > cores():
        raise ValueError(f"threads is {threads}, but there are {cores()} cores here; more threads than cores only wait")
    seconds = arguments.seconds("seconds", seconds)
    if seconds < LEAST_SECONDS:
        raise ValueError(f"seconds is {seconds!r}; a time needs at least {LEAST_SECONDS:g} s")
    return batch, threads, seconds


def clock_of(threads: int, device: str, clocks: Clocks = MACHINE) -> Literal["processor", "wall"]:
    """The clock that counts: one thread on the CPU never waits for its own work, several threads or a device do."""
    return "processor" if threads == 1 and device == "cpu" and clocks.thread is not None else "wall"


def _runs(subject: Timed, seconds: float, wall: Callable[[], float], own: Callable[[], float] | None) -> list[TimedRun]:
    """Inferences for this many seconds, one at least."""
    found: list[TimedRun] = []
    end = wall() + seconds
    while not found or wall() < end:
        began = wall()
        own_began = own() if own else 0.0
        subject.infer()
        own_ms = 1000 * (own() - own_began) if own else None
        wall_ms = 1000 * (wall() - began)
        found.append(TimedRun(wall_ms, wall_ms if own_ms is None else own_ms))
    return found


class _Others:
    """What all processors did since it was made, beside this process."""

    def __init__(self, clocks: Clocks) -> None:
        self.clocks = clocks
        self.began, self.busy, self.own = clocks.wall(), clocks.machine(), clocks.process()

    def cores(self) -> float | None:
        """Processor time of others for each second that passed; None where the system's count cannot be right."""
        passed = self.clocks.wall() - self.began
        busy, own = self.clocks.machine() - self.busy, self.clocks.process() - self.own
        if busy < 0.5 * own:  # some containers are shown an idle machine
            return None
        return max(0.0, busy - own) / passed
