"""Files in eight bits that are tried one after another: the nearest to the probabilities of the model counts."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from budgetnet.parallel.progress import Progress, Update
from budgetnet.ship.difference import divergence
from budgetnet.ship.eight_bits.quantiles import QUANTILES
from budgetnet.ship.eight_bits.steps import Weights
from budgetnet.ship.exported import Int8Try, Way
from budgetnet.ship.subject import Subject

File = TypeVar("File")
PHASES: dict[Way, str] = {"rounded": "quantise", "corrected biases": "correct biases"}
"""The ways that are tried several times, as progress names them."""


@dataclass(frozen=True, slots=True, eq=False)
class Candidate(Generic[File]):
    """A file, and what it was made of: weights in float, and the quantile of its ranges."""

    file: File
    weights: Weights
    quantile: float


@dataclass(frozen=True, slots=True, eq=False)
class Try(Generic[File]):
    """A candidate, and what it is worth on the validation images."""

    candidate: Candidate[File]
    row: Int8Try


class Tries(Generic[File]):
    """The files that were tried of a model. `logits` says what a file answers to the validation images."""

    def __init__(self, subject: Subject, logits: Callable[[File], NDArray[np.float32]]) -> None:
        self._subject, self._logits = subject, logits
        self._labels = subject.images.labels(subject.images.validation)
        self._done: list[Try[File]] = []

    @property
    def best(self) -> Try[File]:
        """The nearest of all, the first of equals."""
        return _nearest(self._done)

    @property
    def rows(self) -> tuple[Int8Try, ...]:
        """What each way was worth, in their order."""
        return tuple(one.row for one in self._done)

    def add(self, way: Way, candidate: Candidate[File]) -> None:
        """One more way."""
        self._done.append(self._tried(way, candidate))

    def add_nearest(self, way: Way, candidates: Iterable[Candidate[File]], told: Progress | None) -> Candidate[File]:
        """One more way, by the nearest of its candidates: one for each quantile."""
        tried: list[Try[File]] = []
        for done, candidate in enumerate(candidates, 1):
            tried.append(self._tried(way, candidate))
            if told is not None:
                told(Update(PHASES[way], done, len(QUANTILES)))
        self._done.append(_nearest(tried))
        return self._done[-1].candidate

    def _tried(self, way: Way, candidate: Candidate[File]) -> Try[File]:
        answers = self._logits(candidate.file)
        far = divergence(self._subject.images.validation_logits, answers, self._subject.loaded.temperature)
        return Try(candidate, Int8Try(way, far, float(np.mean(answers.argmax(1) == self._labels))))


def _nearest(tried: list[Try[File]]) -> Try[File]:
    return min(tried, key=lambda one: one.row.divergence)
