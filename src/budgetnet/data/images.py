"""What a folder of images holds, and how pixels become a network's input: frozen values, no pixels."""

from __future__ import annotations

import dataclasses
import hashlib
import math
import statistics
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from budgetnet.codec import ONLY_IF_SET
from budgetnet.data.deep import Range, Spread
from budgetnet.networks import Px, choose

Fit = Literal["stretch", "crop"]
Interpolation = Literal["bilinear", "bicubic"]
SPLITS = ("train", "validation", "test")
MOST_PIXEL = 255
"""Plain pixels are 0 to this."""
LEFT_OUT = 3
"""The value in `ImageSet.split` of an image that equals one of another split, or whose class is contradicted."""


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """How pixels become a network's input: fitted to (height, width), then (pixel / 255 - mean) / std of each channel.

    It travels with the weights.

    Attributes:
        mean: The mean of each channel.
        std: The standard deviation of each channel.
        crop_share: The share of the largest centred box that "crop" keeps, as resizing the short side to size /
            crop_share and cropping does.
        fit: "stretch" squeezes the whole image; "crop" takes the largest centred box of the target's shape.
        interpolation: "bilinear" or "bicubic".
        value_range: Images of more than 8 bits a value are scaled by it first, so that its ends become 0 and 255; None
            where the training images had 8 bits.

    Raises:
        ValueError: A value is out of bounds, or mean and std have different lengths.
    """

    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    crop_share: float = 1.0
    fit: Fit = "stretch"
    interpolation: Interpolation = "bilinear"
    value_range: Range | None = field(default=None, metadata=ONLY_IF_SET)

    def __post_init__(self) -> None:
        object.__setattr__(self, "mean", tuple(float(value) for value in self.mean))
        object.__setattr__(self, "std", tuple(float(value) for value in self.std))
        if not self.mean or len(self.mean) != len(self.std):
            raise ValueError(
                f"mean has {len(self.mean)} channels and std {len(self.std)}; give one of each per channel"
            )
        if not all(math.isfinite(value) for value in self.mean + self.std) or min(self.std) <= 0.0:
            raise ValueError(f"mean {self.mean} and std {self.std} must be finite, and std above 0")
        if not 0.0 < self.crop_share <= 1.0:
            raise ValueError(f"crop_share is {self.crop_share!r}; it must be above 0 and at most 1")
        if self.value_range is not None:
            low, high = map(float, self.value_range)
            if not (math.isfinite(low) and math.isfinite(high) and low < high):
                raise ValueError(f"value_range is {self.value_range}; it must be a lower and a higher number")
            object.__setattr__(self, "value_range", (low, high))
        choose("fit", self.fit, get_args(Fit))
        choose("interpolation", self.interpolation, get_args(Interpolation))


def check_channels(preprocessing: Preprocessing, channels: int, taker: str = "the network takes") -> None:
    """Raise a one-line `ValueError` unless it is for as many channels as `taker` says of a network."""
    have = len(preprocessing.mean)
    if have != channels:
        raise ValueError(f"preprocessing has {have} channels, and {taker} {channels}")


def default_preprocessing(in_channels: int) -> Preprocessing:
    """ImageNet's mean and std for 3 channels, (0.5, 0.25) for 1. Raises `ValueError` for others."""
    choose("input channels", in_channels, (1, 3))
    return Preprocessing() if in_channels == 3 else Preprocessing(mean=(0.5,), std=(0.25,))


def needed_side_px(resolution_px: Px, preprocessing: Preprocessing) -> int:
    """The short side that `open_cache` must keep so that evaluation at `resolution_px` never scales up."""
    share = preprocessing.crop_share if preprocessing.fit == "crop" else 1.0
    return math.ceil(max(resolution_px) / share - 1e-9)


@dataclass(frozen=True, slots=True)
class ImageSet:
    """Labelled images and their split, without pixels; `open_images` makes it.

    `files`, `labels`, `digests`, `sizes_px`, `split` and `spreads` have an entry for each image, in one order.

    Attributes:
        name: What runs are named after.
        root: The folder that `files` are relative to.
        classes: Names of the classes, sorted.
        files: Paths, sorted.
        labels: The index of each image's class.
        digests: SHA-256 of each file's content, or of the pixels.
        sizes_px: Height and width of each image, turned as its EXIF says.
        in_channels: 1 if every image is grey, else 3.
        split: 0 for training, 1 for validation, 2 for test, 3 for left out.
        unreadable: Pairs (file or folder, reason).
        duplicates: Pairs (file that is left out, the file that it equals).
        ignored: How many files are not an image of a class.
        loose: Images outside of class folders.
        others: Other files, counted by their suffix.
        given: The splits that the data has itself; the others are carved.
        spreads: What the values of images of more than 8 bits span; empty where there are none.
        value_range: The range that all images are scaled by; None where they have 8 bits.
    """

    name: str
    root: str
    classes: tuple[str, ...]
    files: tuple[str, ...]
    labels: tuple[int, ...]
    digests: tuple[str, ...]
    sizes_px: tuple[Px, ...]
    in_channels: int
    split: tuple[int, ...]
    unreadable: tuple[tuple[str, str], ...] = ()
    duplicates: tuple[tuple[str, str], ...] = ()
    ignored: int = 0
    loose: tuple[str, ...] = ()
    others: tuple[tuple[str, int], ...] = ()
    given: tuple[str, ...] = ()
    spreads: tuple[Spread | None, ...] = ()
    value_range: Range | None = None

    def __len__(self) -> int:
        return len(self.files)

    @property
    def median_short_side_px(self) -> int:
        """Median of the images' shorter sides, rounded down."""
        return int(statistics.median(min(size) for size in self.sizes_px))

    def with_validation(self, held_out: Iterable[int] = ()) -> ImageSet:
        """The same images with those for validation among those for training, for when nothing is left to choose.

        Args:
            held_out: Positions of those that stay images for validation.

        Returns:
            A new value.
        """
        kept = frozenset(held_out)
        parts = (0 if part == 1 and index not in kept else part for index, part in enumerate(self.split))
        return dataclasses.replace(self, split=tuple(parts))

    def indices(self, split: str) -> NDArray[np.int64]:
        """The positions of a split's images in `files`.

        Args:
            split: "train", "validation" or "test".

        Returns:
            Ascending positions, int64 of shape (n,).

        Raises:
            ValueError: The split is unknown.
        """
        choose("split", split, SPLITS)
        return np.flatnonzero(np.asarray(self.split) == SPLITS.index(split)).astype(np.int64)

    @property
    def fingerprint(self) -> str:
        """16 hex digits over classes, digests, labels and split, in the order of the files, but not their names.

        The order counts: what is drawn for an image is a function of its index.
        """
        rows = list(zip(self.digests, self.labels, self.split, strict=True))
        return hashlib.sha256(repr((self.classes, rows)).encode("utf-8", "surrogateescape")).hexdigest()[:16]
