"""Where a float32 file parts from the model: the first layer that makes something else."""

from __future__ import annotations

import numpy as np
import onnx
import torch
from numpy.typing import NDArray

from budgetnet.ship.difference import difference
from budgetnet.ship.good_enough import MOST_DIFFERENCE
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
    for name, found in zip(made, _tensors(model, list(made.values()), pixels), strict=True):
        if difference(found, expected[name]) > most:
            return name
    return None


def _tensors(model: onnx.ModelProto, names: list[str], pixels: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
    """What these tensors of a graph hold for an image."""
    probed = onnx.ModelProto()
    probed.CopyFrom(model)
    del probed.graph.output[:]
    probed.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    return session(content_of(probed)).run(names, {INPUT: pixels})
