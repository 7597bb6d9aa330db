"""Processes that train: pinned to their cores, or one a GPU, apart or together.

Apart, each takes the next job (trials of a race, one thread each). Together, all take the same job and
share its batches, as under torchrun. A worker ends within a second of its parent's death, however that came.
"""

from __future__ import annotations

import contextlib
import math
import multiprocessing
import os
import signal
import socket
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import spawn
from multiprocessing.context import SpawnContext, SpawnProcess
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, NoReturn, Self, TypeVar

from budgetnet.codec import PositiveInt
from budgetnet.parallel import launcher
from budgetnet.parallel.progress import Progress, Update, silent

Job = TypeVar("Job")
Result = TypeVar("Result")

STOP_SECONDS = 20.0
"""A worker that is asked to stop has this time, which is enough for a step and a checkpoint."""
LISTEN_SECONDS = 2.0
"""The last words of workers are waited for this long. One that was killed in the middle of a word leaves the queue
locked for ever."""
LEAST_IMAGES = 8
"""Each process that shares a step has at least this many of its images: fewer make BatchNorm's statistics useless."""
MANY_THREADS = 10**6

_reports: Any = None
OWN = Path(__file__).parents[1]
_asked_to_stop = threading.Event()
_stop_is_held = threading.Event()


def report(update: Update) -> None:
    """Tell the parent how far this worker is; in a process that is not a worker, tell nobody."""
    if _reports is not None:
        _reports.put(update)


def report_to(reports: Any) -> None:
    """In a worker that another executor started: say how far it is by `reports.put`."""
    global _reports
    _reports = reports


@contextlib.contextmanager
def hold_stop() -> Iterator[None]:
    """Work in here sees to its own end when `stopping`; elsewhere a worker that is asked to stop just ends."""
    if _stop_is_held.is_set():
        yield
        return
    _stop_is_held.set()
    try:
        yield
    finally:
        _stop_is_held.clear()


@contextlib.contextmanager
def computing_threads(count: int) -> Iterator[None]:
    """So many threads compute in here."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def stopping() -> bool:
    """Whether this worker was asked to save what it has and end."""
    return _asked_to_stop.is_set()


def ask_to_stop(signal_number: int, frame: object) -> None:
    """A signal to a process that is no worker: `stopping` from now on, or else `KeyboardInterrupt`, but only once."""
    again = _asked_to_stop.is_set()
    _asked_to_stop.set()
    if not again and not _stop_is_held.is_set():
        raise KeyboardInterrupt


def forget_stop() -> None:
    """Nobody has asked this process to stop."""
    _asked_to_stop.clear()


def leave() -> NoReturn:
    """End this process, which was asked to stop and has saved what it has. A worker's parent has gone on without it."""
    if multiprocessing.parent_process() is None:
        raise KeyboardInterrupt
    os._exit(0)


def _on_stop(signal_number: int, frame: object) -> None:
    _asked_to_stop.set()
    if not _stop_is_held.is_set():
        os._exit(0)


def cores() -> int:
    """Cores that this process may use: those it may run on, or fewer where a container's quota is less."""
    return max(1, int(min(_affinity(), _quota_cores())))


def _affinity() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _quota_cores(groups: Path = Path("/proc/self/cgroup"), root: Path = Path("/sys/fs/cgroup")) -> float:
    """The tightest cpu.max of this process's control groups (version 2), in cores; infinite without one."""
    try:
        lines = groups.read_text().splitlines()
    except OSError:  # not Linux
        return math.inf
    inner = next((line.removeprefix("0::").strip("/") for line in lines if line.startswith("0::")), "")
    limits = [math.inf]
    for group in (root / inner, *(root / inner).parents):
        file = group / "cpu.max"
        if group.is_relative_to(root) and file.is_file():
            quota, period = file.read_text().split()
            limits.append(math.inf if quota == "max" else int(quota) / int(period))
    return min(limits)


def workers_for(device: str, machine_cores: int | None = None) -> int:
    """How many workers a device feeds: one a core (`machine_cores`, this machine's unless given), one a GPU."""
    if device == "cpu":
        return machine_cores or cores()
    import torch

    return max(1, torch.cuda.device_count()) if device == "cuda" else 1


@dataclass(frozen=True, slots=True)
class ProcessGroup:
    """The processes that share the steps of one training, and the threads of each. Its bits depend on both."""

    processes: PositiveInt
    threads: PositiveInt

    def equal_batch(self, batch: int) -> int:
        """The largest batch up to this one of which every process has the same part."""
        return batch // self.processes * self.processes


def process_group_for(device: str, batch: int, machine_cores: int | None = None) -> ProcessGroup:
    """The process group for batches of this size: one process a worker, unless that leaves any less than 8 images.

    The cores that are left over (of `machine_cores`, this machine's unless given) become threads of each, at most as
    many as OMP_NUM_THREADS says. Under a launcher it is all of its processes. Raises a one-line `ValueError` where
    these are too many for the batch.
    """
    here = machine_cores or cores()
    if (launch := launcher.launch()) is not None:
        if launch.processes > batch // LEAST_IMAGES:
            raise ValueError(
                f"a launcher started {launch.processes} processes for batches of {batch} images, and each needs "
                f"{LEAST_IMAGES} of them at least; start {max(1, batch // LEAST_IMAGES)} or fewer"
            )
        return ProcessGroup(launch.processes, min(max(1, here // launch.local_processes), most_threads()))
    processes = min(workers_for(device, here), max(1, batch // LEAST_IMAGES))
    return ProcessGroup(processes, min(max(1, here // processes), most_threads()))


def most_threads() -> int:
    """Computing threads of one process that the user allows by OMP_NUM_THREADS; any number where it says none.

    Its first number, as OpenMP has it. Raises a one-line `ValueError` for what is none.
    """
    given = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    if not given:
        return MANY_THREADS
    if not given.isdecimal() or int(given) < 1:
        raise ValueError(f"OMP_NUM_THREADS is {given!r}; give a whole number of threads above 0, or unset it")
    return int(given)


_starting = threading.local()
_preparation_data = spawn.get_preparation_data


def _without_script(name: str) -> dict[str, Any]:
    """What a new process is told of its parent; one of ours is not told which script that ran."""
    preparation = _preparation_data(name)
    if getattr(_starting, "one_of_ours", False):
        preparation = {key: value for key, value in preparation.items() if not key.startswith("init_main_from_")}
    return preparation


spawn.get_preparation_data = _without_script


class _Process(SpawnProcess):
    """A process that runs nothing but what it is given.

    A spawned process first runs the script that its parent was started with, in case its work is defined there. So a
    script without `if __name__ == "__main__":` starts itself again and again. Our work is defined in our modules.
    """

    @staticmethod
    def _Popen(process_obj: Any) -> Any:
        _starting.one_of_ours = True
        try:
            return SpawnProcess._Popen(process_obj)  # type: ignore[attr-defined]
        finally:
            _starting.one_of_ours = False


class _Context(SpawnContext):
    Process = _Process  # type: ignore[assignment]


class Workers(Generic[Job, Result]):
    """`count` processes that run one module-level function on jobs. Use in a with statement.

    On the CPU each has `threads` threads and as many cores of its own, where there are enough.
    """

    def __init__(
        self,
        function: Callable[[Job], Result],
        count: int,
        device: str = "cpu",
        data_parallel: bool = False,
        progress: Progress | None = None,
        threads: int = 1,
    ) -> None:
        self.function = function
        self.count = count
        self.data_parallel = data_parallel
        self.progress = progress or silent
        context = _Context() if function.__module__ != "__main__" else multiprocessing.get_context("spawn")
        self._ranks: Any = context.Queue()
        self._updates: Any = context.Queue()
        for rank in range(count):
            self._ranks.put(rank)
        port = _free_port() if data_parallel else None
        setup = (self._ranks, self._updates, ProcessGroup(count, threads), device, port)
        self._pool = ProcessPoolExecutor(count, context, initializer=_begin, initargs=setup)
        self._listener = threading.Thread(target=self._listen, daemon=True)

    def __enter__(self) -> Self:
        self._listener.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._stop()
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._updates.cancel_join_thread()
        self._updates.put(None)
        self._listener.join(LISTEN_SECONDS)

    def run(self, jobs: Sequence[Job], on_result: Callable[[Job, Result], None] | None = None) -> list[Result]:
        """Results in the order of the jobs; `on_result` is called in this thread as each comes in.

        Together, every worker runs every job, and the first result that is not None counts. Raises what a job
        raised as soon as it does, and `RuntimeError` when a worker dies (most often: out of memory).
        """
        copies = self.count if self.data_parallel else 1
        futures: dict[Future[Result], int] = {}
        answers: list[list[Result]] = [[] for _ in jobs]
        try:
            for index, job in enumerate(jobs):
                futures |= {self._pool.submit(self.function, job): index for _ in range(copies)}
            # Not in the order of submission: one that failed may be what the one before it waits for.
            for future in as_completed(futures):
                index = futures[future]
                answers[index].append(future.result())
                if on_result and len(answers[index]) == copies:
                    on_result(jobs[index], _answer(answers[index]))
            return [_answer(group) for group in answers]
        except BrokenProcessPool as error:
            raise RuntimeError(
                "a training process died, perhaps for want of memory; run the same command again"
            ) from error
        except BaseException:
            for future in futures:
                future.cancel()
            raise

    def _stop(self) -> None:
        """Ask the workers to save and end; whoever does not in time is killed, and goes on from its last checkpoint."""
        processes = list(self._pool._processes.values())
        for process in processes:
            process.terminate()
        deadline = time.monotonic() + STOP_SECONDS
        for process in processes:
            process.join(max(0.0, deadline - time.monotonic()))
            process.kill()

    def _listen(self) -> None:
        while (update := self._updates.get()) is not None:
            self.progress(update)


def _answer(answers: Sequence[Result]) -> Result:
    return next(answer for answer in answers if answer is not None)


def _begin(ranks: Any, updates: Any, group: ProcessGroup, device: str, port: int | None) -> None:
    """Set a new worker up: its cores, its threads, its place among the others."""
    global _reports
    _reports = updates
    updates.cancel_join_thread()  # words that nobody hears any more must not keep us from ending
    rank = ranks.get()
    warnings.showwarning = _warned
    for name in launcher.NAMES:
        os.environ.pop(name, None)
    # Ctrl-C in a terminal reaches every process; the parent alone decides, and tells us by SIGTERM.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _on_stop)
    threading.Thread(target=_die_with_parent, daemon=True).start()
    # Before torch is loaded: threads that wait give their core to others. Spinning ones take it from whoever works, and
    # beside other programs that made a training several times slower (docs/lab-log.md).
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if device == "cpu":
        os.environ["OMP_NUM_THREADS"] = str(group.threads)
        _pin(rank, group)
    if port is not None and group.processes > 1:
        os.environ |= {
            "RANK": str(rank),
            "LOCAL_RANK": str(rank),
            "WORLD_SIZE": str(group.processes),
            "LOCAL_WORLD_SIZE": str(group.processes),
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
        }
    elif device == "cuda":
        given = os.environ.get("CUDA_VISIBLE_DEVICES", "")
        os.environ["CUDA_VISIBLE_DEVICES"] = given.split(",")[rank] if given else str(rank)


def _warned(message: Warning | str, category: type[Warning], filename: str, *more: object) -> None:
    """In a worker: what we warn of is one plain line; what libraries tell their developers is nobody's to read here."""
    if category is UserWarning and Path(filename).is_relative_to(OWN):
        print(f"budgetnet: {' '.join(str(message).split())}", file=sys.stderr, flush=True)


def _pin(rank: int, group: ProcessGroup) -> None:
    """Cores of our own, where there are enough for all; under a quota any core may be the one that is left."""
    import torch

    if hasattr(os, "sched_setaffinity") and group.processes * group.threads <= cores() == _affinity():
        own_cores = sorted(os.sched_getaffinity(0))[rank * group.threads : (rank + 1) * group.threads]
        with contextlib.suppress(OSError):  # a container may forbid it: then the system places us
            os.sched_setaffinity(0, own_cores)
    torch.set_num_threads(group.threads)


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None, "a worker is started by another process"
    # Windows keeps the number of a parent that is gone; elsewhere a fork of the parent may keep its pipe open.
    while os.getppid() == parent.pid and parent.is_alive():
        parent.join(0.5)
    os._exit(1)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
