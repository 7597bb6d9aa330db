"""What a count of right answers says: intervals, and differences on the same images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Z_95 = 1.959963984540054
"""97.5 % quantile of the normal distribution: a two-sided interval of 95 %."""

Answers = Sequence[bool] | NDArray[np.bool_]
"""For each image, in one order, whether the answer was right."""


def right_of(answers: NDArray[np.floating], labels: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Which of the (n, classes) answers are right; NaN, which argmax takes for the largest, is wrong."""
    return (answers.argmax(1) == labels) & np.isfinite(answers).all(1)


def wilson(correct: int, count: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share: `correct` of `count` -> (low, high), both in [0, 1].

    (p + z**2 / 2n -+ z sqrt(p (1 - p) / n + z**2 / 4n**2)) / (1 + z**2 / n) with p = correct / n,
    z = 1.96. Raises `ValueError` unless 0 <= correct <= count and count >= 1.
    Source: Wilson, Probable Inference, JASA 22 (1927); Brown, Cai, DasGupta (2001), section 3.1.1.
    """
    if not 0 <= correct <= count or count < 1:
        raise ValueError(f"{correct} of {count} is no share; give 0 <= correct <= count and a count of at least 1")
    share, spread = correct / count, Z_95**2 / count
    middle = share + spread / 2
    half = Z_95 * math.sqrt(share * (1 - share) / count + spread / (4 * count))
    low, high = (middle - half) / (1 + spread), (middle + half) / (1 + spread)
    return (0.0 if correct == 0 else low), (1.0 if correct == count else high)


@dataclass(frozen=True, slots=True)
class Paired:
    """Accuracy of a minus accuracy of b on the same images, its 95 % interval, its standard error."""

    difference: float
    low: float
    high: float
    standard_error: float


def paired_difference(correct_a: Answers, correct_b: Answers) -> Paired:
    """How much better a answers than b on the same images; an interval without 0 says that they differ.

    With n images, b01 right by a alone and b10 right by b alone:
    difference = (b01 - b10) / n; standard error = sqrt(b01 + b10 - (b01 - b10)**2 / n) / n. The
    interval is the same with half an image added to each of the four cells, which keeps its 95 %
    for few images and does not shrink to nothing where both answer alike. Raises `ValueError` for
    answers that are not one an image of both.
    Source: Agresti and Min, Statistics in Medicine 24 (2005), section 2.
    """
    a, b = np.asarray(correct_a, dtype=bool), np.asarray(correct_b, dtype=bool)
    if a.shape != b.shape or a.ndim != 1 or a.size == 0:
        raise ValueError(f"{a.size} and {b.size} answers cannot be paired; give one an image, in the same order")
    only_a, only_b, count = int((a & ~b).sum()), int((b & ~a).sum()), a.size
    difference, error = _moments(only_a, only_b, count)
    middle, wide = _moments(only_a + 0.5, only_b + 0.5, count + 2)
    return Paired(difference, max(-1.0, middle - Z_95 * wide), min(1.0, middle + Z_95 * wide), error)


def _moments(only_a: float, only_b: float, count: float) -> tuple[float, float]:
    """Mean and standard error of the per-image difference."""
    net = only_a - only_b
    return net / count, math.sqrt(max(0.0, only_a + only_b - net**2 / count)) / count
