"""ImageNet top-1 accuracy as published: figures of others, each by its own recipe. Only one recipe compares."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from budgetnet.networks.scaling import Scaling


@dataclass(frozen=True, slots=True)
class Published:
    """Top-1 in percent on ImageNet's validation images, at the row's own resolution, and who says so."""

    top1: float
    source: str


def _rows(source: str, figures: Mapping[str, float]) -> dict[str, Published]:
    return {name: Published(top1, source) for name, top1 in figures.items()}


TOP1: Mapping[str, Published] = {
    **_rows(
        # EFFICIENTNET_BEST has the other figure for B7.
        "arXiv:1905.11946v5, table 2",
        {
            "efficientnet_b0": 77.1,
            "efficientnet_b1": 79.1,
            "efficientnet_b2": 80.1,
            "efficientnet_b3": 81.6,
            "efficientnet_b4": 82.9,
            "efficientnet_b5": 83.6,
            "efficientnet_b6": 84.0,
            "efficientnet_b7": 84.3,
        },
    ),
    **_rows(
        "google/automl, efficientnetv2 README",
        {
            "efficientnetv2_s": 83.9,
            "efficientnetv2_m": 85.2,
            "efficientnetv2_l": 85.7,
            "efficientnetv2_b0": 78.7,
            "efficientnetv2_b1": 79.8,
            "efficientnetv2_b2": 80.5,
            "efficientnetv2_b3": 82.1,
        },
    ),
    **_rows(
        "tensorflow/tpu, efficientnet/lite README",
        {
            "efficientnet_lite0": 75.1,
            "efficientnet_lite1": 76.7,
            "efficientnet_lite2": 77.6,
            "efficientnet_lite3": 79.8,
            "efficientnet_lite4": 81.5,
        },
    ),
    **_rows(
        "tensorflow/models, research/slim READMEs",
        {
            "mobilenet_v1": 70.9,
            "mobilenet_v2": 71.8,
            "mobilenet_v2_140": 75.0,
            "mobilenet_v3_large": 75.2,
            "mobilenet_v3_small": 67.5,
        },
    ),
    **_rows("tensorflow/tpu, mnasnet README", {"mnasnet_a1": 75.2}),
    **_rows(
        "timm's results of its tinynet entries",
        {"tinynet_a": 77.7, "tinynet_b": 75.0, "tinynet_c": 71.2, "tinynet_d": 67.0, "tinynet_e": 59.9},
    ),
    **_rows("arXiv:1911.11907, table 7", {"ghostnet": 73.9}),
    **_rows(
        # The paper's tables 2 and 3 are of ten crops, and of ResNet-18 without convolutions in its shortcuts.
        "torchvision, models/resnet.py, IMAGENET1K_V1",
        {"resnet18": 69.8, "resnet34": 73.3, "resnet50": 76.1, "resnet101": 77.4, "resnet152": 78.3},
    ),
}

EFFICIENTNET_BEST = (
    Published(84.4, "the lecture notes that the project began from, and the paper's first version"),
    Published(84.3, "arXiv:1905.11946v5, table 2, the paper's last version"),
)
"""Two published figures for EfficientNet's best network, B7: wherever one is shown, both are."""


@dataclass(frozen=True, slots=True)
class PublishedLatency:
    """Seconds of one image of one network, on what, and who says so."""

    network: str
    seconds: float
    device: str
    source: str


_TABLE_4 = ("one core of an Intel Xeon E5-2690", "arXiv:1905.11946v5, table 4")

LATENCIES: tuple[PublishedLatency, ...] = (
    PublishedLatency("resnet152", 0.554, *_TABLE_4),
    PublishedLatency("efficientnet_b1", 0.098, *_TABLE_4),
    PublishedLatency("gpipe", 19.0, *_TABLE_4),  # AmoebaNet-B of 557 M parameters, not in the zoo
    PublishedLatency("efficientnet_b7", 3.1, *_TABLE_4),
)
"""Published times: only their ratios say anything about another machine."""


def pareto(points: Iterable[tuple[str, float, float]]) -> frozenset[str]:
    """The names of those points (name, cost, gain) that no other beats: none costs less and gains as much.

    Of equal points each stays.
    """
    best, chosen, at = float("-inf"), set[str](), float("-inf")
    for name, cost, gain in sorted(points, key=lambda point: (point[1], -point[2])):
        if gain > best or (gain == best and cost == at):
            best, at = gain, cost
            chosen.add(name)
    return frozenset(chosen)


@dataclass(frozen=True, slots=True)
class ScaledUp:
    """A base scaled up by factors: multiply-adds in thousand millions and ImageNet top-1 in percent, as published."""

    base: str
    scaling: Scaling
    macs_g: float
    top1: float
    source: str


_ALL = Scaling(depth=1.4, width=1.2, resolution=1.3)
_TABLE_7 = "arXiv:1905.11946v5, table 7"
_TABLE_3 = "arXiv:1905.11946v5, table 3"

SCALED_UP: tuple[ScaledUp, ...] = (
    ScaledUp("efficientnet_b0", Scaling(), 0.4, 77.3, _TABLE_7),
    ScaledUp("efficientnet_b0", Scaling(depth=4), 1.8, 79.0, _TABLE_7),
    ScaledUp("efficientnet_b0", Scaling(width=2), 1.8, 78.9, _TABLE_7),
    ScaledUp("efficientnet_b0", Scaling(resolution=2), 1.9, 79.1, _TABLE_7),
    ScaledUp("efficientnet_b0", _ALL, 1.8, 81.1, _TABLE_7),
    ScaledUp("mobilenet_v1", Scaling(), 0.6, 70.6, _TABLE_3),
    ScaledUp("mobilenet_v1", Scaling(width=2), 2.2, 74.2, _TABLE_3),
    ScaledUp("mobilenet_v1", Scaling(resolution=2), 2.2, 72.7, _TABLE_3),
    ScaledUp("mobilenet_v1", _ALL, 2.3, 75.6, _TABLE_3),
    ScaledUp("mobilenet_v2", Scaling(), 0.3, 72.0, _TABLE_3),
    ScaledUp("mobilenet_v2", Scaling(depth=4), 1.2, 76.8, _TABLE_3),
    ScaledUp("mobilenet_v2", Scaling(width=2), 1.1, 76.4, _TABLE_3),
    ScaledUp("mobilenet_v2", Scaling(resolution=2), 1.2, 74.8, _TABLE_3),
    # The paper gives factors for MobileNetV1's row alone and says "compound" of the others: taken to be the same.
    ScaledUp("mobilenet_v2", _ALL, 1.3, 77.4, _TABLE_3),
    ScaledUp("resnet50", Scaling(), 4.1, 76.0, _TABLE_3),
    # The paper's 16.2 and 14.7 look swapped: the counts say so.
    ScaledUp("resnet50", Scaling(depth=4), 16.2, 78.1, _TABLE_3),
    ScaledUp("resnet50", Scaling(width=2), 14.7, 77.7, _TABLE_3),
    ScaledUp("resnet50", Scaling(resolution=2), 16.4, 77.5, _TABLE_3),
    ScaledUp("resnet50", _ALL, 16.7, 78.8, _TABLE_3),
)
"""The paper compares these ways to scale up."""
