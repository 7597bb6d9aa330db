"""ranking.json: how well the scores of a search rank its networks, as bench/ranking.py measures it afterwards."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from budgetnet.budgets.search_space import Choice
from budgetnet.codec import NonNegativeFloat, NotEmpty, PositiveFloat, PositiveInt, Share, from_record
from budgetnet.reading import read_json_file
from budgetnet.statistics import PairedDifference

FILE = "ranking.json"
FORMAT = "budgetnet.ranking.v2"


@dataclass(frozen=True, slots=True)
class RankedNetwork:
    """A drawn network: its score, and what its own training reached on validation, on test and on both."""

    id: str
    stages: tuple[Choice, ...]
    macs: PositiveInt
    score_accuracy: Share
    score_log_loss: NonNegativeFloat
    validation: Share
    test: Share
    both: Share


@dataclass(frozen=True, slots=True)
class Tau:
    """Kendall's tau-b of two orders, with its 95 % interval."""

    tau: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class RandomFinal:
    """A finalist of random search, as the search's own finals are."""

    id: str
    macs: PositiveInt
    validation_accuracy: Share
    reward: float
    accuracy: Share


@dataclass(frozen=True, slots=True)
class MeanDifference:
    """Mean accuracy of all finalists minus that of others, with its 95 % interval."""

    difference: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class RandomSearchResult:
    """Random search of the multiply-adds of the search (`affordable` trainings, `trainings` made), and the same finals.

    `winner` is the accuracy of the search's winner minus that of its own, `all_finals` that of all finalists.
    """

    search_macs: PositiveFloat
    training_macs: PositiveFloat
    affordable: PositiveInt
    trainings: PositiveInt
    finals: NotEmpty[RandomFinal]
    winner: PairedDifference
    all_finals: MeanDifference


@dataclass(frozen=True, slots=True)
class RandomSampler:
    """The best objective of as many even draws, scored alike."""

    candidates: PositiveInt
    best_reward: float


@dataclass(frozen=True, slots=True)
class Ranking:
    """How the order of the scores of drawn networks agrees with that of their trainings of so many `steps`.

    By accuracy, by log loss, by multiply-adds alone, and by the `model` of the search's scores, where there is one.
    """

    steps: PositiveInt
    scored_by: str
    tau: float
    low: float
    high: float
    tau_log_loss: float
    low_log_loss: float
    high_log_loss: float
    tau_macs: float
    networks: NotEmpty[RankedNetwork]
    random_search: RandomSearchResult | None
    model: Tau | None
    random_sampler: RandomSampler | None


def read_ranking(run: Path) -> Ranking | None:
    """What a run's ranking.json says; None where there is none. Raises a one-line `ValueError` for a damaged one."""
    path = run / FILE
    return from_record(Ranking, read_json_file(path), FORMAT, str(path)) if path.is_file() else None
