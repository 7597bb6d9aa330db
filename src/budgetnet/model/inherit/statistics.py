"""What a parent's layers read, over some images: the moments that say which channels can go."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from budgetnet.model.build import Model
from budgetnet.model.inherit.bridges import Moments
from budgetnet.model.layers import Block, ConvNorm, SqueezeExcite

CHUNK = 32
"""How many images are computed at once."""


class _Sums:
    """Sums over the chunks; mutable."""

    def __init__(self) -> None:
        self.count, self.images = 0, 0
        self.first, self.second = torch.tensor(0.0), torch.tensor(0.0)

    def add(self, x: Tensor) -> None:
        rows = (x.movedim(1, -1) if x.ndim == 4 else x).reshape(-1, x.shape[1]).float()
        self.images += len(x)
        self.count += len(rows)
        self.first = self.first + rows.sum(0).double().cpu()
        self.second = self.second + (rows.T @ rows).double().cpu()

    @property
    def moments(self) -> Moments:
        mean = self.first / self.count
        covariance = self.second / self.count - torch.outer(mean, mean)
        # Places of one image are alike: they count by their root.
        return Moments(mean, shrunk(covariance, self.images * (self.count / self.images) ** 0.5))


def shrunk(covariance: Tensor, samples: float) -> Tensor:
    """The covariance with its correlations drawn to 0, as far as chance would make them in so few samples.

    For the correlations R of p channels: (1 - rho) R + rho I,
    rho = ((1 - 2 / p) tr R^2 + p^2) / ((n + 1 - 2 / p) (tr R^2 - p)), at most 1.
    Source: Chen, Wiesel, Eldar and Hero, IEEE Transactions on Signal Processing 58 (2010), equation 23 (OAS).
    """
    channels = len(covariance)
    deviation = covariance.diagonal().clamp_min(1e-12).sqrt()
    correlation = covariance / torch.outer(deviation, deviation)
    squares = float((correlation**2).sum())
    above = (1 - 2 / channels) * squares + channels**2
    below = (samples + 1 - 2 / channels) * max(squares - channels, 1e-9)
    kept = 1 - min(1.0, above / below)
    return torch.diag(covariance.diagonal()) + kept * (covariance - torch.diag(covariance.diagonal()))


@torch.no_grad()
def moments_of(model: Model, images: Tensor) -> dict[str, Moments]:
    """Moments of what each layer reads, by the layer's name: blocks, convolutions with BatchNorm, linear
    ones, and squeeze-and-excitation with its expansion. Depthwise ones are left out: they mix no channels.

    Images (n, c, h, w), as the model takes them.
    """
    sums: dict[str, _Sums] = {}
    hooks = []
    for name, module in model.named_modules():
        if _mixes(module) or name.endswith("squeeze.expand"):
            kept = sums.setdefault(name, _Sums())
            hooks.append(module.register_forward_pre_hook(lambda module, given, kept=kept: kept.add(given[0])))
    try:
        for chunk in images.split(CHUNK):
            model(chunk)
    finally:
        for hook in hooks:
            hook.remove()
    return {name: kept.moments for name, kept in sums.items()}


def _mixes(module: nn.Module) -> bool:
    if isinstance(module, ConvNorm):
        return module.conv.groups == 1
    return isinstance(module, nn.Linear | SqueezeExcite | Block)
