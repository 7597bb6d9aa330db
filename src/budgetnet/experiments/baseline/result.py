"""What a baseline's search found: every candidate, the front, the finals, and what the winner is worth."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from budgetnet.budgets.budget import Budget
from budgetnet.budgets.feasible_space import front
from budgetnet.codec import NOT_STORED, from_record, to_plain
from budgetnet.experiments.baseline.objective import Objective, Scored, best_of
from budgetnet.networks import Network
from budgetnet.statistics import accuracy_interval, difference_interval, on_one_split, over_seeds, paired_over_seeds
from budgetnet.training.chance import nothing_learned
from budgetnet.training.predictions import TestPredictions, right_over_seeds, unlearned

FORMAT = "budgetnet.baseline.v1"
BASE = "base"
"""The id of the space's base among the finals."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One scored architecture: accuracy and log loss are the search's on validation; `front`: none beats it."""

    id: str
    stages: list[dict[str, Any]]
    macs: int
    accuracy: float
    log_loss: float
    reward: float
    front: bool


@dataclass(frozen=True, slots=True)
class Semifinal:
    """A network trained for longer than scores are: accuracy, log loss and objective on validation after that.

    It need not be a candidate: the model of the scores may have predicted it.
    """

    id: str
    macs: int
    accuracy: float
    log_loss: float
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
    macs: int
    params: int
    peak_activation_bytes: int
    search_accuracy: float | None
    validation_accuracy: float
    reward: float
    accuracy: float
    low: float
    high: float
    seeds: tuple[float, ...]
    unlearned: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Against:
    """Accuracy of the winner minus the base's on the same test images, mean over seeds, with its 95 % interval."""

    difference: float
    low: float
    high: float
    chance: float
    differs: bool


@dataclass(frozen=True, slots=True)
class Baseline:
    """The winner of a baseline's search and its evidence; `finals` has it first and the base last.

    `scored_by` says what scored the candidates; `semifinals` has the best first, and nothing where none were planned.
    `networks_in_space` counts all of the space, those that break the budget among them. `hypervolume` is the share of
    the rectangle of target MACs and accuracy 1 that the front dominates.
    """

    run: Path = field(metadata=NOT_STORED)
    winner: str
    scored_by: str
    target_macs: int
    exponent: float
    networks_in_space: int
    candidates: tuple[Candidate, ...]
    semifinals: tuple[Semifinal, ...]
    hypervolume: float
    finals: tuple[Final, ...]
    against_base: Against
    test_images: int
    statement: tuple[str, ...]
    report: Path = field(metadata=NOT_STORED)

    @property
    def network(self) -> Network:
        """The winner's."""
        return self.finals[0].network

    def __post_init__(self) -> None:
        if not self.finals:
            raise ValueError("it has no finals")

    def to_dict(self) -> dict[str, Any]:
        """What --json prints: baseline.json, the winner's network, the run and its report."""
        return {
            **to_plain(self),
            "network": to_plain(self.network),
            "run": str(self.run),
            "report": str(self.report),
        }

    def to_file(self) -> dict[str, Any]:
        """baseline.json."""
        return {"format": FORMAT, **to_plain(self)}

    @staticmethod
    def from_file(row: Mapping[str, Any], run: Path, report: Path) -> Baseline:
        """The result of `to_file`. Raises a one-line `ValueError` for anything else."""
        return from_record(Baseline, row, FORMAT, f"baseline.json in {run}", run=run, report=report)


def candidates_of(scored: Sequence[Scored]) -> tuple[Candidate, ...]:
    """Every candidate in the order in which it was proposed, with whether it is on the front."""
    leading = set(front([(row.macs, row.score.accuracy) for row in scored]))
    return tuple(
        Candidate(
            id=row.architecture.id,
            stages=row.architecture.to_rows(),
            macs=row.macs,
            accuracy=row.score.accuracy,
            log_loss=row.score.log_loss,
            reward=row.reward,
            front=place in leading,
        )
        for place, row in enumerate(scored)
    )


def semifinals_of(scored: Sequence[Scored]) -> tuple[Semifinal, ...]:
    """Those that were trained once more, the best first."""
    return tuple(
        Semifinal(row.architecture.id, row.macs, row.score.accuracy, row.score.log_loss, row.reward)
        for row in best_of(scored, len(scored))
    )


@dataclass(frozen=True, slots=True, eq=False)
class Trainings:
    """The final trainings of one network: for each seed its test answers and which validation images it got right."""

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


def against(ours: Trainings, theirs: Trainings) -> Against:
    """Our accuracy minus theirs on the same test images, which are those of every seed: both errors count."""
    found = paired_over_seeds(right_over_seeds(ours.tests), right_over_seeds(theirs.tests))
    found = on_one_split(found, len(ours.tests))
    low, high = difference_interval(found)
    return Against(found.mean, low, high, found.chance, low > 0.0 or high < 0.0)


def with_statement(result: Baseline, plan: Mapping[str, Any]) -> Baseline:
    """The result with what its numbers show and what they do not, in sentences."""
    seeds = plan["finals"]["seeds"]
    winner, base, pair = result.finals[0], result.finals[-1], result.against_base
    points = f"{100 * pair.difference:+.1f} points ({100 * pair.low:+.1f} to {100 * pair.high:+.1f})"
    verdict = (
        f"It differs from the base, which has {base.macs / 1e6:.2f} M MACs: {points}."
        if pair.differs
        else f"The test images do not tell it from the base, which has {base.macs / 1e6:.2f} M MACs: {points}."
    )
    if len(base.unlearned) == seeds:
        verdict = "No training of the base learned anything, so the winner compares with nothing."
    elif base.reward > winner.reward:
        verdict += (
            " By the objective on validation, which chose among the finalists, the base is ahead: "
            f"{base.reward:.3f} against {winner.reward:.3f}."
        )
    many = f"{seeds} trainings" if seeds > 1 else "one training"
    leading = sum(row.front for row in result.candidates)
    said = (
        f"The winner, {winner.network.name}, gets {100 * winner.accuracy:.1f} % ({100 * winner.low:.1f} to "
        f"{100 * winner.high:.1f}) of {result.test_images} test images with {winner.macs / 1e6:.2f} M MACs, "
        f"over {many} from nothing.",
        verdict,
        f"{len(result.candidates)} of {float(result.networks_in_space):.2g} networks were scored, by "
        f"{result.scored_by}; {leading} of them are on the front of accuracy against MACs."
        f"{_semifinals_said(result, plan)}",
        "Such a score ranks; it does not say how accurate a network is at the end of a whole training, and how well it "
        "ranks here was not measured by this search.",
        *(nothing_learned(row.id, row.unlearned) for row in result.finals if row.unlearned),
    )
    return dataclasses.replace(result, statement=said)


def _semifinals_said(result: Baseline, plan: Mapping[str, Any]) -> str:
    if not result.semifinals:
        return ""
    steps, finals = plan["semifinals"]["config"]["steps"], plan["finals"]["config"]["steps"]
    known = {row.id for row in result.candidates}
    predicted = sum(row.id not in known for row in result.semifinals)
    others = f" and {predicted} that a model of the scores predicts to be better" if predicted else ""
    return (
        f" The best {len(result.semifinals) - predicted}{others} were trained for {steps:,} steps, and the best "
        f"{len(result.finals) - 1} of those, with the base, for {finals:,}."
    )
