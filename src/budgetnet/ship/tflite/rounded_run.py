"""The ops of an int8 file, run in float as the file rounds: kernels by a scale a channel, maps by their scales.

Gradients pass through rounding as if it were not there, and not where a value is cut off (the straight-through
estimator). Source: Jacob et al., arXiv:1712.05877, section 3.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from budgetnet.costs.planners.tflite_ops import TfliteOp
from budgetnet.ship.tflite.float_run import Maps, OpWeights, made
from budgetnet.ship.tflite.scale import HIGHEST, LEAST_SCALE, LOWEST, MOST_WEIGHT, Scale


@dataclass(frozen=True, slots=True, eq=False)
class Changed:
    """Weights of which some ops have another kernel and bias, by their names."""

    weights: OpWeights
    changed: Mapping[str, tuple[Tensor, Tensor]] = field(default_factory=dict)

    def of(self, op: TfliteOp) -> tuple[Tensor, Tensor]:
        """Kernel and bias of a convolution (o, i, k, k) or linear layer (o, i)."""
        return self.changed[op.name] if op.name in self.changed else self.weights.of(op)

    def factor(self, op: TfliteOp) -> float:
        """What a MUL by a constant multiplies by."""
        return self.weights.factor(op)


@dataclass(frozen=True, slots=True, eq=False)
class Rounded:
    """Weights as an int8 file holds them. Biases have 32 bits and are taken as they are."""

    weights: OpWeights

    def of(self, op: TfliteOp) -> tuple[Tensor, Tensor]:
        """Kernel and bias of a convolution (o, i, k, k) or linear layer (o, i)."""
        kernel, bias = self.weights.of(op)
        sides = tuple(range(0 if op.code == "FULLY_CONNECTED" else 1, kernel.ndim))
        scale = (kernel.detach().abs().amax(sides, keepdim=True).clamp_min(LEAST_SCALE)) / MOST_WEIGHT
        return _through(kernel, (kernel / scale).round() * scale), bias

    def factor(self, op: TfliteOp) -> float:
        """What a MUL by a constant multiplies by: 127 or -127 times its scale, so that nothing is lost."""
        return self.weights.factor(op)


def kept_by(scales: Mapping[str, Scale]) -> Callable[[str, Tensor], Tensor]:
    """What is left of a tensor in its scale."""

    def kept(name: str, value: Tensor) -> Tensor:
        at = scales[name]
        low, high = ((end - at.zero_point) * at.scale for end in (LOWEST, HIGHEST))
        cut = value.clamp(low, high)
        return _through(cut, (cut / at.scale).round() * at.scale)

    return kept


def _through(value: Tensor, rounded: Tensor) -> Tensor:
    """The rounded value, with the gradient of the value."""
    return value + (rounded - value).detach()


@torch.no_grad()
def corrected(ops: Sequence[TfliteOp], weights: OpWeights, scales: Mapping[str, Scale], images: Tensor) -> Changed:
    """The weights with biases by which every op's sums have, on average over the images, the value that they have in
    float, all ops before it rounded and corrected.

    Source: Nagel et al., arXiv:1906.04721, section 4.2, with images in place of what BatchNorm expects.
    """
    changed: dict[str, tuple[Tensor, Tensor]] = {}
    better = Changed(weights, changed)
    as_file, kept = Rounded(better), kept_by(scales)
    real, rounded = Maps(ops, images), Maps(ops, images)
    for op in ops:
        if op.layer is not None:
            wanted = made(op, weights, real.read(op), fused=False)
            found = made(op, as_file, rounded.read(op), fused=False)
            kernel, bias = weights.of(op)
            changed[op.name] = kernel, bias + (wanted - found).mean((0, 2, 3))
        real.put(op, made(op, weights, real.read(op)))
        rounded.put(op, kept(op.makes.name, made(op, as_file, rounded.read(op))))
    return better
