"""The processes that a launcher started, as one: the first does what was asked, the others compute what it gives out.

    torchrun ─┬─ 0: plan, folder, races, result ── training ── test, report ─┐
              ├─ 1: waits ······················── training ── waits ········├─ all return the same
              └─ 2: waits ······················── training ── waits ········┘

Where no launcher is, the processes that share a training are workers, which this one starts.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import signal
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from types import SimpleNamespace, TracebackType
from typing import Any, Generic, Self, TypeVar

from budgetnet.parallel.launcher import Launch, launch, let_speak
from budgetnet.parallel.progress import Progress, silent
from budgetnet.parallel.workers import (
    LEAST_IMAGES,
    ProcessGroup,
    Workers,
    ask_to_stop,
    computing_threads,
    cores,
    forget_stop,
    hold_stop,
    most_threads,
    process_group_for,
    report_to,
    stopping,
)

Job = TypeVar("Job")
Result = TypeVar("Result")

LONGEST_WAIT = timedelta(days=20)
"""The others wait this long for the first process, which may be racing. In milliseconds it is still a 32-bit number."""
LOST = (
    "a process of this training has ended, perhaps for want of memory; give the same command again: it goes on from "
    "the last checkpoint"
)


@dataclass(frozen=True, slots=True)
class _Work:
    """What every process is to do: a function of a module, and its argument."""

    function: Callable[[Any], Any]
    job: Any
    threads: int


@dataclass(frozen=True, slots=True)
class _End:
    """How the first process ended: with a result, or an error's kind and words."""

    result: Any = None
    error: type[BaseException] | None = None
    words: str = ""

    @staticmethod
    def of(error: BaseException) -> _End:
        """That of an error; its words alone, for many errors of libraries cannot be sent."""
        known = (ValueError, TypeError, KeyboardInterrupt)
        return _End(None, next((kind for kind in known if isinstance(error, kind)), RuntimeError), str(error))

    def value(self) -> Any:
        """The result. Raises the error."""
        if self.error is not None:
            raise self.error(self.words)
        return self.result


class Ranks:
    """The processes of a launcher, joined from here on. Use in a with statement."""

    def __init__(self, here: Launch, device: str) -> None:
        import torch

        self.here, self._device = here, device
        self._store: Any = None
        self._ours = not torch.distributed.is_initialized()  # else the user's script has joined them
        if device == "cuda":
            _take_gpu(here)
        if self._ours:
            self._store = _new_store(here)
            backend = "cpu:gloo,cuda:nccl" if device == "cuda" else "gloo"
            torch.distributed.init_process_group(backend, store=self._store, rank=here.rank, world_size=here.processes)
        self._control: Any = torch.distributed.new_group(backend="gloo", timeout=LONGEST_WAIT)
        self._failed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self.note_failure()
        # Whoever waits for us hears by it that we have gone. NCCL may wait for the others first: there our end says it.
        if kind is None or self._device == "cpu":
            self._separate()

    def _separate(self) -> None:
        import torch
        from accelerate.state import AcceleratorState

        if self._ours:
            torch.distributed.destroy_process_group()
            AcceleratorState._reset_state(reset_partial_state=True)  # pyright: ignore[reportPrivateUsage]
        else:
            torch.distributed.destroy_process_group(self._control)

    def note_failure(self) -> None:
        """Let the first process that fails say so, for the others will fail because it did."""
        if self._failed:
            return
        self._failed, first = True, self.here.rank == 0
        if self._store is not None:
            try:
                first = self._store.add("failed", 1) == 1
            except RuntimeError:  # without torchrun the first process has the store, and both may have gone
                first = self.here.rank <= 1
        let_speak(first)

    def run(self, work: _Work) -> Any:
        """In the first process: what the function returns here, once all have done it."""
        self._send(work)
        return self._do(work)

    def help(self) -> Any:
        """In the others: do what the first gives out until it ends; its result. Raises its error."""
        with hold_stop():
            while True:
                told = self._send(None)
                if isinstance(told, _End):
                    return told.value()
                self._do(told)

    def end(self, how: _End) -> None:
        """In the first process: tell the others that there is no more to do."""
        self._send(how)

    def _send(self, message: _Work | _End | None) -> _Work | _End:
        """What the first process says, in all of them."""
        import torch

        box = [message]
        with _lost_processes():
            torch.distributed.broadcast_object_list(box, src=0, group=self._control, device=torch.device("cpu"))
        assert box[0] is not None, "the first process says something"
        return box[0]

    def _do(self, work: _Work) -> Any:
        with _lost_processes(), computing_threads(work.threads):
            result = work.function(work.job)
        if stopping():
            raise KeyboardInterrupt
        return result


@functools.cache
def _launchers_store(here: Launch) -> Any:
    """Where the processes find each other. Opened once, for the first of them may be who keeps it, at one port."""
    from torch.distributed.rendezvous import rendezvous

    store, *_ = next(rendezvous("env://", here.rank, here.processes))
    return store


_times = itertools.count()


def _new_store(here: Launch) -> Any:
    """A part of it in which nothing is left of an earlier time that a script was `led`."""
    from torch.distributed import PrefixStore  # pyright: ignore[reportPrivateImportUsage]

    return PrefixStore(f"budgetnet/{next(_times)}", _launchers_store(here))


_joined: Ranks | None = None


def led(device: str, work: Callable[[], Result]) -> Result:
    """What `work` returns, in every process of a launcher: the first does it, and the others what it gives out to all.

    Where no launcher is, this process does it. Raises in all what it raises, and `RuntimeError` where a process dies.
    """
    global _joined
    here = launch()
    if here is None:
        return work()
    with _asked_to_stop_by_signals(), Ranks(here, device) as ranks:
        if here.rank > 0:
            return ranks.help()
        _joined = ranks
        try:
            with computing_threads(min(cores(), here.local_processes * most_threads())):
                result = work()
        except BaseException as error:
            ranks.note_failure()
            with contextlib.suppress(RuntimeError):  # they have ended, too
                ranks.end(_End.of(error))
            raise
        finally:
            _joined = None
        ranks.end(_End(result))
        return result


class Launched(Generic[Job, Result]):
    """The processes of a launcher, used in the first as `Workers` that are together: all run every job."""

    def __init__(
        self, ranks: Ranks, function: Callable[[Job], Result], group: ProcessGroup, progress: Progress | None = None
    ) -> None:
        self.ranks, self.function, self.group, self.progress = ranks, function, group, progress or silent

    def __enter__(self) -> Self:
        report_to(SimpleNamespace(put=self.progress))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        report_to(None)

    def run(self, jobs: Sequence[Job], on_result: Callable[[Job, Result], None] | None = None) -> list[Result]:
        """Results in the order of the jobs; `on_result` is called with each. `RuntimeError` when a process dies."""
        results: list[Result] = []
        for job in jobs:
            results.append(self.ranks.run(_Work(self.function, job, self.group.threads)))
            if on_result:
                on_result(job, results[-1])
        return results


def together(
    function: Callable[[Job], Result], group: ProcessGroup, device: str, progress: Progress | None = None
) -> Workers[Job, Result] | Launched[Job, Result]:
    """All processes of a group at the same job: those of the launcher, where one is, else workers of this machine."""
    if _joined is not None:
        return Launched(_joined, function, group, progress)
    return Workers(function, group.processes, device, True, progress, group.threads)


def group_here(planned: ProcessGroup, device: str, batch: int) -> ProcessGroup:
    """The group that a training with this batch goes on with: as planned, unless a launcher started another count.

    Raises a one-line `ValueError` where these cannot have equal parts of the batch.
    """
    here = launch()
    if here is None or here.processes == planned.processes:
        return planned
    group = process_group_for(device, batch)
    if group.equal_batch(batch) != batch:
        counts = [str(count) for count in range(2, batch) if not batch % count and batch // count >= LEAST_IMAGES]
        raise ValueError(
            f"this run has batches of {batch} images, of which {here.processes} processes have no equal parts; start "
            f"{', '.join(counts) or 'one'}"
        )
    warnings.warn(
        f"a training that was planned for {planned.processes} processes goes on with {here.processes}: to other bits, "
        "and in another time",
        stacklevel=2,
    )
    return group


def _take_gpu(here: Launch) -> None:
    """The GPU of this process. Raises a one-line `ValueError` where the machine has fewer than processes."""
    import torch

    count = torch.cuda.device_count()
    if here.local_processes > count:
        raise ValueError(
            f"the launcher started {here.local_processes} processes on a machine of {count} GPUs; start one for each "
            f"(torchrun --nproc-per-node {count})"
        )
    torch.cuda.set_device(here.local_rank)


@contextlib.contextmanager
def _lost_processes() -> Iterator[None]:
    """What torch says of a process that has gone, in a line."""
    import torch

    try:
        yield
    except RuntimeError as error:
        if isinstance(error, torch.distributed.DistError) or "gloo" in str(error).lower():
            raise RuntimeError(LOST) from error
        raise


@contextlib.contextmanager
def _asked_to_stop_by_signals() -> Iterator[None]:
    """A launcher's SIGTERM and a terminal's Ctrl-C ask to stop: a training saves first, other work ends at once."""
    if threading.current_thread() is not threading.main_thread():  # no other may listen to signals
        yield
        return
    before = {number: signal.signal(number, ask_to_stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        forget_stop()
