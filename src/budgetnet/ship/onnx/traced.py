"""The trace that an ONNX graph was made of, as steps that torch runs; what a step makes has its name in the graph."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.fx import Node
from torch.fx.node import map_arg

from budgetnet.ship.eight_bits.steps import Step
from budgetnet.ship.plain_pixels import INSIDE, OUTPUT

aten: Any = torch.ops.aten
KERNEL, BIAS = ".weight", ".bias"
"""These stand behind the name of a layer in the names of its weights."""
LAYERS = (aten.conv2d.default, aten.linear.default)


def steps_of(program: torch.export.ExportedProgram) -> tuple[tuple[Step, ...], dict[str, tuple[Tensor, Tensor]]]:
    """The steps of a traced module, and kernel and bias of every layer, by the names of its weights."""
    nodes = list(program.graph.nodes)
    signature, held = program.graph_signature, {**program.state_dict, **program.constants}
    places = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
    stored = {name: held[place].detach() for name, place in places.items()}
    layers = {  # the name of a layer is that of its kernel without what it is of it
        node.name: places[node.args[1].name].removeprefix(INSIDE).removesuffix(KERNEL)
        for node in nodes
        if node.target in LAYERS
    }
    weights = {
        layers[node.name]: (stored[node.args[1].name], stored[node.args[2].name])
        for node in nodes
        if node.name in layers
    }
    return tuple(_steps_of(nodes, stored, layers)), weights


def _steps_of(nodes: list[Node], stored: Mapping[str, Tensor], layers: Mapping[str, str]) -> Iterator[Step]:
    (result,) = (node.all_input_nodes[0].name for node in nodes if node.op == "output")
    for node in nodes:
        if node.op != "call_function":
            continue
        reads = [one.name for one in node.all_input_nodes if one.name not in stored]
        weights = [one.name for one in node.all_input_nodes if one.name in stored] if node.name in layers else []
        run = partial(_run, node, stored, [*reads, *weights])
        name = OUTPUT if node.name == result else node.name
        yield Step(name, tuple(reads), run, layers.get(node.name))


def _run(node: Node, stored: Mapping[str, Tensor], names: list[str], *values: Any) -> Any:
    """What a node makes: of what lies in the module and of what it reads, which goes first."""
    known = {**stored, **dict(zip(names, values, strict=True))}
    args: Any = map_arg(node.args, lambda one: known[one.name])
    kwargs: Any = map_arg(node.kwargs, lambda one: known[one.name])
    assert callable(node.target)
    return node.target(*args, **kwargs)
