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

from budgetnet.costs.planners.tflite_ops import TfliteOp
from budgetnet.parallel.progress import Progress, Update
from budgetnet.ship.tflite.float_run import OpWeights, logits
from budgetnet.ship.tflite.rounded_run import Changed, Rounded, kept_by
from budgetnet.ship.tflite.scale import Scale

BATCH = 32
LEARNING_RATE = 2e-5
"""Adam's, down to 0 along half a cosine. Of 2e-5, 1e-4 and 3e-4 it comes nearest in so few steps: docs/lab-log.md."""
SEED = 0


def tuned(
    ops: Sequence[TfliteOp],
    weights: OpWeights,
    begin: OpWeights,
    scales: Mapping[str, Scale],
    training: NDArray[np.int64],
    pixels: Callable[[NDArray[np.int64]], Tensor],
    steps: int,
    progress: Progress | None = None,
) -> Changed:
    """Weights that were trained from `begin` to answer rounded as `weights` do in float.

    `pixels` gives the images (n, c, h, w) in 0 to 255 of some of the `training` indices.
    """
    trained = {
        op.name: tuple(part.clone().requires_grad_() for part in begin.of(op)) for op in ops if op.layer is not None
    }
    pairs = {name: (kernel, bias) for name, (kernel, bias) in trained.items()}
    student, kept = Rounded(Changed(weights, pairs)), kept_by(scales)
    optimiser = torch.optim.Adam([part for pair in pairs.values() for part in pair], lr=LEARNING_RATE)
    draw = np.random.default_rng(SEED)
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = LEARNING_RATE * (1 + math.cos(math.pi * step / steps)) / 2
        images = pixels(draw.choice(training, min(BATCH, len(training)), replace=False))
        with torch.no_grad():
            wanted = functional.log_softmax(logits(ops, weights, images), 1)
        found = functional.log_softmax(logits(ops, student, images, kept), 1)
        loss = functional.kl_div(found, wanted, log_target=True, reduction="batchmean")
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if progress is not None:
            progress(Update("train in eight bits", step + 1, steps))
    return Changed(weights, {name: (kernel.detach(), bias.detach()) for name, (kernel, bias) in pairs.items()})
