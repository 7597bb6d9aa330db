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

    @property
    def ends(self) -> tuple[float, float]:
        """The least and the largest number that it has."""
        return self.scale * (LOWEST - self.zero_point), self.scale * (HIGHEST - self.zero_point)


PIXELS = Scale(1.0, LOWEST)
"""A TensorFlow Lite file takes pixel - 128."""
