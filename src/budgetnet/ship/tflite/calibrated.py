"""The int8 file of a trained model: ranges from training images, by the quantile that validation images choose."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from budgetnet.costs.planners.tflite_ops import TfliteOp, ops_of
from budgetnet.parallel.progress import Progress, Update
from budgetnet.runs.run import Loaded
from budgetnet.ship.tflite.float_run import Weights, values
from budgetnet.ship.tflite.ranges import QUANTILES, Observed
from budgetnet.ship.tflite.writer import written

CALIBRATION_IMAGES = 200
IMAGES_AT_ONCE = 25


@dataclass(frozen=True, slots=True)
class Int8File:
    """A file, and the quantile that its ranges were taken by."""

    content: bytes
    quantile: float


def int8_file(
    loaded: Loaded,
    calibration: NDArray[np.uint8],
    loss: Callable[[bytes], float],
    progress: Progress | None = None,
) -> Int8File:
    """The file of the least loss, which is asked of each; the first of equals.

    Ranges are read from the calibration images (n, h, w, c). Raises a one-line `ValueError` for an activation that
    TensorFlow Lite has no op for.
    """
    weights = Weights(loaded.model, loaded.preprocessing)
    ops = ops_of(loaded.network)
    observed = Observed(ops, _values(ops, weights, calibration))
    best: tuple[float, Int8File] | None = None
    for done, quantile in enumerate(QUANTILES, 1):
        content = written(loaded.network, weights, observed.scales(quantile)).content
        lost = loss(content)
        if best is None or lost < best[0]:
            best = lost, Int8File(content, quantile)
        if progress is not None:
            progress(Update("quantise", done, len(QUANTILES)))
    assert best is not None
    return best[1]


def _values(ops: Sequence[TfliteOp], weights: Weights, images: NDArray[np.uint8]) -> Iterator[tuple[str, Tensor]]:
    """What every tensor holds for the images, some of them at once."""
    for start in range(0, len(images), IMAGES_AT_ONCE):
        some = torch.from_numpy(images[start : start + IMAGES_AT_ONCE]).permute(0, 3, 1, 2).float()
        yield from values(ops, weights, some)
