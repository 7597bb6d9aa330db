"""How the time is shared among the parts: a half for the baseline, a quarter each for coefficients and family."""

from __future__ import annotations

from dataclasses import dataclass

from budgetnet.budgets.feasible_space import FeasibleSpace
from budgetnet.cluster.executor import batch_for
from budgetnet.codec import PositiveInt
from budgetnet.experiments.baseline import space_for
from budgetnet.experiments.coefficients.entrants import entrants_for
from budgetnet.experiments.coefficients.plan import FINALISTS, least_seconds
from budgetnet.experiments.experiment import Context
from budgetnet.experiments.family.members import members_of
from budgetnet.experiments.family.request import FamilyRequest
from budgetnet.experiments.family.training import MARGIN, MOST_SEEDS, PAGE_SECONDS, TrainingSizes, sizes_of
from budgetnet.experiments.race import survivors
from budgetnet.networks.scaling import PAPER
from budgetnet.training.augmenting import Chosen, choose_augmentation, fitted
from budgetnet.training.job import Timing
from budgetnet.training.plan import TooShort, preprocessing_for, side_px_for
from budgetnet.training.stopwatch import Timings
from budgetnet.training.trainer import TrainingSpec

CANDIDATES = 24
"""The search for coefficients is asked for this many candidates."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the whole: its name, which is its folder's too, its number, and its share of the time."""

    name: str
    number: int
    share: float


BASELINE = Part("baseline", 1, 0.5)
COEFFICIENTS = Part("coefficients", 2, 0.25)
MEMBERS = Part("family", 3, 0.25)
PARTS = (BASELINE, COEFFICIENTS, MEMBERS)
"""The two searches have in three hours what they take by themselves, 90 and 45 minutes, and the family has 45."""


@dataclass(frozen=True, slots=True)
class FamilyPlan:
    """Seconds for each part, and how the search for coefficients shares its own. `augmentation` is chosen once, for all
    parts."""

    augmentation: tuple[Chosen, ...]
    baseline_seconds: PositiveInt
    coefficients_seconds: PositiveInt
    family_seconds: PositiveInt
    candidates: PositiveInt
    coefficient_seeds: PositiveInt


def propose(request: FamilyRequest, context: Context) -> FamilyPlan:
    """The plan of a family. The space's base, scaled by the paper's coefficients, stands for what will be found.

    Raises `TooShort` where coefficients or the family could not be trained: after the baseline it would be too late;
    `BudgetError` or `ValueError` where no network keeps the budget.
    """
    images, executor = context.images[0], context.executor
    searched = request.space or space_for(images, request.budget, request.base)
    space = searched.with_data(len(images.classes), images.in_channels)
    FeasibleSpace.of(space, request.budget)
    members = members_of(space.base, PAPER)
    networks = [member.network for member in members]
    preprocessing = preprocessing_for(images)
    side_px = side_px_for(networks, preprocessing)
    pixels = context.pixels(side_px)
    augmentation = choose_augmentation(request.augment, request.recipe, images, pixels, request.seed)
    recipe = fitted(request.recipe, augmentation)
    batch = batch_for(executor, recipe, len(images.indices("train")), networks, request.budget.train_bytes)
    specs = [TrainingSpec(member.id, member.network, recipe, preprocessing, request.seed, batch) for member in members]
    measured = executor.timed(context.time.clock, specs, context.job_context(side_px, request.seed), context.progress)
    spent = context.time.elapsed_seconds
    return shared(request.time_seconds, spent, augmentation, measured, sizes_of(images, batch, executor.slots()))


def shared(
    time_seconds: float, spent: float, augmentation: tuple[Chosen, ...], measured: Timings, sizes: TrainingSizes
) -> FamilyPlan:
    """What is left after the `spent` seconds, by rule; the search for coefficients has more seeds where it has time.

    `measured` are the speeds of S0 to S3. Raises as `propose`.
    """
    timings = measured.configs
    baseline, coefficients, family = (max(0, int(part.share * (time_seconds - spent))) for part in PARTS)
    overhead = measured.startup_seconds + sum(timing.seconds for timing in timings) / sizes.slots + PAGE_SECONDS
    kept = survivors(entrants_for(CANDIDATES, coefficients, sizes.slots), FINALISTS)

    def race_seconds(seeds: int, steps: int) -> float:
        splits, (first, check) = (sizes.validation, sizes.test), _raced(timings)
        return MARGIN * (overhead + least_seconds(kept, seeds, sizes.slots, sizes.batch, splits, first, check, steps))

    wanted = range(MOST_SEEDS, 1, -1)
    seeds = next((count for count in wanted if race_seconds(count, sizes.enough_steps) <= coefficients), 1)
    race = race_seconds(1, sizes.least_steps)
    training = MARGIN * (overhead + sizes.seconds(timings, 1, sizes.least_steps))
    if coefficients < race or family < training:
        whole = spent + max(race / COEFFICIENTS.share, training / MEMBERS.share)
        raise TooShort(time_seconds, "for a baseline, coefficients and a family", whole)
    return FamilyPlan(augmentation, baseline, coefficients, family, CANDIDATES, seeds)


def _raced(timings: tuple[Timing, ...]) -> tuple[Timing, Timing]:
    """Of what races for coefficients, which is as large as S1, and of its check, as large as S2."""
    return timings[1], timings[2]
