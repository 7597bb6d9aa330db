"""How far long work is, on standard error: a bar in a terminal, a line now and then elsewhere."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from budgetnet.cli.show import line as plain_line
from budgetnet.cli.show import notice
from budgetnet.parallel.progress import is_over

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import TaskID

    from budgetnet.parallel.progress import Progress, Update

LINE_SECONDS = 10.0
"""Two plain lines of one phase are at least this far apart."""
QUICK_SECONDS = 1.0
"""What is done within this time is not talked about."""


@contextlib.contextmanager
def progress() -> Iterator[Progress]:
    """Shows the updates that it is called with, from any thread, until the end of the `with`; their lines stay."""
    if not sys.stderr.isatty():
        yield plain_lines()
        return
    from rich.console import Console

    with _bars(Console(stderr=True, highlight=False)) as shown:
        yield shown


@contextlib.contextmanager
def _bars(console: Console) -> Iterator[Progress]:
    """A bar a phase, its figures below its name. Phases inside another (race/...) vanish at their end."""
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=12),
        TextColumn("{task.completed:.0f}/{task.total:.0f}"),
        TimeRemainingColumn(compact=True),
    )
    with Bars(*columns, console=console) as bars:
        tasks: dict[str, TaskID] = {}
        lock = threading.Lock()

        def show(update: Update) -> None:
            ends = update.done >= update.total
            if update.lines:
                for line in update.lines:
                    bars.console.print(plain_line(line), soft_wrap=True, markup=False)
                return
            with lock:
                if update.phase not in tasks:
                    tasks[update.phase] = bars.add_task(update.phase, total=update.total)
                text = _labelled(update.phase, "" if ends else update.text)
                bars.update(tasks[update.phase], completed=update.done, total=update.total, description=text)
                for phase in [phase for phase in tasks if is_over(phase, update)]:
                    bars.remove_task(tasks.pop(phase))

        yield show


def _labelled(phase: str, text: str) -> str:
    """The phase, indented where it is inside another, with its figures in a second line."""
    outer, _, name = phase.rpartition("/")
    indent = "  " if outer else ""
    name, text = plain_line(name), plain_line(text)
    return f"{indent}{name}\n{indent}  {text}" if text else f"{indent}{name}"


def plain_lines(clock: Callable[[], float] = time.monotonic) -> Progress:
    """A line a phase after its first second, then one every ten, and one at its end; a quick phase has none."""
    began: dict[str, float] = {}
    said: dict[str, float] = {}
    lock = threading.Lock()

    def show(update: Update) -> None:
        for line in update.lines:
            print(plain_line(line), file=sys.stderr, flush=True)
        if update.lines:
            return
        with lock:
            now, ends = clock(), update.done >= update.total
            start = began.setdefault(update.phase, now)
            due = now - said.get(update.phase, now - LINE_SECONDS) >= LINE_SECONDS
            if now - start >= QUICK_SECONDS and (due or ends):
                said[update.phase] = now
                line = f"{update.phase}: {update.done}/{update.total} {update.text}"
                notice(" ".join(line.split()))
            if ends:
                began.pop(update.phase)
                said.pop(update.phase, None)

    return show
