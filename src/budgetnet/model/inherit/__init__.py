"""Weights that follow a network to any size: a child of other width, depth or form takes a relative's.

Larger: the same function (Chen et al., Net2Net, arXiv:1511.05641). Smaller: the principal components of every
stream and the most telling of the channels inside blocks, then layers fitted by least squares to the parent's
answers on some hundred images. Why these and no others: docs/inheritance.md.
"""

from __future__ import annotations

import copy
from pathlib import Path

import torch
from torch import Tensor, nn

from budgetnet.arguments import of_kind, path
from budgetnet.model.build import Model, model_of
from budgetnet.model.inherit.fitting import refit
from budgetnet.model.inherit.plan import plan_bridges
from budgetnet.model.inherit.relatives import are_relatives, check_relatives, distance, losses
from budgetnet.model.inherit.statistics import CHUNK, moments_of
from budgetnet.model.inherit.transfer import transfer
from budgetnet.model.weights import adapted_stem, load_model

__all__ = ["are_relatives", "check_relatives", "distance", "inherit", "losses"]


@torch.no_grad()
def inherit(model: Model, parent: Model | str | Path, images: Tensor | None = None) -> Model:
    """Fill a model with the weights of a pretrained relative of any size.

    Relatives have the same stages in kind, stride and form. Width, depth, resolution, kernels, expansion, activations,
    squeeze-and-excitation and BatchNorm's epsilon may differ. A model that has everything that its parent has computes
    the same function (Chen et al., Net2Net, arXiv:1511.05641). One that has less takes principal components and the
    most telling channels, and its layers are fitted by least squares to the parent's answers: docs/inheritance.md.

    Args:
        model: What `build` gives.
        parent: A model, or a source as `load_weights` takes it.
        images: (n, channels, h, w), preprocessed as the parent takes them, best about two hundred at the model's
            resolution. Needed only where the model has less than its parent.

    Returns:
        The model that was given, in evaluation mode. A classifier of other classes is left as it was.

    Raises:
        ValueError: The networks are not relatives, or the model has less than its parent and no images are given. The
            model is then left as it was.
        TypeError: An argument has another type.

    Example:
        >>> import budgetnet, torch
        >>> small = budgetnet.network("mobilenet_v3_small", classes=10, resolution_px=32)
        >>> parent = budgetnet.build(small, seed=0).eval()
        >>> child = budgetnet.inherit(budgetnet.build(budgetnet.scale(small, 0.5, "width")), parent)
        >>> images = torch.rand(1, 3, 32, 32)
        >>> torch.allclose(child(images), parent(images), atol=1e-4)
        True
    """
    model_of("model", model)
    parent = parent if isinstance(parent, Model) else path("parent", parent, "a Model, or a source of weights")
    if images is not None and of_kind("images", images, Tensor, "a tensor (n, c, h, w), or None").ndim != 4:
        raise ValueError(f"images are a tensor of {images.ndim} dimensions; give (n, c, h, w)")
    elder = parent if isinstance(parent, Model) else load_model(parent).model
    check_relatives(model.network, elder.network)
    lost = next(losses(model.network, elder.network), None)
    if lost is not None and images is None:
        raise ValueError(
            f"{model.network.name} has less than {elder.network.name} ({lost}); give some hundred images to fit it on"
        )
    device = next(model.parameters()).device
    elder = _for_channels(elder, model.network.in_channels).eval().cpu()
    child = copy.deepcopy(model).eval().cpu()
    pixels = torch.empty(0) if images is None else images.cpu()
    moments = {} if images is None or lost is None else moments_of(elder, pixels)
    bridges = plan_bridges(model.network, elder, moments)
    transfer(child, elder, bridges)
    if lost is not None:
        refit(child, elder, bridges, pixels.split(min(CHUNK, -(-len(pixels) // 2))))
    model.load_state_dict(child.state_dict())
    return model.to(device).eval()


def _for_channels(parent: Model, channels: int) -> Model:
    """A copy of the parent for images of other channels."""
    own = copy.deepcopy(parent)
    if channels != parent.network.in_channels:
        conv = own.stem.conv
        conv.weight = nn.Parameter(adapted_stem(conv.weight, channels))
        conv.in_channels = channels
    return own
