"""Progress in a notebook: one output, drawn again in its place, so that a long run does not fill the page."""

from __future__ import annotations

import functools
import importlib
import sys
import threading
import time
from collections.abc import Callable
from html import escape
from typing import Any, Protocol

from budgetnet.parallel.progress import Progress, Update, is_over

REDRAW_SECONDS = 0.25
"""Two drawings are at least this far apart, but for the end of a phase."""


class Output(Protocol):
    """A place on a notebook's page, such as `IPython.display.DisplayHandle`."""

    def update(self, shown: object, /) -> Any:
        """Show this instead of what is there."""
        ...


class NotebookProgress:
    """Shows the updates that it is called with, from any thread: a bar a phase, and the lines that stay.

    `display` shows an object and gives the place where it is shown; a notebook asks the object for `_repr_html_`.
    """

    def __init__(self, display: Callable[[object], Output], clock: Callable[[], float] = time.monotonic) -> None:
        self._display, self._clock = display, clock
        self._lock = threading.Lock()
        self._lines: list[str] = []
        self._phases: dict[str, Update] = {}
        self._output: Output | None = None
        self._drawn = 0.0

    def __call__(self, update: Update) -> None:
        """Show how far the work is."""
        with self._lock:
            if update.lines:
                self._lines += update.lines
            else:
                self._phases[update.phase] = update
                for phase in [phase for phase in self._phases if is_over(phase, update)]:
                    del self._phases[phase]
            now = self._clock()
            if update.lines or update.done >= update.total or now - self._drawn >= REDRAW_SECONDS:
                self._drawn = now
                self._draw()

    def _draw(self) -> None:
        if self._output is None:
            self._output = self._display(self)
        else:
            self._output.update(self)

    def __repr__(self) -> str:
        rows = [f"{row.phase}: {row.done}/{row.total} {row.text}".rstrip() for row in self._phases.values()]
        return "\n".join([*self._lines, *rows])

    def _repr_html_(self) -> str:
        lines = "".join(f"<div>{escape(line)}</div>" for line in self._lines)
        return f"{lines}<table>{''.join(map(_row, self._phases.values()))}</table>"


def _row(update: Update) -> str:
    bar = f'<progress value="{update.done}" max="{update.total}"></progress>'
    texts = (escape(update.phase), bar, f"{update.done}/{update.total}", escape(update.text))
    cells = "".join(f'<td style="text-align: left">{text}</td>' for text in texts)
    return f"<tr>{cells}</tr>"


def notebook_progress() -> Progress | None:
    """Progress on the page of the notebook whose kernel this process is; None elsewhere."""
    ipython = sys.modules.get("IPython")
    if ipython is None or not hasattr(ipython.get_ipython(), "kernel"):
        return None
    display = importlib.import_module("IPython.display").display
    return NotebookProgress(functools.partial(display, display_id=True))
