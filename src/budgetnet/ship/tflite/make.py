"""Makes the .tflite file of a trained model: in float32, or in int8 as near to it as validation images say."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from budgetnet.costs.network_cost import cost
from budgetnet.costs.planners.tflite_ops import ops_of
from budgetnet.parallel.progress import Progress, Update
from budgetnet.ship.difference import divergence
from budgetnet.ship.exported import Int8Try, NumberType, Way
from budgetnet.ship.made import Made
from budgetnet.ship.quantiles import QUANTILES
from budgetnet.ship.subject import Subject
from budgetnet.ship.tflite.archive import with_archive
from budgetnet.ship.tflite.float_run import OpWeights, Weights, values
from budgetnet.ship.tflite.interpreters import allocates, logits_by_litert
from budgetnet.ship.tflite.parity import first_difference
from budgetnet.ship.tflite.ranges import Observed
from budgetnet.ship.tflite.rounded_run import corrected
from budgetnet.ship.tflite.tuned import tuned
from budgetnet.ship.tflite.writer import written

IMAGES_AT_ONCE = 25
CORRECTION_IMAGES = 64
"""Biases are corrected by this many images at once: their largest maps, twice, are in memory together."""
NEAR_ENOUGH = 0.005
"""Nats: of a file whose probabilities are this near to the model's no other is sought."""


def make(subject: Subject, dtype: NumberType, progress: Progress | None) -> Made:
    """The file of a model, with labels and notes behind it.

    Raises a one-line `ValueError` for an activation that TensorFlow Lite has no op for.
    """
    return _int8(subject, progress) if dtype == "int8" else _float32(subject)


def _float32(subject: Subject) -> Made:
    loaded, images = subject.loaded, subject.images
    weights = Weights(loaded.model, loaded.preprocessing)
    file = written(loaded.network, weights, None)
    return Made(
        content=with_archive(file.content, subject.notes()),
        flash_bytes=len(file.content),
        first_difference=lambda: first_difference(loaded.network, weights, file, next(images.pixels(images.test))),
    )


def _int8(subject: Subject, progress: Progress | None) -> Made:
    """The nearest of the files that were tried: with rounded weights, with corrected biases, and trained on.

    Each way begins from the one before, and the next is tried only while the file is not near enough.
    """
    tries = _Tries(subject, progress)
    first = tries.rounded()
    scales = tries.observed.scales(first.quantile)
    weights: OpWeights = corrected(tries.ops, tries.weights, scales, tries.shown(CORRECTION_IMAGES))
    tries.add("corrected biases", first.quantile, weights)
    if tries.best.divergence > NEAR_ENOUGH:
        weights = tuned(tries.ops, tries.weights, weights, scales, subject.images.training, tries.tensor, progress)
        tries.add("trained in eight bits", first.quantile, weights)
    best = tries.best
    arena_bytes = cost(subject.loaded.network, dtype="int8", runtime="tflite_micro").peak_activation_bytes
    return Made(
        content=with_archive(best.content, subject.notes(arena_bytes)),
        flash_bytes=len(best.content),
        arena_bytes=arena_bytes,
        allocated=allocates(best.content, tries.calibration[0], arena_bytes),
        quantile=best.quantile,
        calibration_images=len(tries.calibration),
        tried=tuple(one.row for one in tries.done),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Try:
    """A file, the quantile of its ranges, and how far its answers to the validation images are from the model's."""

    way: Way
    quantile: float
    content: bytes
    divergence: float
    top1: float

    @property
    def row(self) -> Int8Try:
        return Int8Try(self.way, max(0.0, self.divergence), self.top1)


class _Tries:
    """The int8 files of a model, one after another, and all that they are made of and measured with."""

    def __init__(self, subject: Subject, progress: Progress | None) -> None:
        self.subject, self.progress = subject, progress
        loaded, images = subject.loaded, subject.images
        self.ops = ops_of(loaded.network)
        self.weights = Weights(loaded.model, loaded.preprocessing)
        self.validation = images.validation
        self.expected, self.labels = images.logits(self.validation), images.labels(self.validation)
        self.calibration = np.stack(list(images.pixels(images.calibration)))
        self.observed = Observed(self.ops, self._values())
        self.done: list[_Try] = []

    @property
    def best(self) -> _Try:
        """The nearest of all, the first of equals."""
        return min(self.done, key=lambda one: one.divergence)

    def rounded(self) -> _Try:
        """The file of rounded weights with the quantile that comes nearest."""
        tries: list[_Try] = []
        for done, quantile in enumerate(QUANTILES, 1):
            tries.append(self._try("rounded", quantile, self.weights))
            if self.progress is not None:
                self.progress(Update("quantise", done, len(QUANTILES)))
        self.done.append(min(tries, key=lambda one: one.divergence))
        return self.done[-1]

    def add(self, way: Way, quantile: float, weights: OpWeights) -> None:
        """The file of other weights."""
        self.done.append(self._try(way, quantile, weights))

    def _try(self, way: Way, quantile: float, weights: OpWeights) -> _Try:
        loaded = self.subject.loaded
        content = written(loaded.network, weights, self.observed.scales(quantile)).content
        answers = logits_by_litert(content, self.subject.images.pixels(self.validation))
        far = divergence(self.expected, answers, loaded.temperature)
        return _Try(way, quantile, content, far, float(np.mean(answers.argmax(1) == self.labels)))

    def shown(self, most: int) -> Tensor:
        """Some of the calibration images, evenly: (n, c, h, w), 0 to 255."""
        some = np.linspace(0, len(self.calibration) - 1, min(most, len(self.calibration))).round().astype(np.int64)
        return _tensor(self.calibration[some])

    def tensor(self, indices: NDArray[np.int64]) -> Tensor:
        """Images by their indices: (n, c, h, w), 0 to 255."""
        return _tensor(np.stack(list(self.subject.images.pixels(indices))))

    @torch.no_grad()
    def _values(self) -> Iterator[tuple[str, Tensor]]:
        """What every tensor holds for the calibration images, some of them at once."""
        for start in range(0, len(self.calibration), IMAGES_AT_ONCE):
            some = _tensor(self.calibration[start : start + IMAGES_AT_ONCE])
            yield from values(self.ops, self.weights, some)


def _tensor(images: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(images).permute(0, 3, 1, 2).float()
