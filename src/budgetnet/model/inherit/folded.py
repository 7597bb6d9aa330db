"""A convolution and its BatchNorm as the one linear map that they are, in float64."""

from __future__ import annotations

from torch import Tensor, nn

from budgetnet.model.layers import ConvNorm


def running(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """The running mean and variance (c,), to be written too. All BatchNorm here keeps them, which torch's type leaves
    open."""
    mean, variance = norm.running_mean, norm.running_var
    assert mean is not None and variance is not None
    return mean, variance


def scale_of(norm: nn.BatchNorm2d) -> Tensor:
    """weight / sqrt(variance + eps): (c,)."""
    return norm.weight.double() / (running(norm)[1].double() + norm.eps).sqrt()


def effective(module: ConvNorm) -> tuple[Tensor, Tensor]:
    """Kernel (o, i, k, k) and bias (o,) of the convolution with its BatchNorm folded in."""
    norm, scale = module.norm, scale_of(module.norm)
    bias = norm.bias.double() - running(norm)[0].double() * scale
    return module.conv.weight.double() * scale[:, None, None, None], bias
