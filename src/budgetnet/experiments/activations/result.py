"""What a study of activations found: each twin with its trainings, and the paired differences of every measure."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from budgetnet.codec import NOT_STORED, PRIVATE
from budgetnet.experiments.activations.measures import MEASURES, ImageValues, Measure
from budgetnet.experiments.activations.networks import twin_name, twin_title
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


@dataclass(frozen=True, slots=True)
class TwinTraining:
    """One training of a twin: what it answered on the validation images, its units, its curves and its probes.

    `losses` are means over the stretches of steps that end at the study's `curve_steps`; `betas` has a row for each of
    those steps and a number a layer, and no row where none is trained. Numbers that are not finite are None.
    """

    seed: int
    diverged: bool
    learned: bool
    correct: int
    count: int
    units: int
    dead: int
    silent: int
    blocked_share: float
    losses: tuple[float | None, ...]
    betas: tuple[tuple[float | None, ...], ...]
    probes: tuple[ProbeValues, ...]


@dataclass(frozen=True, slots=True)
class Twin:
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
    trainings: tuple[TwinTraining, ...]

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

    train: int
    validation: int


@dataclass(frozen=True, slots=True, eq=False)
class Study:
    """A finished study: one network with one activation after another, trained alike.

    The loss of the last steps is a mean over `last_steps`, that on training images over `loss_images`. `differences`
    has for each of `MEASURES`, by its name, every pair of twins, the later one minus the earlier one; they are counted
    together (`significant_holm`). `run` is the folder of all its files.
    """

    run: Path = field(metadata=NOT_STORED)
    data: str
    network: str
    macs: int
    resolution_px: tuple[int, int]
    recipe: str
    seeds: int
    steps: int
    batch: int
    epochs: float
    images: ImageCounts
    last_steps: int
    loss_images: int
    probe_images: int
    probe_steps: tuple[int, ...]
    lengths: tuple[float, ...]
    curve_steps: tuple[int, ...]
    statement: tuple[str, ...]
    twins: tuple[Twin, ...]
    differences: dict[str, tuple[PairedDifference, ...]]
    report: Path = field(metadata=NOT_STORED)
    record: StudyRecord = field(metadata=PRIVATE, repr=False)

    @property
    def files(self) -> tuple[Path, ...]:
        """What people open: the page, the sheets of pictures, the numbers."""
        sheets = ("training", "training-betas") if any(twin.layers for twin in self.twins) else ("training",)
        pictures = [self.run / f"{name}.{kind}" for name in sheets for kind in ("png", "svg")]
        return (self.report, *pictures, self.run / "training.json")


def twin_of_records(activation: Activation, records: Sequence[TrainingRecord]) -> Twin:
    """What the trainings with an activation came to."""
    return Twin(
        name=twin_name(activation),
        title=twin_title(activation),
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


def _training(record: TrainingRecord) -> TwinTraining:
    points = curve_steps(len(record.losses))
    betas = [tuple(map(finite, record.betas[step - 1].tolist())) for step in points] if record.layers else []
    return TwinTraining(
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
