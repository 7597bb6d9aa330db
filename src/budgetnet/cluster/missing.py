"""Trainings of a run that are still to do, wherever they run: what is done is not made again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from budgetnet.cluster.parcel import Errand, leg_errand
from budgetnet.cluster.where import Trials, Where
from budgetnet.parallel.progress import Progress, Update
from budgetnet.training.answers import answers_path, train_and_test
from budgetnet.training.leg import Leg, Place


def run_missing(
    legs: Sequence[Leg],
    what: str,
    workers: Trials[Leg, bool],
    progress: Progress,
    done: Callable[[Leg], Path] = answers_path,
) -> None:
    """Every leg whose `done` is not there, in this order; `what` is said of their progress, and begins their phases."""
    missing = [leg for leg in legs if not done(leg).exists()]
    if not missing:
        return

    def tell(text: str) -> None:
        progress(Update(what, sum(done(leg).exists() for leg in legs), len(legs), text))

    tell(f"{len(missing)} to do")
    workers.run(missing, lambda leg, _: tell(leg.phase.removeprefix(f"{what}/")))


def train_missing(
    legs: Sequence[Leg],
    what: str,
    where: Where,
    place: Place,
    most: int,
    progress: Progress,
    function: Callable[[Leg], bool] = train_and_test,
    errand: Callable[[Leg], Errand] = leg_errand,
    done: Callable[[Leg], Path] = answers_path,
) -> None:
    """Every training that is not tested yet, or not `done`, at most so many at a time; no worker starts for nothing."""
    missing = sum(not done(leg).exists() for leg in legs)
    if missing:
        with where.workers(function, errand, place, min(most, missing), progress) as workers:
            run_missing(legs, what, workers, progress, done)
