"""Standard output and error as they come: closed, full, without a terminal, in ASCII. No answer ends in a traceback."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
from collections.abc import Iterator
from typing import TextIO

OUTPUT, ERROR = "standard output", "standard error"


class ReaderLeft(OSError):
    """Whoever read the output has gone. No `BrokenPipeError`, for which libraries end the process in their own way."""


class Stream(io.TextIOBase):
    """Text to a stream; signs that its encoding lacks are written as \\xe9, and its errors have its name.

    `inner` is None where the stream was closed before Python began: then writing is an `OSError`.
    """

    def __init__(self, inner: TextIO | None, name: str) -> None:
        self.inner = inner
        self.called = name

    @property
    def encoding(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]  # a property is read-only
        """That of the stream."""
        return getattr(self.inner, "encoding", None) or "utf-8"

    def writable(self) -> bool:
        """It is for writing."""
        return True

    def isatty(self) -> bool:
        """Whether the stream is a terminal."""
        return self.inner is not None and self.inner.isatty()

    def fileno(self) -> int:
        """The stream's descriptor. Raises `OSError` where it has none."""
        if self.inner is None:
            raise io.UnsupportedOperation("fileno")
        return self.inner.fileno()

    def write(self, text: str, /) -> int:
        """Write what the stream's encoding can. Raises an `OSError` that names the stream."""
        with self._named() as inner:
            inner.write(text.encode(self.encoding, "backslashreplace").decode(self.encoding))
        return len(text)

    def flush(self) -> None:
        """Hand on what was written. Raises an `OSError` that names the stream."""
        if self.inner is not None:
            with self._named() as inner:
                inner.flush()

    @contextlib.contextmanager
    def _named(self) -> Iterator[TextIO]:
        if self.inner is None or self.inner.closed:
            raise OSError(errno.EBADF, "it is closed", self.called)
        try:
            yield self.inner
        except BrokenPipeError as error:
            raise ReaderLeft(errno.EPIPE, "its reader has left", self.called) from error
        except OSError as error:
            raise type(error)(error.errno or errno.EIO, error.strerror or str(error), self.called) from error


class Messages(Stream):
    """Standard error: a message that cannot be told is lost, and the exit code tells it alone."""

    def write(self, text: str, /) -> int:
        """Write what can be written."""
        with contextlib.suppress(OSError):
            super().write(text)
        return len(text)

    def flush(self) -> None:
        """Hand on what was written."""
        with contextlib.suppress(OSError):
            super().flush()


@contextlib.contextmanager
def guarded(quiet: bool = False) -> Iterator[Stream]:
    """Standard output and error as `Stream`s for the length of the `with`; gives the output. `quiet`: that is lost."""
    occupy()
    with open(os.devnull, "w") as nowhere:
        output, messages = Stream(nowhere if quiet else sys.stdout, OUTPUT), Messages(sys.stderr, ERROR)
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(messages):
            yield output


def occupy() -> None:
    """Let nothing that is opened from now on be taken for a standard stream that was closed: a file, a database."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)


def give_up(output: Stream) -> None:
    """Let Python's last flush of an output that takes no more go nowhere, in place of raising again."""
    with contextlib.suppress(OSError):  # it has no descriptor: nothing will be flushed
        descriptor = output.fileno()
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, descriptor)
        os.close(nowhere)
