"""Training with eight bits in mind: kernels and biases move until the rounded network answers as the float one does.

The float network is the teacher, so that no label is needed and nothing else is learned: the loss is the
Kullback-Leibler divergence of the answers to training images. Sources: Jacob et al., arXiv:1712.05877, section 3
(rounding in the forward pass); Hinton et al., arXiv:1503.02531 (the loss).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from budgetnet.parallel.progress import Progress, Update
from budgetnet.ship.eight_bits.rounded import kept_by, rounded
from budgetnet.ship.eight_bits.scale import Scale
from budgetnet.ship.eight_bits.steps import Step, Weights, logits

BATCH = 32
LEARNING_RATE = 2e-5
"""Adam's, down to 0 along half a cosine. Of 2e-5, 1e-4 and 3e-4 it comes nearest in so few steps: docs/lab-log.md."""
SEED = 0


def tuned(
    steps: Sequence[Step],
    weights: Weights,
    begin: Weights,
    scales: Mapping[str, Scale],
    training: NDArray[np.int64],
    pixels: Callable[[NDArray[np.int64]], Tensor],
    count: int,
    progress: Progress | None = None,
) -> Weights:
    """Weights that were trained from `begin`, `count` times, to answer rounded as `weights` do in float.

    `pixels` gives the images (n, c, h, w) in 0 to 255 of some of the `training` indices.
    """
    trained = {
        layer: (kernel.clone().requires_grad_(), bias.clone().requires_grad_())
        for layer, (kernel, bias) in begin.items()
    }
    kept = kept_by(scales)
    optimiser = torch.optim.Adam([part for pair in trained.values() for part in pair], lr=LEARNING_RATE)
    draw = np.random.default_rng(SEED)
    for done in range(count):
        for group in optimiser.param_groups:
            group["lr"] = LEARNING_RATE * (1 + math.cos(math.pi * done / count)) / 2
        images = pixels(draw.choice(training, min(BATCH, len(training)), replace=False))
        with torch.no_grad():
            wanted = functional.log_softmax(logits(steps, weights, images), 1)
        found = functional.log_softmax(logits(steps, rounded(steps, trained), images, kept), 1)
        loss = functional.kl_div(found, wanted, log_target=True, reduction="batchmean")
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if progress is not None:
            progress(Update("train in eight bits", done + 1, count))
    return {layer: (kernel.detach(), bias.detach()) for layer, (kernel, bias) in trained.items()}
