"""What a comparison found: a row a network, a row a pair, and what the numbers do and do not show."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from budgetnet.budgets.budget import LimitName
from budgetnet.codec import (
    NOT_STORED,
    PRIVATE,
    NonNegativeFloat,
    NonNegativeInt,
    NotEmpty,
    PositiveFloat,
    PositiveInt,
    Share,
    require,
    require_interval,
    require_known,
    require_unique,
)
from budgetnet.draw.intervals import Mean
from budgetnet.experiments.compare.entrants import LeftOut
from budgetnet.experiments.compare.plan import ComparePlan, training_id
from budgetnet.experiments.compare.request import CompareRequest
from budgetnet.inspect.turns import Measurement
from budgetnet.networks import Network, zoo
from budgetnet.networks.zoo.published import TOP1, Published
from budgetnet.runs.record import Record
from budgetnet.statistics import (
    PairedDifference,
    difference_of_seeds,
    holm_adjusted,
    paired_difference,
    paired_over_seeds,
    wilson,
)
from budgetnet.training.predictions import TestPredictions, right_over_seeds

FORMAT = "budgetnet.comparison.v2"


@dataclass(frozen=True, slots=True)
class SeedScore:
    """One training's test: right answers, their share with Wilson's 95 % interval. A diverged one answers no numbers,
    which are wrong. `learned`: its log loss is below that of the class frequencies (`training.chance`)."""

    seed: NonNegativeInt
    correct: NonNegativeInt
    count: PositiveInt
    accuracy: Share
    low: Share
    high: Share
    diverged: bool
    learned: bool

    def __post_init__(self) -> None:
        require_interval(self.accuracy, self.low, self.high, "accuracy")
        share = self.correct / self.count
        require(
            abs(self.accuracy - share) < 1e-6,
            f"accuracy is {self.accuracy:g}, and {self.correct} of {self.count} are right",
        )


@dataclass(frozen=True, slots=True)
class Compared:
    """A network and all that was found of it; accuracy is the mean over seeds on their test splits.

    `origin` is how its base was designed, by hand or by search. `design` and `blocks` are read from the network's rows.
    `measurement` is this machine's speed.
    `steps` and `epochs` are those that its trainings had, mean over seeds: fewer than planned where the machine became
    slower. `training_seconds` is how long these took, mean over seeds; None where it was too short to tell.
    `published_top1` is ImageNet's in percent of the family's base, by its authors and their recipe.
    """

    id: str
    label: str
    base: str
    strategy: str
    phi: float | None
    dropped_strides: NonNegativeInt
    network: Network
    design: str
    blocks: str
    accuracy: Share
    low: Share
    high: Share
    error_images: NonNegativeFloat
    error_seeds: NonNegativeFloat | None
    seeds: NotEmpty[SeedScore]
    params: PositiveInt
    macs: PositiveInt
    activations: PositiveInt
    weight_bytes: PositiveInt
    peak_activation_bytes: PositiveInt
    peak_bytes: PositiveInt
    binding: LimitName
    share: PositiveFloat
    measurement: Measurement
    images_per_second: PositiveFloat
    batch: PositiveInt
    steps: PositiveInt
    epochs: PositiveFloat
    recipe: str
    parent: str | None
    published_top1: PositiveFloat | None
    published_source: str | None
    training_seconds: PositiveFloat | None
    origin: str

    def __post_init__(self) -> None:
        require_interval(self.accuracy, self.low, self.high, "accuracy")
        both = (self.published_top1 is None) == (self.published_source is None)
        require(both, "one of published_top1 and published_source is missing")
        seeds = [row.seed for row in self.seeds]
        require(seeds == list(range(len(seeds))), f"seeds are {seeds}; they are counted from 0")

    @property
    def image_ms(self) -> float | None:
        """Milliseconds of one image on this machine, where they could be measured."""
        return self.measurement.image_ms

    @property
    def mean(self) -> Mean:
        """Its accuracy, as pictures show it."""
        return Mean(self.label, self.accuracy, self.low, self.high, tuple(one.accuracy for one in self.seeds))


@dataclass(frozen=True, slots=True)
class Comparison:
    """Networks at one budget, one recipe and the same seeds, and what that shows.

    Attributes:
        run: The run's folder; docs/formats.md says what is in it.
        networks: A row a network, the most accurate first: its accuracy with the 95 % interval, each seed's, its costs,
            its speed on this machine, its training.
        reference: The id of the network that the others are compared with, the base of an ablation; else None.
        pairs: The paired difference of every two networks, or with a `reference` of each with it.
        statement: What the numbers show, in sentences.
        left_out: The networks that cannot keep the budget, each with the reason.
        test_images: How many different test images all seeds have together.
        seconds_each: The seconds that every training had.
        disturbance: What may have disturbed the times of this machine; None where nothing did.
        report: The page with all of it: report.html in the run's folder.
        record: What was asked and planned: the content of plan.json.
    """

    run: Path = field(metadata=NOT_STORED)
    networks: NotEmpty[Compared]
    reference: str | None
    pairs: tuple[PairedDifference, ...]
    statement: tuple[str, ...]
    left_out: tuple[LeftOut, ...]
    test_images: PositiveInt
    seconds_each: PositiveFloat
    disturbance: str | None
    report: Path = field(metadata=NOT_STORED)
    record: Record[CompareRequest, ComparePlan] = field(metadata=PRIVATE, repr=False, compare=False)

    def __post_init__(self) -> None:
        ids = [row.id for row in self.networks]
        require_unique("networks has an id", ids)
        require_known("reference", [] if self.reference is None else [self.reference], ids, "networks")
        require_known("an id of pairs", [name for pair in self.pairs for name in (pair.a, pair.b)], ids, "networks")
        count = len(ids) - 1 if self.reference is not None else len(ids) * (len(ids) - 1) // 2
        require(len(self.pairs) == count, f"pairs has {len(self.pairs)} items; {count} of networks are compared")
        seeds = {len(row.seeds) for row in (*self.networks, *self.pairs)}
        require(len(seeds) == 1, "networks and pairs have other numbers of seeds")


def check_planned(found: Comparison) -> None:
    """Raise a one-line `ValueError` where a comparison is not of the networks and seeds that its plan.json has."""
    planned = {row.entrant.id: row for row in found.record.plan.entrants}
    ids, seeds = [row.id for row in found.networks], found.record.request.seeds
    require(sorted(ids) == sorted(planned), f"networks are {ids}, and entrants in plan.json {list(planned)}")
    for row in found.networks:
        found.record.data.check_network(row.network)
        entrant, training = planned[row.id].entrant, planned[row.id]
        for name in ("label", "base", "strategy", "phi", "dropped_strides", "network"):
            same = getattr(row, name) == getattr(entrant, name)
            require(same, f"{name} of {row.id} in networks is another than in plan.json")
        for name in ("parent", "batch", "images_per_second"):
            same = getattr(row, name) == getattr(training, name)
            require(same, f"{name} of {row.id} in networks is another than in plan.json")
        cut = {training_id(row.id, seed) for seed in range(seeds)} & {one.job for one in found.record.amendments}
        same = row.steps <= training.steps if cut else row.steps == training.steps
        require(same, f"steps of {row.id} in networks are other than in plan.json")
        require(row.recipe == training.recipe.name, f"recipe of {row.id} in networks is another than in plan.json")
        require(len(training.augmentation) == seeds, f"augmentation of {row.id} in plan.json is not of {seeds} seeds")
        require(len(row.seeds) == seeds, f"seeds of {row.id} in networks are {len(row.seeds)}, of {seeds}")
    require(found.left_out == found.record.plan.left_out, "left_out is another than in plan.json")
    require(found.seconds_each == found.record.plan.seconds_each, "seconds_each is another than in plan.json")


def seed_score(test: TestPredictions) -> SeedScore:
    """A training's test in numbers."""
    correct, count = int(test.right.sum()), len(test.right)
    low, high = wilson(correct, count)
    return SeedScore(test.seed, correct, count, correct / count, low, high, test.diverged, test.chance.learned)


def pairs_of(
    tests: Mapping[str, Sequence[TestPredictions]], order: Sequence[str], reference: str | None = None
) -> tuple[PairedDifference, ...]:
    """Every pair of networks, the one that stands first in `order` as a; or the `reference` as a with each other."""
    both = itertools.combinations(order, 2)
    if reference is not None:
        both = ((reference, other) for other in order if other != reference)
    return holm_adjusted([_pair(a, b, tests[a], tests[b]) for a, b in both])


def _pair(a: str, b: str, first: Sequence[TestPredictions], second: Sequence[TestPredictions]) -> PairedDifference:
    found = paired_over_seeds(right_over_seeds(first), right_over_seeds(second))
    seeds = [paired_difference(one.right, other.right).value for one, other in zip(first, second, strict=True)]
    return difference_of_seeds(a, b, found, seeds)


def published_of(base: str, network: Network) -> Published | None:
    """What was published of the family's base, where the network has the rows of the zoo's of that name.

    Scaling changes widths and repeats, never how many stages there are nor their kinds and kernels.
    """
    name = base.removeprefix("tf_")
    if name not in TOP1:
        return None
    forms = [[(stage.kind, stage.kernel) for stage in one.stages] for one in (network, zoo.network(name))]
    return TOP1[name] if forms[0] == forms[1] else None
