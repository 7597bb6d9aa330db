"""How far a file's logits are from the model's."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MOST_DIFFERENCE = 1e-4
"""A float32 file may differ from the model by this much, in standard deviations of the logits."""


def difference(found: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    """The largest difference of logits (n, classes) over the standard deviation of the expected ones."""
    return float(np.abs(found - expected).max() / max(float(expected.std()), 1e-12))
