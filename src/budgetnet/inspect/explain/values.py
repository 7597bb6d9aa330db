"""What `explain` found, as frozen values: the fields are the keys of explain.json (docs/formats.md)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from budgetnet.data import Box
from budgetnet.networks import Px

Role = Literal["explained", "twin", "other"]


@dataclass(frozen=True, slots=True)
class NetworkRow:
    """A network of the explanation: what it is, and the map that its Grad-CAM is of.

    `activations` are the kinds of its activation functions; `top1` is the run's test accuracy (None: unknown).
    """

    label: str
    source: str
    role: Role
    network: str
    activations: tuple[str, ...]
    resolution_px: Px
    classes: int
    macs: int
    params: int
    top1: float | None
    layer: str
    layer_px: Px


@dataclass(frozen=True, slots=True)
class ClassMap:
    """Grad-CAM for one class. `cells` are the map's rows; `largest` is its largest cell, 0 where nothing speaks for it.

    `seen_px` is the box (left, top, right, bottom) of the image, in its own pixels, that the network saw.
    """

    label: str
    probability: float
    largest: float
    cells: tuple[tuple[float, ...], ...]
    seen_px: Box
    file: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What one network says about an image: its class, and a map for that and for every class that was named."""

    network: str
    label: str
    probability: float
    maps: tuple[ClassMap, ...]


@dataclass(frozen=True, slots=True)
class ImageRow:
    """An image: (height, width) turned as its EXIF says, its class (None: its folder names none), the answers.

    Where it was not `drawn` there is the first network's answer alone, without maps, and no size.
    """

    path: str
    size_px: Px | None
    label: str | None
    drawn: bool
    answers: tuple[Answer, ...]


@dataclass(frozen=True, slots=True)
class StageRow:
    """A map of a network over the drawn images: its size and what its values are.

    Shares are of all values; `strongest` are the channels of the largest mean absolute value, the largest first.
    """

    network: str
    stage: str
    channels: int
    map_px: Px
    mean_absolute: float
    zero_share: float
    negative_share: float
    strongest: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ChannelRow:
    """A channel's gate over the images: its mean, and where 90 % of the images lie."""

    channel: int
    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class BlockRow:
    """The gates of a block, over all images and channels: quantiles at 5, 25, 50, 75 and 95 %.

    `boosted` and `suppressed` are the channels with the largest and the smallest mean gates.
    `class_share` is the share of the gates' variance between images that their classes explain (epsilon squared,
    0 by chance), `chance_share` what shuffled classes stay below in 95 % of cases; None where classes are too few.
    """

    block: str
    channels: int
    mean: float
    quantiles: tuple[float, float, float, float, float]
    boosted: tuple[ChannelRow, ...]
    suppressed: tuple[ChannelRow, ...]
    class_share: float | None
    chance_share: float | None


@dataclass(frozen=True, slots=True)
class ClassGates:
    """Mean gates of each class in the block where classes differ most: `means[class][channel]`.

    `channels` are those whose means differ most; `overall` are their means over all images.
    """

    block: str
    channels: tuple[int, ...]
    overall: tuple[float, ...]
    classes: tuple[str, ...]
    means: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True)
class Gates:
    """Squeeze-and-excitation of the first network over all images.

    `grouped_by` says what an image's class is: its "folder" or the "prediction"; `groups` are (class, images).
    """

    images: int
    grouped_by: Literal["folder", "prediction"]
    groups: tuple[tuple[str, int], ...]
    blocks: tuple[BlockRow, ...]
    by_class: ClassGates | None


@dataclass(frozen=True, slots=True)
class Explanation:
    """What `explain` found and wrote; `files` are relative to `folder`, `gates` None without squeeze-and-excitation."""

    folder: Path
    page: Path
    networks: tuple[NetworkRow, ...]
    images: tuple[ImageRow, ...]
    stages: tuple[StageRow, ...]
    gates: Gates | None
    files: tuple[str, ...]
