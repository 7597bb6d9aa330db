"""What a study of activations fixes before it trains, and the trainings that follow from it."""

from __future__ import annotations

from dataclasses import dataclass

from budgetnet.cluster.executor import batch_for
from budgetnet.codec import NonNegativeInt, NotEmpty, PositiveFloat, PositiveInt, require
from budgetnet.data import Preprocessing
from budgetnet.data.images import check_channels
from budgetnet.experiments.activations.networks import activation_name, base_for, with_activation
from budgetnet.experiments.activations.probe import LENGTHS
from budgetnet.experiments.activations.request import StudyRequest
from budgetnet.experiments.activations.training import ProbedTraining
from budgetnet.experiments.bases import safe_name
from budgetnet.experiments.experiment import Context
from budgetnet.networks import Activation, Network
from budgetnet.runs.record import Record
from budgetnet.training.augmenting import Chosen, choices_by_seed, fitted, tell_augmentation
from budgetnet.training.job import whole_job
from budgetnet.training.plan import preprocessing_for, side_px_for
from budgetnet.training.trainer import TrainingConfig, TrainingSpec


@dataclass(frozen=True, slots=True)
class StudyPlan:
    """One batch, one preprocessing and one count of steps for all twins of `network` and all seeds.

    `augmentation` is what each seed draws of the recipe's. After the steps `probe_steps` the gradient is probed at
    distances of `lengths` times the length of the weights.
    """

    network: Network
    side_px: PositiveInt
    preprocessing: Preprocessing
    batch: PositiveInt
    steps: PositiveInt
    warmup_steps: PositiveInt
    cooldown_steps: NonNegativeInt
    probe_steps: NotEmpty[PositiveInt]
    lengths: NotEmpty[PositiveFloat]
    augmentation: NotEmpty[tuple[Chosen, ...]]

    def __post_init__(self) -> None:
        for name in ("warmup_steps", "cooldown_steps"):
            count = getattr(self, name)
            require(count <= self.steps, f"{name} is {count}, more than steps, {self.steps}")
        require(max(self.probe_steps) <= self.steps, f"probe_steps goes beyond steps, {self.steps}")
        check_channels(self.preprocessing, self.network.in_channels)


StudyRecord = Record[StudyRequest, StudyPlan]


def propose(request: StudyRequest, context: Context) -> StudyPlan:
    """The plan. Raises a one-line `ValueError` for a network without an activation to replace."""
    images, recipe = context.images[0], request.recipe
    network = base_for(images, request.network)
    twins = [with_activation(network, activation) for activation in request.activations]
    preprocessing = preprocessing_for(images)
    batch = batch_for(context.executor, recipe, len(images.indices("train")), twins)
    config = TrainingSpec("any", network, recipe, preprocessing, 0, batch).for_steps(request.steps)
    side_px = side_px_for(twins, preprocessing)
    augmentation = choices_by_seed(request.augment, recipe, context.images, context.pixels(side_px))
    tell_augmentation(augmentation[0], context.progress)
    return StudyPlan(
        network=network,
        side_px=side_px,
        preprocessing=preprocessing,
        batch=batch,
        steps=config.steps,
        warmup_steps=config.warmup_steps,
        cooldown_steps=config.cooldown_steps,
        probe_steps=probe_steps(request.steps, request.probes),
        lengths=LENGTHS,
        augmentation=augmentation,
    )


def probe_steps(steps: int, probes: int) -> tuple[int, ...]:
    """After which steps the gradient is probed: evenly, the last step too."""
    return tuple(sorted({max(1, round(steps * index / probes)) for index in range(1, probes + 1)}))


def jobs_of(record: StudyRecord, context: Context) -> dict[tuple[Activation, int], ProbedTraining]:
    """Every training, by activation and seed; one seed after another, so that an unfinished study has whole rounds."""
    return {
        (activation, seed): _job(record, activation, seed, context)
        for seed in range(record.request.seeds)
        for activation in record.request.activations
    }


def _job(record: StudyRecord, activation: Activation, seed: int, context: Context) -> ProbedTraining:
    request, plan, name = record.request, record.plan, activation_name(activation)
    config = TrainingConfig(
        training_id(name, seed),
        with_activation(plan.network, activation),
        fitted(request.recipe, plan.augmentation[seed]),
        plan.preprocessing,
        seed,
        plan.batch,
        plan.steps,
        plan.warmup_steps,
    )
    here = context.job_context(plan.side_px, seed)
    job = whole_job(config, here, f"training/{name}, seed {seed}", plan.cooldown_steps)
    return ProbedTraining(job, plan.probe_steps, plan.lengths, request.probe_images)


def training_id(twin: str, seed: int) -> str:
    """The name of a training's files."""
    return f"{safe_name(twin.replace(':', '-'))}-seed{seed}"
