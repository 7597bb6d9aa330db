"""Makes the .tflite file of a trained model: in float32, or in int8 as near to it as validation images say."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from budgetnet.costs.network_cost import cost
from budgetnet.costs.planners.tflite_ops import TfliteOp, ops_of
from budgetnet.data.draw import evenly
from budgetnet.parallel.progress import Progress
from budgetnet.ship.exported import NumberType
from budgetnet.ship.made import Made
from budgetnet.ship.subject import Subject
from budgetnet.ship.tflite.archive import with_archive
from budgetnet.ship.tflite.float_run import OpWeights, Weights, values
from budgetnet.ship.tflite.interpreters import allocates, logits_by_litert
from budgetnet.ship.tflite.parity import first_difference
from budgetnet.ship.tflite.ranges import Observed
from budgetnet.ship.tflite.rounded_run import corrected
from budgetnet.ship.tflite.tuned import tuned
from budgetnet.ship.tflite.writer import written
from budgetnet.ship.tries import Tries

IMAGES_AT_ONCE = 25
CORRECTION_IMAGES = 64
"""Biases are corrected by this many images at once: their largest maps, twice, are in memory together."""
NEAR_ENOUGH = 0.005
"""Nats: of a file whose probabilities are this near to the model's no other is sought."""


def make(subject: Subject, dtype: NumberType, progress: Progress | None) -> Made:
    """The file of a model, with labels and notes behind it. That in int8 is made once of a subject.

    Raises a one-line `ValueError` for an activation that TensorFlow Lite has no op for.
    """
    if dtype == "float32":
        return _float32(subject)
    if dtype not in subject.kept:
        subject.kept[dtype] = _int8(subject, progress)
    return subject.kept[dtype]


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
    loaded, images = subject.loaded, subject.images
    ops, plain = ops_of(loaded.network), Weights(loaded.model, loaded.preprocessing)
    calibration = np.stack(list(images.pixels(images.calibration)))
    observed = Observed(ops, _values(ops, plain, calibration))

    def file_of(quantile: float, weights: OpWeights = plain) -> bytes:
        return written(loaded.network, weights, observed.scales(quantile)).content

    def tensor(indices: NDArray[np.int64]) -> Tensor:
        return _tensor(np.stack(list(images.pixels(indices))))

    tries = Tries[bytes](subject, lambda content: logits_by_litert(content, images.pixels(images.validation)))
    quantile = tries.add_rounded(file_of, progress).quantile
    scales = observed.scales(quantile)
    some = evenly(np.arange(len(calibration)), CORRECTION_IMAGES)
    weights: OpWeights = corrected(ops, plain, scales, _tensor(calibration[some]))
    tries.add("corrected biases", quantile, file_of(quantile, weights))
    if tries.best.row.divergence > NEAR_ENOUGH and subject.tuning_steps:
        weights = tuned(ops, plain, weights, scales, images.training, tensor, subject.tuning_steps, progress)
        tries.add("trained in eight bits", quantile, file_of(quantile, weights))
    best = tries.best
    arena_bytes = cost(loaded.network, dtype="int8", runtime="tflite_micro").peak_activation_bytes
    return Made(
        content=with_archive(
            best.file, subject.notes(arena_bytes, lambda pixels: logits_by_litert(best.file, pixels, reference=True))
        ),
        flash_bytes=len(best.file),
        arena_bytes=arena_bytes,
        allocated=allocates(best.file, calibration[0], arena_bytes),
        quantile=best.quantile,
        calibration_images=len(calibration),
        tried=tries.rows,
    )


@torch.no_grad()
def _values(ops: Sequence[TfliteOp], weights: OpWeights, images: NDArray[np.uint8]) -> Iterator[tuple[str, Tensor]]:
    """What every tensor holds for the images, some of them at once."""
    for start in range(0, len(images), IMAGES_AT_ONCE):
        yield from values(ops, weights, _tensor(images[start : start + IMAGES_AT_ONCE]))


def _tensor(images: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(images).permute(0, 3, 1, 2).float()
