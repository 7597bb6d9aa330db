"""MobileNet V4, the convolutional S, M and L: universal inverted bottlenecks.

Source: Qin et al., arXiv:2404.10518, appendix; tensorflow/models, official/vision/modeling/backbones/mobilenet.py.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping

from budgetnet.networks import RELU, Head, Network, Rounding, Stage, Stem

ORIGIN = "architecture search in two stages, coarse and fine (arXiv:2404.10518)"

_conv = functools.partial(Stage, activation=RELU, residual=False, kind="fused")
_fused = functools.partial(Stage, activation=RELU, kind="fused")
_universal = functools.partial(Stage, activation=RELU, kind="universal")

SMALL = (
    _conv(32, 1, kernel=3, stride=2),
    _conv(32, 1, kernel=1),
    _conv(96, 1, kernel=3, stride=2),
    _conv(64, 1, kernel=1),
    _universal(96, 1, start_kernel=5, kernel=5, stride=2, expansion=3),
    _universal(96, 4, start_kernel=0, kernel=3, expansion=2),
    _universal(96, 1, start_kernel=3, kernel=0, expansion=4),
    _universal(128, 1, start_kernel=3, kernel=3, stride=2, expansion=6),
    _universal(128, 1, start_kernel=5, kernel=5, expansion=4),
    _universal(128, 1, start_kernel=0, kernel=5, expansion=4),
    _universal(128, 1, start_kernel=0, kernel=5, expansion=3),
    _universal(128, 2, start_kernel=0, kernel=3, expansion=4),
)
MEDIUM = (
    _fused(48, 1, kernel=3, stride=2, expansion=4),
    _universal(80, 1, start_kernel=3, kernel=5, stride=2, expansion=4),
    _universal(80, 1, start_kernel=3, kernel=3, expansion=2),
    _universal(160, 1, start_kernel=3, kernel=5, stride=2, expansion=6),
    _universal(160, 2, start_kernel=3, kernel=3, expansion=4),
    _universal(160, 1, start_kernel=3, kernel=5, expansion=4),
    _universal(160, 1, start_kernel=3, kernel=3, expansion=4),
    _universal(160, 1, start_kernel=3, kernel=0, expansion=4),
    _universal(160, 1, start_kernel=0, kernel=0, expansion=2),
    _universal(160, 1, start_kernel=3, kernel=0, expansion=4),
    _universal(256, 1, start_kernel=5, kernel=5, stride=2, expansion=6),
    _universal(256, 1, start_kernel=5, kernel=5, expansion=4),
    _universal(256, 2, start_kernel=3, kernel=5, expansion=4),
    _universal(256, 1, start_kernel=0, kernel=0, expansion=4),
    _universal(256, 1, start_kernel=3, kernel=0, expansion=4),
    _universal(256, 1, start_kernel=3, kernel=5, expansion=2),
    _universal(256, 1, start_kernel=5, kernel=5, expansion=4),
    _universal(256, 2, start_kernel=0, kernel=0, expansion=4),
    _universal(256, 1, start_kernel=5, kernel=0, expansion=2),
)
LARGE = (
    _fused(48, 1, kernel=3, stride=2, expansion=4),
    _universal(96, 1, start_kernel=3, kernel=5, stride=2, expansion=4),
    _universal(96, 1, start_kernel=3, kernel=3, expansion=4),
    _universal(192, 1, start_kernel=3, kernel=5, stride=2, expansion=4),
    _universal(192, 3, start_kernel=3, kernel=3, expansion=4),
    _universal(192, 1, start_kernel=3, kernel=5, expansion=4),
    _universal(192, 5, start_kernel=5, kernel=3, expansion=4),
    _universal(192, 1, start_kernel=3, kernel=0, expansion=4),
    _universal(512, 4, start_kernel=5, kernel=5, stride=2, expansion=4),
    _universal(512, 1, start_kernel=5, kernel=0, expansion=4),
    _universal(512, 1, start_kernel=5, kernel=3, expansion=4),
    _universal(512, 2, start_kernel=5, kernel=0, expansion=4),
    _universal(512, 1, start_kernel=5, kernel=3, expansion=4),
    _universal(512, 1, start_kernel=5, kernel=5, expansion=4),
    _universal(512, 3, start_kernel=5, kernel=0, expansion=4),
)


def _network(name: str, stem: int, stages: tuple[Stage, ...], resolution_px: int) -> Network:
    return Network(
        name=name,
        stem=Stem(stem, activation=RELU),
        stages=stages,
        head=Head(channels=960, hidden=1280, activation=RELU, dropout=0.2, hidden_norm=True),
        resolution_px=(resolution_px, resolution_px),
        rounding=Rounding(stem="grows"),
        source="arXiv:2404.10518, appendix; tensorflow/models, mobilenet.py; resolutions of the published counts",
    )


ROWS: Mapping[str, Callable[[], Network]] = {
    "mobilenet_v4_conv_small": lambda: _network("mobilenet_v4_conv_small", 32, SMALL, 224),
    "mobilenet_v4_conv_medium": lambda: _network("mobilenet_v4_conv_medium", 32, MEDIUM, 256),
    "mobilenet_v4_conv_large": lambda: _network("mobilenet_v4_conv_large", 24, LARGE, 384),
}
