"""MobileNet V3 Large and Small. Source: Howard et al., arXiv:1905.02244, tables 1 and 2.

The paper gives expanded channels; a row here has their ratio to the channels that enter the block.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from budgetnet.networks import HARD_SIGMOID, HARD_SWISH, RELU, Head, Network, Rounding, Squeeze, Stage, Stem

ORIGIN = (
    "architecture search for accuracy and a phone's latency, NetAdapt for single layers, then by hand "
    "(arXiv:1905.02244, sections 4 and 5)"
)

SQUEEZE = Squeeze(0.25, source="expanded", inner=RELU, gate=HARD_SIGMOID, channel_multiple=8)

LARGE = (
    Stage(16, 1, kernel=3, stride=1, expansion=1, activation=RELU),
    Stage(24, 1, kernel=3, stride=2, expansion=64 / 16, activation=RELU),
    Stage(24, 1, kernel=3, stride=1, expansion=72 / 24, activation=RELU),
    Stage(40, 3, kernel=5, stride=2, expansion=72 / 24, squeeze=SQUEEZE, activation=RELU),
    Stage(80, 1, kernel=3, stride=2, expansion=240 / 40, activation=HARD_SWISH),
    Stage(80, 1, kernel=3, stride=1, expansion=200 / 80, activation=HARD_SWISH),
    Stage(80, 2, kernel=3, stride=1, expansion=184 / 80, activation=HARD_SWISH),
    Stage(112, 2, kernel=3, stride=1, expansion=480 / 80, squeeze=SQUEEZE, activation=HARD_SWISH),
    Stage(160, 3, kernel=5, stride=2, expansion=672 / 112, squeeze=SQUEEZE, activation=HARD_SWISH),
)

SMALL = (
    Stage(16, 1, kernel=3, stride=2, expansion=1, squeeze=SQUEEZE, activation=RELU),
    Stage(24, 1, kernel=3, stride=2, expansion=72 / 16, activation=RELU),
    Stage(24, 1, kernel=3, stride=1, expansion=88 / 24, activation=RELU),
    Stage(40, 1, kernel=5, stride=2, expansion=96 / 24, squeeze=SQUEEZE, activation=HARD_SWISH),
    Stage(40, 2, kernel=5, stride=1, expansion=240 / 40, squeeze=SQUEEZE, activation=HARD_SWISH),
    Stage(48, 2, kernel=5, stride=1, expansion=120 / 40, squeeze=SQUEEZE, activation=HARD_SWISH),
    Stage(96, 3, kernel=5, stride=2, expansion=288 / 48, squeeze=SQUEEZE, activation=HARD_SWISH),
)


def _network(name: str, stages: tuple[Stage, ...], channels: int, hidden: int, table: str) -> Network:
    return Network(
        name=name,
        stem=Stem(16, activation=HARD_SWISH),
        stages=stages,
        head=Head(channels=channels, hidden=hidden, activation=HARD_SWISH, dropout=0.2),
        resolution_px=(224, 224),
        # The code that came with the paper does not shrink the stem below 16.
        rounding=Rounding(stem="grows"),
        source=f"arXiv:1905.02244, {table}; dropout as in tensorflow/models, slim mobilenet_v3.py",
    )


ROWS: Mapping[str, Callable[[], Network]] = {
    "mobilenet_v3_large": lambda: _network("mobilenet_v3_large", LARGE, 960, 1280, "table 1"),
    "mobilenet_v3_small": lambda: _network("mobilenet_v3_small", SMALL, 576, 1024, "table 2"),
}
