"""Decoded images fitted to a network's size, still as plain pixels: no torch, for exported files are given these."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from budgetnet.data.images import Preprocessing
from budgetnet.networks import Px, square

Box = tuple[float, float, float, float]
"""Left, top, right, bottom in pixels of the source, as Pillow has them; fractions are kept."""

FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


def network_pixels(
    arrays: Sequence[NDArray[np.uint8]], resolution_px: int | Px, preprocessing: Preprocessing
) -> NDArray[np.uint8]:
    """Decoded images (h, w, c) at the network's size, before they are normalised: (n, height, width, c)."""
    size_px = square(resolution_px)
    boxes = [centre_box(array.shape[:2], size_px, preprocessing) for array in arrays]
    return fitted(arrays, boxes, size_px, preprocessing)


def shrunk(arrays: Sequence[NDArray[np.uint8]], size_px: Px) -> NDArray[np.uint8]:
    """Whole images stretched to one size, (n, height, width, c)."""
    channels = arrays[0].shape[2]
    stretched = Preprocessing(mean=(0.0,) * channels, std=(1.0,) * channels)
    return fitted(arrays, [centre_box(array.shape[:2], size_px, stretched) for array in arrays], size_px, stretched)


def centre_box(from_px: tuple[int, ...], to_px: Px, preprocessing: Preprocessing) -> Box:
    """The box that evaluation sees: all of the image, or its largest centred box of the target's shape."""
    height, width = from_px
    if preprocessing.fit == "stretch":
        return 0.0, 0.0, float(width), float(height)
    scale = min(height / to_px[0], width / to_px[1]) * preprocessing.crop_share
    high, wide = to_px[0] * scale, to_px[1] * scale
    left, top = (width - wide) / 2, (height - high) / 2
    return max(0.0, left), max(0.0, top), min(float(width), left + wide), min(float(height), top + high)


def fitted(
    arrays: Sequence[NDArray[np.uint8]],
    boxes: Sequence[Box],
    to_px: Px,
    preprocessing: Preprocessing,
    flips: NDArray[np.bool_] | None = None,
    changed: Callable[[int, Image.Image], Image.Image] | None = None,
) -> NDArray[np.uint8]:
    """Boxes of images, resized with antialiasing to (n, height, width, c), changed (by their place), flipped."""
    height, width = to_px
    channels = len(preprocessing.mean)
    gathered = np.empty((len(arrays), height, width, channels), np.uint8)
    for index, (array, box) in enumerate(zip(arrays, boxes, strict=True)):
        if array.shape[2] != channels:
            raise ValueError(f"the images have {array.shape[2]} channels, but the preprocessing's mean has {channels}")
        if changed is None and array.shape[:2] == to_px and box == (0.0, 0.0, width, height):
            one = array
        else:
            image = Image.fromarray(array[..., 0] if channels == 1 else array)
            image = image.resize((width, height), FILTERS[preprocessing.interpolation], box)
            one = np.asarray(image if changed is None else changed(index, image)).reshape(height, width, channels)
        gathered[index] = one[:, ::-1] if flips is not None and flips[index] else one
    return gathered
