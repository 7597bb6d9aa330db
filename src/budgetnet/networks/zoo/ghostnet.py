"""GhostNet: Ghost bottlenecks, half of whose channels are cheap depthwise features of the other half.

Source: Han et al., arXiv:1911.11907, table 1; huawei-noah/Efficient-AI-Backbones, ghostnet_pytorch/ghostnet.py. The
paper gives expanded channels; a row here has their ratio to the channels that enter the block.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping

from budgetnet.networks import HARD_SIGMOID, RELU, Head, Network, Rounding, Squeeze, Stage, Stem

ORIGIN = (
    "by hand: Ghost bottlenecks for the blocks of MobileNetV3-Large, which a search found "
    "(arXiv:1911.11907, section 3.2)"
)

SQUEEZE = Squeeze(0.25, source="expanded", inner=RELU, gate=HARD_SIGMOID, channel_multiple=4)

_ghost = functools.partial(Stage, activation=RELU, kind="ghost")

STAGES = (
    _ghost(16, 1, kernel=3, stride=1, expansion=16 / 16),
    _ghost(24, 1, kernel=3, stride=2, expansion=48 / 16),
    _ghost(24, 1, kernel=3, stride=1, expansion=72 / 24),
    _ghost(40, 2, kernel=5, stride=2, expansion=72 / 24, squeeze=SQUEEZE),
    _ghost(80, 1, kernel=3, stride=2, expansion=240 / 40),
    _ghost(80, 1, kernel=3, stride=1, expansion=200 / 80),
    _ghost(80, 2, kernel=3, stride=1, expansion=184 / 80),
    _ghost(112, 2, kernel=3, stride=1, expansion=480 / 80, squeeze=SQUEEZE),
    _ghost(160, 1, kernel=5, stride=2, expansion=672 / 112, squeeze=SQUEEZE),
    _ghost(160, 1, kernel=5, stride=1, expansion=960 / 160),
    _ghost(160, 1, kernel=5, stride=1, expansion=960 / 160, squeeze=SQUEEZE),
    _ghost(160, 1, kernel=5, stride=1, expansion=960 / 160),
    _ghost(160, 1, kernel=5, stride=1, expansion=960 / 160, squeeze=SQUEEZE),
)


def _ghostnet() -> Network:
    return Network(
        name="ghostnet",
        stem=Stem(16, activation=RELU),
        stages=STAGES,
        head=Head(channels=960, hidden=1280, activation=RELU, dropout=0.2),
        resolution_px=(224, 224),
        rounding=Rounding(channel_multiple=4),
        source="arXiv:1911.11907, table 1; gates, multiples of 4 and dropout as in the authors' ghostnet.py",
    )


ROWS: Mapping[str, Callable[[], Network]] = {"ghostnet": _ghostnet}
