"""How the time of a comparison is shared: every training the same seconds of one worker, as counts of steps."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from budgetnet.codec import NonNegativeFloat, NonNegativeInt, NotEmpty, PositiveFloat, PositiveInt, require
from budgetnet.data import Preprocessing
from budgetnet.data.images import check_channels
from budgetnet.experiments.compare.entrants import Entrant, LeftOut
from budgetnet.experiments.compare.request import CompareRequest
from budgetnet.experiments.compare.specs import EntrantSpec, augmented, specs_of
from budgetnet.experiments.experiment import Context
from budgetnet.experiments.timing import FINISH_SECONDS, slowest_prediction_seconds
from budgetnet.inspect.turns import LEAST_SECONDS
from budgetnet.training.augmenting import Chosen, fitted, tell_augmentation
from budgetnet.training.job import JobContext, Timing, TrainingJob, whole_job
from budgetnet.training.plan import TooShort, side_px_for
from budgetnet.training.pretrained import InitialWeights, write_all_initial_weights
from budgetnet.training.recipe import Recipe
from budgetnet.training.speed import least_epochs
from budgetnet.training.trainer import TrainingConfig, TrainingSpec

MEASURED_SECONDS, MEASURED_SHARE = 2.0, 0.0025
"""How long each network runs at the end, for its milliseconds an image: so many seconds, or this share of a time so
short that they would be much of it."""


@dataclass(frozen=True, slots=True)
class PlannedEntrant:
    """An entrant and how it is trained; `augmentation` has what each seed draws of the recipe's."""

    entrant: Entrant
    parent: str | None
    recipe: Recipe
    preprocessing: Preprocessing
    batch: PositiveInt
    steps: PositiveInt
    warmup_steps: PositiveInt
    cooldown_steps: NonNegativeInt
    images_per_second: PositiveFloat
    augmentation: NotEmpty[tuple[Chosen, ...]]

    def __post_init__(self) -> None:
        check_channels(self.preprocessing, self.entrant.network.in_channels)
        for name in ("warmup_steps", "cooldown_steps"):
            count = getattr(self, name)
            require(count <= self.steps, f"{name} is {count}, more than steps, {self.steps}")

    def config(self, seed: int) -> TrainingConfig:
        """The training of one seed."""
        return TrainingConfig(
            training_id(self.entrant.id, seed),
            self.entrant.network,
            fitted(self.recipe, self.augmentation[seed]),
            self.preprocessing,
            seed,
            self.batch,
            self.steps,
            self.warmup_steps,
        )


@dataclass(frozen=True, slots=True)
class ComparePlan:
    """The entrants, `seconds_each` of one worker for every training, `slots` trainings at a time.

    Each network then runs for `measured_seconds`; `finish_seconds` come behind the last step: predicting, measuring,
    the report.
    """

    side_px: PositiveInt
    seconds_each: PositiveFloat
    measured_seconds: PositiveFloat
    slots: PositiveInt
    finish_seconds: NonNegativeFloat
    entrants: NotEmpty[PlannedEntrant]
    left_out: tuple[LeftOut, ...]


def propose(request: CompareRequest, context: Context) -> ComparePlan:
    """The plan of a comparison: equal seconds, steps by speed.

    Raises a one-line `ValueError` where that is too short for any training, and as `specs_of`.
    """
    images, executor = context.images[0], context.executor
    specs, left_out = specs_of(request, images, executor.device)
    side_px = max(side_px_for([spec.entrant.network], spec.training.preprocessing) for spec in specs)
    pixels = context.pixels(side_px)
    specs = augmented(specs, request.augment, context.images, pixels)
    tell_augmentation(specs[0].augmentation[0], context.progress)
    context.clear()
    _begin(specs, request.seeds, context, side_px)
    trainings = len(specs) * request.seeds
    slots = min(executor.slots(), trainings)
    measured = executor.timed(
        context.time.clock, [spec.training for spec in specs], context.job_context(side_px, 0), context.progress, slots
    )
    predicting = slowest_prediction_seconds(images, measured.configs, ("validation", "test"))
    waves = -(-trainings // slots)
    measured_seconds = min(MEASURED_SECONDS, max(LEAST_SECONDS, MEASURED_SHARE * request.time_seconds))
    finish = waves * predicting + len(specs) * measured_seconds + FINISH_SECONDS
    other = measured.startup_seconds + finish
    seconds = context.time.each(trainings, slots, other)
    count = len(images.indices("train"))
    pairs = list(zip(specs, measured.configs, strict=True))
    epochs = {spec.entrant.id: least_epochs(spec.parent is not None)[0] for spec in specs}
    least = max(epochs[spec.entrant.id] * count / timing.single_process for spec, timing in pairs)
    if seconds < least:
        raise TooShort(
            request.time_seconds,
            f"for {trainings} trainings, {slots} at a time: each is to see its {count:,} training images "
            f"{max(epochs.values()):g} times at least",
            context.time.needed(trainings, slots, other, least),
        )
    return ComparePlan(
        side_px=side_px,
        seconds_each=seconds,
        measured_seconds=measured_seconds,
        slots=slots,
        finish_seconds=finish,
        entrants=tuple(planned_entrant(spec, timing, seconds) for spec, timing in pairs),
        left_out=left_out,
    )


def planned_entrant(spec: EntrantSpec, timing: Timing, seconds: float) -> PlannedEntrant:
    """One entrant with the steps that so many seconds of one worker are."""
    training = spec.training
    config = training.for_steps(max(1, int(seconds * timing.single_process / training.batch)))
    return PlannedEntrant(
        entrant=spec.entrant,
        parent=spec.parent,
        recipe=training.recipe,
        preprocessing=training.preprocessing,
        batch=training.batch,
        steps=config.steps,
        warmup_steps=config.warmup_steps,
        cooldown_steps=config.cooldown_steps,
        images_per_second=timing.single_process,
        augmentation=spec.augmentation,
    )


def jobs_of(plan: ComparePlan, seeds: int, context: Context) -> dict[tuple[str, int], TrainingJob]:
    """Every training as one job, by entrant and seed, one seed after another.

    Those that are still to do share the time that is left, so that a machine that became slower cuts them all alike.
    """
    jobs = {
        (row.entrant.id, seed): _job(row, seed, context.job_context(plan.side_px, seed))
        for seed in range(seeds)
        for row in plan.entrants
    }
    missing = [key for key, job in jobs.items() if not job.predictions.exists()]
    deadlines = context.time.deadlines(len(missing), plan.slots, plan.finish_seconds)
    late = {
        key: dataclasses.replace(jobs[key], deadline=deadline) for key, deadline in zip(missing, deadlines, strict=True)
    }
    return jobs | late


def _job(row: PlannedEntrant, seed: int, context: JobContext) -> TrainingJob:
    return whole_job(row.config(seed), context, f"compare/{row.entrant.id}, seed {seed}", row.cooldown_steps)


def _begin(specs: Sequence[EntrantSpec], seeds: int, context: Context, side_px: int) -> None:
    """The initial weights of every training that inherits."""
    initial = [
        InitialWeights(_seeded(spec, seed), context.job_context(side_px, seed), spec.parent, exact=False)
        for seed in range(seeds)
        for spec in specs
        if spec.parent is not None
    ]
    if initial:
        write_all_initial_weights(initial, context.executor.device, context.progress)


def _seeded(spec: EntrantSpec, seed: int) -> TrainingSpec:
    return dataclasses.replace(spec.training, id=training_id(spec.entrant.id, seed), seed=seed)


def training_id(entrant: str, seed: int) -> str:
    """The name of a training's files."""
    return f"{entrant}-seed{seed}"
