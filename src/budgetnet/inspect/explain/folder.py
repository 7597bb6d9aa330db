"""The folder of an explanation: written aside as a whole, then put in its place."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from budgetnet.reading import read_json_file

PAGE, NUMBERS = "explain.html", "explain.json"
FORMAT = "budgetnet.explain.v1"


def check_folder(folder: Path) -> Path:
    """The folder, if an explanation may be put there: it is absent, empty, or holds an explanation and nothing else.

    Raises a one-line `ValueError` otherwise.
    """
    if not folder.exists():
        return folder
    if not folder.is_dir():
        raise ValueError(f"{folder} is a file; give a folder as --out")
    known = _files(folder)
    held = (file.relative_to(folder).as_posix() for file in folder.rglob("*") if not file.is_dir())
    foreign = next((name for name in held if name not in known), None)
    if foreign is not None:
        raise ValueError(f"{folder} holds {foreign}, which is part of no explanation; give another --out")
    return folder


def _files(folder: Path) -> set[str]:
    """The files that the explanation in a folder names."""
    try:
        row = read_json_file(folder / NUMBERS)
        return set(row["files"]) if row["format"] == FORMAT else set()
    except (ValueError, KeyError, TypeError):
        return set()


@contextlib.contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """A folder beside `folder` to write to, which takes its place at the end; nothing is left of it on an error."""
    folder = folder.absolute()
    folder.parent.mkdir(parents=True, exist_ok=True)
    aside, old = (folder.with_name(f".{folder.name}.{os.getpid()}.{what}") for what in ("part", "old"))
    aside.mkdir()
    try:
        yield aside
        if folder.exists():
            folder.rename(old)
        aside.rename(folder)
    finally:
        for rest in (aside, old):
            shutil.rmtree(rest, ignore_errors=True)
