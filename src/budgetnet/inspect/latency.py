"""How fast networks are on this machine, in torch: as they are deployed, with BatchNorm folded and channels last."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

import torch

from budgetnet.inspect.turns import MACHINE, Clocks, Measurement, Rounds, Timed, checked, clock_of, measurement, turns
from budgetnet.model.build import Model, build
from budgetnet.model.deployed import deployed
from budgetnet.networks import Network
from budgetnet.parallel.progress import Progress
from budgetnet.parallel.workers import computing_threads
from budgetnet.runs.run import device_of


def measure_each(
    networks: Sequence[Network | Model],
    batch: int = 1,
    threads: int = 1,
    seconds: float = 1.0,
    device: str = "cpu",
    progress: Progress | None = None,
    clocks: Clocks = MACHINE,
) -> tuple[Measurement, ...]:
    """How fast networks are on this machine, in turns; `seconds` is for each. Their weights do not matter.

    Others are watched over all of it, so all networks have the same `others_cores`.
    """
    batch, threads, seconds = checked(batch, threads, seconds)
    device = device_of(device)
    rounds, others = timed_rounds(networks, batch, threads, seconds, device, progress, clocks)
    clock = clock_of(threads, device, clocks)
    return tuple(measurement(row, batch, threads, device, clock, others) for row in rounds)


def timed_rounds(
    networks: Sequence[Network | Model],
    batch: int,
    threads: int,
    seconds: float,
    device: str,
    progress: Progress | None = None,
    clocks: Clocks = MACHINE,
) -> tuple[list[Rounds], float | None]:
    """Each network's runs, and the cores that other programs took; None where the system does not say."""
    with at_work(networks, batch, threads, device) as subjects:
        return turns(subjects, seconds, clock_of(threads, device, clocks), progress, clocks)


@contextlib.contextmanager
def at_work(networks: Sequence[Network | Model], batch: int, threads: int, device: str) -> Iterator[list[Timed]]:
    """Networks that can be timed, by so many threads."""
    with computing_threads(threads):
        subjects = [_Subject(network, batch, device) for network in networks]
        yield [Timed(subject.name, subject.infer) for subject in subjects]


class _Subject:
    """A network at work: its model and its input."""

    def __init__(self, network: Network | Model, batch: int, device: str) -> None:
        model = network if isinstance(network, Model) else build(network, seed=0)
        self.name = model.network.name
        self.device = device
        self.model = deployed(model).to(device)
        shape = (batch, model.network.in_channels, *model.network.resolution_px)
        drawn = torch.randn(shape, generator=torch.Generator().manual_seed(0))
        self.images = drawn.to(device, memory_format=torch.channels_last)

    @torch.inference_mode()
    def infer(self) -> None:
        """One inference, to its end. The mode is no wider, for what is exported beside it must not be in it."""
        self.model(self.images)
        if self.device != "cpu":
            torch.accelerator.synchronize()
