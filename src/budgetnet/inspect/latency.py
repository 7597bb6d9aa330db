"""This machine's speed: milliseconds of an inference, and whether anything else ran beside it.

A time that was taken beside other work says nothing about the network, so then there is none.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from budgetnet import arguments
from budgetnet.arguments import integer, of_kind
from budgetnet.codec import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt
from budgetnet.model.build import Model, build
from budgetnet.model.deployed import deployed
from budgetnet.networks import Network
from budgetnet.parallel.progress import Progress, Update, silent
from budgetnet.parallel.workers import cores
from budgetnet.runs.run import check_device

ROUNDS = 5
"""How many turns each network has, one network after another, so that a slow minute of the machine is shared by all."""
WARM_UP_RUNS = 3
LEAST_SECONDS = 0.5
"""The least time of a measurement: the system counts processor time in hundredths of a second, so with less the work of
others could not be told from its rounding."""
OTHERS_CORES = 0.05
"""How many cores other processes may take before the machine counts as busy."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """How long one inference of `batch` images takes on this machine.

    The times are None where other programs worked beside it: a time that was taken beside other work says nothing about
    the network.

    Attributes:
        latency_ms: The median in milliseconds, of a whole batch.
        low_ms: The lower quartile.
        high_ms: The upper quartile.
        runs: How many inferences were timed.
        batch: Images at once.
        threads: Computing threads.
        device: Where it was computed.
        alone: Whether other processes took at most 0.05 cores.
        others_cores: The processor time that they took, in cores; None where the system does not say.
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

    @property
    def image_ms(self) -> float | None:
        """Milliseconds of one image of the batch."""
        return None if self.latency_ms is None else self.latency_ms / self.batch

    @property
    def disturbance(self) -> str | None:
        """Why there is no time, in words; None where there is one."""
        if self.alone:
            return None
        if self.others_cores is None:
            return "this system does not say what else ran"
        return f"other programs took {100 * self.others_cores:.0f} % of a core"


def measure(
    network: Network | Model, batch: int = 1, threads: int = 1, seconds: float = 1.0, device: str = "cpu"
) -> Measurement:
    """How fast a network is on this machine now. Its weights do not matter.

    The model computes in evaluation mode, in float32 and channels_last, with BatchNorm folded, as it is deployed.
    Reading and preparing images is not in the time.

    Args:
        network: A `Network`, or a model that `build` gives.
        batch: Images at once.
        threads: Computing threads, at most as many as there are cores.
        seconds: How long it is timed: a number of seconds from 0.5 on, or text such as "2s".
        device: "cpu", "cuda" or "mps".

    Returns:
        Median and quartiles; without times where other programs ran beside it.

    Raises:
        ValueError: The device is not there, there are more threads than cores, or a value is too small.
        TypeError: The network has another type.

    Example:
        >>> import budgetnet
        >>> net = budgetnet.network("mobilenet_v3_small", classes=10, resolution_px=32)
        >>> measured = budgetnet.measure(net, seconds=0.5)
        >>> measured.runs > 0, (measured.latency_ms is None) != measured.alone
        (True, True)
    """
    of_kind("network", network, (Network, Model), "a Network or a Model that budgetnet.build makes")
    return measure_each([network], batch, threads, seconds, device)[0]


def measure_each(
    networks: Sequence[Network | Model],
    batch: int = 1,
    threads: int = 1,
    seconds: float = 1.0,
    device: str = "cpu",
    progress: Progress | None = None,
) -> tuple[Measurement, ...]:
    """As `measure`, of several networks that take turns; `seconds` is for each.

    Others are watched over all of it, so either every network gets its times or none does.
    """
    batch, threads, seconds = _checked(batch, threads, seconds, device)
    tell = progress or silent
    with _threads(threads), torch.inference_mode():
        subjects = [_Subject(network, batch, device) for network in networks]
        for subject in subjects:
            subject.run(0.0, WARM_UP_RUNS)
            subject.times_ms.clear()
        callback = _Watch()
        for turn in range(ROUNDS):
            for place, subject in enumerate(subjects):
                subject.run(seconds / ROUNDS)
                tell(Update("measure", turn * len(subjects) + place + 1, ROUNDS * len(subjects), subject.name))
        others = callback.others_cores()
    return tuple(_measurement(subject, batch, threads, device, others) for subject in subjects)


def _checked(batch: int, threads: int, seconds: float, device: str) -> tuple[int, int, float]:
    batch, threads = integer("batch", batch), integer("threads", threads)
    if threads > cores():
        raise ValueError(f"threads is {threads}, but there are {cores()} cores here; more threads than cores only wait")
    seconds = arguments.seconds("seconds", seconds)
    if seconds < LEAST_SECONDS:
        raise ValueError(f"seconds is {seconds!r}; a time needs at least {LEAST_SECONDS:g} s")
    check_device(device)
    return batch, threads, seconds


@contextlib.contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class _Subject:
    """A network at work: its model, its input and the times that were taken."""

    def __init__(self, network: Network | Model, batch: int, device: str) -> None:
        model = network if isinstance(network, Model) else build(network, seed=0)
        self.name = model.network.name
        self.device = device
        self.model = deployed(model).to(device)
        shape = (batch, model.network.in_channels, *model.network.resolution_px)
        drawn = torch.randn(shape, generator=torch.Generator().manual_seed(0))
        self.images = drawn.to(device, memory_format=torch.channels_last)
        self.times_ms: list[float] = []

    def run(self, seconds: float, at_least: int = 2) -> None:
        """Inferences for so many seconds."""
        end = time.perf_counter() + seconds
        count = 0
        while count < at_least or time.perf_counter() < end:
            before = time.perf_counter()
            self.model(self.images)
            if self.device != "cpu":
                torch.accelerator.synchronize()
            self.times_ms.append(1000 * (time.perf_counter() - before))
            count += 1


class _Watch:
    """What all processors did since it was made, beside this process."""

    def __init__(self) -> None:
        self.began = time.perf_counter()
        self.busy, self.own = _busy_seconds(), time.process_time()

    def others_cores(self) -> float | None:
        """Processor time of others for each second that passed; None where the system's count cannot be right."""
        passed = time.perf_counter() - self.began
        busy, own = _busy_seconds() - self.busy, time.process_time() - self.own
        if busy < 0.5 * own:  # some containers are shown an idle machine
            return None
        return max(0.0, busy - own) / passed


def _busy_seconds() -> float:
    """Processor time of all cores since the machine started, time that a hypervisor took included."""
    import psutil

    row = psutil.cpu_times()._asdict()
    # A guest's time is in the user's already.
    return sum(value for name, value in row.items() if name not in ("idle", "iowait", "guest", "guest_nice"))


def _measurement(subject: _Subject, batch: int, threads: int, device: str, others: float | None) -> Measurement:
    alone = others is not None and others <= OTHERS_CORES
    low, middle, high = (float(value) for value in np.percentile(subject.times_ms, (25, 50, 75)))
    times = (middle, low, high) if alone else (None, None, None)
    return Measurement(*times, len(subject.times_ms), batch, threads, device, alone, others)
