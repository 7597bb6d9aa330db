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
    """A network of an explanation.

    Attributes:
        label: What the page calls it.
        source: Where its weights are from.
        role: "explained", "twin" or "other".
        network: Its name.
        activations: The kinds of its activation functions.
        resolution_px: Height and width of its images.
        classes: How many classes it has.
        macs: Multiply-adds for one image.
        params: What training learned.
        top1: Its run's test accuracy; None where it is unknown.
        layer: The map that its Grad-CAM is of.
        layer_px: Height and width of that map.
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
    """Grad-CAM for one class.

    Attributes:
        label: The class.
        probability: What the network gives it.
        largest: The largest cell; 0 where nothing speaks for the class.
        cells: The rows of the map.
        seen_px: The box (left, top, right, bottom) of the image, in its own pixels, that the network saw.
        file: The picture, relative to the explanation's folder.
    """

    label: str
    probability: float
    largest: float
    cells: tuple[tuple[float, ...], ...]
    seen_px: Box
    file: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What one network says about an image.

    Attributes:
        network: The network's label.
        label: The class that it predicts.
        probability: What it gives that class.
        maps: A map for that class, and for every class that was named.
    """

    network: str
    label: str
    probability: float
    maps: tuple[ClassMap, ...]


@dataclass(frozen=True, slots=True)
class ImageRow:
    """An image of an explanation.

    Attributes:
        path: The file.
        size_px: Height and width, turned as its EXIF says; None where it was not drawn.
        label: Its class; None where its folder names none.
        drawn: Whether it is among the drawn images.
        answers: What each network says; where it was not drawn the first network's answer alone, without maps.
    """

    path: str
    size_px: Px | None
    label: str | None
    drawn: bool
    answers: tuple[Answer, ...]


@dataclass(frozen=True, slots=True)
class StageRow:
    """A map of a network over the drawn images. Shares are of all its values.

    Attributes:
        network: The network's label.
        stage: The map's name.
        channels: How many channels it has.
        map_px: Height and width.
        mean_absolute: The mean absolute value.
        zero_share: The share of values that are 0.
        negative_share: The share of values below 0.
        strongest: The channels of the largest mean absolute value, the largest first.
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
    """The gate of one channel over the images.

    Attributes:
        channel: The channel.
        mean: The mean gate.
        low: The 5 % quantile.
        high: The 95 % quantile.
    """

    channel: int
    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class BlockRow:
    """The gates of one block, over all images and channels.

    Attributes:
        block: The block's name.
        channels: How many channels it has.
        mean: The mean gate.
        quantiles: At 5, 25, 50, 75 and 95 %.
        boosted: The channels with the largest mean gates.
        suppressed: The channels with the smallest mean gates.
        class_share: The share of the gates' variance between images that their classes explain (epsilon squared, 0 by
            chance); None where classes have too few images.
        chance_share: What shuffled classes stay below in 95 % of the cases; None where classes have too few images.
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
    """The mean gates of each class, in the block where classes differ most.

    Attributes:
        block: The block's name.
        channels: The channels whose means differ most.
        overall: Their means over all images.
        classes: The classes.
        means: The mean of each class (rows) and channel (columns).
    """

    block: str
    channels: tuple[int, ...]
    overall: tuple[float, ...]
    classes: tuple[str, ...]
    means: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True)
class Gates:
    """The squeeze-and-excitation gates of the first network, over all images.

    Attributes:
        images: How many images.
        grouped_by: What an image's class is: its "folder" or the "prediction".
        groups: Pairs (class, images).
        blocks: A row for each block.
        by_class: The gates by class; None where classes have too few images.
    """

    images: int
    grouped_by: Literal["folder", "prediction"]
    groups: tuple[tuple[str, int], ...]
    blocks: tuple[BlockRow, ...]
    by_class: ClassGates | None


@dataclass(frozen=True, slots=True)
class Explanation:
    """What `explain` found and wrote. docs/explain.md says how to read it.

    Attributes:
        folder: Where everything lies.
        page: The page, explain.html.
        networks: A row for each network, the explained one first.
        images: A row for each image.
        stages: A row for each map that is drawn.
        gates: Squeeze-and-excitation's gates; None where the network has none.
        files: The pictures, relative to `folder`.
    """

    folder: Path
    page: Path
    networks: tuple[NetworkRow, ...]
    images: tuple[ImageRow, ...]
    stages: tuple[StageRow, ...]
    gates: Gates | None
    files: tuple[str, ...]
