"""Frozen values that describe a network: no weights, no torch, no behaviour beyond derived numbers.

A `Network` is a stem, a row for every stage, and a head. `Network.blocks` places the rows: each
`Block` knows its channels and derives its convolutions (`Conv`). `model.build` makes layers from
those same rows and `cost.lower` prices them, so a derived number cannot differ between the two.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

Px = tuple[int, int]
"""Height and width in pixels."""

ActivationKind = Literal["relu", "relu6", "swish", "hard_swish", "gelu", "tanh", "sigmoid", "hard_sigmoid", "identity"]
BlockKind = Literal["mbconv", "separable"]
Padding = Literal["symmetric", "same"]
DepthRounding = Literal["up", "nearest"]
Keeping = Literal["scaled", "kept", "grows"]

FORMAT = "budgetnet.network.v1"
TOLERANCE = 1e-9
"""Ceil is ceil(x - TOLERANCE): in floating point 2.2 * 25 is 55.00000000000001."""


def choose(what: str, value: object, choices: tuple[object, ...]) -> None:
    """Raise the one-line `ValueError` that names the valid choices."""
    if value not in choices:
        raise ValueError(f"{what} is {value!r}; choose one of {', '.join(map(str, choices))}")


def check_integer(what: str, value: object, least: int = 1) -> None:
    """Raise a one-line `ValueError` unless `value` is an integer of at least `least`."""
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ValueError(f"{what} is {value!r}; it must be an integer of at least {least}")


def check_share(what: str, value: float) -> None:
    """Raise a one-line `ValueError` unless 0 <= value < 1."""
    if not 0.0 <= value < 1.0:
        raise ValueError(f"{what} is {value!r}; it must be at least 0 and below 1")


def square(resolution_px: int | Px) -> Px:
    """(height, width) of a resolution; an integer is a square. Raises `ValueError` for anything else or below 1 px."""
    sides: tuple[object, ...] = (resolution_px, resolution_px)
    if isinstance(resolution_px, Sequence) and not isinstance(resolution_px, str):
        sides = tuple(resolution_px)
    if len(sides) != 2:
        raise ValueError(f"resolution_px is {resolution_px!r}; it must be an integer or (height, width)")
    height, width = sides
    check_integer("height in pixels", height)
    check_integer("width in pixels", width)
    assert isinstance(height, int) and isinstance(width, int)
    return height, width


def ceil(value: float) -> int:
    """ceil(value - 1e-9), so that floating-point dust does not add a layer."""
    return math.ceil(value - TOLERANCE)


def round_channels(channels: float, multiple: int = 8, least: int | None = None) -> int:
    """Channels to the nearest multiple (halves up), at least `least`, and never 10 % lower.

    Source: make_divisible of MobileNet and round_filters of EfficientNet (tensorflow/tpu,
    efficientnet_model.py).
    """
    nearest = math.floor(channels / multiple + 0.5 + TOLERANCE) * multiple
    rounded = max(least or multiple, nearest)
    return rounded + multiple if rounded < 0.9 * channels - TOLERANCE else rounded


@dataclass(frozen=True, slots=True)
class Activation:
    """A pointwise non-linearity. `beta` and `trainable` are Swish's: x * sigmoid(beta * x).

    Source: Ramachandran et al., Searching for Activation Functions, arXiv:1710.05941, section 4.
    """

    kind: ActivationKind
    beta: float = 1.0
    trainable: bool = False

    def __post_init__(self) -> None:
        choose("activation", self.kind, get_args(ActivationKind))
        if not math.isfinite(self.beta):
            raise ValueError(f"beta is {self.beta!r}; it must be a finite number")
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
    """Squeeze-and-excitation in a block: squeezed = ratio * channels of `source`.

    The form of Hu et al. (arXiv:1709.01507, section 3) is source="expanded", inner=RELU, gate=SIGMOID
    with ratio 1/4 or 1/16; EfficientNet squeezes from the block's input channels with Swish
    inside; MobileNetV3 (arXiv:1905.02244, section 5.1) has a hard sigmoid and multiples of 8.
    """

    ratio: float
    source: Literal["input", "expanded"] = "input"
    inner: Activation = SWISH
    gate: Activation = SIGMOID
    channel_multiple: int = 1

    def __post_init__(self) -> None:
        if not 0.0 < self.ratio <= 1.0:
            raise ValueError(f"squeeze ratio is {self.ratio!r}; it must be above 0 and at most 1")
        choose("squeeze source", self.source, ("input", "expanded"))
        check_integer("squeeze channel multiple", self.channel_multiple)

    def channels(self, block_input: int, expanded: int) -> int:
        """Channels between the two layers of the excitation."""
        wanted = self.ratio * (block_input if self.source == "input" else expanded)
        if self.channel_multiple == 1:
            return max(1, int(wanted + TOLERANCE))
        return round_channels(wanted, self.channel_multiple)


@dataclass(frozen=True, slots=True)
class Norm:
    """BatchNorm: eps and the momentum of the running statistics, in torch's sense (weight of the new batch)."""

    eps: float = 1e-5
    momentum: float = 0.1

    def __post_init__(self) -> None:
        if not (self.eps > 0.0 and 0.0 < self.momentum <= 1.0):
            raise ValueError(
                f"BatchNorm eps {self.eps!r} must be positive and momentum {self.momentum!r} within (0, 1]"
            )


@dataclass(frozen=True, slots=True)
class Conv:
    """One convolution, with what follows it: BatchNorm (`norm`) and a non-linearity.

    A linear layer is a 1x1 convolution on one pixel.
    """

    in_channels: int
    out_channels: int
    kernel: int = 1
    stride: int = 1
    groups: int = 1
    bias: bool = False
    norm: bool = True
    activation: Activation = IDENTITY

    def out_px(self, in_px: Px) -> Px:
        """ceil(in / stride): with odd kernels the same for symmetric and for TensorFlow's SAME padding."""
        return -(-in_px[0] // self.stride), -(-in_px[1] // self.stride)

    @property
    def weights(self) -> int:
        """Elements of the kernel: out * (in / groups) * kernel**2."""
        return self.out_channels * (self.in_channels // self.groups) * self.kernel**2

    @property
    def params(self) -> int:
        """Trainable elements: kernel, bias, BatchNorm's scale and shift, a trainable beta."""
        return self.weights + self.out_channels * (self.bias + 2 * self.norm) + self.activation.params

    def macs(self, in_px: Px) -> int:
        """Multiply-adds for one image: height_out * width_out * weights."""
        height, width = self.out_px(in_px)
        return height * width * self.weights


@dataclass(frozen=True, slots=True)
class Block:
    """One block in its place. kind "mbconv": expand 1x1, depthwise k x k, squeeze-and-excitation,
    project 1x1 without activation (Sandler et al., arXiv:1801.04381, table 1). kind "separable":
    depthwise k x k, then 1x1 with activation (Howard et al., arXiv:1704.04861, section 3.1).

    `residual` allows a skip; there is one (`has_skip`) where shapes allow it.
    """

    in_channels: int
    out_channels: int
    kernel: int = 3
    stride: int = 1
    expansion: float = 1.0
    squeeze: Squeeze | None = None
    activation: Activation = SWISH
    residual: bool = True
    kind: BlockKind = "mbconv"
    padding: Padding = "symmetric"
    norm: Norm = Norm()

    def __post_init__(self) -> None:
        choose("block kind", self.kind, get_args(BlockKind))
        choose("padding", self.padding, get_args(Padding))
        check_integer("input channels", self.in_channels)
        check_integer("output channels", self.out_channels)
        check_kernel(self.kernel, self.stride)
        check_expansion(self.kind, self.expansion)

    @property
    def expanded(self) -> int:
        """Channels of the depthwise convolution, in multiples of 8 where there is an expansion."""
        return self.in_channels if self.expansion == 1.0 else round_channels(self.in_channels * self.expansion)

    @property
    def squeezed(self) -> int | None:
        """Channels inside squeeze-and-excitation; None without it."""
        return self.squeeze and self.squeeze.channels(self.in_channels, self.expanded)

    @property
    def has_skip(self) -> bool:
        """Whether the input is added to the output: stride 1 and equal channels, if `residual`."""
        return self.residual and self.stride == 1 and self.in_channels == self.out_channels

    @property
    def expand(self) -> Conv | None:
        """The 1x1 expansion; None where expansion is 1."""
        if self.expansion == 1.0:
            return None
        return Conv(self.in_channels, self.expanded, activation=self.activation)

    @property
    def depthwise(self) -> Conv:
        """The k x k convolution, one filter a channel."""
        wide = self.expanded
        return Conv(wide, wide, self.kernel, self.stride, groups=wide, activation=self.activation)

    @property
    def excitation(self) -> tuple[Conv, Conv] | None:
        """The two layers of squeeze-and-excitation, on one pixel; None without it."""
        if self.squeeze is None:
            return None
        wide, inside = self.expanded, self.squeeze.channels(self.in_channels, self.expanded)
        first = Conv(wide, inside, bias=True, norm=False, activation=self.squeeze.inner)
        return first, Conv(inside, wide, bias=True, norm=False, activation=self.squeeze.gate)

    @property
    def project(self) -> Conv:
        """The 1x1 projection: linear in an MBConv, with the activation in a separable block."""
        after = self.activation if self.kind == "separable" else IDENTITY
        return Conv(self.expanded, self.out_channels, activation=after)

    @property
    def convs(self) -> tuple[Conv, ...]:
        """Every convolution in order, the excitation's two included."""
        parts = (self.expand, self.depthwise, *(self.excitation or ()), self.project)
        return tuple(part for part in parts if part is not None)

    def out_px(self, in_px: Px) -> Px:
        """Height and width of the output."""
        return self.depthwise.out_px(in_px)


def check_kernel(kernel: int, stride: int) -> None:
    """Kernels are odd (SAME and symmetric padding then give equal sizes), strides are 1 or 2."""
    check_integer("kernel", kernel)
    if kernel % 2 == 0:
        raise ValueError(f"kernel is {kernel}; it must be odd")
    choose("stride", stride, (1, 2))


def check_expansion(kind: BlockKind, expansion: float) -> None:
    """Expansions are finite and at least 1; a separable block has none."""
    if not (math.isfinite(expansion) and expansion >= 1.0):
        raise ValueError(f"expansion is {expansion!r}; it must be at least 1")
    if kind == "separable" and expansion != 1.0:
        raise ValueError(f"a separable block has no expansion, but {expansion!r} was given")


@dataclass(frozen=True, slots=True)
class Stage:
    """One row: `repeats` blocks to `channels`; the first has the stride, the others have stride 1."""

    channels: int
    repeats: int = 1
    kernel: int = 3
    stride: int = 1
    expansion: float = 1.0
    squeeze: Squeeze | None = None
    activation: Activation = SWISH
    residual: bool = True
    kind: BlockKind = "mbconv"

    def __post_init__(self) -> None:
        choose("block kind", self.kind, get_args(BlockKind))
        check_integer("stage channels", self.channels)
        check_integer("stage repeats", self.repeats)
        check_kernel(self.kernel, self.stride)
        check_expansion(self.kind, self.expansion)


@dataclass(frozen=True, slots=True)
class Stem:
    """The first convolution, from the image to `channels`."""

    channels: int
    kernel: int = 3
    stride: int = 2
    activation: Activation = SWISH

    def __post_init__(self) -> None:
        check_integer("stem channels", self.channels)
        check_kernel(self.kernel, self.stride)


@dataclass(frozen=True, slots=True)
class Head:
    """A 1x1 convolution to `channels` (None: none), global average, a linear layer to `hidden` with
    the activation (None: none; MobileNetV3 has it), dropout, the classifier."""

    channels: int | None = None
    hidden: int | None = None
    activation: Activation = SWISH
    dropout: float = 0.0

    def __post_init__(self) -> None:
        for what, value in (("head channels", self.channels), ("hidden units", self.hidden)):
            if value is not None:
                check_integer(what, value)
        check_share("dropout", self.dropout)


@dataclass(frozen=True, slots=True)
class Rounding:
    """How a family turns scaled real numbers into integers: part of its description.

    "scaled" follows the width, "kept" never changes, "grows" is never below the base's own.
    """

    depth: DepthRounding = "up"
    channel_multiple: int = 8
    resolution_multiple: int = 2
    stem: Keeping = "scaled"
    head: Keeping = "scaled"
    keeps_end_repeats: bool = False

    def __post_init__(self) -> None:
        choose("depth rounding", self.depth, get_args(DepthRounding))
        choose("stem rounding", self.stem, get_args(Keeping))
        choose("head rounding", self.head, get_args(Keeping))
        check_integer("channel multiple", self.channel_multiple)
        check_integer("resolution multiple", self.resolution_multiple)


@dataclass(frozen=True, slots=True)
class Network:
    """A whole description: what `build` makes, `cost` prices and `scale` scales.

    Raises `ValueError` for anything that is no network. `str()` is a table of its stages.
    """

    name: str
    stem: Stem
    stages: tuple[Stage, ...]
    head: Head
    resolution_px: Px
    classes: int = 1000
    in_channels: int = 3
    padding: Padding = "symmetric"
    norm: Norm = Norm()
    rounding: Rounding = Rounding()
    drop_path: float = 0.0
    source: str = ""

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("a network needs a name")
        if not self.stages:
            raise ValueError(f"{self.name} has no stages; give at least one")
        object.__setattr__(self, "stages", tuple(self.stages))
        object.__setattr__(self, "resolution_px", square(self.resolution_px))
        check_integer("classes", self.classes)
        check_integer("input channels", self.in_channels)
        check_share("drop_path", self.drop_path)
        choose("padding", self.padding, get_args(Padding))

    @property
    def depth(self) -> int:
        """Blocks in all stages."""
        return sum(stage.repeats for stage in self.stages)

    @property
    def stem_conv(self) -> Conv:
        """The stem as a convolution."""
        return Conv(
            self.in_channels, self.stem.channels, self.stem.kernel, self.stem.stride, activation=self.stem.activation
        )

    @property
    def head_conv(self) -> Conv | None:
        """The 1x1 convolution before the global average, if the head has one."""
        if self.head.channels is None:
            return None
        return Conv(self.stages[-1].channels, self.head.channels, activation=self.head.activation)

    @property
    def hidden_linear(self) -> Conv | None:
        """The linear layer after the global average, if the head has one."""
        if self.head.hidden is None:
            return None
        wide = self.head.channels or self.stages[-1].channels
        return Conv(wide, self.head.hidden, bias=True, norm=False, activation=self.head.activation)

    @property
    def features(self) -> int:
        """Inputs of the classifier."""
        return self.head.hidden or self.head.channels or self.stages[-1].channels

    @property
    def classifier(self) -> Conv:
        """The last linear layer, to `classes`."""
        return Conv(self.features, self.classes, bias=True, norm=False)

    def stage_blocks(self) -> tuple[tuple[Block, ...], ...]:
        """The blocks of every stage, placed: channels flow from the stem through the rows."""
        placed: list[tuple[Block, ...]] = []
        channels = self.stem.channels
        for stage in self.stages:
            first = self._block(stage, channels, stage.stride)
            rest = self._block(stage, stage.channels, 1)
            placed.append((first, *([rest] * (stage.repeats - 1))))
            channels = stage.channels
        return tuple(placed)

    def _block(self, stage: Stage, in_channels: int, stride: int) -> Block:
        return Block(
            in_channels=in_channels,
            out_channels=stage.channels,
            kernel=stage.kernel,
            stride=stride,
            expansion=stage.expansion,
            squeeze=stage.squeeze,
            activation=stage.activation,
            residual=stage.residual,
            kind=stage.kind,
            padding=self.padding,
            norm=self.norm,
        )

    def convs(self) -> Iterator[Conv]:
        """Every convolution and linear layer in order."""
        yield self.stem_conv
        for blocks in self.stage_blocks():
            for block in blocks:
                yield from block.convs
        yield from (part for part in (self.head_conv, self.hidden_linear, self.classifier) if part is not None)

    def drop_rates(self) -> Iterator[float]:
        """Stochastic depth of each block in order: drop_path * index / blocks.

        Source: Huang et al., arXiv:1603.09382, section 3, as EfficientNet's code counts it.
        """
        return (self.drop_path * index / self.depth for index in range(self.depth))

    def to_json(self) -> str:
        """JSON text; `from_json` gives an equal network back."""
        return json.dumps({"format": FORMAT, **dataclasses.asdict(self)}, indent=2)

    @staticmethod
    def from_json(text: str) -> Network:
        """The network of a JSON text. Raises a one-line `ValueError` that says what is wrong."""
        try:
            row = json.loads(text)
        except json.JSONDecodeError as error:
            raise ValueError(f"this is no JSON: {error}") from error
        values = cast(dict[str, Any], row) if isinstance(row, dict) else {}
        if values.pop("format", None) != FORMAT:
            raise ValueError(f'this is no network file: its "format" is not {FORMAT!r}')
        return _parse(Network, values, "network")

    def __str__(self) -> str:
        return "\n".join(_table(self))


_NESTED: dict[type, dict[str, type]] = {
    Network: {"stem": Stem, "head": Head, "norm": Norm, "rounding": Rounding},
    Stage: {"squeeze": Squeeze, "activation": Activation},
    Squeeze: {"inner": Activation, "gate": Activation},
    Stem: {"activation": Activation},
    Head: {"activation": Activation},
}


def _parse(kind: type, row: Any, where: str) -> Any:
    """A frozen value from plain JSON values; unknown and missing keys are named."""
    if not isinstance(row, dict):
        raise ValueError(f"{where} must be an object, not {row!r}")
    values = cast(dict[str, Any], row)
    fields = {field.name: field for field in dataclasses.fields(kind)}
    if unknown := sorted(set(values) - set(fields)):
        raise ValueError(f"{where} has no {', '.join(unknown)}; it has {', '.join(fields)}")
    required = [name for name, field in fields.items() if field.default is dataclasses.MISSING]
    if missing := [name for name in required if name not in values]:
        raise ValueError(f"{where} needs {', '.join(missing)}")
    return kind(**{name: _parse_field(kind, fields[name], value, f"{where}.{name}") for name, value in values.items()})


_PLAIN: dict[str, tuple[type, ...]] = {"float": (int, float), "bool": (bool,), "str": (str,)}
"""Python's types of a field that nothing else checks, by its annotation."""


def _parse_field(kind: type, field: dataclasses.Field[Any], value: Any, where: str) -> Any:
    nested = _NESTED.get(kind, {}).get(field.name)
    if nested is not None:
        return None if value is None and "None" in str(field.type) else _parse(nested, value, where)
    if field.name == "stages":
        if not isinstance(value, list):
            raise ValueError(f"{where} must be a list, not {value!r}")
        return tuple(_parse(Stage, stage, f"{where}[{index}]") for index, stage in enumerate(cast(list[Any], value)))
    allowed = _PLAIN.get(str(field.type))
    if allowed and (not isinstance(value, allowed) or (isinstance(value, bool) and bool not in allowed)):
        raise ValueError(f"{where} is {value!r}; it must be a {field.type}")
    return value


def _table(network: Network) -> Iterator[str]:
    """Lines of `str(network)`: a row a stage with its share of the MACs."""
    rows = list(_stage_rows(network))
    total = sum(macs for *_, macs in rows)
    height, width = network.resolution_px
    what = f"{network.name}: {height}x{width} px, {network.classes} classes, {network.depth} blocks"
    yield f"{what}, {total / 1e6:,.1f} M MACs"
    yield f"{'stage':<8}{'block':<22}{'out px':>9}{'channels':>10}{'repeats':>9}{'MACs %':>8}"
    for name, what, (height, width), channels, repeats, macs in rows:
        size = f"{height}x{width}"
        yield f"{name:<8}{what:<22}{size:>9}{channels:>10}{repeats:>9}{100 * macs / total:>8.1f}"


def _stage_rows(network: Network) -> Iterator[tuple[str, str, Px, int, int, int]]:
    """(name, what, out_px, channels, repeats, macs) of stem, stages and head."""
    px, stem = network.resolution_px, network.stem_conv
    macs, px = stem.macs(px), stem.out_px(px)
    yield "stem", f"conv {stem.kernel}x{stem.kernel} s{stem.stride}", px, stem.out_channels, 1, macs
    for index, (stage, blocks) in enumerate(zip(network.stages, network.stage_blocks(), strict=True)):
        macs = 0
        for block in blocks:
            macs += block_macs(block, px)
            px = block.out_px(px)
        yield str(index), _kind(stage), px, stage.channels, stage.repeats, macs
    tail = [(conv, px) for conv in (network.head_conv,) if conv]
    tail += [(linear, (1, 1)) for linear in (network.hidden_linear, network.classifier) if linear]
    yield "head", "pool, linear", (1, 1), network.features, 1, sum(conv.macs(at) for conv, at in tail)


def _kind(stage: Stage) -> str:
    words = [f"{stage.kind} {stage.kernel}x{stage.kernel}", f"s{stage.stride}"]
    words += [f"e{stage.expansion:.3g}"] if stage.expansion != 1.0 else []
    words += ["se"] if stage.squeeze else []
    return " ".join(words)


def block_macs(block: Block, in_px: Px) -> int:
    """Multiply-adds of a block for one image, squeeze-and-excitation included."""
    out_px = block.out_px(in_px)
    inner = sum(conv.macs((1, 1)) for conv in block.excitation or ())
    expand = block.expand.macs(in_px) if block.expand else 0
    return expand + block.depthwise.macs(in_px) + inner + block.project.macs(out_px)
