"""Images of more than 8 bits a value: their values as they are, what the training images span, and how 8 bits follow.

Pillow gives 16-bit grey, 32-bit and float images whole, but of 16-bit colour only the upper bytes. The lower ones come
from a second look at the same file with the bytes of each value swapped.
"""

from __future__ import annotations

import statistics
import sys
import warnings
from collections import defaultdict
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Range = tuple[float, float]
"""The lowest and the highest value that pixels are scaled by: they become 0 and 255."""
Spread = tuple[float, float, float, float]
"""The values of one image span this: its lowest value, the quantiles at 0.1 and 99.9 %, its highest value."""

TAIL = 0.001
"""The share of an image's values, at each end, that may be hot or dead pixels."""
ODD_IMAGES = 0.05
"""The share of a class's images, at each end, that may be broken: all black or all white."""
MARGIN = 0.5
"""The share of the range that is added at each end, so that small bright spots stay apart from what lies around
them."""
MOST_VALUES = 1_000_000
"""The most values of an image that its quantiles are taken of."""
FULL: tuple[Range, ...] = ((0.0, 1.0), *((0.0, 2.0**bits - 1.0) for bits in (8, 10, 12, 14, 16)))
"""The whole ranges of usual formats. Images that use at least half of one are scaled by it; 8-bit files then mean the
same."""
FEW_LEVELS = 16
UNKNOWN_RANGE = (
    "it has more than 8 bits a value, but the model's training images had 8 or were read before ranges were kept: "
    "16-bit values are divided by 257, others scaled by the image's own"
)

SWAPPED = {"16B": "16L", "16L": "16B", "16N": "16B" if sys.byteorder == "little" else "16L"}
"""Pillow's names of byte orders. It takes the first or the last byte of a value, so the other order has the lower
byte."""
WHITE_GREY = np.array([0.299, 0.587, 0.114], np.float32)
"""The weights of red, green and blue in grey are those of ITU-R 601, as Pillow has them."""


def is_deep_grey(image: Image.Image) -> bool:
    """Whether an opened image is grey and of more than 8 bits."""
    return image.mode in ("I", "F") or image.mode.startswith("I;16")


def is_deep(image: Image.Image) -> bool:
    """Whether an opened image that is not loaded yet has more than 8 bits a value."""
    return is_deep_grey(image) or ";16" in _raw_mode(image)


def deep_values(image: Image.Image, again: Callable[[], Image.Image]) -> NDArray[np.float32] | None:
    """Values (height, width, channels) of an opened image that is not loaded yet; None where it has 8 bits or fewer.

    `again` opens the same file once more. Channels are 1 or 3; alpha, 0 to 1, is a channel behind them. Raises
    `ValueError` for a layout of 16-bit colour of which Pillow would give other pixels.
    """
    if is_deep_grey(image):
        return np.asarray(image).astype(np.float32)[:, :, None]
    raw = _raw_mode(image)
    kind, _, order = raw.partition(";")
    if raw == "LA;16B":  # four bytes a pixel: grey, its lower byte, alpha, its lower byte
        halves = _loaded(image, "RGBA")
        return np.stack([_whole(halves[..., 0], halves[..., 1]), _share(halves[..., 2])], axis=2)
    if kind in ("RGB", "RGBA") and order in SWAPPED:
        with again() as second:
            lower = _loaded(second, f"{kind};{SWAPPED[order]}")
        upper = np.asarray(image)
        colour = _whole(upper[..., :3], lower[..., :3])
        return colour if kind == "RGB" else np.concatenate([colour, _share(upper[..., 3:])], axis=2)
    bits = getattr(image, "tag_v2", {}).get(258, (8,))
    if image.format == "TIFF" and max(bits if isinstance(bits, tuple) else (bits,)) > 8:
        raise ValueError(f"a TIFF of 16-bit colour in a layout that is not read ({raw}); save it as a 16-bit PNG")
    return None


def _raw_mode(image: Image.Image) -> str:
    """How the file's bytes are laid out, by Pillow's name; empty where the reader does not say."""
    tiles = getattr(image, "tile", None)
    if not tiles:
        return ""
    arguments = tiles[0].args
    first = arguments[0] if isinstance(arguments, tuple) and arguments else arguments
    return first if isinstance(first, str) else ""


def _loaded(image: Image.Image, raw: str) -> NDArray[np.uint8]:
    """The bytes of an opened image, read as if they were laid out as `raw`."""
    image.tile = [  # pyright: ignore[reportAttributeAccessIssue]
        tile._replace(args=(raw, *tile.args[1:]) if isinstance(tile.args, tuple) else raw)
        for tile in image.tile  # pyright: ignore[reportAttributeAccessIssue]
    ]
    return np.asarray(image)


def _whole(upper: NDArray[np.uint8], lower: NDArray[np.uint8]) -> NDArray[np.float32]:
    return upper.astype(np.float32) * 256.0 + lower


def _share(alpha: NDArray[np.uint8]) -> NDArray[np.float32]:
    return (alpha / 255.0).astype(np.float32)


def spread_of(values: NDArray[np.float32]) -> Spread:
    """What an image's values span, alpha aside. Raises `ValueError` for a value that is not a number."""
    plain = values[..., : 1 if values.shape[2] < 3 else 3]
    check_finite(plain)
    numbers = plain.reshape(-1)
    some = numbers[:: -(-numbers.size // MOST_VALUES)]
    low, high = np.quantile(some, (TAIL, 1.0 - TAIL), method="nearest").tolist()
    return float(numbers.min()), low, high, float(numbers.max())


def check_finite(values: NDArray[np.floating]) -> None:
    """Raise a one-line `ValueError` for a value that is not a number: (height, width), or with channels behind."""
    if len(wrong := np.argwhere(~np.isfinite(values))):
        row, column = wrong[0].tolist()[:2]
        value = np.asarray(values[tuple(wrong[0])]).item()
        raise ValueError(f"its pixel in row {row}, column {column} is {value}, not a number; fill such pixels")


def training_range(spreads: Sequence[Spread | None], labels: Sequence[int], train: Sequence[bool]) -> Range | None:
    """The range of the training images that have more than 8 bits; None where none has.

    From the lowest to the highest of the classes' ranges, each without its images' hot pixels and its broken images,
    and a margin, but not beyond the lowest and the highest value there is. Each class counts, however few its images.
    """
    by_class: defaultdict[int, list[Spread]] = defaultdict(list)
    for spread, label, learns in zip(spreads, labels, train, strict=True):
        if learns and spread is not None:
            by_class[label].append(spread)
    if not by_class:
        return None
    rows = [row for group in by_class.values() for row in group]
    lowest, highest = min(row[0] for row in rows), max(row[3] for row in rows)
    low = min(_ranked([row[1] for row in group]) for group in by_class.values())
    high = max(-_ranked([-row[2] for row in group]) for group in by_class.values())
    if high > low:
        margin = MARGIN * (high - low)
        low, high = max(lowest, low - margin), min(highest, high + margin)
    else:  # all but a few pixels are equal: the few are what there is to see
        low, high = lowest, highest
    for full in FULL:
        if low >= full[0] and high <= full[1] and high - low >= full[1] / 2:
            return full
    return low, high if high > low else low + 1.0


def _ranked(values: list[float]) -> float:
    return sorted(values)[int(ODD_IMAGES * (len(values) - 1))]


def eight_bits(values: NDArray[np.float32], value_range: Range, in_channels: int) -> NDArray[np.uint8]:
    """Values of `deep_values` as pixels (height, width, in_channels): the range becomes 0 to 255, beyond it is clipped.

    Alpha lies on white. Raises `ValueError` for a value that is not a number.
    """
    low, high = value_range
    check_finite(values)
    share = (values.astype(np.float64) - low) / (high - low)
    channels = 1 if values.shape[2] < 3 else 3
    colour = np.clip(share[..., :channels], 0.0, 1.0)
    if values.shape[2] > channels:
        alpha = values[..., channels:]
        colour = colour * alpha + (1.0 - alpha)
    if in_channels == 1 and channels == 3:
        colour = (colour @ WHITE_GREY)[:, :, None]
    pixels = np.rint(colour * 255.0).astype(np.uint8)
    return pixels if pixels.shape[2] == in_channels else np.repeat(pixels, in_channels, axis=2)


def means_the_same(value_range: Range | None) -> bool:
    """Whether an 8-bit image beside images that are scaled by this range means the same by its grey."""
    return value_range is None or value_range in FULL


def in_words(value_range: Range) -> str:
    """The range as people read it: 51,298 to 51,521."""
    return " to ".join(f"{value:,.0f}" if value.is_integer() else f"{value:,.6g}" for value in value_range)


def is_outside(spread: Spread, value_range: Range) -> bool:
    """Whether more of an image's values than its hot pixels lie outside the range."""
    return spread[1] < value_range[0] or spread[2] > value_range[1]


def outside_note(value_range: Range) -> str:
    """A line for an image that `is_outside`."""
    return f"some of its values lie outside {in_words(value_range)}, the training images' range, and are clipped"


def check_mixture(name: str, files: Sequence[str], spreads: Sequence[Spread | None], value_range: Range | None) -> None:
    """Raise a one-line `ValueError` where some images have 8 bits and others are scaled by a part of their range."""
    plain = [file for file, spread in zip(files, spreads, strict=True) if spread is None]
    if value_range is None or means_the_same(value_range) or not plain:
        return
    raise ValueError(
        f"{len(plain)} of {len(files)} images of {name} have 8 bits a value ({plain[0]} is the first) and mean "
        f"something else by it than those of more bits, of which {in_words(value_range)} count; "
        "give all of them with as many bits"
    )


def tell_range(name: str, spreads: Sequence[Spread], value_range: Range) -> None:
    """Say in a warning how the training images' values, of more than 8 bits, become 8-bit pixels."""
    low, high = value_range
    levels = [255.0 * (min(row[2], high) - max(row[1], low)) / (high - low) for row in spreads]
    outside = sum(is_outside(row, value_range) for row in spreads)
    few = sum(one < FEW_LEVELS for one in levels)
    notes = [f"an image spans {max(0.0, statistics.median(levels)):.0f} of them (median)"]
    notes += [f"{few} of {len(levels)} span fewer than {FEW_LEVELS}"] if few else []
    notes += [f"of {outside} of {len(levels)} some lie outside and are clipped"] if outside else []
    warnings.warn(
        f"the images of {name} have more than 8 bits a value: {in_words(value_range)}, by the training images, become "
        f"256 levels, {(high - low) / 255:,.3g} values each; {', '.join(notes)}",
        stacklevel=3,
    )
