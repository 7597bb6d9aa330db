"""What every plan asks: whether the time suffices, and how images become a network's input."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path

from budgetnet.arguments import seconds
from budgetnet.data import ImageSet, Preprocessing, default_preprocessing, needed_side_px
from budgetnet.data.deep import Range, check_mixture, tell_range
from budgetnet.model.weights import source_preprocessing
from budgetnet.networks import Network


class TooShort(ValueError):
    """A time that is too short for what it is asked for, in one line; `least_seconds` would do."""

    def __init__(self, time_seconds: float, what: str, least_seconds: float, instead: str = "") -> None:
        self.least_seconds = least_seconds
        super().__init__(
            f"{time_seconds:g} s are too short {what}; give at least {math.ceil(least_seconds)} s{instead}"
        )


def too_few(epochs: float, least: float) -> str:
    """How often images would be seen, and that it is not a training; never a number that rounds up to the least."""
    seen = f"{epochs:.2g}" if float(f"{epochs:.2g}") < least else f"{math.floor(100 * epochs) / 100:g}"
    return f"{seen} times, and fewer than {least:g} times is not a training"


def check_time(time_seconds: float | str) -> float:
    """The seconds of a time above 0, given as a number or as text with its unit. Raises a one-line `ValueError`."""
    return seconds("time", time_seconds)


def preprocessing_for(images: ImageSet, weights: str | Path | None = None) -> Preprocessing:
    """What a network trained on these images takes: the weights' own, or from nothing the usual.

    For another count of channels than the weights', the mean of theirs. Values of more than 8 bits are scaled by the
    range of these images, whatever the weights' images spanned.
    """
    if weights is None:
        row = default_preprocessing(images.in_channels)
    else:
        row = Preprocessing(**source_preprocessing(weights))
    row = dataclasses.replace(row, value_range=told_range(images))
    if len(row.mean) == images.in_channels:
        return row
    mean, std = (sum(values) / len(values) for values in (row.mean, row.std))
    return dataclasses.replace(row, mean=(mean,) * images.in_channels, std=(std,) * images.in_channels)


def told_range(images: ImageSet) -> Range | None:
    """The range that images of more than 8 bits a value are scaled by, which a warning tells; None for others.

    Raises a one-line `ValueError` for a mixture with 8-bit images that mean something else by their grey.
    """
    if images.value_range is not None:
        check_mixture(images.name, images.files, images.spreads, images.value_range)
        trained = [images.spreads[index] for index in images.indices("train").tolist()]
        tell_range(images.name, [row for row in trained if row is not None], images.value_range)
    return images.value_range


def side_px_for(networks: Sequence[Network], preprocessing: Preprocessing) -> int:
    """The short side that serves every network of a run, so that images are decoded once."""
    return max(needed_side_px(network.resolution_px, preprocessing) for network in networks)
