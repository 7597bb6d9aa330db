"""Files that are whole or not there: written aside, then renamed."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Generator
from pathlib import Path


@contextlib.contextmanager
def written_aside(path: Path) -> Generator[Path, None, None]:
    """A path to write to, beside `path`: at the end synced and renamed, so that a kill leaves old or new.

    An `OSError` about the path aside names `path`, which is what people know.
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield aside
        with aside.open("rb") as file:
            os.fsync(file.fileno())
        aside.replace(path)
    except OSError as error:
        if error.filename not in (aside, str(aside)):
            raise
        raise type(error)(error.errno, error.strerror, str(path)) from error
    finally:
        aside.unlink(missing_ok=True)
