"""How fast networks and exported files are on this machine, in turns."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from budgetnet.answers.source import check_processor
from budgetnet.arguments import of_kind
from budgetnet.costs.latency import TimedBy, TimedDType
from budgetnet.inspect.turns import MACHINE, Clocks, Measurement, Timed, checked, clock_of, measurement, turns
from budgetnet.model.hub_folder import HUB
from budgetnet.networks import Network, choose
from budgetnet.parallel.progress import Progress
from budgetnet.runs.run import device_of, load_run
from budgetnet.ship.answering import timed_file
from budgetnet.ship.exported import Format, NumberType
from budgetnet.ship.formats import ROWS, format_of, opener

if TYPE_CHECKING:
    from budgetnet.model.build import Model

DEVICES = ("cpu", "cuda", "mps")
"""A time is that of a device which is named: none is chosen by itself."""


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
    runtime: TimedBy = "torch",
    dtype: TimedDType = "float32",
) -> Measurement:
    """How fast a network or an exported file is on this machine. Weights do not matter.

    In torch the model computes in evaluation mode, in float32 and channels_last, with BatchNorm folded, as it is
    deployed. In another runtime it is the file that `export` would write, with drawn weights, from plain pixels to
    logits, one image on one thread. A file that `export` wrote is run so by its own runtime, without torch. Reading and
    preparing images is not in the time.

    Other programs only ever add to a time, so the lower decile of the runs counts. With one thread on the CPU each run
    is timed by the thread's own clock, which stands still while the thread waits for a core.

    Args:
        network: A `Network`, a model that `build` gives, the path of a file that `export` wrote, or that of a run or of
            weights, whose network is then measured.
        batch: Images at once; 1 but in torch.
        threads: Computing threads, at most as many as there are cores; 1 but in torch.
        seconds: How long it is timed: a number of seconds from 0.5 on, or text such as "2s". A slow network has 10 runs
            in any case.
        device: "cpu", "cuda" or "mps"; "cpu" but in torch.
        runtime: What runs a network: "torch", "onnxruntime", "openvino" or "tflite" (LiteRT).
        dtype: The numbers that it computes with: "float32", or "int8" but in torch.

    Returns:
        The time by itself, the median and quartiles as the runs were, and how much other programs disturbed them.
        Without times where two halves of the runs differ more than 1.5 times.

    Raises:
        ValueError: The device is not there, there are more threads than cores, a value is too small, the path leads to
            no exported file and no weights, or the runtime is not installed or does not have such numbers.
        TypeError: The network has another type.

    Example:
        >>> import budgetnet
        >>> net = budgetnet.network("mobilenet_v3_small", classes=10, resolution_px=32)
        >>> measured = budgetnet.measure(net, seconds=0.5)
        >>> measured.runs >= 10, measured.alone == (measured.disturbance is None)
        (True, True)
    """
    return measure_each([network], batch, threads, seconds, device, [runtime], dtype)[0].measurement


def measure_each(
    subjects: Sequence[Network | Model | str | Path],
    batch: int = 1,
    threads: int = 1,
    seconds: float = 1.0,
    device: str = "cpu",
    runtimes: Sequence[TimedBy] = ("torch",),
    dtype: TimedDType = "float32",
    progress: Progress | None = None,
    clocks: Clocks = MACHINE,
) -> tuple[Measured, ...]:
    """As `measure`, of several that take turns, a network once in each runtime; `seconds` is for each.

    Others are watched over all of it, so all have the same `others_cores`.
    """
    batch, threads, seconds = checked(batch, threads, seconds)
    choose("device", device, DEVICES)
    with contextlib.ExitStack() as stack:
        opened = [
            one
            for subject in subjects
            for one in _opened(subject, _Computing(batch, threads, device, dtype), runtimes, stack)
        ]
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


@dataclass(frozen=True, slots=True)
class _Computing:
    """How it is computed."""

    batch: int
    threads: int
    device: str
    dtype: TimedDType

    def check_single(self, what: str) -> None:
        """Raise a one-line `ValueError` unless it is one image on one thread of the processor."""
        check_processor(what, self.device)
        for name, value in (("batch", self.batch), ("threads", self.threads)):
            if value != 1:
                raise ValueError(f"{name} is {value}, and {what} is timed with one image on one thread")


def _opened(
    subject: Network | Model | str | Path,
    computing: _Computing,
    runtimes: Sequence[TimedBy],
    stack: contextlib.ExitStack,
) -> list[_Opened]:
    """Ready to be timed, until the stack closes. torch is loaded for networks and weights alone."""
    if isinstance(subject, str | os.PathLike):
        to = format_of(Path(subject))
        if to is not None:
            return [_opened_file(subject, to, computing)]
        if not (Path(subject).exists() or str(subject).startswith(HUB)):
            raise ValueError(
                f"network is {str(subject)!r}, and there is no such file; give a Network, an exported file or weights"
            )
        subject = load_run(subject).network
    from budgetnet.model.build import Model

    of_kind("network", subject, (Network, Model), "a Network, a Model that budgetnet.build makes or an exported file")
    return [_opened_in(runtime, subject, computing, stack) for runtime in runtimes]


def _opened_in(
    runtime: TimedBy, subject: Network | Model, computing: _Computing, stack: contextlib.ExitStack
) -> _Opened:
    from budgetnet.inspect.latency import at_work
    from budgetnet.ship.untrained import RUNTIMES, check_runtime, timed_network, words

    choose("runtime", runtime, RUNTIMES)
    choose("dtype", computing.dtype, get_args(TimedDType))
    check_runtime(runtime, computing.dtype)
    network = subject if isinstance(subject, Network) else subject.network
    if runtime == "torch":
        device_of(computing.device)
        (timed,) = stack.enter_context(at_work([subject], computing.batch, computing.threads, computing.device))
    else:
        computing.check_single(f"a network in {words(runtime)}")
        timed = timed_network(network, runtime, computing.dtype, stack)
    return _Opened(network.name, network, words(runtime), computing.dtype, timed)


def _opened_file(file: str | Path, to: Format, computing: _Computing) -> _Opened:
    computing.check_single(f"the exported file {file}")
    runner = opener(to)(Path(file), False)
    return _Opened(str(file), runner.notes.network, ROWS[to].runtime, runner.dtype, timed_file(str(file), runner))
