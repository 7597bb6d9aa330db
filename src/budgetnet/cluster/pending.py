"""Trainings of a run that are still to do, wherever they run: what is done is not made again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from budgetnet.cluster.executor import Executor, Trials
from budgetnet.parallel.progress import Progress, Update
from budgetnet.training.job import Job, JobContext

JobType = TypeVar("JobType", bound=Job)


def run_pending(
    jobs: Sequence[JobType],
    what: str,
    workers: Trials[JobType, bool],
    progress: Progress,
    done: Callable[[JobType], Path],
) -> None:
    """Run, by workers that are open, every job whose file `done` is not there, in this order.

    `what` names the work in its progress, and begins the jobs' phases.
    """
    missing = [job for job in jobs if not done(job).exists()]
    if not missing:
        return

    def show(text: str) -> None:
        progress(Update(what, sum(done(job).exists() for job in jobs), len(jobs), text))

    show(f"{len(missing)} to do")
    workers.run(missing, lambda job, _: show(job.phase.removeprefix(f"{what}/")))


def train_pending(
    jobs: Sequence[JobType],
    what: str,
    executor: Executor,
    context: JobContext,
    most: int,
    progress: Progress,
    function: Callable[[JobType], bool],
    done: Callable[[JobType], Path],
) -> None:
    """As `run_pending`, by workers of the executor, at most `most` at a time, that run `function`.

    Where no job is missing no worker starts.
    """
    missing = sum(not done(job).exists() for job in jobs)
    if missing:
        with executor.workers(function, context, min(most, missing), progress) as workers:
            run_pending(jobs, what, workers, progress, done)
