"""Small pictures of images as data: addresses that need no network and no second file."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from budgetnet.data import decode
from budgetnet.data.deep import Range

SIDE_PX = 176
"""The short side of a thumbnail is at most this long, which is sharp at the page's 120 px or so, also on fine
screens."""
SMALL_PX = 64
"""Up to this side an image is kept exactly, and its pixels are shown as squares."""


def thumbnail(path: Path, in_channels: int, value_range: Range | None = None) -> tuple[str, int] | None:
    """The image file as a data: address and its short side in pixels; None where it cannot be read any more."""
    try:
        return encoded(decode(path, in_channels, SIDE_PX, value_range))
    except ValueError:
        return None


def digit(file: str) -> tuple[str, int] | None:
    """The embedded digit of that name, as `thumbnail`."""
    from budgetnet.data import digits

    files = digits.image_set().files
    return encoded(digits.pixels()[files.index(file)]) if file in files else None


def encoded(pixels: NDArray[np.uint8]) -> tuple[str, int]:
    """Pixels (height, width, channels) as PNG where small, else JPEG, in a data: address; and their short side."""
    from PIL import Image

    image = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
    kind = "png" if max(image.size) <= SMALL_PX else "jpeg"
    data = io.BytesIO()
    image.save(data, kind, **({"optimize": True} if kind == "png" else {"quality": 82}))
    return f"data:image/{kind};base64,{base64.b64encode(data.getvalue()).decode()}", min(image.size)
