"""Models and images of drawn numbers: what outputs are compared on."""

from __future__ import annotations

import math

import torch
from torch import nn


def filled(module: nn.Module, seed: int = 0) -> nn.Module:
    """The module in evaluation mode, with every number drawn, running statistics too."""
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in module.state_dict().items():
        if tensor.ndim == 0:
            continue
        if name.endswith("running_var"):
            tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.5)
        elif tensor.is_floating_point():
            scale, middle = (0.3, 0.7) if tensor.ndim == 1 else (1 / math.sqrt(tensor[0].numel()), 0.0)
            tensor.copy_(torch.randn(tensor.shape, generator=generator) * scale + middle)
    return module.eval()


def images(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))
