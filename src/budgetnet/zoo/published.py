"""ImageNet top-1 accuracy as published: figures of others, each by its own recipe. Only one recipe compares."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass


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
}

EFFICIENTNET_BEST = (
    Published(84.4, "the lecture notes that the project began from, and the paper's first version"),
    Published(84.3, "arXiv:1905.11946v5, table 2, the paper's last version"),
)
"""Two figures for EfficientNet's best network, B7: both are shown where one is."""


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
