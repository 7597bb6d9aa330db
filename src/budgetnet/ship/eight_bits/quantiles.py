"""What tensors held for the calibration images, and the ranges that eight bits are laid over."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

QUANTILES = (0.99999, 1.0, 0.9999, 0.999)
"""Ranges may end at these quantiles. One image of two hundred can stretch the range of Swish so far that a network
loses half of its accuracy."""
SAMPLED = 1 << 16
"""A quantile is taken over about this many values of a tensor each time that it is seen, at most twice as many."""


class Seen(NamedTuple):
    """What one tensor held: its least and largest value, and evenly some of all."""

    low: float
    high: float
    some: Tensor

    @staticmethod
    def of(value: Tensor) -> Seen:
        """What one tensor holds for some images."""
        flat = value.flatten().float()
        return Seen(flat.min().item(), flat.max().item(), flat[:: max(1, flat.numel() // SAMPLED)].clone())


def seen_of(values: Iterable[tuple[str, Any]], maps: Collection[str]) -> dict[str, list[Seen]]:
    """What these maps held, of (name, value) of all; a name may come again, with more images."""
    seen: dict[str, list[Seen]] = {}
    for name, value in values:
        if name in maps:
            seen.setdefault(name, []).append(Seen.of(value))
    return seen


def range_of(parts: Sequence[Seen], quantile: float) -> tuple[float, float]:
    """From the quantile 1 - `quantile` to `quantile`; 1 takes the least and the largest value."""
    if quantile == 1.0:
        return min(part.low for part in parts), max(part.high for part in parts)
    some = torch.cat([part.some for part in parts])
    low, high = torch.quantile(some, torch.tensor([1 - quantile, quantile])).tolist()
    return low, high
