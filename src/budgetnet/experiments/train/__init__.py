"""Train one network on one folder of images: bounded by epochs or by the clock, and safe to kill."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from budgetnet.arguments import integer, number, path, run_arguments
from budgetnet.budgets.budget import Budget, budget_of
from budgetnet.codec import PRIVATE, from_record
from budgetnet.data import Folders, data_of
from budgetnet.experiments.compute import Compute
from budgetnet.experiments.experiment import Context, perform
from budgetnet.experiments.report import Report
from budgetnet.experiments.train.plan import TrainPlan
from budgetnet.experiments.train.plan import propose as propose_training
from budgetnet.experiments.train.report import report as report_of
from budgetnet.experiments.train.request import TrainRequest
from budgetnet.experiments.train.result import TrainResult
from budgetnet.experiments.train.run import run as run_training
from budgetnet.model.weights import load_model
from budgetnet.networks import Network, network_of
from budgetnet.parallel.progress import Progress
from budgetnet.runs.record import Record
from budgetnet.training.augmenting import Augment, Everything, augment_of
from budgetnet.training.calibration import Calibration
from budgetnet.training.evaluate import Evaluation
from budgetnet.training.outcome import FILE, FORMAT, check_weights
from budgetnet.training.plan import check_time
from budgetnet.training.recipe import Recipe, recipe_of
from budgetnet.training.stopwatch import MACHINE, Clock

TrainRecord = Record[TrainRequest, TrainPlan]


@dataclass(frozen=True, slots=True)
class Trained:
    """A finished training and where it lies."""

    run: Path
    network: Network
    validation: Evaluation
    test: Evaluation
    calibration: Calibration
    result: TrainResult = field(metadata=PRIVATE, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Train:
    """The experiment of `train`. `classes`, where given, must be as many as the images have."""

    classes: int | None = None

    name = "train"
    file = FILE
    format = FORMAT
    types = (TrainRequest, TrainPlan)

    def split_seeds(self, request: TrainRequest) -> Sequence[int]:
        """One split."""
        return (request.seed,)

    def propose(self, request: TrainRequest, context: Context) -> TrainPlan:
        """The steps that the epochs or the time are."""
        self._check(len(context.images[0].classes), context.images[0].name)
        return propose_training(request, context)

    def run(self, record: TrainRecord, context: Context) -> TrainResult:
        """Trains and tests."""
        self._check(len(record.data.classes), record.data.name)
        return run_training(record, context)

    def read(self, row: object, record: TrainRecord, run: Path) -> TrainResult:
        """metrics.json; the weights must be there as well."""
        self._check(len(record.data.classes), record.data.name)
        check_weights(run)
        network = record.plan.config.network
        return from_record(TrainResult, row, FORMAT, f"{FILE} in {run}", run=run, network=network, record=record)

    def report(self, record: TrainRecord, result: TrainResult) -> Report:
        """The network, its accuracy, its mistakes."""
        return report_of(record, result)

    def _check(self, classes: int, name: str) -> None:
        if self.classes is not None and self.classes != classes:
            raise ValueError(
                f"classes is {self.classes}, but {name} has {classes} classes; leave it out, for the images say how "
                "many there are"
            )


TRAIN = Train()


def train(
    data: str | Path | Folders,
    network: Network | None = None,
    out: Path | str | None = None,
    epochs: float | None = None,
    time_seconds: float | None = None,
    recipe: str | Recipe | None = None,
    seed: int = 0,
    device: str = "cpu",
    precision: str = "float32",
    budget: Budget | None = None,
    fresh: bool = False,
    progress: Progress | None = None,
    weights: str | Path | None = None,
    pretrained: str | Path = "none",
    augment: Augment | Everything = "auto",
    classes: int | None = None,
    clock: Clock = MACHINE,
) -> Trained:
    """Train `network`, its classes and input channels set from the data, and test it once.

    `weights` are pretrained ones to begin from (`load_weights` says which): the network is theirs unless
    given. `pretrained` is such a source too, but of a relative of any size, from which the network
    inherits (`inherit`), or "auto": the nearest that is installed or cached. With either, preprocessing
    comes from the source, and the recipe is "finetune", else "modern".

    `augment` says which kinds of the recipe's augmentation are drawn: those that change no class, unless given.

    Give `epochs` or `time_seconds`; a time becomes a count of steps once, by timed steps, and is
    kept in plan.json; a time in which each image would be seen fewer than four times (twice with pretrained weights)
    is refused. A network that breaks the `budget` is refused, and its `train_bytes` are kept by a smaller batch. The
    batch is smaller, too, where memory is short. `classes`, where given, must be as many as the images have. `clock` is
    where seconds come from: this machine, or in a simulation another.

    The same call goes on where a killed one was; a finished run is read, not made again, unless `fresh`. It starts one
    process a core or one a GPU itself. Raises `ValueError` for bad arguments or images, for a run that was begun with
    other arguments, and where the training learned nothing.
    """
    given = data_of(data)
    out, seed, fresh, progress = run_arguments(out, seed, fresh, progress)
    epochs, time_seconds = _bound(epochs, time_seconds)
    network = None if network is None else network_of("network", network)
    classes = None if classes is None else integer("classes", classes)
    weights, pretrained = None if weights is None else path("weights", weights), path("pretrained", pretrained)
    compute = Compute(device, precision).checked()
    if weights is not None and pretrained != "none":
        raise ValueError("give weights that fit, or pretrained ones to inherit from, not both")
    request = TrainRequest(
        network=network_to_train(network, weights, pretrained),
        epochs=epochs,
        time_seconds=time_seconds,
        recipe=None if recipe is None else recipe_of(recipe),
        seed=seed,
        precision=precision,
        weights=None if weights is None else str(weights),
        pretrained=pretrained,
        augment=augment_of(augment),
        budget=None if budget is None else budget_of("budget", budget),
    )
    limit = math.inf if time_seconds is None else time_seconds
    found = perform(Train(classes), request, given, compute, out, fresh, limit, progress, clock)
    return Trained(found.run, found.network, found.validation, found.test, found.calibration, found)


def network_to_train(network: Network | None, weights: str | None, pretrained: str = "none") -> Network:
    """The network to train: the one given, or that of the weights. Raises `ValueError` without either."""
    if network is not None:
        return network
    source = pretrained if weights is None and pretrained not in ("none", "auto") else weights
    if source is None:
        raise ValueError("give a network to train, or weights that have one")
    return load_model(source).network


def _bound(epochs: float | None, time_seconds: float | None) -> tuple[float | None, float | None]:
    """Epochs or seconds, checked."""
    if (epochs is None) == (time_seconds is None):
        raise ValueError("give either epochs or a time, not both and not neither")
    return None if epochs is None else number("epochs", epochs, above=0.0), (
        None if time_seconds is None else check_time(time_seconds)
    )
