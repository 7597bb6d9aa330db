"""Makes the .tflite file of a trained model: in float32, or in int8 with ranges that validation images choose."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from budgetnet.costs.network_cost import cost
from budgetnet.costs.planners.tflite_ops import TfliteOp, ops_of
from budgetnet.parallel.progress import Progress, Update
from budgetnet.ship.difference import divergence
from budgetnet.ship.exported import NumberType
from budgetnet.ship.made import Made
from budgetnet.ship.subject import Subject
from budgetnet.ship.tflite.archive import with_archive
from budgetnet.ship.tflite.float_run import Weights, values
from budgetnet.ship.tflite.interpreters import allocates, logits_by_litert
from budgetnet.ship.tflite.parity import first_difference
from budgetnet.ship.tflite.ranges import QUANTILES, Observed
from budgetnet.ship.tflite.writer import written

IMAGES_AT_ONCE = 25


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
    loaded, images = subject.loaded, subject.images
    calibration, validation = images.calibration, images.validation
    shown = np.stack(list(images.pixels(calibration)))
    expected = images.logits(validation)
    weights = Weights(loaded.model, loaded.preprocessing)
    ops = ops_of(loaded.network)
    observed = Observed(ops, _values(ops, weights, shown))
    found: list[tuple[float, float, bytes]] = []
    for done, quantile in enumerate(QUANTILES, 1):
        content = written(loaded.network, weights, observed.scales(quantile)).content
        answers = logits_by_litert(content, images.pixels(validation))
        found.append((divergence(expected, answers, loaded.temperature), quantile, content))
        if progress is not None:
            progress(Update("quantise", done, len(QUANTILES)))
    _, quantile, content = min(found, key=lambda one: one[0])  # the first of equals
    arena_bytes = cost(loaded.network, dtype="int8", runtime="tflite_micro").peak_activation_bytes
    return Made(
        content=with_archive(content, subject.notes(arena_bytes)),
        flash_bytes=len(content),
        arena_bytes=arena_bytes,
        allocated=allocates(content, shown[0], arena_bytes),
        quantile=quantile,
        calibration_images=len(calibration),
    )


def _values(ops: Sequence[TfliteOp], weights: Weights, images: NDArray[np.uint8]) -> Iterator[tuple[str, Tensor]]:
    """What every tensor holds for the images, some of them at once."""
    for start in range(0, len(images), IMAGES_AT_ONCE):
        some = torch.from_numpy(images[start : start + IMAGES_AT_ONCE]).permute(0, 3, 1, 2).float()
        yield from values(ops, weights, some)
