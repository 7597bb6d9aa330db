"""From the values of a network's tensors to eight bits: real = scale * (integer - zero point).

Source: Jacob et al., arXiv:1712.05877, section 2.1; the fixed scales are those of TensorFlow Lite's 8-bit
specification.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from budgetnet.costs.planners.tflite_ops import Code, TfliteOp

LOWEST, HIGHEST = -128, 127
LEAST_SCALE = 1e-8
QUANTILE = 0.99999
"""Ranges leave out this much of either end: one image of two hundred can stretch the range of Swish so far that a
network loses half of its accuracy (docs/lab-log.md)."""
SAMPLED = 1 << 16
"""A quantile is taken over about this many values of a tensor each time that it is seen, at most twice as many."""


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


FIXED: Mapping[Code, Scale] = {"LOGISTIC": Scale(1 / 256, -128), "TANH": Scale(1 / 128, 0)}
"""What these ops make has one scale in every file."""
PIXELS = Scale(1.0, LOWEST)
"""The file reads pixel - 128."""
SHARED: tuple[Code, ...] = ("PAD", "MAX_POOL_2D", "CONCATENATION")
"""Ops that copy integers: what they read and make has one scale."""


def scales_of(
    ops: Sequence[TfliteOp], values: Iterable[tuple[str, Tensor]], quantile: float = QUANTILE
) -> dict[str, Scale]:
    """The scale of every tensor, by its name, from the values that it holds for the calibration images.

    A name may come again, with more images. A range goes from the quantile 1 - `quantile` to `quantile`; 1 takes the
    least and the largest value.
    """
    owner = _owners(ops)
    fixed = {op.makes.name: FIXED[op.code] for op in ops if op.code in FIXED} | {ops[0].reads[0].name: PIXELS}
    seen: dict[str, list[Tensor]] = {}
    for name, value in values:
        if owner[name] not in fixed:
            seen.setdefault(owner[name], []).append(_sample(value, quantile))
    scales = {name: Scale.of(*_range(torch.cat(parts), quantile)) for name, parts in seen.items()} | fixed
    return {name: scales[own] for name, own in owner.items()}


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


def _sample(value: Tensor, quantile: float) -> Tensor:
    """What of a tensor's values a range is taken from: both ends, or evenly some of them."""
    flat = value.flatten().float()
    if quantile == 1.0:
        return torch.stack((flat.min(), flat.max()))
    return flat[:: max(1, flat.numel() // SAMPLED)]


def _range(values: Tensor, quantile: float) -> tuple[float, float]:
    """The quantiles at both ends."""
    low, high = torch.quantile(values, torch.tensor([1 - quantile, quantile])).tolist()
    return low, high
