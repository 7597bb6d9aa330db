"""Networks of any shape and family as models whose maps keep their size, as trained ones do."""

from __future__ import annotations

import dataclasses
from random import Random

import torch

from budgetnet import Network, build, network
from budgetnet.data.images import Preprocessing
from budgetnet.model.build import Model
from budgetnet.networks.scaling import Scaling, resize

USUAL = Preprocessing()
FAMILIES = (
    "mobilenet_v1",
    "mobilenet_v2",
    "mobilenet_v3_small",
    "efficientnet_lite0",
    "efficientnet_b0",
    "efficientnetv2_b0",
    "mobilenet_v4_conv_small",
    "ghostnet",
    "mnasnet_a1",
    "resnet50",
    "resnet18",
)


def random_network(index: int) -> Network:
    """A small network of the family index % 11, of a depth, width, size and padding drawn by the index."""
    draw = Random(index)
    base = network(FAMILIES[index % len(FAMILIES)], draw.choice((2, 6, 10)), draw.choice((48, 64, 80)))
    deep, wide, size = draw.uniform(0.3, 1.0), draw.uniform(0.2, 0.5), draw.uniform(0.6, 1.4)
    drawn = resize(base, Scaling(deep, wide, size), name=f"{base.name} {index}")
    height, width = drawn.resolution_px
    px = height + draw.choice((0, 1)), width + draw.choice((0, 1, 8))
    return dataclasses.replace(drawn, resolution_px=px, padding=draw.choice(("symmetric", "same")))


def settled(drawn: Network) -> tuple[Model, torch.Tensor]:
    """A model of it with drawn weights, and images; its BatchNorm has seen them, so that values keep their size.

    Images are pixels, 0 to 255.
    """
    model = build(drawn, seed=0)
    images = torch.randint(
        0, 256, (8, drawn.in_channels, *drawn.resolution_px), generator=torch.Generator().manual_seed(0)
    )
    images = images.float()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        model.train()(normalised(images))
    return model.eval(), images


def normalised(images: torch.Tensor) -> torch.Tensor:
    """What a model reads of pixels."""
    mean, std = (torch.tensor(row, dtype=images.dtype)[:, None, None] for row in (USUAL.mean, USUAL.std))
    return (images / 255 - mean) / std
