"""The plan of a training: its steps, from epochs by arithmetic or from a time by timed steps."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from budgetnet.arguments import shown
from budgetnet.budgets.budget import Budget
from budgetnet.codec import NonNegativeFloat, NonNegativeInt, PositiveInt, require
from budgetnet.data import ImageSet
from budgetnet.experiments.experiment import Context
from budgetnet.experiments.timing import FINISH_SECONDS, evaluation_seconds
from budgetnet.experiments.train.request import TrainRequest
from budgetnet.networks import Network
from budgetnet.parallel.workers import ProcessGroup, workers_for
from budgetnet.training.augmenting import Chosen, choose_augmentation, fitted, tell_augmentation
from budgetnet.training.job import JobContext
from budgetnet.training.plan import TooShort, preprocessing_for, side_px_for, too_few
from budgetnet.training.pretrained import InitialWeights, default_recipe, parent_for, write_all_initial_weights
from budgetnet.training.recipe import recipe_of
from budgetnet.training.speed import MOST_SPEED, USUAL_SPEED, image_work, least_epochs
from budgetnet.training.trainer import TrainingConfig, TrainingSpec


@dataclass(frozen=True, slots=True)
class TrainPlan:
    """The training, whose weights it begins from, and the processes that share its steps.

    `finish_seconds` are what comes behind its last step, where its time is limited.
    """

    parent: str | None
    augmentation: tuple[Chosen, ...]
    side_px: PositiveInt
    group: ProcessGroup
    config: TrainingConfig
    cooldown_steps: NonNegativeInt
    finish_seconds: NonNegativeFloat

    def __post_init__(self) -> None:
        config, cooldown = self.config, self.config.cooldown_steps
        require(config.id == "final", f"config.id is {shown(config.id)}; it must be final")
        require(self.cooldown_steps == cooldown, f"cooldown_steps is {self.cooldown_steps}; by config it is {cooldown}")


def propose(request: TrainRequest, context: Context) -> TrainPlan:
    """The plan of a training.

    Raises a one-line `ValueError` for a network that breaks the budget, and `TooShort` for a time in which it would see
    its images too rarely.
    """
    images, executor = context.images[0], context.executor
    network = dataclasses.replace(request.network, classes=len(images.classes), in_channels=images.in_channels)
    check_keeps(network, request.budget)
    parent = parent_for(request.source, network)
    preprocessing = preprocessing_for(images, parent)
    side_px = side_px_for([network], preprocessing)
    pixels = context.pixels(side_px)
    recipe = recipe_of(request.recipe or default_recipe(parent))
    augmentation = choose_augmentation(request.augment, recipe, images, pixels, request.seed)
    tell_augmentation(augmentation, context.progress)
    most_bytes = request.budget.train_bytes if request.budget else None
    whole = request.epochs is not None  # where there is a time, a trial of it is timed by itself
    batch, group = executor.shared_batch(recipe, images, [network], most_bytes, single_process=not whole)
    spec = TrainingSpec("final", network, fitted(recipe, augmentation), preprocessing, request.seed, batch)
    if request.time_seconds is not None:
        check_possible(spec, images, executor.device, request.time_seconds, parent is not None)
    context.clear()
    where = context.job_context(side_px, request.seed)
    if parent is not None:
        exact = request.weights is not None
        write_all_initial_weights([InitialWeights(spec, where, parent, exact)], executor.device, context.progress)
    steps, finish = _steps(request, spec, where, group, images, context, parent is not None)
    config = spec.for_steps(steps)
    return TrainPlan(parent, augmentation, side_px, group, config, config.cooldown_steps, finish)


def _steps(
    request: TrainRequest,
    spec: TrainingSpec,
    where: JobContext,
    group: ProcessGroup,
    images: ImageSet,
    context: Context,
    inherited: bool,
) -> tuple[int, float]:
    """How many steps the epochs or the time are, and the seconds that come behind them."""
    count, time = len(images.indices("train")), context.time
    if request.epochs is not None:
        return max(1, round(request.epochs * count / spec.batch)), 0.0
    with context.executor.stopwatch(time.clock, group, context.progress) as stopwatch:
        (timing,) = stopwatch.time([spec], where)
    finish = evaluation_seconds(images, timing) + FINISH_SECONDS
    other = stopwatch.startup_seconds + finish
    steps = max(0, int(time.each(1, 1, other) * timing.data_parallel / spec.batch))
    least, _ = least_epochs(inherited)
    if steps * spec.batch < least * count:
        seen = too_few(steps * spec.batch / count, least)
        raise TooShort(
            time.seconds,
            f"for {spec.network.name}: it would see each of the {count:,} training images {seen}",
            time.needed(1, 1, other, least * count / timing.data_parallel),
        )
    return steps, finish


def check_keeps(network: Network, budget: Budget | None) -> None:
    """Raise a one-line `ValueError` for a network that breaks a limit: it is said before it is trained, not after."""
    broken = [] if budget is None else [row for row in budget.check(network).limits if row.left < 0]
    if broken:
        limits = ", ".join(f"{row.name} {row.used:,} where the limit is {row.limit:,}" for row in broken)
        raise ValueError(
            f"{network.name} for {network.classes} classes has {limits}; "
            "`budgetnet fit` finds the largest of its path that keeps the limits, `budgetnet solve` the best of all"
        )


def check_possible(spec: TrainingSpec, images: ImageSet, device: str, time_seconds: float, inherited: bool) -> None:
    """Raise `TooShort` for a time that no processor of today would do with: nothing needs to be timed for that."""
    count = len(images.indices("train"))
    least, _ = least_epochs(inherited)
    work = least * count * image_work(spec.network, spec.batch)
    seconds = work / (MOST_SPEED[device] * workers_for(device))
    if seconds > time_seconds:
        raise TooShort(
            time_seconds,
            f"for {spec.network.name}: to see {count:,} training images {least:g} times takes this machine far longer",
            seconds * MOST_SPEED[device] / USUAL_SPEED[device],
        )
