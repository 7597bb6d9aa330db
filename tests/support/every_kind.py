"""Finished runs of several kinds: written without a training, or made in this process by networks of a few
multiply-adds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from budgetnet import Budget, network, open_images
from budgetnet.experiments.compare import COMPARE
from budgetnet.experiments.compare.request import CompareRequest
from budgetnet.experiments.compute import Compute
from budgetnet.experiments.experiment import Experiment, perform
from budgetnet.experiments.family.run import TRAIN_MEMBERS
from budgetnet.experiments.family.training import MembersRequest
from budgetnet.experiments.solve import SOLVE
from budgetnet.experiments.train import TRAIN
from budgetnet.networks.scaling import PAPER, Coefficients
from budgetnet.training.augmenting import augment_of
from budgetnet.training.recipe import MODERN
from support.executor import InlineExecutor
from support.finished_runs import SEED, finished_solve, finished_train, train_record
from support.networks import PLAIN, SQUEEZED
from support.simulated import SimulatedClock
from support.spaces import BASE

NONE = augment_of("none")


@dataclass(frozen=True)
class FinishedRun:
    """A run's folder, and the call that shows it again."""

    experiment: Experiment[Any, Any, Any]
    request: Any
    data: str
    run: Path

    def again(self) -> Any:
        """The result, from the files."""
        return perform(self.experiment, self.request, self.data, Compute(), self.run)


def _solve(run: Path, data: Path) -> FinishedRun:
    record, _ = finished_solve(run, open_images("digits", SEED), "digits")
    return FinishedRun(SOLVE, record.request, "digits", run)


def _train(run: Path, data: Path) -> FinishedRun:
    images = open_images("digits")
    record, _ = finished_train(run, images, train_record("digits", images, network("mobilenet_v1", resolution_px=32)))
    return FinishedRun(TRAIN, record.request, "digits", run)


def _made(data: Path, experiment: Experiment[Any, Any, Any], request: Any, run: Path, speed: float) -> FinishedRun:
    """A run that is really made, by a clock that stands still and in this process."""
    seconds, executor = getattr(request, "time_seconds", float("inf")), InlineExecutor(speed)
    perform(experiment, request, str(data), Compute(cluster=executor), run, False, seconds, None, SimulatedClock(speed))
    return FinishedRun(experiment, request, str(data), run)


def _compare(run: Path, data: Path) -> FinishedRun:
    request = CompareRequest(
        "families", Budget(macs=150_000), 200.0, 2, (PLAIN, SQUEEZED), "compound", PAPER, "none", MODERN, "float32",
        NONE, 0.5,
    )  # fmt: skip
    return _made(data, COMPARE, request, run, 2e8)


def _members(run: Path, data: Path) -> FinishedRun:
    request = MembersRequest(
        BASE, Coefficients(1.3, 1.2, 1.0), Budget(macs=10**6), 70.0, 0, MODERN, "float32", NONE
    )  # fmt: skip
    return _made(data, TRAIN_MEMBERS, request, run, 2e9)


KINDS: Mapping[str, Callable[[Path, Path], FinishedRun]] = {
    "solve": _solve,
    "train": _train,
    "compare": _compare,
    "members": _members,
}
"""By the kind: what makes a finished run in a folder, from few images in another; those of `solve` and `train` are
written without a training, and of the embedded digits."""
WRITTEN = ("solve", "train")
"""The kinds whose runs are written without a training."""
