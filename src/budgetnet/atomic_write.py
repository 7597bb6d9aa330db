"""Files and folders that are whole or not there: written aside, then renamed."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Generator
from pathlib import Path


@contextlib.contextmanager
def written_aside(path: Path) -> Generator[Path, None, None]:
    """A path to write to, beside `path`: at the end synced and renamed, so that a kill leaves old or new.

    An `OSError` about the path aside, or about no path (a full disk), names `path`, which is what people know.
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield aside
        with aside.open("r+b") as file:  # Windows syncs only what is open for writing
            os.fsync(file.fileno())
        aside.replace(path)
    except OSError as error:
        if error.filename not in (None, aside, str(aside)):
            raise
        # Numpy says in words alone that less was written than asked.
        raise OSError(error.errno or errno.EIO, error.strerror or str(error), str(path)) from error
    finally:
        aside.unlink(missing_ok=True)


@contextlib.contextmanager
def folder_written_aside(path: Path) -> Generator[Path, None, None]:
    """A new folder to fill, beside `path`: at the end its files are synced and it takes the place of `path`.

    A folder that is replaced goes only once the new one is whole; a kill between the two renames leaves it beside,
    under the name that ends in .old.
    """
    aside, old = (path.with_name(f".{path.name}.{os.getpid()}.{end}") for end in ("part", "old"))
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir()
    try:
        yield aside
        for file in (one for one in aside.rglob("*") if one.is_file()):
            with file.open("r+b") as written:
                os.fsync(written.fileno())
        if path.is_dir():
            path.replace(old)
        aside.replace(path)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
