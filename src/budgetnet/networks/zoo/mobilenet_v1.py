"""MobileNet V1: depthwise separable blocks, no residual. Source: Howard et al., arXiv:1704.04861, table 1."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from budgetnet.networks import RELU6, Head, Network, Stage, Stem

ORIGIN = "by hand (arXiv:1704.04861, section 3)"

_SEPARABLE: dict[str, Any] = {"kind": "separable", "activation": RELU6, "residual": False}

STAGES = (
    Stage(64, 1, stride=1, **_SEPARABLE),
    Stage(128, 2, stride=2, **_SEPARABLE),
    Stage(256, 2, stride=2, **_SEPARABLE),
    Stage(512, 6, stride=2, **_SEPARABLE),
    Stage(1024, 2, stride=2, **_SEPARABLE),
)


def _mobilenet_v1() -> Network:
    return Network(
        name="mobilenet_v1",
        stem=Stem(32, activation=RELU6),
        stages=STAGES,
        head=Head(channels=None, dropout=0.001),
        resolution_px=(224, 224),
        source="arXiv:1704.04861, table 1; ReLU6 and dropout 0.001 as in tensorflow/models, slim mobilenet_v1.py",
    )


ROWS: Mapping[str, Callable[[], Network]] = {"mobilenet_v1": _mobilenet_v1}
