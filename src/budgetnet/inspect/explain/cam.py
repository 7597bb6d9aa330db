"""Grad-CAM: which parts of the last map speak for a class."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from budgetnet.model.build import Model


def class_maps(model: Model, inputs: Tensor, layer: str, classes: Sequence[int]) -> Tensor:
    """Grad-CAM of a class for each input: (n, c, h, w) and n classes -> (n, rows, columns) of the map `layer`.

    With A the map's channels and y the class's logit (before the softmax)

        alpha_k = mean over i, j of  d y / d A_k(i, j)
        L(i, j) = ReLU( sum over k of alpha_k A_k(i, j) )

    `layer` is one of `model.map_names()`. The model must be in evaluation mode; its weights get no
    gradients. Computed by captum's LayerGradCam. Source: Selvaraju et al., arXiv:1610.02391, section 3,
    equations 1 and 2.
    """
    from captum.attr import LayerGradCam

    with torch.enable_grad():
        attributor = LayerGradCam(model, model.get_submodule(layer))
        maps = attributor.attribute(inputs, target=list(classes), relu_attributions=True)
    assert isinstance(maps, Tensor)
    return maps[:, 0].detach()
