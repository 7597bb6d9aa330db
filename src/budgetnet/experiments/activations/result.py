"""What a study of activations found: each twin with its trainings, and the paired differences of every measure."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from budgetnet.codec import (
    NOT_STORED,
    PRIVATE,
    NonNegativeInt,
    NotEmpty,
    PositiveFloat,
    PositiveInt,
    Share,
    require,
    require_known,
    require_unique,
)
from budgetnet.experiments.activations.measures import MEASURES, ImageValues, Measure
from budgetnet.experiments.activations.networks import activation_name, activation_title
from budgetnet.experiments.activations.plan import StudyRecord
from budgetnet.experiments.activations.probe import ProbeValues, finite
from budgetnet.experiments.activations.training import TrainingRecord
from budgetnet.inspect.landscape.plane import Spread
from budgetnet.networks import Activation, ActivationKind
from budgetnet.statistics import (
    PairedDifference,
    difference_of_seeds,
    from_seeds,
    holm_adjusted,
    mean_interval,
    over_seeds,
)

FORMAT = "budgetnet.training-landscape.v2"
CURVE_POINTS = 40
BY_LENGTH = ("losses", "gradient_changes", "first_order_errors")
"""The lists of a probe that have a number for each of its distances."""


@dataclass(frozen=True, slots=True)
class StudyTraining:
    """One training of a twin: what it answered on the validation images, its units, its curves and its probes.

    `losses` are means over the stretches of steps that end at the study's `curve_steps`; `betas` has a row for each of
    those steps and a number a layer, and no row where none is trained. Numbers that are not finite are None.
    """

    seed: NonNegativeInt
    diverged: bool
    learned: bool
    correct: NonNegativeInt
    count: PositiveInt
    units: PositiveInt
    dead: NonNegativeInt
    silent: NonNegativeInt
    blocked_share: Share
    losses: tuple[float | None, ...]
    betas: tuple[tuple[float | None, ...], ...]
    probes: tuple[ProbeValues, ...]

    def __post_init__(self) -> None:
        require(self.correct <= self.count, f"correct is {self.correct}, of {self.count}")
        kept = max(self.dead, self.silent) <= self.units
        require(kept, f"dead is {self.dead} and silent {self.silent}, of {self.units} units")


@dataclass(frozen=True, slots=True)
class StudiedActivation:
    """The network with one activation, and its trainings, a seed each.

    `layers` are those whose beta is trained. `measures` holds each of `MEASURES` by its name; None where a seed's loss
    ran away.
    """

    name: str
    title: str
    kind: ActivationKind
    beta: float
    trainable: bool
    layers: tuple[str, ...]
    measures: dict[str, Spread | None]
    trainings: NotEmpty[StudyTraining]

    def __post_init__(self) -> None:
        require(
            set(self.measures) == {one.name for one in MEASURES},
            "measures has other names than those that are measured",
        )
        for name, spread in self.measures.items():
            seeds = len(self.trainings) if spread is None else len(spread.values)
            require(
                seeds == len(self.trainings),
                f"measures.{name}.values has {seeds} items, of {len(self.trainings)} trainings",
            )
        for one in self.trainings:
            widths = {len(row) for row in one.betas}
            require(
                widths <= {len(self.layers)}, f"betas must have {len(self.layers)} items in each row, as layers has"
            )
            require(bool(one.betas) == bool(self.layers), "betas and layers do not agree")

    @property
    def short_title(self) -> str:
        """Its title beside those of others: trained beta, of Swish."""
        return self.title.removeprefix("Swish with ")

    @property
    def units(self) -> int:
        """Of all seeds together."""
        return sum(training.units for training in self.trainings)

    @property
    def dead(self) -> int:
        """Dead units of all seeds together."""
        return sum(training.dead for training in self.trainings)


@dataclass(frozen=True, slots=True)
class ImageCounts:
    """How many images each training learned from, and answered at its end."""

    train: PositiveInt
    validation: PositiveInt


@dataclass(frozen=True, slots=True, eq=False)
class Study:
    """A finished study: one network with one activation after another, trained alike.

    Attributes:
        run: The folder of all its files, `training` in the one that was given.
        data: The name of the images.
        network: The name of the network.
        macs: Its multiply-adds for an image.
        resolution_px: Its height and width.
        recipe: The name of the recipe.
        seeds: How many trainings each twin had.
        steps: The steps of each training.
        batch: The images of a step.
        epochs: How many times through the training images that is.
        images: How many images each training learned from, and answered at its end.
        last_steps: The loss of the last steps is a mean over so many.
        loss_images: The loss on training images is a mean over so many.
        probe_images: The images of a probe, a look at the loss along the gradient.
        probe_steps: The steps of the trainings at which there were probes.
        lengths: The distances along the gradient at which a probe looked.
        curve_steps: The steps at which the curves have a point.
        statement: What the numbers show, in sentences.
        twins: The network with each activation: its measures, with the spread over seeds, and its trainings.
        differences: By each measure's name every pair of twins, the later one minus the earlier one; all of them are
            counted together (`significant_holm`).
        report: The page with all of it: report.html in the folder.
        record: What was asked and planned: the content of plan.json.
    """

    run: Path = field(metadata=NOT_STORED)
    data: str
    network: str
    macs: PositiveInt
    resolution_px: tuple[int, int]
    recipe: str
    seeds: PositiveInt
    steps: PositiveInt
    batch: PositiveInt
    epochs: PositiveFloat
    images: ImageCounts
    last_steps: PositiveInt
    loss_images: PositiveInt
    probe_images: PositiveInt
    probe_steps: NotEmpty[PositiveInt]
    lengths: NotEmpty[PositiveFloat]
    curve_steps: NotEmpty[PositiveInt]
    statement: tuple[str, ...]
    twins: NotEmpty[StudiedActivation]
    differences: dict[str, tuple[PairedDifference, ...]]
    report: Path = field(metadata=NOT_STORED)
    record: StudyRecord = field(metadata=PRIVATE, repr=False)

    def __post_init__(self) -> None:
        names = [twin.name for twin in self.twins]
        require_unique("twins has a name", names)
        require(
            set(self.differences) == {one.name for one in MEASURES},
            "differences has other names than those that are measured",
        )
        pairs = [name for rows in self.differences.values() for row in rows for name in (row.a, row.b)]
        require_known("a name of differences", pairs, names, "twins")
        for twin in self.twins:
            seeds = [one.seed for one in twin.trainings]
            require(
                seeds == list(range(self.seeds)), f"trainings of {twin.name} have the seeds {seeds}, of {self.seeds}"
            )
            for one in twin.trainings:
                steps, points = len(self.probe_steps), len(self.curve_steps)
                lists = [("losses", one.losses, points), ("probes", one.probes, steps)]
                lists += [("betas", one.betas, points)] if twin.layers else []
                lists += [
                    (f"{name} of a probe", getattr(probe, name), len(self.lengths))
                    for probe in one.probes
                    for name in BY_LENGTH
                ]
                for name, rows, wanted in lists:
                    count = len(rows)
                    require(count == wanted, f"{name} of {twin.name} has {count} items; it must have {wanted}")
        for name, rows in self.differences.items():
            for row in rows:
                require(
                    len(row.seeds) == self.seeds, f"differences.{name} has seeds of {len(row.seeds)}, of {self.seeds}"
                )

    @property
    def files(self) -> tuple[Path, ...]:
        """What people open: the page, the sheets of pictures, the numbers."""
        sheets = ("training", "training-betas") if any(twin.layers for twin in self.twins) else ("training",)
        pictures = [self.run / f"{name}.{kind}" for name in sheets for kind in ("png", "svg")]
        return (self.report, *pictures, self.run / "training.json")


def check_planned(found: Study) -> None:
    """Raise a one-line `ValueError` where a study is not of the twins and steps that its plan.json has."""
    request, plan = found.record.request, found.record.plan
    found.record.data.check_network(plan.network)
    names, planned = [twin.name for twin in found.twins], [activation_name(one) for one in request.activations]
    require(names == planned, f"twins are {names}, and activations in plan.json {planned}")
    require(len(plan.augmentation) == request.seeds, f"augmentation in plan.json is not of {request.seeds} seeds")
    for name in ("steps", "batch", "probe_steps", "lengths"):
        require(getattr(found, name) == getattr(plan, name), f"{name} is another than in plan.json")
    require(found.seeds == request.seeds, f"seeds is {found.seeds}, and in plan.json {request.seeds}")


def studied_activation(activation: Activation, records: Sequence[TrainingRecord]) -> StudiedActivation:
    """What the trainings with an activation came to."""
    return StudiedActivation(
        name=activation_name(activation),
        title=activation_title(activation),
        kind=activation.kind,
        beta=activation.beta,
        trainable=activation.trainable,
        layers=records[0].layers,
        measures={measure.name: spread_of(measure, records) for measure in MEASURES},
        trainings=tuple(map(_training, records)),
    )


def spread_of(measure: Measure, records: Sequence[TrainingRecord]) -> Spread | None:
    """Mean, standard deviation and each seed's value of a measure; None where a seed has none."""
    values = [measure.value(record) for record in records]
    if not all(map(math.isfinite, values)):
        return None
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return Spread(float(np.mean(values)), deviation, tuple(values))


def _training(record: TrainingRecord) -> StudyTraining:
    points = curve_steps(len(record.losses))
    betas = [tuple(map(finite, record.betas[step - 1].tolist())) for step in points] if record.layers else []
    return StudyTraining(
        seed=record.seed,
        diverged=record.diverged,
        learned=record.learned,
        correct=int(record.right.sum()),
        count=len(record.right),
        units=record.units,
        dead=record.dead,
        silent=record.silent,
        blocked_share=record.blocked_share,
        losses=tuple(finite(float(record.losses[low:high].mean())) for low, high in itertools.pairwise((0, *points))),
        betas=tuple(betas),
        probes=record.probes,
    )


def curve_steps(steps: int) -> tuple[int, ...]:
    """The last step of each stretch whose mean loss is a point of a curve."""
    return tuple(sorted({max(1, round(steps * index / CURVE_POINTS)) for index in range(1, CURVE_POINTS + 1)}))


def differences_of(records: Mapping[str, Sequence[TrainingRecord]]) -> dict[str, tuple[PairedDifference, ...]]:
    """Every measure of every pair of twins, by their names, the later one minus the earlier one; all counted together.

    A pair with a seed whose loss ran away is left out.
    """
    rows = [
        (measure, _difference(measure, later, earlier, records[later], records[earlier]))
        for measure in MEASURES
        for earlier, later in itertools.combinations(records, 2)
        if spread_of(measure, records[later]) and spread_of(measure, records[earlier])
    ]
    adjusted = zip(rows, holm_adjusted([pair for _, pair in rows]), strict=True)
    pairs = [(measure, pair) for (measure, _), pair in adjusted]
    return {each.name: tuple(pair for measure, pair in pairs if measure is each) for each in MEASURES}


def _difference(
    measure: Measure, a: str, b: str, first: Sequence[TrainingRecord], second: Sequence[TrainingRecord]
) -> PairedDifference:
    pairs = list(zip(first, second, strict=True))
    values = [measure.value(one) - measure.value(other) for one, other in pairs]
    if measure.by_image is None:
        found = from_seeds(values)
    else:
        found = over_seeds([_paired(measure.by_image(one), measure.by_image(other)) for one, other in pairs])
    return difference_of_seeds(a, b, found, values, mean_interval)


def _paired(first: ImageValues, second: ImageValues) -> ImageValues:
    assert np.array_equal(first[0], second[0]), "the same images in the same order"
    return first[0], first[1] - second[1]
