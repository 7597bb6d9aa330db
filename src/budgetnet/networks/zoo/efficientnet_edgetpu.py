"""EfficientNet-EdgeTPU S, M, L: fused blocks, ReLU, no squeeze-and-excitation, for one accelerator.

Source: tensorflow/tpu, models/official/efficientnet/edgetpu (README, efficientnet_edgetpu_builder.py).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

from budgetnet.networks import RELU, Head, Network, Rounding, Stage, Stem
from budgetnet.networks.scaling import Scaling, resize

ORIGIN = "architecture search for accuracy and latency on one accelerator (tensorflow/tpu, efficientnet/edgetpu README)"

STAGES = (
    Stage(24, 1, kernel=3, stride=1, expansion=4, activation=RELU, residual=False, kind="fused"),
    Stage(32, 2, kernel=3, stride=2, expansion=8, activation=RELU, kind="fused"),
    Stage(48, 4, kernel=3, stride=2, expansion=8, activation=RELU, kind="fused"),
    Stage(96, 5, kernel=5, stride=2, expansion=8, activation=RELU),
    Stage(144, 4, kernel=5, stride=1, expansion=8, activation=RELU),
    Stage(192, 2, kernel=5, stride=2, expansion=8, activation=RELU),
)
ROUNDING = Rounding(depth="up", channel_multiple=8)

# Width, depth, resolution_px, dropout. Source: efficientnet_edgetpu_builder.py, edgetpu_params.
PRESETS = {
    "efficientnet_edgetpu_s": (1.0, 1.0, 224, 0.2),
    "efficientnet_edgetpu_m": (1.0, 1.1, 240, 0.2),
    "efficientnet_edgetpu_l": (1.2, 1.4, 300, 0.3),
}


def _preset(name: str, wide: float, deep: float, resolution_px: int, dropout: float) -> Network:
    """A row of the published table."""
    base = Network(
        name=name,
        stem=Stem(32, kernel=3, stride=2, activation=RELU),
        stages=STAGES,
        head=Head(channels=1280, activation=RELU, dropout=dropout),
        resolution_px=(resolution_px, resolution_px),
        rounding=ROUNDING,
        drop_path=0.2,
        source="tensorflow/tpu efficientnet/edgetpu, efficientnet_edgetpu_builder.py",
    )
    scaled = resize(base, Scaling(depth=deep, width=wide))
    return dataclasses.replace(scaled, stages=(*_first(scaled.stem.channels, scaled.stages[0]), *scaled.stages[1:]))


def _first(entering: int, stage: Stage) -> tuple[Stage, ...]:
    """The first stage as published: its first block expands as if its own channels entered it, not the stem's."""
    first = dataclasses.replace(stage, repeats=1, expansion=stage.expansion * stage.channels / entering)
    rest = (dataclasses.replace(stage, repeats=stage.repeats - 1),) if stage.repeats > 1 else ()
    return (first, *rest)


def _row(name: str) -> Callable[[], Network]:
    return lambda: _preset(name, *PRESETS[name])


ROWS: Mapping[str, Callable[[], Network]] = {name: _row(name) for name in PRESETS}
