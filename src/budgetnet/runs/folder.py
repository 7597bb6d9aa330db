"""A run's folder: its name, its lock against a second process, and how it is emptied."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from budgetnet.codec import to_plain
from budgetnet.data import Data, identity_of, name_of
from budgetnet.reading import read_json_file
from budgetnet.runs.files import INITIAL, reading
from budgetnet.runs.record import FILE as PLAN

LOCK = ".lock"


def run_folder(out: Path | str | None, data: Data, command: str, request: object) -> Path:
    """The run's folder: `out`, or runs/<data>-<hash of command and request>, so that the same command finds its run."""
    if out is not None:
        return Path(out)
    text = json.dumps({"command": command, "data": identity_of(data), **to_plain(request)}, sort_keys=True)
    return Path("runs") / f"{name_of(data)}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


@contextlib.contextmanager
def run_lock(run: Path) -> Iterator[None]:
    """The run's folder, made, and locked against a second process at work in it.

    The system frees the lock when its holder dies. A folder that was made here goes again where no plan came into it.
    Raises `ValueError` where another process holds the lock, and for a folder of something else, which is left as it
    is.
    """
    _refuse_foreign(run)
    with _locked(run):
        yield


@contextlib.contextmanager
def several_lock(folder: Path, parts: Sequence[str]) -> Iterator[None]:
    """A folder of several runs and a page over them, made and locked as `run_lock` does. The runs lie in folders of it
    whose names match one of `parts`, as "share-*".

    Raises `ValueError` where another process holds the lock, for a run, and for a folder of something else: one that
    has other files and none of those runs, or something else in their place. It is left as it is.
    """
    if (folder / PLAN).exists():
        raise ValueError(f"{folder} holds a {PLAN}, so it is one run and not several; give another --out")
    runs = [run for part in parts for run in folder.glob(part) if run.is_dir()]
    for run in runs:
        _refuse_foreign(run)
    if folder.exists() and not any((run / PLAN).exists() for run in runs):
        others = {child.name for child in folder.iterdir()} - {run.name for run in runs} - {LOCK}
        if others:
            where = " or ".join(parts)
            raise ValueError(f"{folder} holds files but no run in {where}, so it is not ours; give another --out")
    with _locked(folder):
        yield


@contextlib.contextmanager
def _locked(run: Path) -> Iterator[None]:
    """The folder, made and locked; one that was made here goes again where nothing came into it."""
    made = [folder for folder in (run, *run.parents) if not folder.exists()]
    run.mkdir(parents=True, exist_ok=True)
    with (run / LOCK).open("a") as lock:
        try:
            import fcntl

            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not _is_that_file(lock.fileno(), run / LOCK):  # who held it has just removed it
                raise BlockingIOError
        except ImportError:  # Windows: the files are written whole all the same
            pass
        except BlockingIOError as error:
            raise ValueError(f"{run} is in use by another process; wait for it or give another --out") from error
        try:
            yield
        finally:
            if {child.name for child in run.iterdir()} <= {LOCK, INITIAL}:  # bad input, most often
                with contextlib.suppress(PermissionError):  # Windows keeps a file that is open
                    (run / LOCK).unlink(missing_ok=True)
                shutil.rmtree(run / INITIAL, ignore_errors=True)
                for folder in made:  # one that the user made stays
                    with contextlib.suppress(OSError):  # another run has come into it
                        folder.rmdir()


def clear_run(run: Path, result: str) -> None:
    """Remove all of a run but its lock: the result, which says that it is finished, first, and its plan last."""
    _refuse_foreign(run)
    order = {result: 0, PLAN: 2}
    for child in sorted(run.iterdir(), key=lambda child: order.get(child.name, 1)):
        if child.is_dir() and not child.is_symlink():
            shutil.rmtree(child)
        elif child.name != LOCK:
            child.unlink()


def clear_training(run: Path) -> None:
    """Remove a run's checkpoints and weights along the way: it is finished, only its scores are asked for again."""
    if (run / INITIAL).is_dir():
        shutil.rmtree(run / INITIAL)
    for pattern in ("*/*.pt", "*/*.safetensors", "*/*.part"):
        for path in (run / "training").glob(pattern):
            path.unlink(missing_ok=True)


def _refuse_foreign(run: Path) -> None:
    """Raise a one-line `ValueError` for a folder that holds something else than a run."""
    if (run / PLAN).exists():
        with reading(run / PLAN, "give another --out"):
            plan = read_json_file(run / PLAN)  # other programs have files of that name
        if not isinstance(plan, dict) or not str(plan.get("format")).startswith("budgetnet.plan."):
            raise ValueError(f"{run} holds a plan.json of something else, so it is not a run; give another --out")
        return
    # A kill before the plan was written leaves a part of it, or the weights to begin from.
    names = {child.name for child in run.iterdir()} if run.exists() else set[str]()
    parts = {name for name in names if name.startswith(f".{PLAN}.") and name.endswith(".part")}
    if INITIAL in names and all(child.suffix in (".safetensors", ".part") for child in (run / INITIAL).glob("*")):
        parts.add(INITIAL)
    if names - parts - {LOCK}:
        raise ValueError(f"{run} holds files but no plan.json, so it is not a run; give another --out")


def _is_that_file(descriptor: int, path: Path) -> bool:
    """Whether the open file is still the one that this path names."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
