"""The smallest values: sizes, activations, squeeze-and-excitation, norms, one convolution; their checks."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, cast, get_args

from budgetnet.arguments import choose, flag, integer, number, of_kind, plain_numbers, shown, wrong
from budgetnet.networks.bounds import MOST_BETA, MOST_CHANNELS, MOST_PX

Px = tuple[int, int]
"""The first is the height, the second the width, both in pixels."""

ActivationKind = Literal["relu", "relu6", "swish", "hard_swish", "gelu", "tanh", "sigmoid", "hard_sigmoid", "identity"]
Padding = Literal["symmetric", "same"]
DepthRounding = Literal["up", "nearest"]
Keeping = Literal["scaled", "kept", "grows"]

TOLERANCE = 1e-9
"""Numbers are rounded up by ceil(x - TOLERANCE): in floating point 2.2 * 25 is 55.00000000000001."""


def check_integer(what: str, value: object, least: int = 1, most: int | None = None) -> None:
    """Raise a one-line `ValueError` unless `value` is an integer of at least `least`, and at most `most`."""
    if type(value) is not int or value < least:
        integer(what, value, least)
        raise wrong(what, value, f"an integer of at least {least}, and no other kind of number")
    if most is not None and value > most:
        raise wrong(what, value, f"at most {most:,}")


def check_text(what: str, value: object, most: int) -> None:
    """Raise a one-line `ValueError` for a text that no line of a terminal or a page can hold as it is."""
    if not isinstance(value, str):
        raise ValueError(f"{what} is {shown(value)}; it must be a text")
    if not value.isprintable():
        raise ValueError(f"{what} is {shown(value)}, with characters that cannot be printed; leave them out")
    if len(value) > most:
        raise ValueError(f"{what} has {len(value):,} characters; it must have at most {most:,}")


def check_share(what: str, value: float) -> None:
    """Raise a one-line `ValueError` unless 0 <= value < 1."""
    number(what, value, least=0.0, below=1.0)


def square(resolution_px: int | Px) -> Px:
    """(height, width) of a resolution; an integer is a square.

    Raises `ValueError` for anything else, and for a side below 1 or above `MOST_PX` pixels.
    """
    given: object = resolution_px
    sides: tuple[object, ...] = (given, given)
    if isinstance(given, Iterable) and not isinstance(given, str | bytes | dict) and getattr(given, "ndim", 1):
        sides = tuple(cast("Iterable[object]", given))
    if len(sides) != 2:
        raise wrong("resolution_px", given, "an integer or (height, width)")
    height, width = (
        integer(what, side) for what, side in zip(("height in pixels", "width in pixels"), sides, strict=True)
    )
    check_integer("height in pixels", height, most=MOST_PX)
    check_integer("width in pixels", width, most=MOST_PX)
    return height, width


def ceil(value: float) -> int:
    """ceil(value - 1e-9), so that floating-point dust does not add a layer."""
    return math.ceil(value - TOLERANCE)


def round_channels(channels: float, multiple: int = 8, least: int | None = None, least_share: float = 0.9) -> int:
    """Channels to the nearest multiple (halves up), at least `least`, and never 10 % lower.

    `least_share` 0 leaves the last rule out. Source: make_divisible of MobileNet and round_filters of
    EfficientNet (tensorflow/tpu, efficientnet_model.py); EfficientNetV2's round_filters has no such rule.
    """
    nearest = math.floor(channels / multiple + 0.5 + TOLERANCE) * multiple
    rounded = max(least or multiple, nearest)
    return rounded + multiple if rounded < least_share * channels - TOLERANCE else rounded


@dataclass(frozen=True, slots=True)
class Activation:
    """A pointwise non-linearity.

    Swish is x * sigmoid(beta * x). Source: Ramachandran et al., Searching for Activation Functions, arXiv:1710.05941,
    section 4.

    Attributes:
        kind: "relu", "relu6", "swish", "hard_swish", "gelu", "tanh", "sigmoid", "hard_sigmoid" or "identity".
        beta: Swish's beta; 1 is SiLU. It belongs to "swish" alone.
        trainable: Whether each layer trains a beta of its own, from `beta` on. It belongs to "swish" alone.

    Raises:
        ValueError: The kind is unknown, beta is not a finite number, or one of the two is given to another kind.

    Example:
        >>> from budgetnet.networks import Activation
        >>> Activation("swish", beta=2.0, trainable=True).params
        1
    """

    kind: ActivationKind
    beta: float = 1.0
    trainable: bool = False

    def __post_init__(self) -> None:
        plain_numbers(self)
        choose("activation", self.kind, get_args(ActivationKind))
        number(
            "beta", self.beta, least=-MOST_BETA, most=MOST_BETA, wanted=f"a finite number of at most {MOST_BETA:,.0f}"
        )
        flag("trainable", self.trainable)
        if self.kind != "swish" and (self.beta != 1.0 or self.trainable):
            raise ValueError(f"beta belongs to swish, not to {self.kind}")

    @property
    def params(self) -> int:
        """Trainable scalars: one for a trainable beta."""
        return int(self.trainable)


RELU = Activation("relu")
RELU6 = Activation("relu6")
SWISH = Activation("swish")
HARD_SWISH = Activation("hard_swish")
SIGMOID = Activation("sigmoid")
HARD_SIGMOID = Activation("hard_sigmoid")
IDENTITY = Activation("identity")


@dataclass(frozen=True, slots=True)
class Squeeze:
    """Squeeze-and-excitation in a block. The squeezed channels are `ratio` times the channels of `source`.

    The form of Hu et al. (arXiv:1709.01507, section 3) has the source "expanded", ReLU inside, a sigmoid gate and a
    ratio of 1/4 or 1/16. EfficientNet squeezes from the block's input channels, with Swish inside. MobileNetV3
    (arXiv:1905.02244, section 5.1) has a hard sigmoid and multiples of 8.

    Attributes:
        ratio: Squeezed channels over those of `source`, above 0 and at most 1.
        source: "input", the block's input channels, or "expanded", its inner channels.
        inner: The non-linearity between the two layers.
        gate: The non-linearity that makes the factors.
        channel_multiple: Squeezed channels are multiples of this.

    Raises:
        ValueError: A value is out of bounds.
    """

    ratio: float
    source: Literal["input", "expanded"] = "input"
    inner: Activation = SWISH
    gate: Activation = SIGMOID
    channel_multiple: int = 1

    def __post_init__(self) -> None:
        plain_numbers(self)
        number("squeeze ratio", self.ratio, above=0.0, most=1.0)
        of_kind("inner activation", self.inner, Activation, "an Activation")
        of_kind("gate", self.gate, Activation, "an Activation")
        choose("squeeze source", self.source, ("input", "expanded"))
        check_integer("squeeze channel multiple", self.channel_multiple, most=MOST_CHANNELS)

    def channels(self, block_input: int, expanded: int) -> int:
        """Channels between the two layers of the excitation.

        Args:
            block_input: The block's input channels.
            expanded: Its inner channels.

        Returns:
            At least 1.
        """
        wanted = self.ratio * (block_input if self.source == "input" else expanded)
        if self.channel_multiple == 1:
            return max(1, int(wanted + TOLERANCE))
        return round_channels(wanted, self.channel_multiple)


@dataclass(frozen=True, slots=True)
class Norm:
    """BatchNorm's constants.

    Attributes:
        eps: What is added to the variance, above 0 and at most 1.
        momentum: The weight of the new batch in the running statistics, as in torch; above 0 and at most 1.

    Raises:
        ValueError: A value is out of bounds.
    """

    eps: float = 1e-5
    momentum: float = 0.1

    def __post_init__(self) -> None:
        plain_numbers(self)
        eps, momentum = number("BatchNorm eps", self.eps), number("BatchNorm momentum", self.momentum)
        if not (0.0 < eps <= 1.0 and 0.0 < momentum <= 1.0):
            raise ValueError(f"BatchNorm has eps {eps!r}, momentum {momentum!r}; both must be above 0 and at most 1")


@dataclass(frozen=True, slots=True)
class Conv:
    """One convolution with what follows it. A linear layer is a 1x1 convolution on one pixel.

    Attributes:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel: The side.
        stride: The stride.
        groups: Groups of channels; as many as input channels for a depthwise convolution.
        bias: Whether it has a bias.
        norm: Whether BatchNorm follows.
        activation: The non-linearity behind it.
        concatenates: Whether the map behind it has what it reads too, the channels of its own output after those.
    """

    in_channels: int
    out_channels: int
    kernel: int = 1
    stride: int = 1
    groups: int = 1
    bias: bool = False
    norm: bool = True
    activation: Activation = IDENTITY
    concatenates: bool = False

    @property
    def map_channels(self) -> int:
        """Channels of the map behind it: its own, and those of its input where it `concatenates`."""
        return self.out_channels + self.in_channels * self.concatenates

    def out_px(self, in_px: Px) -> Px:
        """Height and width of the output; with odd kernels the same for symmetric and for TensorFlow's SAME padding.

        Args:
            in_px: Height and width of the input.

        Returns:
            ceil(in / stride) of both.
        """
        return -(-in_px[0] // self.stride), -(-in_px[1] // self.stride)

    def pads_alike(self, in_px: Px) -> bool:
        """Whether symmetric padding, (kernel - 1) / 2 on each side, is TensorFlow's SAME padding at this size.

        SAME adds (out - 1) * stride + kernel - in to a side, the odd one behind: at stride 2 the two are equal for
        odd sizes alone.

        Args:
            in_px: Height and width of the input.

        Returns:
            Whether both sides are alike.
        """
        sides = zip(in_px, self.out_px(in_px), strict=True)
        return all(max((out - 1) * self.stride + self.kernel - side, 0) == self.kernel - 1 for side, out in sides)

    @property
    def weights(self) -> int:
        """Elements of the kernel: out * (in / groups) * kernel**2."""
        return self.out_channels * (self.in_channels // self.groups) * self.kernel**2

    @property
    def params(self) -> int:
        """Trainable elements: kernel, bias, BatchNorm's scale and shift, a trainable beta."""
        return self.weights + self.out_channels * (self.bias + 2 * self.norm) + self.activation.params

    def macs(self, in_px: Px) -> int:
        """Multiply-adds for one image: height_out * width_out * weights.

        Args:
            in_px: Height and width of the input.

        Returns:
            The count.
        """
        height, width = self.out_px(in_px)
        return height * width * self.weights
