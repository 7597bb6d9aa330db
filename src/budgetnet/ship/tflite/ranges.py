"""From the values of a network's tensors to the scales of their integers.

The fixed scales are those of TensorFlow Lite's 8-bit specification.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from budgetnet.costs.planners.tflite_ops import Code, TfliteOp
from budgetnet.ship.tflite.scale import PIXELS, Scale

QUANTILES = (0.99999, 1.0, 0.9999, 0.999)
"""Ranges may end at these quantiles. One image of two hundred can stretch the range of Swish so far that a network
loses half of its accuracy."""
SAMPLED = 1 << 16
"""A quantile is taken over about this many values of a tensor each time that it is seen, at most twice as many."""


FIXED: Mapping[Code, Scale] = {"LOGISTIC": Scale(1 / 256, -128), "TANH": Scale(1 / 128, 0)}
"""What these ops make has one scale in every file."""
SHARED: tuple[Code, ...] = ("PAD", "MAX_POOL_2D", "CONCATENATION")
"""Ops that copy integers: what they read and make has one scale."""


class Seen(NamedTuple):
    """What one tensor held: its least and largest value, and evenly some of all."""

    low: float
    high: float
    some: Tensor

    @staticmethod
    def of(value: Tensor) -> Seen:
        """What one tensor holds for some images."""
        flat = value.flatten().float()
        return Seen(flat.min().item(), flat.max().item(), flat[:: max(1, flat.numel() // SAMPLED)])


class Observed:
    """What the tensors of a network held for the calibration images, seen once for all quantiles.

    `values` has (name, what it holds); a name may come again, with more images.
    """

    def __init__(self, ops: Sequence[TfliteOp], values: Iterable[tuple[str, Tensor]]) -> None:
        self._owner = _owners(ops)
        self._fixed = {op.makes.name: FIXED[op.code] for op in ops if op.code in FIXED}
        self._fixed[ops[0].reads[0].name] = PIXELS
        self._seen: dict[str, list[Seen]] = {}
        for name, value in values:
            if self._owner[name] not in self._fixed:
                self._seen.setdefault(self._owner[name], []).append(Seen.of(value))

    def scales(self, quantile: float = QUANTILES[0]) -> dict[str, Scale]:
        """The scale of every tensor, by its name.

        A range goes from the quantile 1 - `quantile` to `quantile`; 1 takes the least and the largest value.
        """
        scales = {name: Scale.of(*_range(parts, quantile)) for name, parts in self._seen.items()} | self._fixed
        return {name: scales[own] for name, own in self._owner.items()}


def _owners(ops: Sequence[TfliteOp]) -> dict[str, str]:
    """For every tensor the one whose scale it shares: the first of those that copies connect."""
    owner = {ops[0].reads[0].name: ops[0].reads[0].name}
    for op in ops:
        owner[op.makes.name] = op.makes.name
        if op.code in SHARED:
            joined = {owner[tensor.name] for tensor in (*op.reads, op.makes)}
            first = owner[op.reads[0].name]
            owner.update({name: first for name, old in owner.items() if old in joined})
    return owner


def _range(parts: Sequence[Seen], quantile: float) -> tuple[float, float]:
    """The quantiles at both ends."""
    if quantile == 1.0:
        return min(part.low for part in parts), max(part.high for part in parts)
    some = torch.cat([part.some for part in parts])
    low, high = torch.quantile(some, torch.tensor([1 - quantile, quantile])).tolist()
    return low, high
