"""Files in eight bits that are tried one after another: the nearest to the probabilities of the model counts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from budgetnet.parallel.progress import Progress, Update
from budgetnet.ship.difference import divergence
from budgetnet.ship.exported import Int8Try, Way
from budgetnet.ship.quantiles import QUANTILES
from budgetnet.ship.subject import Subject

File = TypeVar("File")


@dataclass(frozen=True, slots=True, eq=False)
class Try(Generic[File]):
    """A file, the quantile of its ranges, and what it is worth on the validation images."""

    file: File
    quantile: float
    row: Int8Try


class Tries(Generic[File]):
    """The files that were tried of a model. `logits` says what a file answers to the validation images."""

    def __init__(self, subject: Subject, logits: Callable[[File], NDArray[np.float32]]) -> None:
        self._subject, self._logits = subject, logits
        self._labels = subject.images.labels(subject.images.validation)
        self.done: list[Try[File]] = []

    @property
    def best(self) -> Try[File]:
        """The nearest of all, the first of equals."""
        return _nearest(self.done)

    @property
    def rows(self) -> tuple[Int8Try, ...]:
        """What each was worth, in their order."""
        return tuple(one.row for one in self.done)

    def add(self, way: Way, quantile: float, file: File) -> None:
        """One more file."""
        self.done.append(self._tried(way, quantile, file))

    def add_rounded(self, file_of: Callable[[float], File], progress: Progress | None) -> Try[File]:
        """The file of rounded weights with the quantile that comes nearest."""
        tried: list[Try[File]] = []
        for done, quantile in enumerate(QUANTILES, 1):
            tried.append(self._tried("rounded", quantile, file_of(quantile)))
            if progress is not None:
                progress(Update("quantise", done, len(QUANTILES)))
        self.done.append(_nearest(tried))
        return self.done[-1]

    def _tried(self, way: Way, quantile: float, file: File) -> Try[File]:
        answers = self._logits(file)
        far = divergence(self._subject.images.validation_logits, answers, self._subject.loaded.temperature)
        return Try(file, quantile, Int8Try(way, far, float(np.mean(answers.argmax(1) == self._labels))))


def _nearest(tried: list[Try[File]]) -> Try[File]:
    return min(tried, key=lambda one: one.row.divergence)
