"""EfficientNetV2 S, M, L, XL and B0-B3: fused blocks first, then MBConv with squeeze-and-excitation.

Source: Tan & Le, arXiv:2104.00298, table 4 (S); google/automl, efficientnetv2/effnetv2_configs.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from budgetnet.networks import Head, Network, Rounding, Stage, Stem
from budgetnet.networks.scaling import Scaling, resize
from budgetnet.networks.zoo.efficientnet import SQUEEZE

ORIGIN = (
    "S by architecture search for accuracy, training speed and parameters; the others by scaling "
    "(arXiv:2104.00298, section 3.3)"
)

# No channel is kept from falling by 10 %, as the authors' round_filters has it.
ROUNDING = Rounding(depth="up", channel_multiple=8, least_share=0.0)

B0 = (
    Stage(16, 1, kernel=3, stride=1, kind="fused"),
    Stage(32, 2, kernel=3, stride=2, expansion=4, kind="fused"),
    Stage(48, 2, kernel=3, stride=2, expansion=4, kind="fused"),
    Stage(96, 3, kernel=3, stride=2, expansion=4, squeeze=SQUEEZE),
    Stage(112, 5, kernel=3, stride=1, expansion=6, squeeze=SQUEEZE),
    Stage(192, 8, kernel=3, stride=2, expansion=6, squeeze=SQUEEZE),
)
S = (
    Stage(24, 2, kernel=3, stride=1, kind="fused"),
    Stage(48, 4, kernel=3, stride=2, expansion=4, kind="fused"),
    Stage(64, 4, kernel=3, stride=2, expansion=4, kind="fused"),
    Stage(128, 6, kernel=3, stride=2, expansion=4, squeeze=SQUEEZE),
    Stage(160, 9, kernel=3, stride=1, expansion=6, squeeze=SQUEEZE),
    Stage(256, 15, kernel=3, stride=2, expansion=6, squeeze=SQUEEZE),
)
M = (
    Stage(24, 3, kernel=3, stride=1, kind="fused"),
    Stage(48, 5, kernel=3, stride=2, expansion=4, kind="fused"),
    Stage(80, 5, kernel=3, stride=2, expansion=4, kind="fused"),
    Stage(160, 7, kernel=3, stride=2, expansion=4, squeeze=SQUEEZE),
    Stage(176, 14, kernel=3, stride=1, expansion=6, squeeze=SQUEEZE),
    Stage(304, 18, kernel=3, stride=2, expansion=6, squeeze=SQUEEZE),
    Stage(512, 5, kernel=3, stride=1, expansion=6, squeeze=SQUEEZE),
)
L = (
    Stage(32, 4, kernel=3, stride=1, kind="fused"),
    Stage(64, 7, kernel=3, stride=2, expansion=4, kind="fused"),
    Stage(96, 7, kernel=3, stride=2, expansion=4, kind="fused"),
    Stage(192, 10, kernel=3, stride=2, expansion=4, squeeze=SQUEEZE),
    Stage(224, 19, kernel=3, stride=1, expansion=6, squeeze=SQUEEZE),
    Stage(384, 25, kernel=3, stride=2, expansion=6, squeeze=SQUEEZE),
    Stage(640, 7, kernel=3, stride=1, expansion=6, squeeze=SQUEEZE),
)
XL = (
    Stage(32, 4, kernel=3, stride=1, kind="fused"),
    Stage(64, 8, kernel=3, stride=2, expansion=4, kind="fused"),
    Stage(96, 8, kernel=3, stride=2, expansion=4, kind="fused"),
    Stage(192, 16, kernel=3, stride=2, expansion=4, squeeze=SQUEEZE),
    Stage(256, 24, kernel=3, stride=1, expansion=6, squeeze=SQUEEZE),
    Stage(512, 32, kernel=3, stride=2, expansion=6, squeeze=SQUEEZE),
    Stage(640, 8, kernel=3, stride=1, expansion=6, squeeze=SQUEEZE),
)

# Stem, stages, resolution_px of the published counts, dropout. Source: effnetv2_configs.py.
SEARCHED = {
    "efficientnetv2_s": (24, S, 384, 0.2),
    "efficientnetv2_m": (24, M, 480, 0.3),
    "efficientnetv2_l": (32, L, 480, 0.4),
    "efficientnetv2_xl": (32, XL, 512, 0.4),
}
# Width, depth, resolution_px of the published counts, dropout. Source: effnetv2_configs.py.
SCALED = {
    "efficientnetv2_b0": (1.0, 1.0, 224, 0.2),
    "efficientnetv2_b1": (1.0, 1.1, 240, 0.2),
    "efficientnetv2_b2": (1.1, 1.2, 260, 0.3),
    "efficientnetv2_b3": (1.2, 1.4, 300, 0.3),
}


def _network(name: str, stem: int, stages: tuple[Stage, ...], resolution_px: int, dropout: float) -> Network:
    return Network(
        name=name,
        stem=Stem(stem, kernel=3, stride=2),
        stages=stages,
        head=Head(channels=1280, dropout=dropout),
        resolution_px=(resolution_px, resolution_px),
        rounding=ROUNDING,
        drop_path=0.2,
        source="arXiv:2104.00298, table 4; google/automl, effnetv2_configs.py",
    )


def _searched(name: str) -> Callable[[], Network]:
    return lambda: _network(name, *SEARCHED[name])


def _scaled(name: str) -> Callable[[], Network]:
    width, depth, resolution_px, dropout = SCALED[name]
    return lambda: resize(_network(name, 32, B0, resolution_px, dropout), Scaling(depth=depth, width=width))


ROWS: Mapping[str, Callable[[], Network]] = {
    **{name: _searched(name) for name in SEARCHED},
    **{name: _scaled(name) for name in SCALED},
}
