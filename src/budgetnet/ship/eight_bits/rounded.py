"""The steps of a network, run in float as a file in eight bits rounds: kernels by their scales, maps by theirs.

Gradients pass through rounding as if it were not there, and not where a value is cut off (the straight-through
estimator). Source: Jacob et al., arXiv:1712.05877, section 3.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from budgetnet.ship.eight_bits.scale import LEAST_SCALE, MOST_WEIGHT, Scale
from budgetnet.ship.eight_bits.steps import Kept, Maps, Step, Weights, made


def rounded(steps: Sequence[Step], weights: Weights) -> dict[str, tuple[Tensor, Tensor]]:
    """Weights as a file in eight bits holds them. Biases have 32 bits and are taken as they are."""
    return {
        step.layer: (rounded_kernel(step, weights[step.layer][0]), weights[step.layer][1])
        for step in steps
        if step.layer is not None
    }


def rounded_kernel(step: Step, kernel: Tensor) -> Tensor:
    """A kernel by a scale for each channel, or by one."""
    sides = tuple(range(1 if step.by_channel else 0, kernel.ndim))
    scale = (kernel.detach().abs().amax(sides, keepdim=True).clamp_min(LEAST_SCALE)) / MOST_WEIGHT
    return _through(kernel, (kernel / scale).round() * scale)


def kept_by(scales: Mapping[str, Scale]) -> Kept:
    """What is left of a tensor in its scale; all of it where it has none."""

    def kept(name: str, value: Tensor) -> Tensor:
        if name not in scales:
            return value
        at = scales[name]
        cut = value.clamp(*at.ends)
        return _through(cut, (cut / at.scale).round() * at.scale)

    return kept


def _through(value: Tensor, rounded: Tensor) -> Tensor:
    """The rounded value, with the gradient of the value."""
    return value + (rounded - value).detach()


@torch.no_grad()
def corrected(
    steps: Sequence[Step], weights: Weights, scales: Mapping[str, Scale], images: Tensor
) -> dict[str, tuple[Tensor, Tensor]]:
    """The weights with biases by which every layer's sums have, on average over the images, the value that they have in
    float, all steps before it rounded and corrected.

    Source: Nagel et al., arXiv:1906.04721, section 4.2, with images in place of what BatchNorm expects.
    """
    better = dict(weights)
    kept = kept_by(scales)
    real, as_file = Maps(steps, images), Maps(steps, images)
    for step in steps:
        wanted = made(step, real.read(step), weights)
        if step.layer is None:
            found = made(step, as_file.read(step), weights)
        else:
            kernel, bias = weights[step.layer]
            short = rounded_kernel(step, kernel)
            found = step.run(*as_file.read(step), short, bias)
            missing = (wanted - found).mean([side for side in range(wanted.ndim) if side != 1])
            better[step.layer] = kernel, bias + missing
            found = step.run(*as_file.read(step), short, bias + missing)
        real.put(step, wanted)
        as_file.put(step, kept(step.name, found))
    return better
