"""How far a file's logits are from the model's."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax


def difference(found: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    """The largest difference of logits (n, classes) over the standard deviation of the expected ones."""
    return float(np.abs(found - expected).max() / max(float(expected.std()), 1e-12))


def divergence(expected: NDArray[np.float32], found: NDArray[np.float32], temperature: float) -> float:
    """The mean over the images of sum p log(p / q), in nats.

    p are the probabilities of the expected logits (n, classes) at this temperature, q those of the found ones. Of a few
    images it says more than which answers are right.
    """
    p, q = (log_softmax(row.astype(np.float64) / temperature, axis=1) for row in (expected, found))
    return max(0.0, float((np.exp(p) * (p - q)).sum(1).mean()))  # rounding alone goes below
