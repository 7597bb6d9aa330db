"""Where a network's maps lie in the image that it was given: back through the resize and the crop."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from budgetnet.data import Box, centre_box, scaled_px
from budgetnet.networks import Px
from budgetnet.runs.run import Loaded


@dataclass(frozen=True, slots=True, eq=False)
class Patch:
    """Values (rows, columns) for the pixels of an image from (`top`, `left`) on."""

    top: int
    left: int
    values: NDArray[np.float32]

    @property
    def pixels(self) -> tuple[slice, slice]:
        """The rows and the columns of the image that the values are for."""
        rows, columns = self.values.shape
        return slice(self.top, self.top + rows), slice(self.left, self.left + columns)


def seen_box(size_px: Px, loaded: Loaded) -> Box:
    """The part of an image (height, width) that a network sees: left, top, right, bottom, in the image's pixels.

    The image is scaled down as `decode` does, and the box that evaluation takes from it scaled up again.
    """
    decoded_px = scaled_px(size_px, loaded.side_px)
    down, across = size_px[0] / decoded_px[0], size_px[1] / decoded_px[1]
    left, top, right, bottom = centre_box(decoded_px, loaded.network.resolution_px, loaded.preprocessing)
    return left * across, top * down, right * across, bottom * down


def scaled_box(box: Box, from_px: Px, to_px: Px) -> Box:
    """The box of an image of one size in the same image at another."""
    down, across = to_px[0] / from_px[0], to_px[1] / from_px[1]
    left, top, right, bottom = box
    return left * across, top * down, right * across, bottom * down


def spread_cells(cells: NDArray[np.floating], box: Box) -> Patch:
    """A map's cells (rows, columns) over the box that they were computed from, a value a pixel.

    A cell (i, j) of (m, n) stands for its m-th and n-th part of the box; its value is at that part's
    centre, and between centres it is linear, as `interpolate(mode="bilinear", align_corners=False)` is on
    whole pixels. A pixel belongs to the box if its centre does; a box thinner than a pixel has the nearest.
    """
    left, top, right, bottom = box
    first_row, down = _weights(top, bottom, cells.shape[0])
    first_column, across = _weights(left, right, cells.shape[1])
    return Patch(first_row, first_column, (down @ cells).astype(np.float32) @ across.T)


def _weights(low: float, high: float, cells: int) -> tuple[int, NDArray[np.float32]]:
    """The first pixel between `low` and `high`, and how much of each cell every pixel has: (pixels, cells)."""
    first = math.ceil(low - 0.5)
    last = max(math.ceil(high - 0.5), first + 1)
    centres = np.arange(first, last) + 0.5
    at = np.clip((centres - low) / (high - low) * cells - 0.5, 0.0, cells - 1.0)
    return first, np.maximum(0.0, 1.0 - np.abs(at[:, None] - np.arange(cells))).astype(np.float32)
