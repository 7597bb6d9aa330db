"""ResNets of 18 to 152 layers. Source: He et al., arXiv:1512.03385, table 1."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from budgetnet.networks import RELU, BlockKind, Head, Network, Stage, Stem

ORIGIN = "by hand (arXiv:1512.03385, section 3.3)"

WIDTHS = (64, 128, 256, 512)
"""The 3x3 convolutions of the four stages have so many channels; a bottleneck gives four times as many."""

OTHERWISE: Mapping[BlockKind, str] = {
    "basic": "1x1 convolutions where a shortcut changes shape",
    "bottleneck": "the stride in the 3x3 convolution",
}
"""What the networks that others have trained do where the paper has a choice or does otherwise."""


def _resnet(layers: int, kind: BlockKind, expansion: int, repeats: tuple[int, int, int, int]) -> Network:
    out = tuple(width * expansion for width in WIDTHS)
    strides = (1, 2, 2, 2)
    return Network(
        name=f"resnet{layers}",
        stem=Stem(64, kernel=7, stride=2, activation=RELU, pool=True),
        stages=tuple(
            Stage(channels, times, kernel=3, stride=stride, expansion=expansion, activation=RELU, kind=kind)
            for channels, times, stride in zip(out, repeats, strides, strict=True)
        ),
        head=Head(),
        resolution_px=(224, 224),
        source=f"arXiv:1512.03385, table 1; {OTHERWISE[kind]}, as torchvision and timm have it",
    )


ROWS: Mapping[str, Callable[[], Network]] = {
    "resnet18": partial(_resnet, 18, "basic", 1, (2, 2, 2, 2)),
    "resnet34": partial(_resnet, 34, "basic", 1, (3, 4, 6, 3)),
    "resnet50": partial(_resnet, 50, "bottleneck", 4, (3, 4, 6, 3)),
    "resnet101": partial(_resnet, 101, "bottleneck", 4, (3, 4, 23, 3)),
    "resnet152": partial(_resnet, 152, "bottleneck", 4, (3, 8, 36, 3)),
}
