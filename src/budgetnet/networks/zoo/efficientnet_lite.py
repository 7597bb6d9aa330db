"""EfficientNet-Lite0-4: ReLU6, no squeeze-and-excitation, for devices and int8.

Source: tensorflow/tpu, models/official/efficientnet/lite (README and efficientnet_lite_builder.py).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

from budgetnet.networks import RELU6, Head, Network, Rounding, Stem
from budgetnet.networks.scaling import Scaling, resize
from budgetnet.networks.zoo import efficientnet

ORIGIN = (
    "EfficientNet changed by hand for phones: no squeeze-and-excitation, ReLU6 (tensorflow/tpu, "
    "efficientnet/lite README)"
)

STAGES = tuple(dataclasses.replace(stage, squeeze=None, activation=RELU6) for stage in efficientnet.STAGES)

# Width, depth, resolution_px, dropout. Source: efficientnet_lite_builder.py, efficientnet_lite_params.
PRESETS = {
    "efficientnet_lite0": (1.0, 1.0, 224, 0.2),
    "efficientnet_lite1": (1.0, 1.1, 240, 0.2),
    "efficientnet_lite2": (1.1, 1.2, 260, 0.3),
    "efficientnet_lite3": (1.2, 1.4, 280, 0.3),
    "efficientnet_lite4": (1.4, 1.8, 300, 0.3),
}


def preset(name: str, width: float, depth: float, resolution_px: int, dropout: float) -> Network:
    """A row of the published table. Stem, head and the first and last stage's repeats are kept."""
    base = Network(
        name=name,
        stem=Stem(32, kernel=3, stride=2, activation=RELU6),
        stages=STAGES,
        head=Head(channels=1280, activation=RELU6, dropout=dropout),
        resolution_px=(resolution_px, resolution_px),
        rounding=Rounding(depth="up", channel_multiple=8, stem="kept", head="kept", keeps_end_repeats=True),
        drop_path=0.2,
        source="tensorflow/tpu efficientnet/lite, efficientnet_lite_builder.py",
    )
    return resize(base, Scaling(depth=depth, width=width))


def _row(name: str) -> Callable[[], Network]:
    return lambda: preset(name, *PRESETS[name])


ROWS: Mapping[str, Callable[[], Network]] = {name: _row(name) for name in PRESETS}
