"""The form of a model that is deployed: BatchNorm folded into the convolutions before it."""

from __future__ import annotations

import copy

import torch
from torch import nn

from budgetnet.model.build import Model
from budgetnet.model.inherit.folded import effective
from budgetnet.model.layers import ConvNorm


@torch.no_grad()
def deployed(model: Model) -> Model:
    """A copy in evaluation mode that answers as the model does, with one bias a channel instead of BatchNorm.

    kernel = w * gamma / sqrt(variance + eps), bias = beta - mean * gamma / sqrt(variance + eps). The copy is for
    inference: there is no way back to training. Source: Jacob et al., arXiv:1712.05877, section 3.2, equation 14.
    """
    folded = copy.deepcopy(model).eval()
    for module in folded.modules():
        if isinstance(module, ConvNorm):
            kernel, bias = effective(module)
            weight = module.conv.weight
            module.conv.weight = nn.Parameter(
                kernel.to(weight.dtype).to(memory_format=torch.channels_last), requires_grad=False
            )
            module.conv.bias = nn.Parameter(bias.to(weight.dtype), requires_grad=False)
            module.register_module("norm", nn.Identity())
    return folded
