"""One image file to uint8 pixels: any Pillow mode, EXIF rotation, 16 bit, alpha, animation, CMYK."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import struct
import warnings
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from budgetnet.data.deep import (
    UNKNOWN_RANGE,
    Range,
    Spread,
    check_finite,
    deep_values,
    eight_bits,
    in_words,
    is_deep,
    is_deep_grey,
    is_outside,
    means_the_same,
    outside_note,
    spread_of,
)
from budgetnet.data.files import FORMATS, MOST_PIXELS, ImageSource, open_image
from budgetnet.networks import Px, choose

BROKEN = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    ArithmeticError,
    LookupError,
    TypeError,
    AttributeError,
    RuntimeError,
    AssertionError,
    MemoryError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)
"""What Pillow's readers raise for files that are damaged, each in its own way."""

STRIP_PIXELS = 2**22
LONGEST = 4
"""The long side of a scaled image is at most this many times `side_px`, so that a panorama does not take a gigabyte."""

ORIENTATION_TAG = 0x0112
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
GREY_MODES = ("1", "L")


@dataclass(frozen=True, slots=True)
class Seen:
    """What one look at a file gives: digest of its content, size after rotation, whether it is grey.

    `spread` is what its values span where they have more than 8 bits, else None.
    """

    digest: str
    size_px: Px
    grey: bool
    spread: Spread | None = None


def scaled_px(size_px: Px, side_px: int | None) -> Px:
    """Size with the short side at most `side_px`, the long one at most 4 times that, aspect kept, never larger."""
    if side_px is None:
        return size_px
    scale = min(1.0, side_px / min(size_px), LONGEST * side_px / max(size_px))
    return max(1, round(size_px[0] * scale)), max(1, round(size_px[1] * scale))


def decode(
    path: str | os.PathLike[str], in_channels: int, side_px: int | None = None, value_range: Range | None = None
) -> NDArray[np.uint8]:
    """Pixels (height, width, in_channels) of a file, its short side scaled down to `side_px` where given.

    EXIF rotation is applied; alpha lies on white; of an animation the first frame is taken; values of
    more than 8 bits are scaled by `value_range` and clipped to it, without one 16-bit values are divided
    by 257 (colour by 256), float values by their own range; CMYK, LAB and palettes become
    RGB; colour becomes grey by ITU-R 601 where `in_channels` is 1. Embedded colour profiles are not
    applied. Colour of more than 8 bits in JPEG 2000, AVIF and PPM is read with 8. Raises a one-line
    `ValueError` for what cannot be read in full, for pixels that are not numbers, and for an 8-bit file where the range
    is a part of 16 bits.
    """
    return decode_noted(path, in_channels, side_px, value_range)[0]


def decode_noted(
    path: ImageSource,
    in_channels: int,
    side_px: int | None = None,
    value_range: Range | None = None,
    most_pixels: int = MOST_PIXELS,
) -> tuple[NDArray[np.uint8], str | None]:
    """As `decode`, and a line where the file's values are other than those that the range was made from.

    The bytes of a file are decoded as the file is. An image of more than `most_pixels` is refused.
    """
    choose("input channels", in_channels, (1, 3))
    try:
        with open_image(path, side_px, most_pixels=most_pixels) as (_, image):
            values = deep_values(image, lambda: _opened_again(path)) if value_range else None
            if values is not None and value_range is not None:
                pixels = eight_bits(values, value_range, in_channels)
                flat = Image.fromarray(pixels if in_channels == 3 else pixels[..., 0])
                turned = _turned(flat, orientation(image), scaled_px(pixels.shape[:2], side_px), in_channels)
                return turned, outside_note(value_range) if is_outside(spread_of(values), value_range) else None
            if value_range is not None and not means_the_same(value_range):
                what = f"it has 8 bits a value, but the training images had more, within {in_words(value_range)}"
                raise ValueError(f"{what}; give it with as many bits as those")
            note = UNKNOWN_RANGE if value_range is None and is_deep(image) else None
            return _pixels(image, in_channels, side_px), note
    except BROKEN as error:
        name = "the image" if isinstance(path, bytes) else os.fspath(path)
        raise ValueError(f"{name}: {reason(error)}") from error


def _opened_again(path: ImageSource) -> Image.Image:
    return Image.open(io.BytesIO(path) if isinstance(path, bytes) else path, formats=FORMATS)


def _pixels(image: Image.Image, in_channels: int, side_px: int | None) -> NDArray[np.uint8]:
    width, height = image.size
    turned_height, turned_width = scaled_px((height, width), side_px)
    if (turned_height, turned_width) != (height, width):
        image.draft("L" if in_channels == 1 else "RGB", (turned_width, turned_height))
    image.load()
    flat = flatten(image, in_channels)
    return _turned(flat, orientation(image), (turned_height, turned_width), in_channels)


def _turned(flat: Image.Image, orientation: int, size_px: tuple[int, ...], in_channels: int) -> NDArray[np.uint8]:
    """An 8-bit image, resized to (height, width) before it is turned upright."""
    height, width = size_px
    if flat.size != (width, height):
        flat = flat.resize((width, height), Image.Resampling.BICUBIC)
    turn = TURNS.get(orientation)
    flat = flat.transpose(turn) if turn is not None else flat
    return np.array(flat).reshape(flat.height, flat.width, in_channels)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without Pillow's remarks on odd metadata: they name no file, and the pixels are good."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        yield


def look(path: str | os.PathLike[str]) -> Seen:
    """Digest, size and greyness of a file that can be decoded in full.

    A JPEG is decoded at an eighth of its size: all of its data is read, so a truncated one is found.
    Raises a one-line `ValueError` (without the path) for what cannot be read.
    """
    try:
        with open_image(path, 1) as (file, image):
            width, height = image.size
            grey = image.mode in GREY_MODES or is_deep_grey(image)
            image.draft("L", (1, 1))
            values = deep_values(image, lambda: _opened_again(path))
            spread = None if values is None else spread_of(values)
            image.load()
            if image.mode not in ("L", "RGB"):
                flatten(image.crop((0, 0, 1, 1)), 3)  # whether it can be; of a large image all of it costs gigabytes
            turned = orientation(image) >= 5
            file.seek(0)
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except BROKEN as error:
        raise ValueError(reason(error)) from error
    return Seen(digest, (width, height) if turned else (height, width), grey, spread)


def reason(error: BaseException) -> str:
    """One line on why a file cannot be read."""
    if isinstance(error, UnidentifiedImageError):
        return "not an image of a known format"
    if isinstance(error, Image.DecompressionBombError):
        return f"more pixels than the limit of {MOST_PIXELS:,}; make it smaller"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split()) or type(error).__name__


def orientation(image: Image.Image) -> int:
    """EXIF orientation, 1 to 8; 1 where there is none or it is damaged, for the pixels are still good."""
    try:
        value = image.getexif().get(ORIENTATION_TAG, 1)
    except BROKEN:
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def flatten(image: Image.Image, in_channels: int, strip_pixels: int = STRIP_PIXELS) -> Image.Image:
    """An image of any mode as "RGB" or "L", alpha on white, which is done in strips of `strip_pixels`."""
    mode = "L" if in_channels == 1 else "RGB"
    if image.mode == mode and not image.has_transparency_data:
        return image
    if is_deep_grey(image):
        return Image.fromarray(_eight_bits(image)).convert(mode)
    if image.mode == "LAB":
        from PIL import ImageCms

        to_srgb = (ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"))
        image = ImageCms.profileToProfile(image, *to_srgb, outputMode="RGB") or image
    if image.has_transparency_data:
        white = _on_white(image, strip_pixels)
        return white if mode == "RGB" else white.convert(mode)
    return image.convert(mode) if image.mode in ("1", "L", "RGB") else image.convert("RGB").convert(mode)


def _on_white(image: Image.Image, strip_pixels: int) -> Image.Image:
    """An image with alpha as "RGB" on white, strip by strip: whole, a large one takes four times its memory."""
    flat = Image.new("RGB", image.size)
    high = max(1, strip_pixels // max(1, image.width))
    for top in range(0, image.height, high):
        box = (0, top, image.width, min(top + high, image.height))
        part = image.crop(box).convert("RGBA")
        white = Image.new("RGBA", part.size, "white")
        white.alpha_composite(part)
        flat.paste(white.convert("RGB"), box)
    return flat


def _eight_bits(image: Image.Image) -> NDArray[np.uint8]:
    """Deep greyscale to uint8: 16 bit divided by 257, 0..1 times 255, 0..255 as it is, else its own range."""
    values = np.asarray(image).astype(np.float64)
    check_finite(values)
    low, high = float(values.min()), float(values.max())
    if image.mode.startswith("I;16") or (image.mode == "I" and low >= 0.0 and 255.0 < high <= 65535.0):
        scaled = values / 257.0
    elif low >= 0.0 and high <= 1.0 and image.mode == "F":
        scaled = values * 255.0
    elif low >= 0.0 and high <= 255.0:
        scaled = values
    else:
        scaled = (values - low) * (255.0 / (high - low)) if high > low else np.zeros_like(values)
    return np.rint(scaled).astype(np.uint8)
