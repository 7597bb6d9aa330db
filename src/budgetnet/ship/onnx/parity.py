"""Where a float32 file parts from the model: the first layer that makes something else."""

from __future__ import annotations

import numpy as np
import onnx
import torch
from numpy.typing import NDArray

from budgetnet.ship.difference import difference
from budgetnet.ship.good_enough import MOST_DIFFERENCE
from budgetnet.ship.onnx.graph import with_outputs
from budgetnet.ship.onnx.metadata import content_of
from budgetnet.ship.onnx.read import session
from budgetnet.ship.plain_pixels import INPUT, PlainPixels


def first_difference(
    model: onnx.ModelProto, module: PlainPixels, image: NDArray[np.uint8], most: float = MOST_DIFFERENCE
) -> str | None:
    """The first convolution or linear layer that makes something else of an image (h, w, c) than the model's of its
    name; None where all agree."""
    pixels = np.ascontiguousarray(image.transpose(2, 0, 1)[None])
    expected = module.layers(torch.from_numpy(pixels))
    made = {  # a layer's last node makes what it makes
        name: node.output[0] for node in model.graph.node if (name := node.name.rpartition("/")[0]) in expected
    }
    names = list(made.values())
    found = session(content_of(with_outputs(model, names))).run(names, {INPUT: pixels})
    for name, value in zip(made, found, strict=True):
        if difference(value, expected[name]) > most:
            return name
    return None
