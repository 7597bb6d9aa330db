"""How long a run has taken, over all of its starts: a time limit is one for the whole run."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Self

FILE = "elapsed.json"
EVERY_SECONDS = 1.0
"""The time is written this often: a kill loses at most this much of what is known."""


class Elapsed:
    """Counts the seconds of this start, and knows those of earlier ones.

    They are written down in a with statement, which is entered once the run has its plan.
    """

    def __init__(self, run: Path, fresh: bool = False) -> None:
        self._path = run / FILE
        self.before_seconds = 0.0 if fresh else _read(self._path)
        self._began = time.monotonic()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._write_now_and_then, daemon=True, name="elapsed")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()
        self._write()

    def _write_now_and_then(self) -> None:
        while not self._ended.wait(EVERY_SECONDS):
            self._write()

    def _write(self) -> None:
        seconds = self.before_seconds + time.monotonic() - self._began
        aside = self._path.with_name(f".{FILE}.part")
        with contextlib.suppress(OSError):  # a full disk; the run itself says so
            aside.write_text(json.dumps({"seconds": seconds}) + "\n", encoding="utf-8")
            aside.replace(self._path)


def _read(path: Path) -> float:
    """The seconds of earlier starts; 0 where they are not known."""
    try:
        return float(json.loads(path.read_text(encoding="utf-8"))["seconds"])
    except (OSError, ValueError, LookupError, TypeError):
        return 0.0
