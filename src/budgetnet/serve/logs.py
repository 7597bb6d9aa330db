"""A line a request, as JSON or as text, written by a thread of its own: a reader that stops must stop no answer."""

from __future__ import annotations

import json
import logging
import queue
import sys
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal, TextIO

from budgetnet.draw.wording import printable

LogFormat = Literal["text", "json"]
MOST_LINES = 10_000
"""At most this many lines wait for their reader; more are dropped, and how many were is said."""


def line_of(row: Mapping[str, Any], log_format: LogFormat) -> str:
    """A line of a log, without its end: what it has in it cannot end it, nor move a terminal's cursor.

    >>> line_of({"event": "stopping", "seconds": 30}, "json")
    '{"event": "stopping", "seconds": 30}'
    >>> print(line_of({"event": "stopping", "seconds": 30}, "text"))
    stopping seconds=30
    """
    if log_format == "json":
        return json.dumps(row)
    words = [str(row[name]) for name in ("time", "event") if name in row]
    words += [f"{name}={value}" for name, value in row.items() if name not in ("time", "event") and value is not None]
    return printable(" ".join(words)).replace("\n", " ").replace("\t", " ")


class Log(logging.Handler):
    """Lines to a stream. It takes what the server's libraries say, too. Use in a with statement."""

    def __init__(self, log_format: LogFormat, stream: TextIO | None = None) -> None:
        super().__init__(logging.WARNING)
        self._format: LogFormat = log_format
        self._stream = stream or sys.stderr
        self._lines: queue.Queue[str | None] = queue.Queue(MOST_LINES)
        self._dropped = 0
        self._thread = threading.Thread(target=self._write, name="log", daemon=True)

    def __enter__(self) -> Log:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._lines.put(None)
        self._thread.join(timeout=2.0)  # a reader that takes no more must not keep the server from ending

    def say(self, event: str, **facts: Any) -> None:
        """A line of this event."""
        row = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "event": event, **facts}
        if self._dropped:
            row["dropped_lines"] = self._dropped
        try:
            self._lines.put_nowait(line_of(row, self._format))
            self._dropped = 0
        except queue.Full:
            self._dropped += 1

    def emit(self, record: logging.LogRecord) -> None:
        """What a library says."""
        text = self.format(record)
        self.say("warning" if record.levelno < logging.ERROR else "error", message=text)

    def _write(self) -> None:
        while (line := self._lines.get()) is not None:
            try:
                self._stream.write(f"{line}\n")
                if self._lines.empty():
                    self._stream.flush()
            except (OSError, ValueError):  # nobody reads any more
                return
