"""What a comparison found: a row a network, a row a pair, and what the numbers do and do not show."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from budgetnet.codec import NOT_STORED, PRIVATE
from budgetnet.draw.intervals import Mean
from budgetnet.experiments.compare.entrants import LeftOut
from budgetnet.experiments.compare.plan import ComparePlan
from budgetnet.experiments.compare.request import CompareRequest
from budgetnet.inspect.latency import Measurement
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

    seed: int
    correct: int
    count: int
    accuracy: float
    low: float
    high: float
    diverged: bool
    learned: bool


@dataclass(frozen=True, slots=True)
class Compared:
    """A network and all that was found of it; accuracy is the mean over seeds on their test splits.

    `origin` is how its base was designed, by hand or by search. `design` and `blocks` are read from the network's rows.
    `measurement` is this machine's speed.
    `training_seconds` is how long a training took, mean over seeds; None where it was too short to tell.
    `published_top1` is ImageNet's in percent of the family's base, by its authors and their recipe.
    """

    id: str
    label: str
    base: str
    strategy: str
    phi: float | None
    dropped_strides: int
    network: Network
    design: str
    blocks: str
    accuracy: float
    low: float
    high: float
    error_images: float
    error_seeds: float | None
    seeds: tuple[SeedScore, ...]
    params: int
    macs: int
    activations: int
    weight_bytes: int
    peak_activation_bytes: int
    peak_bytes: int
    binding: str
    share: float
    measurement: Measurement
    images_per_second: float
    batch: int
    steps: int
    epochs: float
    recipe: str
    parent: str | None
    published_top1: float | None
    published_source: str | None
    training_seconds: float | None
    origin: str

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
    """Networks at one budget, one recipe and the same seeds, the most accurate first, and what that shows.

    Pairs are all, or where there is a `reference` (the base of an ablation) those with it. `test_images` counts the
    different ones of all seeds; `seconds_each` is what every training had. `disturbance` says what may have disturbed
    the times of this machine; None where nothing did.
    """

    run: Path = field(metadata=NOT_STORED)
    networks: tuple[Compared, ...]
    reference: str | None
    pairs: tuple[PairedDifference, ...]
    statement: tuple[str, ...]
    left_out: tuple[LeftOut, ...]
    test_images: int
    seconds_each: float
    disturbance: str | None
    report: Path = field(metadata=NOT_STORED)
    record: Record[CompareRequest, ComparePlan] = field(metadata=PRIVATE, repr=False, compare=False)


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


def _pair(a: str, b: str, ours: Sequence[TestPredictions], theirs: Sequence[TestPredictions]) -> PairedDifference:
    found = paired_over_seeds(right_over_seeds(ours), right_over_seeds(theirs))
    seeds = [paired_difference(one.right, other.right).value for one, other in zip(ours, theirs, strict=True)]
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
