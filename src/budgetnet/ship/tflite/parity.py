"""Where a float32 file parts from the model: the first op that makes something else."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from budgetnet.costs.planners.tflite_ops import ops_of
from budgetnet.networks import Network
from budgetnet.ship.difference import difference
from budgetnet.ship.eight_bits.steps import values
from budgetnet.ship.good_enough import MOST_DIFFERENCE
from budgetnet.ship.tflite.interpreters import float_tensors_by_litert
from budgetnet.ship.tflite.steps import OpWeights, steps_of, weights_of
from budgetnet.ship.tflite.writer import Written


def first_difference(
    network: Network, weights: OpWeights, file: Written, image: NDArray[np.uint8], most: float = MOST_DIFFERENCE
) -> str | None:
    """The first op that makes something else of an image (h, w, c) than the model does; None where all agree."""
    pixels, ops = torch.from_numpy(image[None].copy()).permute(0, 3, 1, 2).float(), ops_of(network)
    with torch.no_grad():
        computed = values(steps_of(ops, weights), weights_of(ops, weights), pixels)
        expected = {name: value for name, value in computed if name in file.tensors}
    made = float_tensors_by_litert(file.content, image, (file.tensors[name] for name in expected))
    for (name, wanted), found in zip(expected.items(), made, strict=True):
        real = wanted.permute(0, 2, 3, 1).numpy().reshape(found.shape)
        if difference(found, real) > most:
            return name
    return None
