"""From a model to an ONNX graph, named as its modules are."""

from __future__ import annotations

import ast
import contextlib
import logging
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import onnx
import torch
from torch import Tensor

from budgetnet.ship.plain_pixels import INPUT, INSIDE, OUTPUT, PROBABILITIES, PlainPixels

SCOPES = "pkg.torch.onnx.name_scopes"
"""The exporter notes here in which module a node was made."""
EXPORTER_LOG = "torch.onnx._internal.exporter._registration"
"""The exporter has a log of this name for the ops that it registers."""
PIXELS = "pixels/"
"""The nodes that normalise have this before their op."""


class Exported(NamedTuple):
    """A graph, and the trace that it was made of: each of its tensors has its name from there."""

    model: onnx.ModelProto
    program: torch.export.ExportedProgram


def exported(module: PlainPixels) -> Exported:
    """The graph of a model: image (batch, channels, height, width) in uint8 to logits (batch, classes).

    A node is called as the module that it is of and its op, "stages.1.0.expand.conv/Conv", a weight as it is in the
    model; the names of those that normalise begin with `PIXELS`. What the exporter notes of itself, with lines of
    source code, is left out.
    """
    batch = ({0: torch.export.Dim("batch")},)
    traced = torch.export.export(module, (module.example(),), dynamic_shapes=batch)
    with without_warnings():
        made = torch.onnx.export(
            traced.run_decompositions({torch.ops.aten.silu.default: _swish}),
            dynamo=True,
            external_data=False,
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_shapes=batch,
            verbose=False,
        )
    assert made is not None and made.exported_program is not None
    model = made.model_proto
    _name_nodes(model.graph)
    _name_weights(model.graph)
    model.graph.name = module.model.network.name
    graph = model.graph
    for row in (model, graph, *graph.node, *graph.initializer, *graph.input, *graph.output, *graph.value_info):
        row.ClearField("metadata_props")
    return Exported(model, made.exported_program)


@contextlib.contextmanager
def without_warnings() -> Iterator[None]:
    """The exporter logs its errors alone: it warns of ops of torchvision, which is not needed, where that is absent."""
    log = logging.getLogger(EXPORTER_LOG)
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(before)


def _swish(x: Tensor) -> Tensor:
    """Swish by the two ops that it has in the graph, so that the trace has both, too."""
    return x * torch.sigmoid(x)


def with_outputs(model: onnx.ModelProto, names: Iterable[str]) -> onnx.ModelProto:
    """The same graph that gives these tensors in place of the logits."""
    other = onnx.ModelProto()
    other.CopyFrom(model)
    del other.graph.output[:]
    other.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    return other


def with_softmax(model: onnx.ModelProto, temperature: float) -> onnx.ModelProto:
    """The same graph that gives softmax(logits / temperature) in place of the logits."""
    other = onnx.ModelProto()
    other.CopyFrom(model)
    graph = other.graph
    graph.initializer.append(onnx.numpy_helper.from_array(np.array(temperature, np.float32), "temperature"))
    graph.node.append(onnx.helper.make_node("Div", [OUTPUT, "temperature"], ["scaled"], "softmax/Div"))
    graph.node.append(onnx.helper.make_node("Softmax", ["scaled"], [PROBABILITIES], "softmax/Softmax", axis=1))
    given = onnx.ValueInfoProto()
    given.CopyFrom(model.graph.output[0])
    given.name = PROBABILITIES
    del graph.output[:]
    graph.output.append(given)
    return other


def _name_nodes(graph: onnx.GraphProto) -> None:
    used: dict[str, int] = {}
    for node in graph.node:
        scopes = next((row.value for row in node.metadata_props if row.key == SCOPES), "[]")
        module = next((name for name in reversed(ast.literal_eval(scopes)[:-1]) if name), None)
        name = PIXELS + node.op_type if module is None else f"{module.removeprefix(INSIDE)}/{node.op_type}"
        used[name] = used.get(name, 0) + 1
        node.name = name if used[name] == 1 else f"{name}.{used[name]}"


def _name_weights(graph: onnx.GraphProto) -> None:
    for weight in graph.initializer:
        weight.name = weight.name.removeprefix(INSIDE)
    for node in graph.node:
        node.input[:] = [name.removeprefix(INSIDE) for name in node.input]
