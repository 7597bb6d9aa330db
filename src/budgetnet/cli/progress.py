"""How far long work is, on standard error: a bar in a terminal, a line now and then elsewhere."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import TaskID

    from budgetnet.learn.progress import Progress, Update

LINE_SECONDS = 10.0
"""Least time between two plain lines of one phase."""


@contextlib.contextmanager
def progress() -> Iterator[Progress]:
    """Shows the updates that it is called with, from any thread, until the end of the `with`."""
    if not sys.stderr.isatty():
        yield plain_lines()
        return
    from rich.console import Console

    with _bars(Console(stderr=True, highlight=False)) as shown:
        yield shown


@contextlib.contextmanager
def _bars(console: Console) -> Iterator[Progress]:
    """A bar a phase. Phases inside another (race/...) share the line below it and vanish at their end."""
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars
    from rich.table import Column

    columns = (
        TextColumn("{task.description}", style="bold", table_column=Column(no_wrap=True)),
        BarColumn(bar_width=12),
        TextColumn("{task.completed:.0f}/{task.total:.0f}", table_column=Column(no_wrap=True)),
        TimeRemainingColumn(compact=True),
        TextColumn("{task.fields[text]}", markup=False, table_column=Column(no_wrap=True, ratio=1)),
    )
    with Bars(*columns, console=console, expand=True) as bars:
        tasks: dict[str, TaskID] = {}
        lock = threading.Lock()

        def show(update: Update) -> None:
            with lock:
                if update.phase not in tasks:
                    name = update.phase.rpartition("/")[2]
                    indent = "  " if name != update.phase else ""
                    tasks[update.phase] = bars.add_task(indent + name, total=update.total, text="")
                task = tasks[update.phase]
                bars.update(task, completed=update.done, total=update.total, text=update.text)
                if update.done >= update.total and "/" in update.phase:
                    bars.remove_task(tasks.pop(update.phase))

        yield show


def plain_lines(clock: Callable[[], float] = time.monotonic) -> Progress:
    """A line when a phase begins, when it ends, and at most every ten seconds between."""
    last: dict[str, float] = {}
    ended: set[str] = set()
    lock = threading.Lock()

    def show(update: Update) -> None:
        with lock:
            now, ends = clock(), update.done >= update.total
            due = now - last.get(update.phase, -LINE_SECONDS) >= LINE_SECONDS
            if update.phase in ended or not (due or ends):
                return
            last[update.phase] = now
            if ends:
                ended.add(update.phase)
            line = f"{update.phase}: {update.done}/{update.total} {update.text}"
            print(" ".join(line.split()), file=sys.stderr, flush=True)

    return show
