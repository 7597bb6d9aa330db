"""What a baseline's search found: every candidate, the front, the finals, and what the winner is worth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from budgetnet.arguments import shown
from budgetnet.budgets.budget import Budget
from budgetnet.budgets.feasible_space import front
from budgetnet.budgets.search_space import Choice
from budgetnet.codec import (
    NOT_STORED,
    PRIVATE,
    NonNegativeFloat,
    NonNegativeInt,
    NotEmpty,
    PositiveInt,
    Share,
    require,
    require_known,
    require_unique,
)
from budgetnet.experiments.baseline.objective import Objective, Scored, best_of
from budgetnet.experiments.baseline.plan import BaselinePlan
from budgetnet.experiments.baseline.ranking import Ranking
from budgetnet.experiments.baseline.request import BaselineRequest
from budgetnet.networks import Network
from budgetnet.runs.record import Record
from budgetnet.statistics import (
    PairedDifference,
    accuracy_interval,
    difference_of_seeds,
    holm_adjusted,
    over_seeds,
    paired_over_seeds,
    with_shared_split,
)
from budgetnet.training.predictions import TestPredictions, check_over_seeds, right_over_seeds, unlearned

FILE = "baseline.json"
FORMAT = "budgetnet.baseline.v2"
BASE = "base"
"""The space's base has this id among the finals."""
BaselineRecord = Record[BaselineRequest, BaselinePlan]


@dataclass(frozen=True, slots=True)
class Candidate:
    """One scored architecture: accuracy and log loss are the search's on validation; `front`: none beats it."""

    id: str
    stages: tuple[Choice, ...]
    macs: PositiveInt
    accuracy: Share
    log_loss: NonNegativeFloat
    reward: float
    front: bool


@dataclass(frozen=True, slots=True)
class Semifinal:
    """A network trained for longer than scores are: accuracy, log loss and objective on validation after that.

    It need not be a candidate: the model of the scores may have predicted it.
    """

    id: str
    macs: PositiveInt
    accuracy: Share
    log_loss: NonNegativeFloat
    reward: float


@dataclass(frozen=True, slots=True)
class Final:
    """A network trained from nothing: `accuracy` on the test images with its 95 % interval, mean over seeds.

    `search_accuracy` is its score's, None for the base and for what was predicted and not scored; `reward` goes by
    `validation_accuracy`, which chose the winner and is optimistic. `unlearned` are the seeds, counted from 0, whose
    trainings learned nothing (`training.chance`).
    """

    id: str
    network: Network
    macs: PositiveInt
    params: PositiveInt
    peak_activation_bytes: PositiveInt
    search_accuracy: Share | None
    validation_accuracy: Share
    reward: float
    accuracy: Share
    low: Share
    high: Share
    seeds: NotEmpty[Share]
    unlearned: tuple[NonNegativeInt, ...] = ()

    def __post_init__(self) -> None:
        check_over_seeds(self.accuracy, self.low, self.high, self.seeds, self.unlearned)


@dataclass(frozen=True, slots=True)
class Baseline:
    """The winner of a baseline's search and its evidence.

    Attributes:
        run: The run's folder; docs/formats.md says what is in it.
        winner: The winner's id among the candidates and semifinals.
        scored_by: What scored the candidates, in words.
        network: The winner.
        target_macs: The objective's T: the budget's limit on multiply-adds, or those of the base where it has none.
        exponent: The objective's w, in accuracy * (MACs / T)**w.
        networks_in_space: How many networks the whole space has, those that break the budget among them.
        candidates: Every scored network, in the order in which they were proposed.
        semifinals: Those that were trained for longer, the best first; empty where none were planned.
        hypervolume: The share of the rectangle of target MACs and accuracy 1 that the front dominates.
        finals: Those that were trained to the end and tested, the winner first and the space's base last.
        against_base: The winner's accuracy minus the base's on the same test images, mean over seeds.
        test_images: How many test images there are.
        statement: What the numbers show, in sentences.
        report: The page with all of it: report.html in the run's folder.
        record: What was asked and planned: the content of plan.json.
        ranking: How well the scores rank, where that was measured once the search was finished; else None.
    """

    run: Path = field(metadata=NOT_STORED)
    winner: str
    scored_by: str
    network: Network = field(init=False, metadata=NOT_STORED)
    target_macs: PositiveInt
    exponent: float
    networks_in_space: PositiveInt
    candidates: NotEmpty[Candidate]
    semifinals: tuple[Semifinal, ...]
    hypervolume: Share
    finals: NotEmpty[Final]
    against_base: PairedDifference
    test_images: PositiveInt
    statement: tuple[str, ...]
    report: Path = field(metadata=NOT_STORED)
    record: BaselineRecord = field(metadata=PRIVATE, repr=False, compare=False)
    ranking: Ranking | None = field(default=None, metadata=PRIVATE, repr=False, compare=False)

    def __post_init__(self) -> None:
        winner, base = self.finals[0], self.finals[-1]
        object.__setattr__(self, "network", winner.network)
        require(len(self.finals) > 1 and base.id == BASE, "the last of finals is not the base")
        require(self.winner == winner.id, f"winner is {shown(self.winner)}, and the first of finals {shown(winner.id)}")
        ids = [row.id for row in self.candidates]
        require_unique("candidates has an id", ids)
        known = {*ids, *(row.id for row in self.semifinals)}
        require_known("an id of finals", [row.id for row in self.finals[:-1]], known, "candidates and semifinals")
        require(any(row.front for row in self.candidates), "none of candidates is on the front")
        pair = self.against_base
        require((pair.a, pair.b) == (winner.id, BASE), "against_base is not of winner and base")
        require(pair.low is not None, "against_base has no interval")
        require(len({len(row.seeds) for row in (*self.finals, pair)}) == 1, "finals have other numbers of seeds")

    @property
    def predicted(self) -> frozenset[str]:
        """Ids of the semifinalists that were not scored."""
        return frozenset(row.id for row in self.semifinals) - {row.id for row in self.candidates}


def candidates_of(scored: Sequence[Scored]) -> tuple[Candidate, ...]:
    """Every candidate in the order in which it was proposed, with whether it is on the front."""
    leading = set(front([(row.macs, row.score.accuracy) for row in scored]))
    return tuple(
        Candidate(
            id=row.architecture.id,
            stages=row.architecture.stages,
            macs=row.macs,
            accuracy=row.score.accuracy,
            log_loss=row.score.log_loss,
            reward=row.reward,
            front=index in leading,
        )
        for index, row in enumerate(scored)
    )


def semifinals_of(scored: Sequence[Scored]) -> tuple[Semifinal, ...]:
    """Those that were trained once more, the best first."""
    return tuple(
        Semifinal(row.architecture.id, row.macs, row.score.accuracy, row.score.log_loss, row.reward)
        for row in best_of(scored, len(scored))
    )


@dataclass(frozen=True, slots=True, eq=False)
class Trainings:
    """The final trainings of one network: for each seed its test predictions and which validation images are right."""

    tests: tuple[TestPredictions, ...]
    validation: tuple[NDArray[np.bool_], ...]


def final_of(
    name: str, network: Network, search_accuracy: float | None, done: Trainings, budget: Budget, objective: Objective
) -> Final:
    """What the final trainings of a network say."""
    found = over_seeds(right_over_seeds(done.tests))
    low, high = accuracy_interval(found)
    validation = float(np.mean([right.mean() for right in done.validation]))
    price = budget.price(network)
    return Final(
        id=name,
        network=network,
        macs=price.macs,
        params=price.params,
        peak_activation_bytes=price.peak_activation_bytes,
        search_accuracy=search_accuracy,
        validation_accuracy=validation,
        reward=objective.of(validation, price.macs),
        accuracy=found.mean,
        low=low,
        high=high,
        seeds=tuple(float(test.right.mean()) for test in done.tests),
        unlearned=unlearned(done.tests),
    )


def ranked(finals: Sequence[Final]) -> list[Final]:
    """The best by the objective first; of equals the one with fewer multiply-adds."""
    return sorted(finals, key=lambda row: (-row.reward, row.macs, row.id))


def difference_of(a: str, b: str, first: Trainings, second: Trainings) -> PairedDifference:
    """Our accuracy minus theirs on the same test images, which are those of every seed: both errors count."""
    found = paired_over_seeds(right_over_seeds(first.tests), right_over_seeds(second.tests))
    pairs = zip(first.tests, second.tests, strict=True)
    seeds = [float(one.right.mean() - other.right.mean()) for one, other in pairs]
    (row,) = holm_adjusted([difference_of_seeds(a, b, with_shared_split(found, len(seeds)), seeds)])
    return row
