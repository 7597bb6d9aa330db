"""What a parent's layers read, over some images: the moments that say which channels can go."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from budgetnet.model.build import Model
from budgetnet.model.inherit.bridges import Moments
from budgetnet.model.layers import Block, ConvNorm, SqueezeExcite

CHUNK = 32
"""Images at once."""


class _Sums:
    """Sums over the chunks; mutable."""

    def __init__(self) -> None:
        self.count, self.first, self.second = 0, torch.tensor(0.0), torch.tensor(0.0)

    def add(self, x: Tensor) -> None:
        rows = (x.movedim(1, -1) if x.ndim == 4 else x).reshape(-1, x.shape[1]).float()
        self.count += len(rows)
        self.first = self.first + rows.sum(0).double().cpu()
        self.second = self.second + (rows.T @ rows).double().cpu()

    @property
    def moments(self) -> Moments:
        mean = self.first / self.count
        return Moments(mean, self.second / self.count - torch.outer(mean, mean))


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
