"""A clock that raises: what goes wrong inside of a command, once its arguments are read and checked."""

from __future__ import annotations

from dataclasses import dataclass

from budgetnet.training.stopwatch import MachineClock


@dataclass(frozen=True, kw_only=True)
class FailingClock(MachineClock):
    """The error is raised as soon as the command asks for the time, which is where its work begins."""

    error: BaseException

    def now(self) -> float:
        """Raises the error."""
        raise self.error
