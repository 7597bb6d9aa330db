"""Eight bits for real numbers: real = scale * (integer - zero point).

Source: Jacob et al., arXiv:1712.05877, section 2.1.
"""

from __future__ import annotations

from dataclasses import dataclass

LOWEST, HIGHEST = -128, 127
LEAST_SCALE = 1e-8
MOST_WEIGHT = 127
"""Weights are symmetric: -127 to 127 times their scale."""


@dataclass(frozen=True, slots=True)
class Scale:
    """How a tensor's integers are read: real = scale * (integer - zero_point), integers from -128 to 127."""

    scale: float
    zero_point: int

    @staticmethod
    def of(low: float, high: float) -> Scale:
        """The scale of a range, which is widened to hold 0."""
        low, high = min(low, 0.0), max(high, 0.0)
        scale = max((high - low) / (HIGHEST - LOWEST), LEAST_SCALE)
        return Scale(scale, min(max(round(LOWEST - low / scale), LOWEST), HIGHEST))


PIXELS = Scale(1.0, LOWEST)
"""The file reads pixel - 128."""
