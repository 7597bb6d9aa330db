"""Where a search's trials run. One search code: an executor runs jobs and says which is done, and nothing else.

`learn.workers.Workers` is one, with a process a core of this machine. Another (a cluster's) needs this one method; jobs
and results are frozen values that can be pickled, and a job that is run twice gives the same result.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")


class Executor(Protocol[Job, Result]):
    """Runs jobs, as many at a time as it has places."""

    def run(self, jobs: Sequence[Job], done: Callable[[Job, Result], None] | None = None, /) -> Sequence[Result]:
        """Results in the order of the jobs; `done` is told each as it comes in.

        Raises what a job raised, and `RuntimeError` where a place was lost for good.
        """
        ...
