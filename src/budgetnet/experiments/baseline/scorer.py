"""What a search asks of whatever scores its candidates: one search serves a supernet and short trainings alike."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Literal, Protocol

from budgetnet.budgets.feasible_space import Options
from budgetnet.cluster.executor import Executor
from budgetnet.experiments.baseline.search import Score, Scores
from budgetnet.parallel.progress import Progress
from budgetnet.parallel.workers import ProcessGroup
from budgetnet.training.image_scores import ImageScores
from budgetnet.training.job import JobContext

ScorerName = Literal["training", "supernet"]
SCORERS: tuple[ScorerName, ...] = ("training", "supernet")
DIVERGED_LOSS = 100.0
"""Of answers that are no numbers, for a log loss without bound is no JSON."""


class Scorer(Protocol):
    """Scores architectures of its options; frozen, a function of plan.json."""

    @property
    def options(self) -> Options:
        """What it can score."""
        ...

    @property
    def context(self) -> JobContext:
        """Where the run lies."""
        ...

    @property
    def name(self) -> str:
        """What the scores depend on besides the data and the options, in a few words."""
        ...

    @property
    def single_process(self) -> bool:
        """Whether scores share nothing: what luck adds to each is then its own, and a model of all evens it out.

        What weights that all share get wrong is wrong in many scores alike, and a model learns it.
        """
        ...

    def prepare(self, group: ProcessGroup, progress: Progress) -> None:
        """Make what all scores need, where it is not made."""
        ...

    def scores(self, executor: Executor, at_once: int, progress: Progress) -> AbstractContextManager[Scores]:
        """Workers that score so many at a time."""
        ...


def score_of(answers: ImageScores) -> Score:
    """Accuracy and mean log loss of answers."""
    return Score(float(answers.right.mean()), min(DIVERGED_LOSS, float(answers.losses.mean())))
