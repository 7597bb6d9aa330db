"""The ops of a TensorFlow Lite file as steps that torch runs, and the numbers of those that have some."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import functional

from budgetnet.costs.planners.tflite_ops import NORMALISE, POOL_KERNEL, POOL_STRIDE, SHIFT, TfliteOp
from budgetnet.data.images import MOST_PIXEL, Preprocessing, check_channels
from budgetnet.model.build import Model
from budgetnet.model.deployed import deployed
from budgetnet.model.layers import Swish, same_padded
from budgetnet.networks import ActivationKind
from budgetnet.ship.eight_bits.steps import Step

SUM = ".sum"
"""What an op makes before the non-linearity that it computes itself is called so behind the op's name."""
FUSED: Mapping[ActivationKind, Callable[[Tensor], Tensor]] = {
    "relu": functional.relu,
    "relu6": functional.relu6,
    "hard_sigmoid": lambda x: functional.relu6(x + SHIFT),
}


class OpWeights(Protocol):
    """The numbers of ops that have some."""

    def of(self, op: TfliteOp) -> tuple[Tensor, Tensor]:
        """Kernel and bias of a convolution (o, i, k, k) or linear layer (o, i)."""
        ...

    def factor(self, op: TfliteOp) -> float:
        """What a MUL by a constant multiplies by."""
        ...


class ModelWeights:
    """The folded weights of a model, and the normalisation of its pixels, by the ops that use them."""

    def __init__(self, model: Model, preprocessing: Preprocessing) -> None:
        check_channels(preprocessing, model.network.in_channels)
        self._modules = dict(deployed(model).named_modules())
        self._dtype = model.classifier.weight.dtype
        self._mean, self._std = preprocessing.mean, preprocessing.std

    def of(self, op: TfliteOp) -> tuple[Tensor, Tensor]:
        """Kernel and bias of a convolution (o, i, k, k) or linear layer (o, i)."""
        if op.name == f"{NORMALISE}.conv":  # (pixel / 255 - mean) / std
            mean, std = (torch.tensor(row, dtype=self._dtype) for row in (self._mean, self._std))
            return (1 / (MOST_PIXEL * std))[:, None, None, None], -mean / std
        for name in (op.name, f"{op.name}.conv", op.name.removesuffix(".conv")):
            module = self._modules.get(name)
            if isinstance(module, torch.nn.Conv2d | torch.nn.Linear):
                assert module.bias is not None
                kernel, bias = module.weight.detach(), module.bias.detach()
                return kernel.flatten(1) if op.code == "FULLY_CONNECTED" else kernel, bias
        raise KeyError(op.name)

    def factor(self, op: TfliteOp) -> float:
        """What a MUL by a constant multiplies by: of a beta that was trained what it is now."""
        assert op.factor is not None
        if not op.name.endswith(".beta"):
            return op.factor
        owner = op.name.removesuffix(".beta")
        above = owner.rpartition(".")[0]
        for name in (f"{owner}.activation", f"{above}.inner", f"{above}.gate", f"{owner}_activation"):
            module = self._modules.get(name)
            if isinstance(module, Swish):
                return module.beta.item() if module.trainable else module.fixed_beta
        return op.factor


def weights_of(ops: Sequence[TfliteOp], weights: OpWeights) -> dict[str, tuple[Tensor, Tensor]]:
    """Kernel and bias of every layer, by the name of its op."""
    return {op.name: weights.of(op) for op in ops if op.layer is not None}


def steps_of(ops: Sequence[TfliteOp], weights: OpWeights) -> tuple[Step, ...]:
    """Every op as a step of its name; one that computes a non-linearity itself as two, of which the first makes a
    `SUM`, which is not stored."""
    return tuple(_steps_of(ops, weights))


def _steps_of(ops: Sequence[TfliteOp], weights: OpWeights) -> Iterator[Step]:
    for op in ops:
        reads, fused = tuple(tensor.name for tensor in op.reads), FUSED.get(op.fused)
        name = op.makes.name if fused is None else op.makes.name + SUM
        run, layer = _run(op, weights), op.name if op.layer is not None else None
        yield Step(name, reads, run, layer, by_channel=op.code != "FULLY_CONNECTED")
        if fused is not None:
            yield Step(op.makes.name, (name,), fused)


def _run(op: TfliteOp, weights: OpWeights) -> Callable[..., Any]:
    """What an op makes of what it reads, before its non-linearity."""
    match op.code:
        case "CONV_2D" | "DEPTHWISE_CONV_2D":
            return partial(_convolution, op)
        case "FULLY_CONNECTED":
            return _linear
        case "PAD":
            return lambda x: functional.pad(x, (op.margin,) * 4)
        case "MAX_POOL_2D":
            return partial(_pooled, op)
        case "MEAN":
            return lambda x: x.mean((2, 3), keepdim=True)
        case "ADD":
            return torch.add
        case "MUL":
            return torch.mul if op.factor is None else partial(torch.mul, other=weights.factor(op))
        case "CONCATENATION":
            return lambda *reads: torch.cat(reads, 1)
        case "LOGISTIC":
            return torch.sigmoid
        case "HARD_SWISH":
            return functional.hardswish
        case "TANH":
            return torch.tanh
        case "SOFTMAX":  # behind the logits, which is where all that is compared ends
            return partial(torch.softmax, dim=1)


def _convolution(op: TfliteOp, x: Tensor, kernel: Tensor, bias: Tensor) -> Tensor:
    assert op.layer is not None
    x = same_padded(x, op.layer.kernel, op.layer.stride) if op.same else x
    return functional.conv2d(x, kernel, bias, op.layer.stride, groups=op.layer.groups)


def _linear(x: Tensor, kernel: Tensor, bias: Tensor) -> Tensor:
    return functional.linear(x.flatten(1), kernel, bias)[:, :, None, None]


def _pooled(op: TfliteOp, x: Tensor) -> Tensor:
    return functional.max_pool2d(same_padded(x, POOL_KERNEL, POOL_STRIDE) if op.same else x, POOL_KERNEL, POOL_STRIDE)
