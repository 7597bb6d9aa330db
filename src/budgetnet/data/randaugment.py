"""RandAugment on one Pillow image, from uniform numbers that the caller drew.

torchvision's own draws from torch's global generator, which would tie an image to its batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PIL import Image, ImageEnhance, ImageOps

from budgetnet.data.augment import Kind

FILL = 128
"""The grey that comes into view when an image is moved, as in EfficientNet's own code."""

Operation = Callable[[Image.Image, float], Image.Image]


def randaugment(
    image: Image.Image,
    count: int,
    magnitude: float,
    drawn: Sequence[float],
    operations: Sequence[Operation] | None = None,
) -> Image.Image:
    """`count` operations, one after another, at `magnitude` of 30; `drawn` holds 2 numbers for each.

    Each is one of the 14, or of the `operations` given.

    Strengths as torchvision.transforms.v2.RandAugment has them with its 31 bins, sign by chance.
    Source: Cubuk et al., RandAugment, arXiv:1909.13719, section 3.
    """
    chosen = operations or OPERATIONS
    for step in range(count):
        choice, sign = drawn[2 * step], drawn[2 * step + 1]
        strength = magnitude / 30.0
        image = chosen[int(choice * len(chosen))](image, strength if sign < 0.5 else -strength)
    return image


def _affine(image: Image.Image, matrix: tuple[float, ...]) -> Image.Image:
    fill = FILL if image.mode == "L" else (FILL,) * 3
    return image.transform(image.size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR, fillcolor=fill)


def _shear_x(image: Image.Image, strength: float) -> Image.Image:
    slope = 0.3 * strength
    return _affine(image, (1.0, slope, -slope * image.height / 2, 0.0, 1.0, 0.0))


def _shear_y(image: Image.Image, strength: float) -> Image.Image:
    slope = 0.3 * strength
    return _affine(image, (1.0, 0.0, 0.0, slope, 1.0, -slope * image.width / 2))


def _translate_x(image: Image.Image, strength: float) -> Image.Image:
    return _affine(image, (1.0, 0.0, round(strength * image.width * 150 / 331), 0.0, 1.0, 0.0))


def _translate_y(image: Image.Image, strength: float) -> Image.Image:
    return _affine(image, (1.0, 0.0, 0.0, 0.0, 1.0, round(strength * image.height * 150 / 331)))


def _rotate(image: Image.Image, strength: float) -> Image.Image:
    fill = FILL if image.mode == "L" else (FILL,) * 3
    return image.rotate(30.0 * strength, Image.Resampling.BILINEAR, fillcolor=fill)


def _brightness(image: Image.Image, strength: float) -> Image.Image:
    return ImageEnhance.Brightness(image).enhance(1.0 + 0.9 * strength)


def _colour(image: Image.Image, strength: float) -> Image.Image:
    return ImageEnhance.Color(image).enhance(1.0 + 0.9 * strength)


def _contrast(image: Image.Image, strength: float) -> Image.Image:
    return ImageEnhance.Contrast(image).enhance(1.0 + 0.9 * strength)


def _sharpness(image: Image.Image, strength: float) -> Image.Image:
    return ImageEnhance.Sharpness(image).enhance(1.0 + 0.9 * strength)


def _posterize(image: Image.Image, strength: float) -> Image.Image:
    return ImageOps.posterize(image, 8 - round(4 * abs(strength)))


def _solarize(image: Image.Image, strength: float) -> Image.Image:
    return ImageOps.solarize(image, round(255 * (1.0 - abs(strength))))


def _autocontrast(image: Image.Image, strength: float) -> Image.Image:
    return ImageOps.autocontrast(image)


def _equalize(image: Image.Image, strength: float) -> Image.Image:
    return ImageOps.equalize(image)


def _identity(image: Image.Image, strength: float) -> Image.Image:
    return image


OPERATIONS: tuple[Operation, ...] = (
    _identity,
    _shear_x,
    _shear_y,
    _translate_x,
    _translate_y,
    _rotate,
    _brightness,
    _colour,
    _contrast,
    _sharpness,
    _posterize,
    _solarize,
    _autocontrast,
    _equalize,
)
_TURNS = (_shear_x, _shear_y, _rotate)
_CROPS = (_translate_x, _translate_y)


def operations_without(kinds: Sequence[Kind]) -> tuple[Operation, ...]:
    """The operations that are of none of these kinds of change, in their order."""
    return tuple(operation for operation in OPERATIONS if _kind_of(operation) not in kinds)


def _kind_of(operation: Operation) -> Kind | None:
    if operation is _identity:
        return None
    return "turn" if operation in _TURNS else "crop" if operation in _CROPS else "colour"
