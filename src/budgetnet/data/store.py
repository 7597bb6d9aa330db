"""The folder of things that can be made again, files written aside and renamed, work in threads."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from budgetnet.atomic_write import written_aside
from budgetnet.parallel.progress import Progress, Update

Item = TypeVar("Item")
Result = TypeVar("Result")
TELL_SECONDS = 0.1
"""Two reports of progress are at least this far apart."""


def cache_folder() -> Path:
    """`$XDG_CACHE_HOME/budgetnet`, or ~/.cache/budgetnet: all in it can be deleted at any time."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "budgetnet"


@contextlib.contextmanager
def opened_aside(path: Path) -> Iterator[int]:
    """An open file descriptor beside `path`, renamed to it at the end: a kill leaves the old file or none."""
    with written_aside(path) as aside:
        descriptor = os.open(aside, os.O_CREAT | os.O_RDWR | os.O_TRUNC | getattr(os, "O_BINARY", 0), 0o600)
        try:
            yield descriptor
        finally:
            os.close(descriptor)


def write_all(descriptor: int, data: bytes | memoryview, offset: int = 0) -> None:
    """Write all of `data` at `offset`. Not through a map: a full disk is then an error and not a SIGBUS."""
    rest = memoryview(data).cast("B")
    while rest:
        written = _write_at(descriptor, rest, offset)
        rest, offset = rest[written:], offset + written


_position = threading.Lock()


def _write_at(descriptor: int, data: memoryview, offset: int) -> int:
    if hasattr(os, "pwrite"):
        return os.pwrite(descriptor, data, offset)
    with _position:  # Windows: all threads move the one position that a descriptor has
        os.lseek(descriptor, offset, os.SEEK_SET)
        return os.write(descriptor, data)


@contextlib.contextmanager
def alone(path: Path) -> Iterator[None]:
    """Hold the lock of `path`; others wait. The system frees it when its holder dies, however it dies."""
    try:
        import fcntl
    except ImportError:  # Windows: both build, one rename wins
        yield
        return
    with open(path.with_name(f"{path.name}.lock"), "a") as lock:
        with contextlib.suppress(OSError):  # a file system without locks: both build, one rename wins
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def in_threads(
    function: Callable[[Item], Result], items: Sequence[Item], what: str, progress: Progress | None = None
) -> list[Result]:
    """[function(item) for item in items], a thread a core; the first error stops what has not begun.

    Progress is told at the start and then item by item, but no more often than a person can see.
    """
    chunks = [items[start : start + 32] for start in range(0, len(items), 32)]
    results: list[Result] = []
    counting = threading.Lock()
    done, last_update = 0, time.monotonic()

    def counted(item: Item) -> Result:
        nonlocal done, last_update
        result = function(item)
        with counting:
            done += 1
            if progress and done < len(items) and time.monotonic() - last_update > TELL_SECONDS:
                last_update = time.monotonic()
                progress(Update(what, done, len(items)))
        return result

    if progress and items:
        progress(Update(what, 0, len(items)))
    pool = ThreadPoolExecutor(os.cpu_count())
    try:
        for part in pool.map(lambda chunk: [counted(item) for item in chunk], chunks):
            results += part
    finally:
        pool.shutdown(cancel_futures=True)
    if progress and items:
        progress(Update(what, len(items), len(items)))
    return results
