"""The form in which a network is deployed, as a traced torch graph: what peak activation bytes are held against."""

from __future__ import annotations

import operator

import torch
from torch import fx, nn
from torch.fx.experimental.optimization import fuse
from torch.nn import functional

from budgetnet.model.build import Model

_METHODS = {torch.sigmoid: "sigmoid_", operator.mul: "mul_", operator.add: "add_"}
_IN_PLACE = nn.ReLU | nn.ReLU6 | nn.Hardswish | nn.Hardsigmoid


def deployed(model: Model) -> fx.GraphModule:
    """The model in evaluation, BatchNorm folded; activations, the squeeze-excite multiply and the add in place."""
    graph = fuse(fx.symbolic_trace(model.eval()))
    modules = dict(graph.named_modules())
    for node in graph.graph.nodes:
        if node.op == "call_module" and isinstance(module := modules[node.target], _IN_PLACE):
            module.inplace = True
        elif node.op == "call_module" and isinstance(modules[node.target], nn.Sigmoid):
            node.op, node.target = "call_method", "sigmoid_"
        elif node.op == "call_function" and node.target is functional.silu:
            node.kwargs = {**node.kwargs, "inplace": True}
        elif node.op == "call_function" and node.target in _METHODS:
            # The first operand is the branch that a convolution made: nobody else reads it.
            node.op, node.target = "call_method", _METHODS[node.target]
    graph.graph.lint()
    graph.recompile()
    return graph
