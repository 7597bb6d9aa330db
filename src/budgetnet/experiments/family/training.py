"""The third part: S0 to S3 trained alike, their networks and weights written, their predictions scored.

Every member takes equal steps of one batch, so equal epochs, as B0 to B7 do in their authors' code (tensorflow/tpu,
efficientnet/main.py: 218,949 steps, whatever the model). Equal seconds would give S3 an eighth of S0's epochs, and what
it lost for want of training would look like what more compute is worth. The price is that about half of the time is
S3's.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from budgetnet.atomic_write import written_aside
from budgetnet.budgets.budget import Budget
from budgetnet.cluster.executor import batch_for
from budgetnet.cluster.pending import train_pending
from budgetnet.codec import (
    NOT_STORED,
    ONLY_IF_SET,
    PRIVATE,
    NonNegativeInt,
    NotEmpty,
    PositiveFloat,
    PositiveInt,
    Share,
    require,
    require_unique,
    to_plain,
)
from budgetnet.data import ImageSet, Preprocessing
from budgetnet.data.images import check_channels
from budgetnet.experiments.experiment import Context, report_path
from budgetnet.experiments.family.members import PHIS, members_of
from budgetnet.experiments.timing import FORWARD_RATE, ends_of
from budgetnet.model.weights import SIDE_NOTE, save_weights
from budgetnet.networks import Network
from budgetnet.networks.scaling import Coefficients
from budgetnet.runs.record import Record
from budgetnet.statistics import (
    PairedDifference,
    accuracy_of_seeds,
    difference_of_seeds,
    holm_adjusted,
    paired_over_seeds,
    with_shared_split,
)
from budgetnet.training.augmenting import Augment, Chosen, choose_augmentation, fitted
from budgetnet.training.chance import check_any_learned
from budgetnet.training.events import events_of, training_seconds
from budgetnet.training.job import JobContext, JobFiles, Timing, TrainingJob, opened, run_job, whole_job
from budgetnet.training.outcome import trained_model
from budgetnet.training.plan import TooShort, preprocessing_for, side_px_for
from budgetnet.training.predictions import (
    TestPredictions,
    check_over_seeds,
    predictions_of,
    right_over_seeds,
    train_and_test,
    unlearned,
)
from budgetnet.training.recipe import Recipe
from budgetnet.training.speed import least_steps
from budgetnet.training.trainer import TrainingSpec

FORMAT = "budgetnet.members.v1"
MOST_SEEDS = 3
"""The family and the last rung of coefficients have at most this many seeds, and one where several would not each see
their images `ENOUGH_EPOCHS` times."""
ENOUGH_EPOCHS = 12
MOST_STEPS = 10**9
MARGIN = 1.2
"""A least time is multiplied by this: what is timed once is timed too fast by this, at worst."""
PAGE_SECONDS = 5.0
"""Time that is kept for the report."""


@dataclass(frozen=True, slots=True)
class MembersRequest:
    """A family's base and coefficients, and how its members are trained. `budget` is that of the base."""

    base: Network
    coefficients: Coefficients
    budget: Budget
    time_seconds: PositiveFloat
    seed: NonNegativeInt
    recipe: Recipe
    precision: str
    augment: Augment


@dataclass(frozen=True, slots=True)
class PlannedMember:
    """A network that is trained, and the images a second of its training when it was timed."""

    id: str
    phi: NonNegativeInt
    network: Network
    images_per_second: PositiveFloat


@dataclass(frozen=True, slots=True)
class MembersPlan:
    """Equal `steps` for all members, `epochs` times through the training images, by as many `seeds`; `slots` trainings
    at a time. The `recipe` draws only the kinds of `augmentation` that are on."""

    side_px: PositiveInt
    recipe: Recipe
    augmentation: tuple[Chosen, ...]
    preprocessing: Preprocessing
    batch: PositiveInt
    slots: PositiveInt
    seeds: PositiveInt
    steps: PositiveInt
    epochs: PositiveFloat
    members: NotEmpty[PlannedMember]

    def __post_init__(self) -> None:
        require([row.phi for row in self.members] == list(PHIS), f"phi of members must be {list(PHIS)}")
        check_channels(self.preprocessing, self.members[0].network.in_channels, "the members take")


@dataclass(frozen=True, slots=True)
class Member:
    """A trained network of the family: accuracy on the test images with its 95 % interval, mean over `seeds`.

    `training_seconds` is how long a training's steps took on one core or GPU, mean over seeds; None where it was too
    short to tell. `unlearned` are the trainings, counted from 0, that learned nothing (`training.chance`). `steps` is
    there where a training had fewer than planned, because the machine became slower: the mean over seeds.
    """

    id: str
    phi: NonNegativeInt
    network: Network
    blocks: PositiveInt
    macs: PositiveInt
    params: PositiveInt
    weight_bytes: PositiveInt
    peak_activation_bytes: PositiveInt
    images_per_second: PositiveFloat
    training_seconds: PositiveFloat | None
    accuracy: Share
    low: Share
    high: Share
    seeds: NotEmpty[Share]
    unlearned: tuple[NonNegativeInt, ...] = ()
    steps: PositiveFloat | None = field(default=None, metadata=ONLY_IF_SET)

    def __post_init__(self) -> None:
        check_over_seeds(self.accuracy, self.low, self.high, self.seeds, self.unlearned)


def check_members(members: Sequence[Member], gains: Sequence[PairedDifference]) -> None:
    """Raise a one-line `ValueError` where the members are not S0 to S3, or the gains not each one's over the one
    before."""
    require([row.phi for row in members] == list(PHIS), f"phi of members must be {list(PHIS)}")
    ids = [row.id for row in members]
    require_unique("members has an id", ids)
    pairs = [(row.a, row.b) for row in gains]
    require(pairs == list(zip(ids[1:], ids, strict=False)), "gains are not of each member and the one before it")
    require(len({len(row.seeds) for row in (*members, *gains)}) == 1, "members and gains have other numbers of seeds")


def check_steps(member: Member, planned: int) -> None:
    """Raise a one-line `ValueError` where the steps of a member that was cut are not fewer than the planned ones."""
    fewer = member.steps is None or member.steps < planned
    require(fewer, f"steps of {member.id} are {member.steps}, and {planned} were planned")


@dataclass(frozen=True, slots=True)
class TrainedMembers:
    """S0 to S3, and what each gains over the one before: S1 over S0, S2 over S1, S3 over S2."""

    run: Path = field(metadata=NOT_STORED)
    members: NotEmpty[Member]
    gains: tuple[PairedDifference, ...]
    test_images: PositiveInt
    report: Path = field(metadata=NOT_STORED)
    record: Record[MembersRequest, MembersPlan] = field(metadata=PRIVATE, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_members(self.members, self.gains)
        ids, planned = [row.id for row in self.members], [row.id for row in self.record.plan.members]
        require(ids == planned, f"members are {ids}, and in plan.json {planned}")
        for row in self.members:
            self.record.data.check_network(row.network)
            check_steps(row, self.record.plan.steps)


MembersRecord = Record[MembersRequest, MembersPlan]


@dataclass(frozen=True, slots=True)
class TrainingSizes:
    """What the length of a family's trainings depends on besides speed: counts of images, the batch, the slots."""

    train: int
    validation: int
    test: int
    batch: int
    slots: int

    @property
    def enough_steps(self) -> int:
        """Steps in which a training sees its images 12 times."""
        return math.ceil(ENOUGH_EPOCHS * self.train / self.batch)

    @property
    def least_steps(self) -> int:
        """Steps in which a training sees its images as often as makes it one."""
        return least_steps(self.train, self.batch)

    def seconds(self, timings: Sequence[Timing], seeds: int, steps: int) -> float:
        """How long a family takes, the largest first, as many trainings at a time as there are slots."""
        predicted = (self.validation + self.test) / FORWARD_RATE
        work = steps * self.batch + predicted
        each = [work / timing.single_process for timing in reversed(timings) for _ in range(seeds)]
        return max(ends_of(each, self.slots))

    def steps_within(self, left: float, timings: Sequence[Timing], seeds: int) -> int:
        """The most steps of each training that all fit into the seconds that are left."""
        return bisect_right(range(1, MOST_STEPS), left, key=lambda steps: self.seconds(timings, seeds, steps))


def sizes_of(images: ImageSet, batch: int, slots: int) -> TrainingSizes:
    """Those of these images."""
    train, validation, test = (len(images.indices(split)) for split in ("train", "validation", "test"))
    return TrainingSizes(train, validation, test, batch, slots)


def propose(request: MembersRequest, context: Context) -> MembersPlan:
    """Equal steps for all members, as many as the seconds allow.

    Raises `TooShort` where those are too few for a training.
    """
    images, executor = context.images[0], context.executor
    members = members_of(request.base, request.coefficients)
    networks = [member.network for member in members]
    preprocessing = preprocessing_for(images)
    side_px = side_px_for(networks, preprocessing)
    pixels = context.pixels(side_px)
    augmentation = choose_augmentation(request.augment, request.recipe, images, pixels, request.seed)
    recipe = fitted(request.recipe, augmentation)
    batch = batch_for(executor, recipe, len(images.indices("train")), networks, request.budget.train_bytes)
    specs = [TrainingSpec(member.id, member.network, recipe, preprocessing, request.seed, batch) for member in members]
    measured = executor.timed(context.time.clock, specs, context.job_context(side_px, request.seed), context.progress)
    sizes, timings = sizes_of(images, batch, executor.slots()), measured.configs
    other = measured.startup_seconds + PAGE_SECONDS
    left = context.time.left_seconds - other
    lengths = {count: sizes.steps_within(left, timings, count) for count in range(MOST_SEEDS, 0, -1)}
    seeds = next((count for count, steps in lengths.items() if steps >= sizes.enough_steps), 1)
    steps = lengths[seeds]
    if steps < sizes.least_steps:
        needed = MARGIN * (context.time.elapsed_seconds + other + sizes.seconds(timings, 1, sizes.least_steps))
        raise TooShort(request.time_seconds, f"for {len(members)} trainings of {sizes.least_steps} steps", needed)
    return MembersPlan(
        side_px=side_px,
        recipe=recipe,
        augmentation=augmentation,
        preprocessing=preprocessing,
        batch=batch,
        slots=sizes.slots,
        seeds=seeds,
        steps=steps,
        epochs=steps * batch / sizes.train,
        members=tuple(
            PlannedMember(member.id, member.phi, member.network, timing.single_process)
            for member, timing in zip(members, timings, strict=True)
        ),
    )


def run(record: MembersRecord, context: Context) -> TrainedMembers:
    """Train and test what is missing. Raises a one-line `ValueError` where no training learned anything."""
    request, plan, images = record.request, record.plan, context.images[0]
    context.pixels(plan.side_px)
    for member in plan.members:
        with written_aside(context.run / f"{member.id}.json") as aside:
            aside.write_text(member.network.to_json() + "\n", encoding="utf-8")
    at = context.job_context(plan.side_px, request.seed)
    jobs = {member.id: jobs_of(member, plan, request.seed, at) for member in plan.members}
    train_pending(
        _timed(plan, jobs, images, context),
        "family",
        context.executor,
        at,
        plan.slots,
        context.progress,
        train_member,
        lambda job: job.training.predictions,
    )
    tests = {name: [predictions_of(job.training, images) for job in rows] for name, rows in jobs.items()}
    every = [test.chance for rows in tests.values() for test in rows]
    lengths = {name: [job.training.last_step for job in rows] for name, rows in jobs.items()}
    longest = max(itertools.chain(*lengths.values()))
    check_any_learned("every member of the family", every, plan.epochs * longest / plan.steps)
    events = events_of(context.run).steps
    members: list[Member] = []
    for member in plan.members:
        took = [training_seconds(events, job.training) for job in jobs[member.id]]
        known = [seconds for seconds in took if seconds is not None]
        mean = sum(known) / len(known) if known else None
        steps = None if min(lengths[member.id]) == plan.steps else sum(lengths[member.id]) / plan.seeds
        members.append(member_of(member, tests[member.id], request.budget, mean, steps))
    return TrainedMembers(
        run=context.run,
        members=tuple(members),
        gains=gains_of(tests),
        test_images=len(images.indices("test")),
        report=report_path(context.run),
        record=record,
    )


def _timed(
    plan: MembersPlan, jobs: Mapping[str, Sequence[MemberTraining]], images: ImageSet, context: Context
) -> list[MemberTraining]:
    """All trainings, the largest first; those that are still to do share the time that is left."""
    sizes = sizes_of(images, plan.batch, plan.slots)
    predicting = (sizes.validation + sizes.test) / FORWARD_RATE
    rows = [
        (job, (plan.steps * plan.batch + predicting) / member.images_per_second)
        for member in reversed(plan.members)
        for job in jobs[member.id]
    ]
    missing = [(job, seconds) for job, seconds in rows if not job.training.predictions.exists()]
    deadlines = context.time.planned_deadlines([seconds for _, seconds in missing], plan.slots, PAGE_SECONDS)
    when = {job.phase: deadline for (job, _), deadline in zip(missing, deadlines, strict=True)}
    return [
        dataclasses.replace(job, training=dataclasses.replace(job.training, deadline=when.get(job.phase)))
        for job, _ in rows
    ]


@dataclass(frozen=True, slots=True)
class MemberTraining:
    """A member's training; `keeps`: its weights are kept beside the networks. They are those of the first seed."""

    training: TrainingJob
    keeps: bool

    @property
    def context(self) -> JobContext:
        """The training's."""
        return self.training.context

    @property
    def phase(self) -> str:
        """The training's."""
        return self.training.phase

    @property
    def kept_weights(self) -> Path:
        """The file for the member's weights."""
        return Path(self.context.folder).parent / f"{self.training.config.network.name}.safetensors"

    @property
    def files(self) -> JobFiles:
        """Those of the training, and the member's weights before the predictions, which say that nothing is missing."""
        files = self.training.files
        return dataclasses.replace(files, leaves=(self.kept_weights, *files.leaves)) if self.keeps else files

    def at(self, context: JobContext) -> MemberTraining:
        """The same training at another place."""
        return dataclasses.replace(self, training=self.training.at(context))


def jobs_of(member: PlannedMember, plan: MembersPlan, first_seed: int, context: JobContext) -> list[MemberTraining]:
    """The trainings of a member on the one split of the searches: a seed is of the weights and the augmentation."""
    jobs: list[MemberTraining] = []
    for seed in range(first_seed, first_seed + plan.seeds):
        spec = TrainingSpec(
            f"{member.id}-seed{seed}", member.network, plan.recipe, plan.preprocessing, seed, plan.batch
        )
        config = spec.for_steps(plan.steps)
        job = whole_job(config, context, f"family/{member.id}, seed {seed}", config.cooldown_steps)
        jobs.append(MemberTraining(job, keeps=seed == first_seed))
    return jobs


def train_member(member: MemberTraining) -> bool:
    """Train and test in a worker, as `train_and_test`, and keep the weights in between."""
    job = member.training
    if not job.scores.exists():
        run_job(job)
    if member.keeps:
        images, _ = opened(job.context.data, job.context.split_seed, job.context.side_px)
        notes = {SIDE_NOTE: str(job.context.side_px)}
        preprocessing = dataclasses.replace(job.config.preprocessing, value_range=images.value_range)
        save_weights(member.kept_weights, trained_model(job), images.classes, to_plain(preprocessing), notes)
    return train_and_test(job)


def member_of(
    member: PlannedMember,
    tests: Sequence[TestPredictions],
    budget: Budget,
    took_seconds: float | None,
    steps: float | None = None,
) -> Member:
    """What the trainings of a member say, with its `steps` where they are not the planned ones; its bytes in the
    budget's number type and batch."""
    price, accuracy = budget.price(member.network), accuracy_of_seeds(right_over_seeds(tests))
    return Member(
        id=member.id,
        phi=member.phi,
        network=member.network,
        blocks=member.network.depth,
        macs=price.macs,
        params=price.params,
        weight_bytes=price.weight_bytes,
        peak_activation_bytes=price.peak_activation_bytes,
        images_per_second=member.images_per_second,
        training_seconds=took_seconds,
        accuracy=accuracy.value,
        low=accuracy.low,
        high=accuracy.high,
        seeds=tuple(float(test.right.mean()) for test in tests),
        unlearned=unlearned(tests),
        steps=steps,
    )


def gains_of(tests: Mapping[str, Sequence[TestPredictions]]) -> tuple[PairedDifference, ...]:
    """Every member against the one before it, in the order of `tests`, the smallest first."""
    return holm_adjusted([_gain(larger, smaller, tests) for smaller, larger in itertools.pairwise(tests)])


def _gain(a: str, b: str, tests: Mapping[str, Sequence[TestPredictions]]) -> PairedDifference:
    first, second = tests[a], tests[b]
    found = with_shared_split(paired_over_seeds(right_over_seeds(first), right_over_seeds(second)), len(first))
    each = [float(one.right.mean() - other.right.mean()) for one, other in zip(first, second, strict=True)]
    return difference_of_seeds(a, b, found, each)
