"""A job that runs on another machine: what goes with it, and what comes back. No shared file system is assumed.

A worker there is a pure function: images, files and a job in, the result and files out. It works in a folder of its own
that nobody sees, and only the process that asked writes into the run's.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Generic, TypeVar

from budgetnet.atomic_write import written_aside
from budgetnet.data.packed import Packed, unpacked
from budgetnet.runs.run import append_event, read_events
from budgetnet.training.job import Job as AnyJob
from budgetnet.training.job import lend

EVENTS = "events.jsonl"
LOCK = ".lock"
KEEP_SECONDS = 120.0
"""Of a training, what a lost node costs at most: five hundred trainings send a checkpoint of 100 MB each meanwhile."""
Fetch = Callable[[Any], Any]
"""A reference -> what it stands for."""


Job = TypeVar("Job", bound=AnyJob)
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Images:
    """The images of a run: their fingerprint, a reference to their `ImageSet`, and to the pieces of their pixels."""

    fingerprint: str
    packed: Packed
    images: Any
    pieces: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Parcel(Generic[Job]):
    """A job with all that it needs. `files`: path in the run's folder -> (a stamp that changes with it, reference)."""

    job: Job
    images: Images
    files: Mapping[str, tuple[str, Any]]
    leaves: tuple[str, ...]
    keeps: tuple[str, ...]
    device: str
    threads: int


@dataclass(frozen=True, slots=True)
class Kept:
    """A file of a job that is still at work, by its path in the run's folder."""

    name: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Reply(Generic[Result]):
    """What came of it: the result, the files that it left in their order, the events of its training."""

    result: Result
    files: Mapping[str, bytes]
    events: tuple[Mapping[str, Any], ...]


def parcel_of(
    job: Job, images: Images, refer: Callable[[Path], tuple[str, Any]], device: str, threads: int
) -> Parcel[Job]:
    """The parcel of a job; `refer` gives a file's stamp and a reference to its bytes."""
    run, files = run_of(job), job.files
    there = [path for path in (*files.reads, *files.checkpoints, *files.leaves) if path.exists()]
    reads = {str(path.relative_to(run)): refer(path) for path in there}
    keeps = tuple(str(path.relative_to(run)) for path in files.checkpoints)
    leaves = (*keeps, *(str(path.relative_to(run)) for path in files.leaves))
    return Parcel(job, images, reads, leaves, keeps, device, threads)


def run_of(job: AnyJob) -> Path:
    """The run's folder of a job."""
    return Path(job.context.folder).parent


def stamp_of(path: Path) -> str:
    """Of a file: another one once it is another file."""
    status = path.stat()
    return f"{status.st_ino} {status.st_size} {status.st_mtime_ns}"


def carry_out(
    function: Callable[[Job], Result], fetch: Fetch, say: Callable[[Kept], None], parcel: Parcel[Job]
) -> Reply[Result]:
    """On a worker: unpack, do the job in a folder of this process, pack what it left; `say` checkpoints meanwhile."""
    import torch

    torch.set_num_threads(parcel.threads)
    job = parcel.job
    run = _scratch() / hashlib.sha256(job.context.folder.encode()).hexdigest()[:16]
    context = dataclasses.replace(job.context, folder=str(run / "training"), device=parcel.device)
    pixels = unpacked(parcel.images.packed, lambda: map(fetch, parcel.images.pieces))
    lend(context, _image_set(parcel.images, fetch), pixels)
    for name, (stamp, reference) in parcel.files.items():
        _keep(run / name, stamp, reference, fetch)
    (run / "training").mkdir(parents=True, exist_ok=True)
    try:
        with _keeping(run, parcel.keeps, say):
            result = function(job.at(context))
        files = {name: (run / name).read_bytes() for name in parcel.leaves if (run / name).exists()}
        return Reply(result, files, read_events(run / EVENTS))
    finally:
        for folder in ("training", "answers"):
            shutil.rmtree(run / folder, ignore_errors=True)
        (run / EVENTS).unlink(missing_ok=True)


@contextlib.contextmanager
def _keeping(run: Path, names: tuple[str, ...], say: Callable[[Kept], None]) -> Iterator[None]:
    """Every two minutes those of the files that are new."""
    over, said = threading.Event(), dict[str, str]()

    def callback() -> None:
        while not over.wait(KEEP_SECONDS):
            for name in names:
                with contextlib.suppress(FileNotFoundError):  # the job is through with it
                    stamp = stamp_of(run / name)
                    if said.get(name) != stamp:
                        say(Kept(name, (run / name).read_bytes()))
                        said[name] = stamp

    watcher = threading.Thread(target=callback, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()


@cache
def _scratch() -> Path:
    """A folder of this process's own; those of processes that were killed are removed."""
    import fcntl

    root = Path(tempfile.gettempdir())
    for old in root.glob("budgetnet-worker-*"):
        with contextlib.suppress(OSError), (old / LOCK).open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(old, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix="budgetnet-worker-", dir=root))
    lock = os.open(folder / LOCK, os.O_CREAT | os.O_RDWR)  # held until this process ends, however it does
    fcntl.flock(lock, fcntl.LOCK_EX)
    return folder


_image_sets: dict[str, Any] = {}
_stamps: dict[Path, str] = {}
"""Of the files that this process has unpacked."""


def _image_set(images: Images, fetch: Fetch) -> Any:
    if images.fingerprint not in _image_sets:
        _image_sets.clear()  # a worker serves one run
        _image_sets[images.fingerprint] = fetch(images.images)
    return _image_sets[images.fingerprint]


def _keep(path: Path, stamp: str, reference: Any, fetch: Fetch) -> None:
    if path.exists() and _stamps.get(path) == stamp:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(fetch(reference))
    _stamps[path] = stamp


def write_whole(path: Path, content: bytes) -> None:
    """A file that came back, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_aside(path) as aside:
        aside.write_bytes(content)


def accept(job: AnyJob, reply: Reply[Result]) -> Result:
    """Write what a job left into the run's folder, each file whole or not at all, and give its result."""
    run = run_of(job)
    for event in reply.events:
        append_event(run / EVENTS, event)
    for name, content in reply.files.items():
        write_whole(run / name, content)
    return reply.result
