"""How long a run has taken, over all of its starts: a time limit is one for the whole run."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from budgetnet.codec import NonNegativeFloat, from_plain
from budgetnet.reading import read_json_file
from budgetnet.runs.files import reading

FILE = "elapsed.json"
EVERY_SECONDS = 1.0
"""The time is written this often: a kill loses at most this much of what is known."""


@dataclass(frozen=True, slots=True)
class _Row:
    """What the file holds."""

    seconds: NonNegativeFloat


def earlier_starts_seconds(run: Path) -> float:
    """How long the earlier starts of a run took; 0 where none has come as far as its plan.

    Raises a one-line `ValueError` for a damaged file: taken for 0, it would give the run its whole time again.
    """
    path = run / FILE
    if not path.exists():
        return 0.0
    with reading(path, "remove it, and earlier starts count nothing"):
        return from_plain(_Row, read_json_file(path), str(path)).seconds


class Elapsed:
    """Writes down how long a run has taken: at once where a with statement is entered, now and then within it, and at
    its end. It is entered once the run has its plan; `seconds` says how long all starts took up to now."""

    def __init__(self, run: Path, seconds: Callable[[], float]) -> None:
        self._path, self._seconds = run / FILE, seconds
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._write_now_and_then, daemon=True, name="elapsed")

    def __enter__(self) -> Self:
        self._write()
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
        text = json.dumps({"seconds": self._seconds()}, allow_nan=False)
        aside = self._path.with_name(f".{FILE}.part")
        with contextlib.suppress(OSError):  # a full disk; the run itself says so
            aside.write_text(text + "\n", encoding="utf-8")
            aside.replace(self._path)
