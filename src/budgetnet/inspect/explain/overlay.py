"""A class's map over its image: the image in grey, the map in colours, a line round its half, the crop's frame."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from budgetnet.data import Box
from budgetnet.inspect.explain.place import spread_cells

COLOURS = "inferno"
"""The colours go from dark violet to light yellow, evenly in lightness, also for the colour-blind and in grey."""
FIRST_COLOUR = 0.25
"""Where the colours begin: the darkest end would look like shadow."""
STRONGEST = 0.75
"""The opacity of the largest value: the image stays visible below it."""
GREY = (0.65, 36.0)
"""The contrast and brightness of the grey image, on which colours must stand out."""
FRAME_SHARE = 1 / 160
CONTOUR, CONTOUR_SHARE = 0.5, 1 / 180
"""The share of the largest value that the line goes round, and its width as a share of the image's longer side."""
LEAST_CONTOUR_PX = 64
"""The least side with a contour: on smaller images the line would cover what it shows."""
SHOWN_PX = 480
"""The long side of an image in the page and in the sheet is this long."""


def painted(pixels: NDArray[np.uint8], cells: NDArray[np.floating], box: Box) -> NDArray[np.uint8]:
    """The image (h, w, 1 or 3) in grey with a map's cells over `box`, as (h, w, 3) of the same size.

    The largest cell has the lightest colour; cells of 0, and all outside the box, leave the grey image as it is.
    A white line with a dark inner side goes round all above half of the largest: it tells the colours in grey. A frame
    on the inner side of the box shows where it ends, unless it is the whole image.
    """
    image = np.repeat(grey(pixels)[..., None], 3, axis=2)
    largest = float(cells.max())
    patch = spread_cells(cells / largest if largest > 0 else cells, box)
    shades = np.rint(patch.values.clip(0, 1) * 255).astype(np.uint8)
    colours, opacities = _colours()
    inside = image[patch.pixels]
    opacity = opacities[shades]
    for channel in range(3):
        under = inside[..., channel]
        inside[..., channel] = np.rint(under + opacity * (colours[shades, channel] - under))
    if largest > 0 and min(inside.shape[:2]) >= LEAST_CONTOUR_PX:
        _contour(inside, patch.values >= CONTOUR, max(1, round(max(image.shape) * CONTOUR_SHARE)))
    if inside.shape != image.shape:
        _frame(inside)
    return image


def grey(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The image's lightness, flattened a little: what is under a map."""
    image = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).convert("L")
    contrast, brightness = GREY
    return np.asarray(image.point([round(contrast * value + brightness) for value in range(256)]))


@cache
def _colours() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """For each of 256 shades its colour and its opacity."""
    from matplotlib import colormaps

    shares = np.linspace(0, 1, 256)
    colours = 255 * colormaps[COLOURS](FIRST_COLOUR + (1 - FIRST_COLOUR) * shares)[:, :3]
    return colours.astype(np.float32), (STRONGEST * shares**0.8).astype(np.float32)


def _contour(inside: NDArray[np.uint8], strong: NDArray[np.bool_], width: int) -> None:
    """Draw a white line around what is strong, with a dark one within it, in place."""
    inside[~_shrunk(~strong, width) & ~strong] = 255
    inside[strong & ~_shrunk(strong, width)] = 24


def _shrunk(mask: NDArray[np.bool_], by: int) -> NDArray[np.bool_]:
    """The mask without the pixels that are at most `by` away from its border; the image's edge is none."""
    for _ in range(by):
        wider = np.pad(mask, 1, mode="edge")
        mask = mask & wider[:-2, 1:-1] & wider[2:, 1:-1] & wider[1:-1, :-2] & wider[1:-1, 2:]
    return mask


def ramp(wide: int, high: int) -> NDArray[np.uint8]:
    """The colours from 0 to the largest value over middle grey, as (high, wide, 3), with the line at half of it."""
    under = np.full((high, wide, 1), round(GREY[0] * 128 + GREY[1]), np.uint8)
    values = np.repeat(np.linspace(0, 1, wide, dtype=np.float32)[None], high, axis=0)
    image, (colours, opacities) = np.repeat(under, 3, axis=2), _colours()
    shades = np.rint(values * 255).astype(np.uint8)
    opacity = opacities[shades][..., None]
    image = np.rint(image + opacity * (colours[shades] - image)).astype(np.uint8)
    middle = round(CONTOUR * (wide - 1))
    image[:, middle - 2 : middle], image[:, middle : middle + 2] = 255, 24
    return image


def _frame(inside: NDArray[np.uint8]) -> None:
    """Draw a white line with a dark one within it around the box, in place."""
    width = max(1, round(min(inside.shape[:2]) * FRAME_SHARE))
    for colour, first, last in ((24, width, 2 * width), (255, 0, width)):
        rows, columns = (np.minimum(np.arange(side), np.arange(side)[::-1]) for side in inside.shape[:2])
        depth = np.minimum(rows[:, None], columns)  # of each pixel below the box's edge
        inside[(depth >= first) & (depth < last)] = colour


def displayed(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The image at the size of a page: large ones scaled down, small ones with their pixels as squares."""
    longest = max(pixels.shape[:2])
    if 2 * longest <= SHOWN_PX:
        times = SHOWN_PX // longest
        return pixels.repeat(times, axis=0).repeat(times, axis=1)
    image = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
    image.thumbnail((SHOWN_PX, SHOWN_PX), Image.Resampling.LANCZOS)
    return np.asarray(image).reshape(image.height, image.width, pixels.shape[-1])
