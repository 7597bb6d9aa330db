"""A network: a stem, a row for every stage, a head, a resolution, and how the family rounds."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import cast, get_args

from budgetnet.arguments import flag, of_kind, plain_numbers, several
from budgetnet.arguments import text as text_of
from budgetnet.networks.block import Block, BlockKind, check_block, check_kernel, check_stride
from budgetnet.networks.bounds import (
    MOST_BLOCKS,
    MOST_CHANNELS,
    MOST_CLASSES,
    MOST_IN_CHANNELS,
    MOST_NAME,
    MOST_PX,
    MOST_SOURCE,
    MOST_STAGES,
    MOST_TEXT,
)
from budgetnet.networks.reading import parse
from budgetnet.networks.table import table
from budgetnet.networks.values import (
    SWISH,
    Activation,
    Conv,
    DepthRounding,
    Keeping,
    Norm,
    Padding,
    Px,
    Squeeze,
    check_integer,
    check_share,
    check_text,
    choose,
    square,
)
from budgetnet.reading import named_json

FORMAT = "budgetnet.network.v1"


@dataclass(frozen=True, slots=True)
class Stage:
    """One row of a network: `repeats` equal blocks. The first has the stride, the others have stride 1.

    Attributes:
        channels: Output channels of every block.
        repeats: How many blocks, at least 1.
        kernel: Side of the depthwise (or full) convolution, odd.
        stride: Stride of the first block, 1 or 2.
        expansion: Inner channels of a block over its input channels ("bottleneck": output over inner channels).
        squeeze: Squeeze-and-excitation inside the block, or None.
        activation: The non-linearity inside the block.
        residual: Whether blocks whose shapes allow it add their input to their output.
        kind: One of `BlockKind`, such as "mbconv": docs/how-it-works.md has a row for each.
        start_kernel: Side of the first depthwise convolution of a "universal" block; 0 for none.

    Raises:
        ValueError: A value is out of bounds, or does not belong to the kind of block.

    Example:
        >>> from budgetnet.networks import Stage
        >>> Stage(channels=24, repeats=2, stride=2, expansion=6.0).kind
        'mbconv'
    """

    channels: int
    repeats: int = 1
    kernel: int = 3
    stride: int = 1
    expansion: float = 1.0
    squeeze: Squeeze | None = None
    activation: Activation = SWISH
    residual: bool = True
    kind: BlockKind = "mbconv"
    start_kernel: int = 0

    def __post_init__(self) -> None:
        plain_numbers(self)
        check_integer("stage channels", self.channels, most=MOST_CHANNELS)
        check_integer("stage repeats", self.repeats, most=MOST_BLOCKS)
        if self.squeeze is not None:
            of_kind("squeeze", self.squeeze, Squeeze, "a Squeeze, or None")
        of_kind("activation", self.activation, Activation, "an Activation")
        flag("residual", self.residual)
        check_block(self.kind, self.channels, self.kernel, self.stride, self.expansion, self.start_kernel, self.squeeze)


@dataclass(frozen=True, slots=True)
class Stem:
    """The first convolution of a network, from the image to `channels`.

    Attributes:
        channels: Output channels.
        kernel: Side of the convolution, odd.
        stride: 1 or 2.
        activation: The non-linearity behind it.
        pool: Whether a 3x3 max pooling of stride 2 follows, as in ResNet.

    Raises:
        ValueError: A value is out of bounds.
    """

    channels: int
    kernel: int = 3
    stride: int = 2
    activation: Activation = SWISH
    pool: bool = False

    def __post_init__(self) -> None:
        plain_numbers(self)
        check_integer("stem channels", self.channels, most=MOST_CHANNELS)
        check_kernel(self.kernel)
        check_stride(self.stride)
        of_kind("activation", self.activation, Activation, "an Activation")
        flag("pool", self.pool)


@dataclass(frozen=True, slots=True)
class Head:
    """What follows the last stage: a 1x1 convolution, the global average, a hidden layer, dropout, the classifier.

    Attributes:
        channels: Output channels of the 1x1 convolution; None leaves it out.
        hidden: Units of a linear layer behind the global average; None leaves it out. MobileNetV3 has one.
        activation: The non-linearity of both.
        dropout: Share of the classifier's inputs that training sets to 0, in [0, 1).
        hidden_norm: Whether the hidden layer has BatchNorm instead of a bias, as in MobileNetV4.

    Raises:
        ValueError: A value is out of bounds, or `hidden_norm` is set without a hidden layer.
    """

    channels: int | None = None
    hidden: int | None = None
    activation: Activation = SWISH
    dropout: float = 0.0
    hidden_norm: bool = False

    def __post_init__(self) -> None:
        plain_numbers(self)
        of_kind("activation", self.activation, Activation, "an Activation")
        flag("hidden_norm", self.hidden_norm)
        for what, value in (("head channels", self.channels), ("hidden units", self.hidden)):
            if value is not None:
                check_integer(what, value, most=MOST_CHANNELS)
        if self.hidden_norm and self.hidden is None:
            raise ValueError("hidden_norm belongs to a hidden layer, and the head has none")
        check_share("dropout", self.dropout)


@dataclass(frozen=True, slots=True)
class Rounding:
    """How a family turns scaled numbers into whole layers, channels and pixels. It is part of a network's description.

    Stem and head are "scaled" (they follow the width), "kept" (they never change) or "grows" (never below the base's
    own).

    Attributes:
        depth: "up" or "nearest": how a stage's repeats are rounded.
        channel_multiple: Channels are multiples of this.
        resolution_multiple: Height and width are multiples of this.
        stem: How the stem's channels follow.
        head: How the head's channels follow.
        keeps_end_repeats: Whether the first and the last stage keep their repeats, as in EfficientNet-Lite.
        least_share: Channels are never below this share of what was asked for; 0 for no such rule, as in
            EfficientNetV2.

    Raises:
        ValueError: A value is out of bounds.
    """

    depth: DepthRounding = "up"
    channel_multiple: int = 8
    resolution_multiple: int = 2
    stem: Keeping = "scaled"
    head: Keeping = "scaled"
    keeps_end_repeats: bool = False
    least_share: float = 0.9

    def __post_init__(self) -> None:
        plain_numbers(self)
        flag("keeps_end_repeats", self.keeps_end_repeats)
        choose("depth rounding", self.depth, get_args(DepthRounding))
        choose("stem rounding", self.stem, get_args(Keeping))
        choose("head rounding", self.head, get_args(Keeping))
        check_integer("channel multiple", self.channel_multiple, most=MOST_CHANNELS)
        check_integer("resolution multiple", self.resolution_multiple, most=MOST_PX)
        check_share("least share of channels", self.least_share)


@lru_cache(maxsize=1 << 14)
def _block(stage: Stage, in_channels: int, stride: int, padding: Padding, norm: Norm) -> Block:
    """A block of a stage, kept: fits ask for the same few again and again."""
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
        start_kernel=stage.start_kernel,
        padding=padding,
        norm=norm,
    )


@dataclass(frozen=True, slots=True)
class Network:
    """A whole description of a network: what `build` makes, `cost` prices and `scale` scales.

    A network is a frozen value: a change gives a new one (`dataclasses.replace`). `str()` is a table of its stages.
    Most are made by `network`, `scale` or `fit`.

    Attributes:
        name: The name, for people.
        stem: The first convolution.
        stages: The rows of blocks, from the image to the head.
        head: What follows the last stage.
        resolution_px: Height and width of the images in pixels; an integer is taken as a square.
        classes: Outputs of the classifier.
        in_channels: Channels of an image: 1 for grey, 3 for colour.
        padding: "symmetric", or "same" as TensorFlow pads.
        norm: Epsilon and momentum of every BatchNorm.
        rounding: How scaled numbers become whole.
        drop_path: Stochastic depth: the rate that the last block comes near to (arXiv:1603.09382), in [0, 1).
        source: Where the description comes from.

    Raises:
        ValueError: A value cannot be part of a network, or is beyond the bounds of `networks.bounds`, which are far
            above any published network.

    Example:
        >>> import dataclasses
        >>> import budgetnet
        >>> base = budgetnet.network("efficientnet_b0")
        >>> grey = dataclasses.replace(base, in_channels=1)
        >>> budgetnet.Network.from_json(grey.to_json()) == grey
        True
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
        if not text_of("a network's name", self.name):
            raise ValueError("a network needs a name")
        plain_numbers(self)
        object.__setattr__(self, "stages", several("stages", self.stages, _stage, (Stage,), "Stages", empty=True))
        check_text("a network's name", self.name, MOST_NAME)
        check_text("a network's source", self.source, MOST_SOURCE)
        if not self.stages:
            raise ValueError(f"{self.name} has no stages; give at least one")
        of_kind("stem", self.stem, Stem, "a Stem")
        of_kind("head", self.head, Head, "a Head")
        of_kind("norm", self.norm, Norm, "a Norm")
        of_kind("rounding", self.rounding, Rounding, "a Rounding")
        text_of("source", self.source)
        object.__setattr__(self, "resolution_px", square(self.resolution_px))
        if len(self.stages) > MOST_STAGES:
            raise ValueError(f"{self.name} has {len(self.stages):,} stages; a network has at most {MOST_STAGES:,}")
        if self.depth > MOST_BLOCKS:
            raise ValueError(f"{self.name} has {self.depth:,} blocks; a network has at most {MOST_BLOCKS:,}")
        check_integer("classes", self.classes, most=MOST_CLASSES)
        check_integer("input channels", self.in_channels, most=MOST_IN_CHANNELS)
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
    def stem_px(self) -> Px:
        """Height and width that the first stage sees."""
        height, width = self.stem_conv.out_px(self.resolution_px)
        return (-(-height // 2), -(-width // 2)) if self.stem.pool else (height, width)

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
        norm = self.head.hidden_norm
        return Conv(wide, self.head.hidden, bias=not norm, norm=norm, activation=self.head.activation)

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
            first, rest = self.blocks_of(stage, channels)
            placed.append((first, *([rest] * (stage.repeats - 1))))
            channels = stage.channels
        return tuple(placed)

    def blocks_of(self, stage: Stage, in_channels: int) -> tuple[Block, Block]:
        """The blocks of a stage, if it stood behind so many channels in this network.

        Args:
            stage: Any stage.
            in_channels: Channels that its first block reads.

        Returns:
            The first block, and what each of the rest is.
        """
        shared = self.padding, self.norm
        return _block(stage, in_channels, stage.stride, *shared), _block(stage, stage.channels, 1, *shared)

    def convs(self) -> Iterator[Conv]:
        """Every convolution and linear layer in order."""
        yield self.stem_conv
        for blocks in self.stage_blocks():
            for block in blocks:
                yield from block.convs
        yield from self._tail_convs()

    def distinct_convs(self) -> Iterator[tuple[Conv, int]]:
        """The same, those of equal blocks once, with how often each is there."""
        yield self.stem_conv, 1
        for blocks in self.stage_blocks():
            yield from ((conv, 1) for conv in blocks[0].convs)
            if len(blocks) > 1:
                yield from ((conv, len(blocks) - 1) for conv in blocks[-1].convs)
        yield from ((conv, 1) for conv in self._tail_convs())

    def _tail_convs(self) -> Iterator[Conv]:
        yield from (part for part in (self.head_conv, self.hidden_linear, self.classifier) if part is not None)

    def drop_rates(self) -> Iterator[float]:
        """Stochastic depth of each block in order: drop_path * index / blocks.

        Source: Huang et al., arXiv:1603.09382, section 3, as EfficientNet's code counts it.
        """
        return (self.drop_path * index / self.depth for index in range(self.depth))

    def to_json(self) -> str:
        """The network as JSON text; `from_json` gives an equal network back.

        Returns:
            The text of a network file: docs/formats.md.
        """
        return json.dumps({"format": FORMAT, **dataclasses.asdict(self)}, indent=2)

    @staticmethod
    def from_json(text: str | bytes) -> Network:
        """The network of a JSON text.

        Args:
            text: What `to_json` wrote.

        Returns:
            The network.

        Raises:
            ValueError: The text is not a network; the message says what is wrong in one line.
        """
        if not isinstance(text, bytes):
            text_of("text", text)
        if len(text) > MOST_TEXT:
            raise ValueError(f"this has {len(text):,} characters; a network file has at most {MOST_TEXT:,}")
        row: object = named_json("this", text)
        values = cast("dict[str, object]", row) if isinstance(row, dict) else {}
        if values.pop("format", None) != FORMAT:
            raise ValueError(f'this is not a network file: its "format" is not {FORMAT!r}')
        return cast("Network", parse(Network, values, "network", _NESTED))

    def __str__(self) -> str:
        return "\n".join(table(self))


def network_of(what: str, value: object) -> Network:
    """The value, if it is a network. Raises a one-line `TypeError` that says how one is got."""
    return of_kind(what, value, Network, "a Network, as budgetnet.network('efficientnet_b0') gives")


def _stage(what: str, value: object) -> Stage:
    return of_kind(f"one of {what}", value, Stage, "a Stage")


_NESTED: dict[type, dict[str, type]] = {
    Network: {"stem": Stem, "head": Head, "norm": Norm, "rounding": Rounding, "stages": Stage},
    Stage: {"squeeze": Squeeze, "activation": Activation},
    Squeeze: {"inner": Activation, "gate": Activation},
    Stem: {"activation": Activation},
    Head: {"activation": Activation},
}
