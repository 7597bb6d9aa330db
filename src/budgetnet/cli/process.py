"""How long the process of a command has been at work: a time limit counts from its start."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from budgetnet.training.stopwatch import Clock

_started_for_it = False
_given: Clock | None = None


class ClockArgument(TypedDict, total=False):
    """The argument `clock`, or nothing."""

    clock: Clock


def note_command() -> None:
    """This process was started for one command; a caller of `main` with arguments of its own has its own time."""
    global _started_for_it
    _started_for_it = True


@contextlib.contextmanager
def using(clock: Clock | None) -> Iterator[None]:
    """Commands in here take this clock, if there is one."""
    global _given
    before, _given = _given, clock
    try:
        yield
    finally:
        _given = before


def clock(part: bool = False) -> ClockArgument:
    """The argument `clock` of a function that makes a run: nothing where the process was not started for it, or where
    the run is one of several, whose shares of the time begin when they do."""
    if _given is not None:
        return ClockArgument(clock=_given.for_part() if part else _given)
    if part:
        return {}
    if not _started_for_it:
        return {}
    import psutil

    from budgetnet.training.stopwatch import MachineClock

    return ClockArgument(clock=MachineClock(max(0.0, time.time() - psutil.Process().create_time())))
