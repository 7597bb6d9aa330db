"""MobileNet V2: inverted residuals, linear bottlenecks. Source: Sandler et al., arXiv:1801.04381, table 2."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from budgetnet.networks import RELU6, Head, Network, Rounding, Stage, Stem

ORIGIN = "by hand (arXiv:1801.04381, sections 3 and 4)"

STAGES = (
    Stage(16, 1, stride=1, expansion=1, activation=RELU6),
    Stage(24, 2, stride=2, expansion=6, activation=RELU6),
    Stage(32, 3, stride=2, expansion=6, activation=RELU6),
    Stage(64, 4, stride=2, expansion=6, activation=RELU6),
    Stage(96, 3, stride=1, expansion=6, activation=RELU6),
    Stage(160, 3, stride=2, expansion=6, activation=RELU6),
    Stage(320, 1, stride=1, expansion=6, activation=RELU6),
)


def _mobilenet_v2() -> Network:
    return Network(
        name="mobilenet_v2",
        stem=Stem(32, activation=RELU6),
        stages=STAGES,
        head=Head(channels=1280, activation=RELU6, dropout=0.2),
        resolution_px=(224, 224),
        # "for multipliers less than one, we apply the width multiplier to all layers except the
        # very last convolutional layer": arXiv:1801.04381, section 6.1.
        rounding=Rounding(head="grows"),
        source="arXiv:1801.04381, table 2; dropout as in tensorflow/models, slim mobilenet.py",
    )


ROWS: Mapping[str, Callable[[], Network]] = {"mobilenet_v2": _mobilenet_v2}
