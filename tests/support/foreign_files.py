"""Files of weights under another library's names, made without that library; and networks small enough for a test."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from budgetnet import Network, build, network
from budgetnet.model.layouts import LAYOUTS, Layout
from budgetnet.networks import Head, Stage, Stem

TINY = Network(
    "tiny",
    Stem(8),
    (Stage(8, expansion=1.0), Stage(16, repeats=2, stride=2, expansion=2.0)),
    Head(16),
    resolution_px=(16, 16),
    classes=3,
)
TIMM = LAYOUTS[0]


def smallest(classes: int = 4, in_channels: int = 3) -> Network:
    """The network of the zoo that has the fewest weights."""
    return dataclasses.replace(network("tinynet_e", classes), in_channels=in_channels)


def named_as(layout: Layout, row: Network, seed: int = 0) -> dict[str, Tensor]:
    """A model of drawn numbers, its tensors under a library's names."""
    names: dict[str, str] = dict(layout.ends(row, []))
    for i, blocks in enumerate(row.stage_blocks()):
        for j, block in enumerate(blocks):
            ours, theirs = f"stages.{i}.{j}", f"blocks.{i}.{j}."
            for part, conv, norm in layout.parts(block):
                names |= {f"{ours}.{part}.conv": theirs + conv, f"{ours}.{part}.norm": theirs + norm}
            if block.squeeze is not None:
                reduce, expand = layout.squeeze(block)
                names |= {f"{ours}.squeeze.reduce": theirs + reduce, f"{ours}.squeeze.expand": theirs + expand}
    generator = torch.Generator().manual_seed(seed)
    found: dict[str, Tensor] = {}
    for name, tensor in build(row, seed).state_dict().items():
        start, _, suffix = name.rpartition(".")
        if suffix in ("bias", "running_mean"):
            tensor = torch.rand(tensor.shape, generator=generator)
        found[f"{names[start]}.{suffix}"] = tensor.contiguous()
    return found


def headless(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same without a classifier."""
    return {name: tensor for name, tensor in tensors.items() if not name.startswith("classifier.")}
