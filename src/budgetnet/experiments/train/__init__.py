"""Train one network on one folder of images: bounded by epochs or by the clock, and safe to kill."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from budgetnet.arguments import integer, number, path, run_arguments
from budgetnet.budgets.budget import Budget, budget_of
from budgetnet.cluster.executor import Executor
from budgetnet.cluster.ray_cluster import Cluster
from budgetnet.codec import PRIVATE, from_record
from budgetnet.data import Folders, data_of
from budgetnet.experiments.compute import Compute
from budgetnet.experiments.experiment import Context, perform, report_path
from budgetnet.experiments.report import Report
from budgetnet.experiments.summary import Summary
from budgetnet.experiments.train.plan import TrainPlan
from budgetnet.experiments.train.plan import propose as propose_training
from budgetnet.experiments.train.report import report as report_of
from budgetnet.experiments.train.request import TrainRequest
from budgetnet.experiments.train.result import TrainResult
from budgetnet.experiments.train.run import run as run_training
from budgetnet.experiments.trained import summary_rows
from budgetnet.model.weights import load_model
from budgetnet.networks import Network, network_of
from budgetnet.parallel.progress import Progress
from budgetnet.parallel.ranks import led
from budgetnet.runs.record import Record
from budgetnet.training.augmenting import Augment, Everything, augment_of
from budgetnet.training.calibration import Calibration
from budgetnet.training.evaluation import Evaluation
from budgetnet.training.outcome import FILE, FORMAT, check_model
from budgetnet.training.plan import check_time
from budgetnet.training.pretrained import asked_recipe
from budgetnet.training.recipe import Recipe
from budgetnet.training.stopwatch import MACHINE, Clock

TrainRecord = Record[TrainRequest, TrainPlan]


@dataclass(frozen=True, slots=True)
class Trained:
    """A finished training and where it lies.

    Attributes:
        run: The run's folder; docs/formats.md says what is in it.
        network: The network that was trained, with the classes and input channels of the images.
        validation: The scores on the validation images.
        test: The scores on the test images, which no choice has seen.
        calibration: The temperature of its probabilities, and what it does to their calibration error.
        result: All that metrics.json has, with what was asked and planned.
    """

    run: Path
    network: Network
    validation: Evaluation
    test: Evaluation
    calibration: Calibration
    result: TrainResult = field(metadata=PRIVATE, repr=False, compare=False)

    @staticmethod
    def of(found: TrainResult) -> Trained:
        """What a finished training found.

        Args:
            found: The content of metrics.json.

        Returns:
            The same as users take it.
        """
        return Trained(found.run, found.network, found.validation, found.test, found.calibration, found)

    @property
    def summary(self) -> Summary:
        """What Python's prompt and a notebook show of it."""
        budget = self.result.record.request.budget
        certificate = None if budget is None else budget.check(self.network)
        rows = summary_rows(self.test, self.network, budget, certificate)
        return Summary(self.network.name, rows, report_path(self.run))

    def __repr__(self) -> str:
        return self.summary.text()

    def _repr_html_(self) -> str:
        return self.summary.html()


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
        self.check_classes(len(context.images[0].classes), context.images[0].name)
        return propose_training(request, context)

    def run(self, record: TrainRecord, context: Context) -> TrainResult:
        """Trains and tests."""
        self.check_classes(len(record.data.classes), record.data.name)
        return run_training(record, context)

    def read(self, row: object, record: TrainRecord, run: Path) -> TrainResult:
        """metrics.json; the network and its weights must be there as well."""
        check_model(run)
        network = record.plan.config.network
        return from_record(TrainResult, row, FORMAT, f"{FILE} in {run}", run=run, network=network, record=record)

    def report(self, record: TrainRecord, result: TrainResult) -> Report:
        """The network, its accuracy, its mistakes."""
        return report_of(record, result)

    def check_classes(self, classes: int, name: str) -> None:
        """Raise a one-line `ValueError` for images of that name that have another count of classes than was given."""
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
    device: str = "auto",
    precision: str = "auto",
    budget: Budget | None = None,
    fresh: bool = False,
    progress: Progress | None = None,
    weights: str | Path | None = None,
    pretrained: str | Path = "none",
    augment: Augment | Everything = "auto",
    classes: int | None = None,
    clock: Clock = MACHINE,
    cluster: Cluster | Executor | None = None,
) -> Trained:
    """Train one network on labelled images, and test it once.

    The call starts one process for each core or GPU by itself; under torchrun or accelerate launch all of their
    processes train, and it returns the same in each. The same call continues where a stopped one was, to the same
    weights; a finished run is read and not made again, unless `fresh` is given.

    Args:
        data: The images, as `open_images` takes them.
        network: The network to train; its classes and input channels are set from the images. Not needed with `weights`
            or `pretrained`, which have a network.
        out: The run's folder; unless given, one under runs/ that is named after the data and the arguments.
        epochs: How many times through the training images. Give this or `time_seconds`.
        time_seconds: For everything: a number of seconds, or text such as "15m". Timed steps turn it into a number of
            steps, in plan.json; docs/how-it-works.md says how the limit is kept.
        recipe: "modern", "paper", "finetune" or a `Recipe`. Unless given "modern", and "finetune" from pretrained
            weights.
        seed: The split, the first weights, the order of the images and the augmentation are functions of it.
        device: "auto" (a CUDA GPU where there is one, else the processor), "cpu", "cuda" or "mps".
        precision: "auto" (bfloat16 on GPUs that have it, else float32), "float32", "bfloat16" or "float16".
        budget: A network that breaks one of these limits is refused; `train_bytes` is kept by a smaller batch.
        fresh: Whether a run in the folder is removed and made again.
        progress: Called with an `Update` as the work goes on. Unless given, a notebook shows bars, a script nothing.
        weights: A source of weights that fit the network exactly, as `load_weights` takes it, to begin from.
        pretrained: A source of weights of a relative of any size, which the network inherits (`inherit`); "auto" for
            the nearest that is installed, cached or in the folder BUDGETNET_WEIGHTS; "none".
        augment: Which kinds of augmentation are drawn: an `Augment`, "auto" (those that change no class) or "none".
        classes: Where given, the images must have this number of classes.
        clock: Where seconds come from: this machine, or another in a simulation.
        cluster: A Ray cluster or another executor on which it is trained; this machine's processes unless given.

    Returns:
        The scores, and the folder of the run.

    Raises:
        ValueError: An argument or the images are wrong; each image would be seen fewer than four times in the given
            time (twice with pretrained weights); the folder was begun with other arguments; the training learned
            nothing.
        TypeError: An argument has another type.
        RuntimeError: A process of the training died; the same call goes on.

    Example:
        >>> import budgetnet
        >>> net = budgetnet.network("mobilenet_v3_small", classes=10, resolution_px=32)
        >>> trained = budgetnet.train("digits", net, out="digits-run", epochs=4)
        >>> trained.test.count
        359
    """
    given = data_of(data)
    out, seed, fresh, progress = run_arguments(out, seed, fresh, progress)
    epochs, time_seconds = _bound(epochs, time_seconds)
    network = None if network is None else network_of("network", network)
    classes = None if classes is None else integer("classes", classes)
    weights, pretrained = None if weights is None else path("weights", weights), path("pretrained", pretrained)
    compute = Compute(device, precision, cluster).checked(by_ranks=True)
    if weights is not None and pretrained != "none":
        raise ValueError("give weights that fit, or pretrained ones to inherit from, not both")
    request = TrainRequest(
        network=network_to_train(network, weights, pretrained),
        epochs=epochs,
        time_seconds=time_seconds,
        recipe=asked_recipe(recipe, pretrained if weights is None else str(weights)),
        seed=seed,
        precision=compute.precision,
        weights=None if weights is None else str(weights),
        pretrained=pretrained,
        augment=augment_of(augment),
        budget=None if budget is None else budget_of("budget", budget),
    )
    limit = math.inf if time_seconds is None else time_seconds
    experiment = Train(classes)

    def performed() -> TrainResult:
        return perform(experiment, request, given, compute, out, fresh, limit, progress, clock)

    found = led(compute.device, performed)
    experiment.check_classes(len(found.record.data.classes), found.record.data.name)  # of a run that was finished
    return Trained.of(found)


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
