"""A line a request, as JSON or as text, written by a thread of its own: a reader that stops must stop no answer."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import queue
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Literal

from budgetnet.draw.wording import printable

LogFormat = Literal["text", "json"]
MOST_LINES = 10_000
"""At most this many lines wait for their reader; more are dropped, and how many were is said."""
END_SECONDS = 2.0
"""At the end a reader has this time to take what waits."""
LONGEST_LINE = 10_000
"""What is said on standard error is cut into lines of at most so many signs."""
ERROR = 2
"""The descriptor of standard error has this number everywhere."""
SAID_ALREADY = ("uvicorn.error", "python_multipart")
"""What these warn of is a fault of a request, which stands in its own line; their errors are told."""


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
    """Lines to standard error, and a handler of all loggers' warnings while it is `written`."""

    def __init__(self, log_format: LogFormat) -> None:
        super().__init__(logging.WARNING)
        self._format: LogFormat = log_format
        self._lines: queue.Queue[str | None] = queue.Queue(MOST_LINES)
        self._dropped = 0

    @contextlib.contextmanager
    def written(self) -> Iterator[None]:
        """Lines are written in here, and whatever else this process says on standard error is a line, too.

        Libraries say things by loggers, by warnings, or past Python altogether, as libtiff does of damaged images. Each
        waits for a reader by itself: one that stops reading would stop the event loop or a computing thread, and
        whoever sends nonsense could bring that about.
        """
        error = os.dup(ERROR)
        writer = threading.Thread(target=self._write, args=(error,), name="log", daemon=True)
        writer.start()
        root = logging.getLogger()
        for name in SAID_ALREADY:
            logging.getLogger(name).setLevel(logging.ERROR)
        root.addHandler(self)
        try:
            with overheard(lambda text: self.say("warning", message=text)):
                yield
        finally:
            root.removeHandler(self)
            with contextlib.suppress(queue.Full):  # a reader that takes no more must not keep the server from ending
                self._lines.put(None, timeout=END_SECONDS)
            writer.join(timeout=END_SECONDS)
            if not writer.is_alive():
                os.close(error)

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

    def _write(self, error: int) -> None:
        """Past Python's own stream of it: that has a lock, which a thread that waits for a reader would keep."""
        encoding = getattr(sys.stderr, "encoding", None) or "utf-8"
        while (line := self._lines.get()) is not None:
            left = f"{line}\n".encode(encoding, "backslashreplace")
            try:
                while left:
                    left = left[os.write(error, left) :]
            except OSError:  # nobody reads any more
                return


@contextlib.contextmanager
def overheard(hear: Callable[[str], None]) -> Iterator[None]:
    """What this process and those that it starts write to the descriptor of standard error in here is heard line by
    line. Whoever writes never waits: what is too much at a time is lost."""
    if sys.platform == "win32":  # there a socket is no descriptor
        yield
        return
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    listener = threading.Thread(target=_listen, args=(ours, hear), name="standard error", daemon=True)
    usual = os.dup(ERROR)
    os.dup2(theirs.fileno(), ERROR)
    listener.start()
    try:
        yield
    finally:
        os.dup2(usual, ERROR)
        os.close(usual)
        theirs.shutdown(socket.SHUT_WR)  # a process that was started may have it open still
        theirs.close()
        listener.join()


def _listen(ours: socket.socket, hear: Callable[[str], None]) -> None:
    with ours, ours.makefile("r", encoding="utf-8", errors="replace") as heard:
        while text := heard.readline(LONGEST_LINE):
            if text.strip():
                hear(text.rstrip())
