"""Trainings of a run that are still to do, wherever they run: what is done is not made again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from budgetnet.cluster.executor import Executor, Trials
from budgetnet.cluster.parcel import Errand, job_errand
from budgetnet.parallel.progress import Progress, Update
from budgetnet.training.job import JobContext, TrainingJob
from budgetnet.training.predictions import predictions_path, train_and_test


def run_pending(
    jobs: Sequence[TrainingJob],
    what: str,
    workers: Trials[TrainingJob, bool],
    progress: Progress,
    done: Callable[[TrainingJob], Path] = predictions_path,
) -> None:
    """Every job whose `done` is not there, in this order; `what` is said of their progress, and begins their phases."""
    missing = [job for job in jobs if not done(job).exists()]
    if not missing:
        return

    def tell(text: str) -> None:
        progress(Update(what, sum(done(job).exists() for job in jobs), len(jobs), text))

    tell(f"{len(missing)} to do")
    workers.run(missing, lambda job, _: tell(job.phase.removeprefix(f"{what}/")))


def train_pending(
    jobs: Sequence[TrainingJob],
    what: str,
    executor: Executor,
    context: JobContext,
    most: int,
    progress: Progress,
    function: Callable[[TrainingJob], bool] = train_and_test,
    errand: Callable[[TrainingJob], Errand] = job_errand,
    done: Callable[[TrainingJob], Path] = predictions_path,
) -> None:
    """Every training that is not tested yet, or not `done`, at most so many at a time; no worker starts for nothing."""
    missing = sum(not done(job).exists() for job in jobs)
    if missing:
        with executor.workers(function, errand, context, min(most, missing), progress) as workers:
            run_pending(jobs, what, workers, progress, done)
