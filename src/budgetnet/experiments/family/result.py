"""What the whole chain gives: a family with its accuracy, what each step of phi gains, and the paper's beside it."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from budgetnet.budgets.budget import Budget
from budgetnet.codec import NOT_STORED, from_record, to_plain
from budgetnet.experiments.compare.result import accuracy_of
from budgetnet.experiments.family.members import PublishedMember
from budgetnet.networks import Network
from budgetnet.networks.scaling import Coefficients
from budgetnet.statistics import counted_together, difference_interval, on_one_split, paired_over_seeds
from budgetnet.training.predictions import TestPredictions, right_over_seeds, unlearned

FORMAT = "budgetnet.family.v1"
FILE = "family.json"


@dataclass(frozen=True, slots=True)
class Member:
    """A trained network of the family: accuracy on the test images with its 95 % interval, mean over `seeds`.

    `training_seconds` is how long a training's steps took on one core or GPU, mean over seeds; None where it was too
    short to tell. `unlearned` are the trainings, counted from 0, that learned nothing (`training.chance`).
    """

    id: str
    phi: int
    network: Network
    blocks: int
    macs: int
    params: int
    weight_bytes: int
    peak_activation_bytes: int
    images_per_second: float
    training_seconds: float | None
    accuracy: float
    low: float
    high: float
    seeds: tuple[float, ...]
    unlearned: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Gain:
    """Accuracy of a minus that of b, one step of phi below, on the same test images, with its 95 % interval.

    `differs`: the interval leaves 0 out. `stands`: so it does when all three steps are counted (Holm).
    """

    a: str
    b: str
    difference: float
    low: float
    high: float
    chance: float
    differs: bool
    stands: bool


@dataclass(frozen=True, slots=True)
class Part:
    """One of the two searches: its folder and report within the run, and what it found, in a sentence or two."""

    name: str
    report: str
    said: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Family:
    """S0 to S3 and the evidence: `gains` are S1 over S0, S2 over S1, S3 over S2.

    All members were trained for the same `steps` of `batch` images, `epochs` times through the training images.
    `published` are the paper's B0 to B3, whose accuracy is ImageNet's and others'.
    """

    run: Path = field(metadata=NOT_STORED)
    coefficients: Coefficients
    members: tuple[Member, ...]
    gains: tuple[Gain, ...]
    published: tuple[PublishedMember, ...]
    steps: int
    batch: int
    epochs: float
    test_images: int
    parts: tuple[Part, ...]
    statement: tuple[str, ...]
    report: Path = field(metadata=NOT_STORED)

    def to_file(self) -> dict[str, Any]:
        """family.json."""
        return {"format": FORMAT, **to_plain(self)}

    @staticmethod
    def from_file(row: Mapping[str, Any], run: Path, report: Path) -> Family:
        """The result of `to_file`. Raises a one-line `ValueError` for anything else."""
        return from_record(Family, row, FORMAT, f"{FILE} in {run}", run=run, report=report)


def member_of(
    name: str,
    phi: int,
    network: Network,
    tests: Sequence[TestPredictions],
    budget: Budget,
    images_per_second: float,
    training_seconds: float | None,
) -> Member:
    """What the trainings of a member say; its bytes in the budget's number type and batch."""
    price, accuracy = budget.price(network), accuracy_of(tests)
    return Member(
        id=name,
        phi=phi,
        network=network,
        blocks=network.depth,
        macs=price.macs,
        params=price.params,
        weight_bytes=price.weight_bytes,
        peak_activation_bytes=price.peak_activation_bytes,
        images_per_second=images_per_second,
        training_seconds=training_seconds,
        accuracy=accuracy.found.mean,
        low=accuracy.low,
        high=accuracy.high,
        seeds=tuple(float(test.right.mean()) for test in tests),
        unlearned=unlearned(tests),
    )


def gains_of(tests: Mapping[str, Sequence[TestPredictions]]) -> tuple[Gain, ...]:
    """Every member against the one before it, in the order of `tests`, the smallest first."""
    return counted_together([_gain(larger, smaller, tests) for smaller, larger in itertools.pairwise(tests)])


def _gain(a: str, b: str, tests: Mapping[str, Sequence[TestPredictions]]) -> Gain:
    ours, theirs = (right_over_seeds(tests[name]) for name in (a, b))
    found = on_one_split(paired_over_seeds(ours, theirs), len(ours))
    low, high = difference_interval(found)
    return Gain(a, b, found.mean, low, high, found.chance, low > 0.0 or high < 0.0, False)
