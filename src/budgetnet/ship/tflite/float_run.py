"""The ops of a TensorFlow Lite file, run in float: what each tensor holds, before anything is rounded to eight bits.

Ranges are read from it, and it says at which op a file and the model part.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from budgetnet.costs.planners.tflite_ops import NORMALISE, POOL_KERNEL, POOL_STRIDE, SHIFT, TfliteOp
from budgetnet.data.images import MOST_PIXEL, Preprocessing, check_channels
from budgetnet.model.build import Model
from budgetnet.model.deployed import deployed
from budgetnet.model.layers import Swish, same_padded
from budgetnet.networks import ActivationKind

FUSED: Mapping[ActivationKind, Callable[[Tensor], Tensor]] = {
    "identity": lambda x: x,
    "relu": functional.relu,
    "relu6": functional.relu6,
    "hard_sigmoid": lambda x: functional.relu6(x + SHIFT),
}
"""A fused non-linearity is computed by the op behind its own sum."""


class OpWeights(Protocol):
    """The numbers of ops that have some."""

    def of(self, op: TfliteOp) -> tuple[Tensor, Tensor]:
        """Kernel and bias of a convolution (o, i, k, k) or linear layer (o, i)."""
        ...

    def factor(self, op: TfliteOp) -> float:
        """What a MUL by a constant multiplies by."""
        ...


def as_it_is(name: str, value: Tensor) -> Tensor:
    """A tensor that is stored in float."""
    return value


class Weights:
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


class Maps:
    """The tensors that ops read, by their names; each is let go of behind the last op that reads it."""

    def __init__(self, ops: Sequence[TfliteOp], images: Tensor) -> None:
        self._last = {tensor.name: index for index, op in enumerate(ops) for tensor in op.reads}
        self._live = {ops[0].reads[0].name: images}
        self._done = 0

    def read(self, op: TfliteOp) -> list[Tensor]:
        """What an op reads."""
        return [self._live[tensor.name] for tensor in op.reads]

    def put(self, op: TfliteOp, value: Tensor) -> None:
        """What the next op made."""
        self._live[op.makes.name] = value
        for tensor in op.reads:
            if self._last[tensor.name] == self._done:
                self._live.pop(tensor.name, None)
        self._done += 1


def values(
    ops: Sequence[TfliteOp], weights: OpWeights, images: Tensor, kept: Callable[[str, Tensor], Tensor] = as_it_is
) -> Iterator[tuple[str, Tensor]]:
    """(name, what it holds) of every tensor in the order in which they are made: (n, c, h, w).

    Images are pixels, 0 to 255. `kept` says what is left of a tensor once it is stored.
    """
    maps = Maps(ops, images)
    yield ops[0].reads[0].name, images
    for op in ops:
        value = kept(op.makes.name, made(op, weights, maps.read(op)))
        yield op.makes.name, value
        maps.put(op, value)


def logits(
    ops: Sequence[TfliteOp], weights: OpWeights, images: Tensor, kept: Callable[[str, Tensor], Tensor] = as_it_is
) -> Tensor:
    """What the last op makes: (n, classes)."""
    last = images
    for _, value in values(ops, weights, images, kept):
        last = value
    return last.flatten(1)


def made(op: TfliteOp, weights: OpWeights, reads: Sequence[Tensor], fused: bool = True) -> Tensor:
    """What an op makes of what it reads; `fused`: with the non-linearity that is computed behind it."""
    x = reads[0]
    match op.code:
        case "CONV_2D" | "DEPTHWISE_CONV_2D":
            assert op.layer is not None
            kernel, bias = weights.of(op)
            x = same_padded(x, op.layer.kernel, op.layer.stride) if op.same else x
            y = functional.conv2d(x, kernel, bias, op.layer.stride, groups=op.layer.groups)
        case "FULLY_CONNECTED":
            y = functional.linear(x.flatten(1), *weights.of(op))[:, :, None, None]
        case "PAD":
            y = functional.pad(x, (op.margin,) * 4)
        case "MAX_POOL_2D":
            x = same_padded(x, POOL_KERNEL, POOL_STRIDE) if op.same else x
            y = functional.max_pool2d(x, POOL_KERNEL, POOL_STRIDE)
        case "MEAN":
            y = x.mean((2, 3), keepdim=True)
        case "ADD":
            y = x + reads[1]
        case "MUL":
            y = x * (weights.factor(op) if op.factor is not None else reads[1])
        case "CONCATENATION":
            y = torch.cat(list(reads), 1)
        case "LOGISTIC":
            y = torch.sigmoid(x)
        case "HARD_SWISH":
            y = functional.hardswish(x)
        case "TANH":
            y = torch.tanh(x)
    return FUSED[op.fused](y) if fused else y
