"""ResNet-50, which EfficientNet's paper scales up. Source: He et al., arXiv:1512.03385, table 1."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from budgetnet.networks import RELU, Head, Network, Stage, Stem

ORIGIN = "by hand (arXiv:1512.03385, section 3.3)"

STAGES = (
    Stage(256, 3, kernel=3, stride=1, expansion=4, activation=RELU, kind="bottleneck"),
    Stage(512, 4, kernel=3, stride=2, expansion=4, activation=RELU, kind="bottleneck"),
    Stage(1024, 6, kernel=3, stride=2, expansion=4, activation=RELU, kind="bottleneck"),
    Stage(2048, 3, kernel=3, stride=2, expansion=4, activation=RELU, kind="bottleneck"),
)


def _resnet50() -> Network:
    return Network(
        name="resnet50",
        stem=Stem(64, kernel=7, stride=2, activation=RELU, pool=True),
        stages=STAGES,
        head=Head(),
        resolution_px=(224, 224),
        source="arXiv:1512.03385, table 1; the stride in the 3x3 convolution, as torchvision and timm have it",
    )


ROWS: Mapping[str, Callable[[], Network]] = {"resnet50": _resnet50}
