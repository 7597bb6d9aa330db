"""From a model to an OpenVINO graph."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from budgetnet.ship.difference import difference
from budgetnet.ship.good_enough import MOST_DIFFERENCE
from budgetnet.ship.openvino.folder import EXACT
from budgetnet.ship.openvino.quiet import quiet_openvino
from budgetnet.ship.plain_pixels import INPUT, OUTPUT, PROBABILITIES, PlainPixels

COUNTED = re.compile(r"^[A-Z][A-Za-z]*_\d+$")
"""The names of ops that come from no line of the model: their type and a number, "Constant_3542"."""


def converted(module: PlainPixels) -> Any:
    """The graph of a model: image (batch, channels, height, width) in uint8 to logits (batch, classes)."""
    example = module.example()
    program = torch.export.export(module, (example,), dynamic_shapes=({0: torch.export.Dim("batch")},))
    model = quiet_openvino().convert_model(program)
    model.reshape([-1, *example.shape[1:]])
    model.inputs[0].get_tensor().set_names({INPUT})
    model.outputs[0].get_tensor().set_names({OUTPUT})
    model.set_friendly_name(module.model.network.name)
    name_alike(model)
    return model


def with_softmax(model: Any, temperature: float) -> Any:
    """The same graph that gives softmax(logits / temperature) in place of the logits."""
    openvino = quiet_openvino()
    ops, other = openvino.opset13, model.clone()
    logits = other.get_results()[0].input_value(0)
    scaled = ops.multiply(logits, ops.constant(np.float32(1 / temperature)), name="softmax/Multiply")
    made = ops.softmax(scaled, 1, name="softmax/Softmax")
    made.output(0).get_tensor().set_names({PROBABILITIES})
    return openvino.Model([made], other.get_parameters(), model.get_friendly_name())


def name_alike(model: Any) -> None:
    """Name what the converter counts over a process by its place in the graph, so that equal exports are equal
    bytes."""
    for place, op in enumerate(model.get_ordered_ops()):
        if COUNTED.search(op.get_friendly_name()):
            op.set_friendly_name(f"{op.get_type_name()}_{place}")
        for output in op.outputs():
            tensor = output.get_tensor()
            tensor.set_names({name for name in tensor.get_names() if not name.isdigit()})


def first_difference(
    model: Any, module: PlainPixels, image: NDArray[np.uint8], most: float = MOST_DIFFERENCE
) -> str | None:
    """The first convolution or linear layer that makes something else of an image (h, w, c) than the model's; None
    where all agree.

    The converter counts the convolutions and the linear layers as they run; the last layer makes the logits.
    """
    pixels = np.ascontiguousarray(image.transpose(2, 0, 1)[None])
    expected = module.layers(torch.from_numpy(pixels))
    counts = {"convolution": 0, "linear": 0}
    names: list[str] = []
    for name in expected:
        kind = "linear" if isinstance(module.model.get_submodule(name), torch.nn.Linear) else "convolution"
        names.append(f"{kind}_{counts[kind]}:0" if counts[kind] else f"{kind}:0")
        counts[kind] += 1
    probed = model.clone()
    probed.add_outputs(names[:-1])
    answers = quiet_openvino().Core().compile_model(probed, "CPU", EXACT)({INPUT: pixels})
    for (layer, wanted), name in zip(expected.items(), [*names[:-1], OUTPUT], strict=True):
        if difference(answers[name], wanted) > most:
            return layer
    return None
