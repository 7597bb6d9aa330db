"""Augmentation: what may be drawn for each image, and the changes that a whole batch takes at once."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from budgetnet.codec import ONLY_IF_SET
from budgetnet.data.draw import MASK, draw
from budgetnet.data.images import Preprocessing
from budgetnet.networks import check_integer, choose

Border = Literal["reflection", "border", "zeros"]
Kind = Literal["flip", "turn", "colour", "crop"]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""The kinds of change. Each may make another class of an image, so each is switched on or off as one."""
Drawn = dict[str, NDArray[np.float64]]

DRAWS = (
    "area",
    "ratio",
    "top",
    "left",
    "flip",
    "angle",
    "down",
    "right",
    "brightness",
    "contrast",
    "saturation",
    "hue",
    "erase",
    "erase_area",
    "erase_ratio",
    "erase_top",
    "erase_left",
    "mix_kind",
    "mix_top",
    "mix_left",
)
"""The uniform numbers that an image takes in an epoch: a fixed list, so that switching one on changes no other."""

LUMA = (0.299, 0.587, 0.114)
"""The weights of red, green and blue in grey are those of ITU-R 601, as Pillow and torchvision have them."""


@dataclass(frozen=True, slots=True)
class Augmentation:
    """What is drawn for each image in each epoch. The defaults change nothing.

    Attributes:
        crop_scale: The range of the share of the image's area that a random box keeps; None for no crops (Szegedy et
            al., arXiv:1409.4842, section 6).
        crop_ratio: The range of the box's width to height, relative to the box that evaluation sees.
        flip: The probability of left-right mirroring.
        rotate_degrees: The largest angle.
        translate: The largest shift, as a share of the side.
        border: What fills what comes into view.
        brightness: Factors lie within 1 - v to 1 + v.
        contrast: The same.
        saturation: The same.
        hue: Turns lie within -v to v of a whole turn, as a rotation in YIQ.
        erase: The probability of a rectangle of the mean colour (arXiv:1708.04896).
        randaugment: (operations, magnitude from 0 to 30), or None (arXiv:1909.13719).
        mixup_alpha: Beta(alpha, alpha); 0 is off (arXiv:1710.09412).
        cutmix_alpha: The same (arXiv:1905.04899); with both on, each image takes one of them, half and half.
        randaugment_leaves_out: Kinds of RandAugment's operations that are not drawn.

    Raises:
        ValueError: A value is out of bounds.
    """

    crop_scale: tuple[float, float] | None = None
    crop_ratio: tuple[float, float] = (3 / 4, 4 / 3)
    flip: float = 0.0
    rotate_degrees: float = 0.0
    translate: float = 0.0
    border: Border = "reflection"
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0
    erase: float = 0.0
    randaugment: tuple[int, float] | None = None
    mixup_alpha: float = 0.0
    cutmix_alpha: float = 0.0
    randaugment_leaves_out: tuple[Kind, ...] = field(default=(), metadata=ONLY_IF_SET)

    def __post_init__(self) -> None:
        for name in ("flip", "translate", "brightness", "contrast", "saturation", "erase"):
            _check(name, getattr(self, name), 1.0)
        _check("hue", self.hue, 0.5)
        _check("rotate_degrees", self.rotate_degrees, 180.0)
        _check("mixup_alpha", self.mixup_alpha, math.inf)
        _check("cutmix_alpha", self.cutmix_alpha, math.inf)
        choose("border", self.border, get_args(Border))
        if self.crop_scale is not None and not 0.0 < self.crop_scale[0] <= self.crop_scale[1] <= 1.0:
            raise ValueError(f"crop_scale is {self.crop_scale}; it must be (low, high) with 0 < low <= high <= 1")
        if not 0.0 < self.crop_ratio[0] <= self.crop_ratio[1]:
            raise ValueError(f"crop_ratio is {self.crop_ratio}; it must be (low, high) with 0 < low <= high")
        if self.randaugment is not None:
            check_integer("randaugment operations", self.randaugment[0])
            _check("randaugment magnitude", self.randaugment[1], 30.0)
        for kind in self.randaugment_leaves_out:
            choose("kind of RandAugment's operations", kind, OPERATION_KINDS)

    def eased(self, share: float) -> Augmentation:
        """The same kinds of change, weaker; mirroring, mixing and erasing stay as they are.

        Args:
            share: How strong they are, from 0 to 1.

        Returns:
            A new value.
        """
        _check("share", share, 1.0)
        amounts = ("rotate_degrees", "translate", "brightness", "contrast", "saturation", "hue")
        return dataclasses.replace(
            self,
            crop_scale=self.crop_scale
            and (1.0 - share * (1.0 - self.crop_scale[0]), 1.0 - share * (1.0 - self.crop_scale[1])),
            crop_ratio=(self.crop_ratio[0] ** share, self.crop_ratio[1] ** share),
            randaugment=self.randaugment and (self.randaugment[0], share * self.randaugment[1]),
            **{name: share * getattr(self, name) for name in amounts},
        )

    def draws(self, kind: Kind) -> bool:
        """Whether a change of this kind is drawn at all.

        Args:
            kind: "flip", "turn", "colour" or "crop".

        Returns:
            True where it is.
        """
        return self.without(kind) != self

    def without(self, *kinds: Kind) -> Augmentation:
        """The same without changes of these kinds; without all four kinds nothing at all is drawn.

        Args:
            *kinds: "flip", "turn", "colour" or "crop".

        Returns:
            A new value.
        """
        if set(kinds) >= set(KINDS):
            return Augmentation()
        usual = Augmentation()
        left = {name: getattr(usual, name) for kind in kinds for name in FIELDS[kind]}
        kept = dataclasses.replace(self, **left)
        if self.randaugment is None:
            return kept
        gone = {*self.randaugment_leaves_out, *kinds} & set(OPERATION_KINDS)
        if gone == set(OPERATION_KINDS):
            return dataclasses.replace(kept, randaugment=None, randaugment_leaves_out=())
        return dataclasses.replace(kept, randaugment_leaves_out=tuple(kind for kind in KINDS if kind in gone))

    def only(self, kind: Kind) -> Augmentation:
        """Changes of this kind alone, as strong as here; no erasing and no mixing.

        Args:
            kind: "flip", "turn", "colour" or "crop".

        Returns:
            A new value.
        """
        others: list[Kind] = [other for other in KINDS if other != kind]
        return dataclasses.replace(self, erase=0.0, mixup_alpha=0.0, cutmix_alpha=0.0).without(*others)

    @property
    def colours(self) -> bool:
        """Whether brightness, contrast, saturation or hue is drawn."""
        return max(self.brightness, self.contrast, self.saturation, self.hue) > 0.0

    @property
    def mixes(self) -> bool:
        """Whether images are mixed, so that targets are shares of classes and not one class."""
        return self.mixup_alpha > 0.0 or self.cutmix_alpha > 0.0


OPERATION_KINDS: tuple[Kind, ...] = ("turn", "colour", "crop")
"""The kinds of change that RandAugment's operations belong to."""
FIELDS: dict[Kind, tuple[str, ...]] = {
    "flip": ("flip",),
    "turn": ("rotate_degrees",),
    "colour": ("brightness", "contrast", "saturation", "hue"),
    "crop": ("crop_scale", "crop_ratio", "translate"),
}
"""The fields of an augmentation that belong to each kind; RandAugment's operations are beside them."""


def _check(name: str, value: float, most: float) -> None:
    if not 0.0 <= value <= most or math.isinf(value):
        raise ValueError(
            f"{name} is {value!r}; it must be " + (f"within 0 and {most:g}" if most < math.inf else "0 or more")
        )


def draws_of(seed: int, epoch: int | NDArray[np.int64], index: NDArray[np.int64]) -> Drawn:
    """The named uniform numbers of images, each an array (n,)."""
    return dict(zip(DRAWS, draw(seed, epoch, index, len(DRAWS)).T, strict=True))


def within(drawn: NDArray[np.float64], low: float, high: float) -> NDArray[np.float64]:
    """Uniform numbers moved from [0, 1) to [low, high)."""
    return low + (high - low) * drawn


def move(inputs: Tensor, augmentation: Augmentation, drawn: Drawn) -> Tensor:
    """Rotate and shift pixels (n, c, h, w), each image by its own angle and shift, bilinear."""
    if augmentation.rotate_degrees == 0.0 and augmentation.translate == 0.0:
        return inputs
    height, width = inputs.shape[2:]
    angle = np.deg2rad(within(drawn["angle"], -1.0, 1.0) * augmentation.rotate_degrees)
    shifts = [within(drawn[name], -2.0, 2.0) * augmentation.translate for name in ("right", "down")]
    # In coordinates of -1..1 a rotation of pixels needs the sides' ratio, else it shears.
    rows = [
        np.cos(angle),
        -np.sin(angle) * height / width,
        shifts[0],
        np.sin(angle) * width / height,
        np.cos(angle),
        shifts[1],
    ]
    matrices = _tensor(np.stack(rows, axis=1).reshape(-1, 2, 3), inputs)
    grid = functional.affine_grid(matrices, list(inputs.shape), align_corners=False)
    moved = functional.grid_sample(inputs, grid, mode="bilinear", padding_mode=augmentation.border, align_corners=False)
    return moved.contiguous(memory_format=torch.channels_last)


def colour_and_normalise(
    inputs: Tensor, preprocessing: Preprocessing, augmentation: Augmentation | None, drawn: Drawn
) -> Tensor:
    """Pixels 0..255 (n, c, h, w) to (x M + t - mean) / std, x = pixel / 255, clipped as pixels are.

    Brightness b, contrast k, saturation s and hue are one matrix and one shift an image:
    M = b * k * S * H and t = (1 - k) * b * mean grey, because saturation S and hue H leave grey
    alone. So all of colour costs one multiplication, and the result is clipped once, at the end.
    """
    mean, std = (torch.tensor(values, device=inputs.device) for values in (preprocessing.mean, preprocessing.std))
    flat = inputs.permute(0, 2, 3, 1).flatten(1, 2)
    if augmentation is None or not augmentation.colours:
        return _image(flat.mul(1 / 255).sub_(mean).div_(std), inputs)
    bright, contrast, saturation = (
        1.0 + within(drawn[name], -1.0, 1.0) * getattr(augmentation, name)
        for name in ("brightness", "contrast", "saturation")
    )
    gain = _tensor(bright * contrast / 255, inputs)[:, None, None] / std
    luma = torch.tensor(LUMA if inputs.shape[1] == 3 else (1.0,), device=inputs.device)
    grey = flat.mean(dim=1) @ luma / 255
    shift = ((grey * _tensor((1.0 - contrast) * bright, inputs))[:, None, None] - mean) / std
    if inputs.shape[1] == 3 and (augmentation.saturation or augmentation.hue):
        turns = within(drawn["hue"], -1.0, 1.0) * augmentation.hue
        coloured = torch.baddbmm(shift, flat, _tensor(_tint(saturation, turns), inputs) * gain)
    else:
        coloured = flat.mul(gain).add_(shift)
    return _image(torch.clamp_(coloured, min=-mean / std, max=(1.0 - mean) / std), inputs)


def _tensor(values: NDArray[np.floating], like: Tensor) -> Tensor:
    return torch.from_numpy(values.astype(np.float32)).to(like.device)


def _image(flat: Tensor, like: Tensor) -> Tensor:
    """(n, h * w, c) back to (n, c, h, w), which is channels_last without a copy."""
    count, channels, height, width = like.shape
    return flat.view(count, height, width, channels).permute(0, 3, 1, 2)


TO_YIQ = np.array([LUMA, (0.595716, -0.274453, -0.321263), (0.211456, -0.522591, 0.311135)]).T


def _tint(saturation: NDArray[np.float64], turns: NDArray[np.float64]) -> NDArray[np.float64]:
    """Matrices (n, 3, 3), rows in, columns out: keep luma, scale and turn the plane of I and Q."""
    cos, sin = np.cos(2 * np.pi * turns) * saturation, np.sin(2 * np.pi * turns) * saturation
    turn = np.zeros((len(turns), 3, 3))
    turn[:, 0, 0] = 1.0
    turn[:, 1, 1], turn[:, 1, 2], turn[:, 2, 1], turn[:, 2, 2] = cos, sin, -sin, cos
    return TO_YIQ @ turn @ np.linalg.inv(TO_YIQ)


def erase(inputs: Tensor, augmentation: Augmentation, drawn: Drawn) -> None:
    """Set a rectangle of 2 to 33 % of the area to 0, the mean colour, in the images that draw it; in place.

    Source: Zhong et al., Random Erasing, arXiv:1708.04896, section 3.2.
    """
    height, width = inputs.shape[2:]
    for index in np.flatnonzero(drawn["erase"] < augmentation.erase).tolist():
        area = within(drawn["erase_area"][index], 0.02, 0.33)
        stretch = math.exp(within(drawn["erase_ratio"][index], -1.0, 1.0) * math.log(3.3) / 2)
        high = min(height, max(1, round(height * math.sqrt(area) * stretch)))
        wide = min(width, max(1, round(width * math.sqrt(area) / stretch)))
        top = int(drawn["erase_top"][index] * (height - high + 1))
        left = int(drawn["erase_left"][index] * (width - wide + 1))
        inputs[index, :, top : top + high, left : left + wide] = 0.0


def mix(
    inputs: Tensor, targets: Tensor, augmentation: Augmentation, drawn: Drawn, shares: NDArray[np.float64]
) -> tuple[Tensor, Tensor]:
    """MixUp or CutMix of each image with the one before it in the batch; targets (n, classes) follow.

    `shares` (n,) says how much of itself an image keeps. MixUp: share * a + (1 - share) * b. CutMix:
    a rectangle of (1 - share) of the area comes from b, and the share is what its pixels leave.
    """
    cuts = _cuts(augmentation, drawn)
    kept = np.where(cuts, 1.0, shares)
    others = inputs.roll(1, dims=0)
    blend = _tensor(kept, inputs)
    mixed = inputs.clone() if cuts.all() else others.lerp(inputs, blend[:, None, None, None])
    height, width = inputs.shape[2:]
    for index in np.flatnonzero(cuts).tolist():
        side = math.sqrt(1.0 - shares[index])
        high, wide = round(height * side), round(width * side)
        top = int(drawn["mix_top"][index] * (height - high + 1))
        left = int(drawn["mix_left"][index] * (width - wide + 1))
        box = (index, slice(None), slice(top, top + high), slice(left, left + wide))
        mixed[box] = others[box]
        kept[index] = 1.0 - high * wide / (height * width)
    keep = _tensor(kept, inputs)[:, None]
    return mixed.contiguous(memory_format=torch.channels_last), keep * targets + (1.0 - keep) * targets.roll(1, dims=0)


def _cuts(augmentation: Augmentation, drawn: Drawn) -> NDArray[np.bool_]:
    """Which images take CutMix; the others take MixUp."""
    if augmentation.mixup_alpha > 0.0 and augmentation.cutmix_alpha > 0.0:
        return drawn["mix_kind"] < 0.5
    return np.full(len(drawn["mix_kind"]), augmentation.cutmix_alpha > 0.0)


def mix_shares(
    augmentation: Augmentation, seed: int, epoch: NDArray[np.int64], index: NDArray[np.int64], drawn: Drawn
) -> NDArray[np.float64]:
    """Beta(alpha, alpha) of each image, (n,), by a generator of its own."""
    alphas = np.where(_cuts(augmentation, drawn), augmentation.cutmix_alpha, augmentation.mixup_alpha)
    keys = zip(alphas.tolist(), epoch.tolist(), index.tolist(), strict=True)
    return np.array([np.random.default_rng([seed & MASK, age, at]).beta(alpha, alpha) for alpha, age, at in keys])
