"""How the time of a search is shared, as counts of steps: made once, kept in plan.json.

A third is for the check. In the race a training of the last early rung is a quarter as long as one of the last rung,
one of the rung before that half as long, and so on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from budgetnet.budgets.coefficient_space import Region
from budgetnet.cluster.executor import batch_for
from budgetnet.codec import NotEmpty, PositiveFloat, PositiveInt, require, require_unique
from budgetnet.data import Preprocessing
from budgetnet.data.images import check_channels
from budgetnet.experiments.coefficients.entrants import (
    Entrant,
    Matched,
    base_of,
    drawn_words,
    entrants_for,
    entrants_of,
    first_of,
)
from budgetnet.experiments.coefficients.request import CoefficientsRequest
from budgetnet.experiments.experiment import Context
from budgetnet.experiments.race import survivors
from budgetnet.experiments.timing import RaceSteps, prediction_seconds, race_steps
from budgetnet.networks import Network
from budgetnet.networks.scaling import Coefficients
from budgetnet.training.augmenting import Chosen, choose_augmentation, fitted
from budgetnet.training.job import JobContext, Timing, TrainingJob, whole_job
from budgetnet.training.plan import TooShort, preprocessing_for, side_px_for
from budgetnet.training.recipe import Recipe
from budgetnet.training.speed import least_steps
from budgetnet.training.trainer import TrainingSpec

FINALISTS = 4
"""The last rung has at most this many networks, unless another number is asked for."""
CHECK_SHARE = 0.33
"""The check takes this share of the time that is left for training; the rest is the race's."""
EARLY_LENGTH, SHORTER = 0.25, 0.5
"""A training in the rung before the last has the first share of the length of one in the last; each earlier rung has
the second share of the one behind it. Both were measured: docs/lab-log.md."""
LEAST_EARLY_STEPS = 40
"""A training of the first rung has at least this many steps, or fewer networks race: the order after 20 steps had
nothing to do with that of full trainings, after 40 it had as much as after 80 (docs/lab-log.md)."""
PAGE_SECONDS = 3.0
"""The statistics of the scores and the report are given this time."""
FOUND, PAPER_ID = "found", "paper"
"""The check compares the networks of these two ids."""


@dataclass(frozen=True, slots=True)
class Seconds:
    """Of one training: in every early rung, in the last one, in the check."""

    rungs: tuple[PositiveFloat, ...]
    last: PositiveFloat
    check: PositiveFloat


@dataclass(frozen=True, slots=True)
class PlannedCheck:
    """A network at phi = 2, its cost in the search's measure, and the steps of each of its trainings."""

    phi: PositiveFloat
    cost: PositiveInt
    network: Network
    steps: PositiveInt


@dataclass(frozen=True, slots=True)
class PlannedEntrant:
    """A network that races: the steps of its early rungs, of each training in the last rung, and of the check of its
    coefficients. `race` is None where all meet in the last rung."""

    id: str
    coefficients: Coefficients
    region: Region
    network: Network
    cost: PositiveInt
    images_per_second: PositiveFloat
    race: RaceSteps | None
    last_steps: PositiveInt
    check: PlannedCheck


@dataclass(frozen=True, slots=True)
class CoefficientsPlan:
    """Who races, the network nearest to the paper's choice first, and how long each training is.

    `base` is the base in the images' size, `networks` how many there are in its space, `drawn` how the entrants were
    drawn from it. The `recipe` draws only the kinds of `augmentation` that are on. `slots` trainings run at a time,
    `kept` entrants take part in each rung. `paper` is the paper's network of the check.
    """

    side_px: PositiveInt
    base: Network
    base_cost: PositiveInt
    networks: PositiveInt
    drawn: str
    recipe: Recipe
    augmentation: tuple[Chosen, ...]
    preprocessing: Preprocessing
    batch: PositiveInt
    slots: PositiveInt
    kept: NotEmpty[PositiveInt]
    seconds: Seconds
    entrants: NotEmpty[PlannedEntrant]
    paper: PlannedCheck

    def __post_init__(self) -> None:
        ids = [row.id for row in self.entrants]
        require_unique("entrants has an id", ids)
        require(self.kept[0] == len(ids), f"kept begins with {self.kept[0]}, and there are {len(ids)} entrants")
        require(list(self.kept) == sorted(self.kept, reverse=True), "kept grows from rung to rung")
        early = len(self.kept) - 1
        require(
            len(self.seconds.rungs) == early,
            f"seconds.rungs has {len(self.seconds.rungs)} items; {early} rungs are early",
        )
        for row in self.entrants:
            rungs = len(row.race.rungs) if row.race else 0
            require(rungs == early, f"race of {row.id} has {rungs} rungs; {early} are early")
        check_channels(self.preprocessing, self.base.in_channels, "the base takes")

    def lengths(self, seeds: int) -> list[tuple[int, float]]:
        """How many trainings each rung and then the check has, and the seconds of one."""
        early = list(zip(self.kept[:-1], self.seconds.rungs, strict=True))
        return [*early, (self.kept[-1] * seeds, self.seconds.last), (2 * seeds, self.seconds.check)]

    @property
    def incumbent(self) -> PlannedEntrant:
        """The network nearest to the paper's choice: it goes on to the last rung in any case."""
        return self.entrants[0]

    def spec(self, name: str, network: Network, seed: int) -> TrainingSpec:
        """A training of that network, called `name`."""
        return TrainingSpec(name, network, self.recipe, self.preprocessing, seed, self.batch)


def propose(request: CoefficientsRequest, context: Context) -> CoefficientsPlan:
    """Who trains for how many steps in each rung and in the check. Every training of a rung has equal seconds.

    Fewer race, the first of those that were drawn, where the first rung of all would be too short to say anything.
    Raises a one-line `ValueError` where the time is too short, and as `entrants_of`.
    """
    images, executor = context.images[0], context.executor
    slots = executor.slots()
    most = entrants_for(request.candidates, request.time_seconds, slots)
    base = base_of(images, request.base)
    proposed = entrants_of(images, base, request.growth, request.tolerance, request.measure, most)
    preprocessing = preprocessing_for(images)
    side_px = side_px_for(proposed.networks, preprocessing)
    pixels = context.pixels(side_px)
    augmentation = choose_augmentation(request.augment, request.recipe, images, pixels, request.seed)
    recipe = fitted(request.recipe, augmentation)
    train, validation, test = (len(images.indices(split)) for split in ("train", "validation", "test"))
    batch = batch_for(executor, recipe, train, proposed.networks, request.train_bytes)

    specs = [
        TrainingSpec(f"timed{index}", network, recipe, preprocessing, request.seed, batch)
        for index, network in enumerate(proposed.networks)
    ]
    measured = executor.timed(context.time.clock, specs, context.job_context(side_px, request.seed), context.progress)
    speeds = dict(zip(proposed.networks, measured.configs, strict=True))
    other = measured.startup_seconds + PAGE_SECONDS
    left = context.time.left_seconds - other

    timings = [speeds[row.candidate.network] for row in proposed.rows]
    racing = most_racing(timings, request.finalists, request.seeds, slots, left, batch, validation)
    kept = survivors(racing, request.finalists)
    checks = [speeds[network] for network in (proposed.paper.network, *(row.check.network for row in proposed.rows))]
    first, check = (min(each, key=lambda timing: timing.single_process) for each in (timings, checks))
    fewest = least_steps(train, batch)
    least = least_seconds(kept, request.seeds, slots, batch, (validation, test), first, check, fewest)
    if left < least:
        raise TooShort(
            request.time_seconds,
            f"to race {racing} networks and train the last {kept[-1]} and a check with {request.seeds} seeds each",
            context.time.needed(1, 1, other, max(10.0, least)),
            ", or fewer --candidates, --finalists or --seeds",
        )

    entrants, seconds = first_of(proposed, racing), shared(left, kept, request.seeds, slots)

    def planned_check(row: Matched) -> PlannedCheck:
        timing = speeds[row.network]
        left_seconds = seconds.check - prediction_seconds(validation + test, timing)
        return PlannedCheck(row.phi, row.cost, row.network, _steps(left_seconds, timing, batch))

    def planned_entrant(row: Entrant) -> PlannedEntrant:
        candidate, timing = row.candidate, speeds[row.candidate.network]
        spec = TrainingSpec(row.id, candidate.network, recipe, preprocessing, request.seed, batch)
        return PlannedEntrant(
            id=row.id,
            coefficients=candidate.coefficients,
            region=candidate.region,
            network=candidate.network,
            cost=candidate.cost,
            images_per_second=timing.single_process,
            race=race_steps(spec, timing, seconds.rungs, seconds.last, validation) if seconds.rungs else None,
            last_steps=_steps(seconds.last - prediction_seconds(validation, timing), timing, batch),
            check=planned_check(row.check),
        )

    return CoefficientsPlan(
        side_px=side_px,
        base=base,
        base_cost=entrants.space.base_cost,
        networks=len(entrants.space.candidates),
        drawn=drawn_words(entrants, request.candidates),
        recipe=recipe,
        augmentation=augmentation,
        preprocessing=preprocessing,
        batch=batch,
        slots=slots,
        kept=kept,
        seconds=seconds,
        entrants=tuple(map(planned_entrant, entrants.rows)),
        paper=planned_check(entrants.paper),
    )


def _steps(seconds: float, timing: Timing, batch: int) -> int:
    """Of a whole training in so many seconds."""
    return max(2, int(seconds * timing.single_process / batch))


def shared(left: float, kept: Sequence[int], seeds: int, slots: int) -> Seconds:
    """The time by rule: lengths of trainings times the turns that so many slots take for them."""
    lengths = [EARLY_LENGTH * SHORTER ** (len(kept) - 2 - rung) for rung in range(len(kept) - 1)]
    turns = [math.ceil(count / slots) for count in kept[:-1]]
    early = sum(length * many for length, many in zip(lengths, turns, strict=True))
    check = CHECK_SHARE * left
    last = (left - check) / (early + math.ceil(kept[-1] * seeds / slots))
    return Seconds(tuple(length * last for length in lengths), last, check / math.ceil(2 * seeds / slots))


def most_racing(
    timings: Sequence[Timing], finalists: int, seeds: int, slots: int, left: float, batch: int, validation: int
) -> int:
    """How many of the first entrants can race, by their speeds: each has `LEAST_EARLY_STEPS` in the first rung.

    As many as meet in the last rung have no early one, and race in any case.
    """
    for count in range(len(timings), finalists, -1):
        seconds = shared(left, survivors(count, finalists), seeds, slots)
        slowest = min(timings[:count], key=lambda timing: timing.single_process)
        steps = (seconds.rungs[0] - prediction_seconds(validation, slowest)) * slowest.single_process / batch
        if steps >= LEAST_EARLY_STEPS:
            return count
    return min(finalists, len(timings))


def least_seconds(
    kept: Sequence[int],
    seeds: int,
    slots: int,
    batch: int,
    splits: Sequence[int],
    first: Timing,
    check: Timing,
    steps: int,
) -> float:
    """The least time for the race and the check: each training of the last rung and the check has so many steps.

    Those of early rungs only say who goes on: for them `LEAST_EARLY_STEPS` are enough, or fewer race (`most_racing`).
    All are scored. `splits` are the counts of validation and test images; `first` is the speed of a candidate, `check`
    that of one at phi = 2.
    """
    shares = shared(1.0, kept, seeds, slots)
    raced = prediction_seconds(splits[0], first) + steps * batch / first.single_process
    checked = prediction_seconds(sum(splits), check) + steps * batch / check.single_process
    return max(raced / shares.last, checked / shares.check)


def early_job(plan: CoefficientsPlan, row: PlannedEntrant, seed: int, rung: int, context: JobContext) -> TrainingJob:
    """An entrant's way through an early rung, on from where the one before left its trunk."""
    assert row.race is not None, "there are early rungs"
    config = plan.spec(row.id, row.network, seed).for_steps(row.race.steps, row.race.warmup_steps)
    steps = row.race.rungs[rung]
    return TrainingJob(config, context, f"rung-{rung}", f"race/{row.id}", steps.trunk_until, steps.cooldown_steps)


def whole_jobs(
    plan: CoefficientsPlan, name: str, network: Network, steps: int, seeds: Sequence[int], phase: str, at: JobContext
) -> tuple[TrainingJob, ...]:
    """Trainings of the last rung or the check from the beginning, one a seed."""
    configs = [plan.spec(f"{name}-seed{seed}", network, seed).for_steps(steps) for seed in seeds]
    return tuple(
        whole_job(config, at, f"{phase}/{name}, seed {config.seed}", config.cooldown_steps) for config in configs
    )
