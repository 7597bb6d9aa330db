"""How fast networks and exported files are on this machine, in turns."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from budgetnet.answers.source import DEVICES, check_processor
from budgetnet.arguments import of_kind
from budgetnet.inspect.turns import MACHINE, Clocks, Measurement, Timed, checked, clock_of, measurement, turns
from budgetnet.networks import Network, choose
from budgetnet.parallel.progress import Progress
from budgetnet.runs.run import check_device
from budgetnet.ship.answering import timed_file
from budgetnet.ship.exported import NumberType
from budgetnet.ship.formats import ROWS, format_of, opener

if TYPE_CHECKING:
    from budgetnet.model.build import Model


@dataclass(frozen=True, slots=True)
class Measured:
    """A network or an exported file, and how long its inference takes here.

    `runtime` is what ran it, `dtype` the numbers that it computed with.
    """

    name: str
    network: Network
    runtime: str
    dtype: NumberType
    measurement: Measurement


def measure(
    network: Network | Model | str | Path,
    batch: int = 1,
    threads: int = 1,
    seconds: float = 1.0,
    device: str = "cpu",
) -> Measurement:
    """How fast a network or an exported file is on this machine. Weights do not matter.

    The model computes in evaluation mode, in float32 and channels_last, with BatchNorm folded, as it is deployed.
    A file that `export` wrote is run by its own runtime, from plain pixels to logits, one image on one thread, without
    torch. Reading and preparing images is not in the time.

    Other programs only ever add to a time, so the lower decile of the runs counts. With one thread on the CPU each run
    is timed by the thread's own clock, which stands still while the thread waits for a core.

    Args:
        network: A `Network`, a model that `build` gives, or the path of a file that `export` wrote.
        batch: Images at once; 1 for an exported file.
        threads: Computing threads, at most as many as there are cores; 1 for an exported file.
        seconds: How long it is timed: a number of seconds from 0.5 on, or text such as "2s". A slow network has 10 runs
            in any case.
        device: "cpu", "cuda" or "mps"; "cpu" for an exported file.

    Returns:
        The time by itself, the median and quartiles as the runs were, and how much other programs disturbed them.
        Without times where two halves of the runs differ more than 1.5 times.

    Raises:
        ValueError: The device is not there, there are more threads than cores, a value is too small, or the path leads
            to no exported file.
        TypeError: The network has another type.

    Example:
        >>> import budgetnet
        >>> net = budgetnet.network("mobilenet_v3_small", classes=10, resolution_px=32)
        >>> measured = budgetnet.measure(net, seconds=0.5)
        >>> measured.runs >= 10, measured.alone == (measured.disturbance is None)
        (True, True)
    """
    return measure_each([network], batch, threads, seconds, device)[0].measurement


def measure_each(
    subjects: Sequence[Network | Model | str | Path],
    batch: int = 1,
    threads: int = 1,
    seconds: float = 1.0,
    device: str = "cpu",
    progress: Progress | None = None,
    clocks: Clocks = MACHINE,
) -> tuple[Measured, ...]:
    """As `measure`, of several that take turns; `seconds` is for each.

    Others are watched over all of it, so all have the same `others_cores`.
    """
    batch, threads, seconds = checked(batch, threads, seconds)
    choose("device", device, DEVICES)
    with contextlib.ExitStack() as stack:
        opened = [_opened(subject, batch, threads, device, stack) for subject in subjects]
        clock = clock_of(threads, device, clocks)
        rounds, others = turns([one.timed for one in opened], seconds, clock, progress, clocks)
    found = [measurement(runs, batch, threads, device, clock, others) for runs in rounds]
    return tuple(
        Measured(one.name, one.network, one.runtime, one.dtype, row) for one, row in zip(opened, found, strict=True)
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Opened:
    """A network or a file that is ready to be timed."""

    name: str
    network: Network
    runtime: str
    dtype: NumberType
    timed: Timed


def _opened(
    subject: Network | Model | str | Path, batch: int, threads: int, device: str, stack: contextlib.ExitStack
) -> _Opened:
    """Ready to be timed, until the stack closes. torch is loaded for networks alone."""
    if isinstance(subject, str | os.PathLike):
        return _opened_file(subject, batch, threads, device)
    from budgetnet.inspect.latency import at_work
    from budgetnet.model.build import Model

    of_kind("network", subject, (Network, Model), "a Network, a Model that budgetnet.build makes or an exported file")
    check_device(device)
    (timed,) = stack.enter_context(at_work([subject], batch, threads, device))
    network = subject if isinstance(subject, Network) else subject.network
    return _Opened(network.name, network, "torch", "float32", timed)


def _opened_file(file: str | Path, batch: int, threads: int, device: str) -> _Opened:
    to = format_of(Path(file))
    if to is None:
        raise ValueError(f"{file} is no file that budgetnet exported; give one, or a network")
    check_processor(file, device)
    for name, value in (("batch", batch), ("threads", threads)):
        if value != 1:
            raise ValueError(f"{name} is {value}, and the exported file {file} is timed with one image on one thread")
    runner = opener(to)(Path(file), False)
    return _Opened(str(file), runner.notes.network, ROWS[to].runtime, runner.dtype, timed_file(str(file), runner))
