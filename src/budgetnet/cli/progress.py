"""How far long work is, on standard error: a bar in a terminal, a line now and then elsewhere."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import TaskID

    from budgetnet.learn.progress import Progress, Update

LINE_SECONDS = 10.0
"""Least time between two plain lines of one phase."""


@contextlib.contextmanager
def progress() -> Iterator[Progress]:
    """Shows the updates that it is called with, until the end of the `with`."""
    if not sys.stderr.isatty():
        yield plain_lines()
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.description}", style="bold"),
        BarColumn(bar_width=18),
        MofNCompleteColumn(),
        TimeRemainingColumn(compact=True),
        TextColumn("{task.fields[text]}", markup=False),
    )
    with Bars(*columns, console=Console(stderr=True, highlight=False)) as bars:
        tasks: dict[str, TaskID] = {}

        def show(update: Update) -> None:
            if update.phase not in tasks:
                tasks[update.phase] = bars.add_task(update.phase, total=update.total, text=update.text)
            bars.update(tasks[update.phase], completed=update.done, total=update.total, text=update.text)

        yield show


def plain_lines(clock: Callable[[], float] = time.monotonic) -> Progress:
    """A line when a phase begins, when it ends, and at most every ten seconds between."""
    last: dict[str, float] = {}
    finished: set[str] = set()

    def show(update: Update) -> None:
        now, ended = clock(), update.done >= update.total
        due = now - last.get(update.phase, -LINE_SECONDS) >= LINE_SECONDS
        if not (due or ended) or (ended and update.phase in finished):
            return
        last[update.phase] = now
        if ended:
            finished.add(update.phase)
        line = f"{update.phase}: {update.done}/{update.total} {update.text}"
        print(" ".join(line.split()), file=sys.stderr, flush=True)

    return show
