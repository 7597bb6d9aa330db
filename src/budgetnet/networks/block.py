"""One block in its place: its derived convolutions, its skip, its multiply-adds.

All that makes a kind of block is its row in `KINDS`. Costs, memory and layers read a block's parts and not its kind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from budgetnet.arguments import number, shown
from budgetnet.networks.bounds import MOST_EXPANSION, MOST_KERNEL
from budgetnet.networks.values import (
    IDENTITY,
    SWISH,
    Activation,
    Conv,
    Norm,
    Padding,
    Px,
    Squeeze,
    check_integer,
    choose,
    round_channels,
)

BlockKind = Literal["mbconv", "separable", "fused", "universal", "bottleneck", "basic", "ghost"]
CHEAP_KERNEL = 3
"""The kernel of the cheap operation in a Ghost module has this side (arXiv:1911.11907, section 4.1)."""

Parts = tuple[tuple[str, Conv], ...]
"""Named convolutions in the order in which they run; the names are those of the model's modules."""


@dataclass(frozen=True, slots=True)
class Block:
    """One block in its place: convolutions (`inner`), squeeze-and-excitation, a projection, a skip or a shortcut.

    mbconv: expand 1x1, depthwise k x k, project 1x1 without activation (Sandler et al., arXiv:1801.04381, table 1).
    separable: depthwise k x k, project 1x1 with activation (Howard et al., arXiv:1704.04861, section 3.1).
    fused: expand k x k, project 1x1; without expansion one k x k convolution with activation (Tan & Le,
    arXiv:2104.00298, figure 2). universal: depthwise `start_kernel` without activation, expand 1x1, depthwise k x k,
    project; either depthwise may be absent, kernel 0 (Qin et al., arXiv:2404.10518, figure 4). bottleneck: reduce 1x1
    to out_channels / expansion, k x k, project 1x1, activation behind the sum (He et al., arXiv:1512.03385, figure 5).
    basic: k x k to out_channels, project k x k, activation behind the sum (the same figure, on the left).
    ghost: a Ghost module that expands, depthwise k x k without activation where there is a stride, a Ghost module that
    projects without activation; a Ghost module is a 1x1 convolution to half of the channels, and a depthwise 3x3 of
    those beside them (Han et al., arXiv:1911.11907, figures 2 and 3).

    Attributes:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel: Side of the depthwise (or full) convolution.
        stride: 1 or 2.
        expansion: Inner channels over input channels (bottleneck: output over inner channels).
        squeeze: Squeeze-and-excitation, or None.
        activation: The non-linearity inside.
        residual: Whether a skip is allowed. There is one where shapes allow it (`has_skip`); bottleneck, basic and
            ghost have a `shortcut` of convolutions where they do not.
        kind: One of `BlockKind`.
        padding: "symmetric" or "same".
        norm: The constants of BatchNorm.
        start_kernel: Side of the first depthwise convolution of a universal block; 0 for none.

    Raises:
        ValueError: A value is out of bounds, or does not belong to the kind.
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
    start_kernel: int = 0

    def __post_init__(self) -> None:
        check_integer("input channels", self.in_channels)
        check_integer("output channels", self.out_channels)
        choose("padding", self.padding, get_args(Padding))
        check_block(
            self.kind, self.out_channels, self.kernel, self.stride, self.expansion, self.start_kernel, self.squeeze
        )

    @property
    def expanded(self) -> int:
        """Channels that the projection reads, in multiples of 8 where there is an expansion."""
        return KINDS[self.kind].expanded(self)

    @property
    def squeezed(self) -> int | None:
        """Channels inside squeeze-and-excitation; None without it."""
        return self.squeeze and self.squeeze.channels(self.in_channels, self.expanded)

    @property
    def has_skip(self) -> bool:
        """Whether the input is added to the output as it is: stride 1 and equal channels, if `residual`."""
        return self.residual and self.stride == 1 and self.in_channels == self.out_channels

    @property
    def adds(self) -> bool:
        """Whether the input, as it is or by its shortcut, is added to the output."""
        return self.has_skip or bool(self.shortcut)

    @property
    def inner(self) -> Parts:
        """The convolutions before squeeze-and-excitation and the projection."""
        return KINDS[self.kind].inner(self)

    @property
    def excitation(self) -> tuple[Conv, Conv] | None:
        """The two layers of squeeze-and-excitation, on one pixel; None without it."""
        if self.squeeze is None:
            return None
        wide, inside = self.expanded, self.squeeze.channels(self.in_channels, self.expanded)
        first = Conv(wide, inside, bias=True, norm=False, activation=self.squeeze.inner)
        return first, Conv(inside, wide, bias=True, norm=False, activation=self.squeeze.gate)

    @property
    def projection(self) -> Parts:
        """The convolutions behind squeeze-and-excitation; the first is called "project"."""
        return KINDS[self.kind].projection(self)

    @property
    def shortcut(self) -> Parts:
        """What the input goes through where it cannot be added as it is; nothing where it is not added."""
        row = KINDS[self.kind]
        return () if row.shortcut is None or not self.residual or self.has_skip else row.shortcut(self)

    @property
    def after(self) -> Activation:
        """The non-linearity behind the sum: a bottleneck's and a basic block's."""
        return self.activation if KINDS[self.kind].activates_sum else IDENTITY

    @property
    def convs(self) -> tuple[Conv, ...]:
        """Every convolution in order, the excitation's two and the shortcut's included."""
        inner, projection, shortcut = ([conv for _, conv in parts] for parts in self._chains)
        return (*inner, *(self.excitation or ()), *projection, *shortcut)

    @property
    def part_names(self) -> Iterator[str]:
        """The model's module of each of `convs`, in the block."""
        inner, projection, shortcut = ([name for name, _ in parts] for parts in self._chains)
        yield from (*inner, *(("squeeze.reduce", "squeeze.expand") if self.squeeze else ()), *projection, *shortcut)

    @property
    def _chains(self) -> tuple[Parts, Parts, Parts]:
        return self.inner, self.projection, self.shortcut

    def out_px(self, in_px: Px) -> Px:
        """Height and width of the output.

        Args:
            in_px: Height and width of the input.

        Returns:
            ceil(in / stride) of both.
        """
        return -(-in_px[0] // self.stride), -(-in_px[1] // self.stride)


def _depthwise(channels: int, kernel: int, stride: int, activation: Activation) -> Conv:
    return Conv(channels, channels, kernel, stride, groups=channels, activation=activation)


def _expand(block: Block) -> Parts:
    conv = Conv(block.in_channels, block.expanded, activation=block.activation)
    return () if block.expansion == 1.0 else (("expand", conv),)


def _separable(block: Block) -> Parts:
    return (("depthwise", _depthwise(block.expanded, block.kernel, block.stride, block.activation)),)


def _mbconv(block: Block) -> Parts:
    return (*_expand(block), *_separable(block))


def _fused(block: Block) -> Parts:
    if block.expansion == 1.0:
        return ()
    return (
        ("expand", Conv(block.in_channels, block.expanded, block.kernel, block.stride, activation=block.activation)),
    )


def _universal(block: Block) -> Parts:
    stride = 1 if block.kernel else block.stride
    start = _depthwise(block.in_channels, block.start_kernel, stride, IDENTITY)
    return (
        *((("start", start),) if block.start_kernel else ()),
        *_expand(block),
        *(_separable(block) if block.kernel else ()),
    )


def _bottleneck(block: Block) -> Parts:
    wide, act = block.expanded, block.activation
    reduce = Conv(block.in_channels, wide, activation=act)
    return (("reduce", reduce), ("conv", Conv(wide, wide, block.kernel, block.stride, activation=act)))


def _basic(block: Block) -> Parts:
    return (("conv", Conv(block.in_channels, block.expanded, block.kernel, block.stride, activation=block.activation)),)


def _basic_project(block: Block) -> Parts:
    return (("project", Conv(block.expanded, block.out_channels, block.kernel)),)


def _ghost_module(name: str, in_channels: int, out_channels: int, activation: Activation) -> Parts:
    half = out_channels // 2
    cheap = Conv(half, half, CHEAP_KERNEL, groups=half, activation=activation, concatenates=True)
    return ((name, Conv(in_channels, half, activation=activation)), (f"{name}_cheap", cheap))


def _ghost(block: Block) -> Parts:
    expand = _ghost_module("expand", block.in_channels, block.expanded, block.activation)
    if block.stride == 1:
        return expand
    return (*expand, ("depthwise", _depthwise(block.expanded, block.kernel, block.stride, IDENTITY)))


def _ghost_project(block: Block) -> Parts:
    return _ghost_module("project", block.expanded, block.out_channels, IDENTITY)


def _ghost_shortcut(block: Block) -> Parts:
    depthwise = _depthwise(block.in_channels, block.kernel, block.stride, IDENTITY)
    return (("shortcut_depthwise", depthwise), ("shortcut", Conv(block.in_channels, block.out_channels)))


def _project(block: Block) -> Parts:
    return (("project", Conv(block.expanded, block.out_channels)),)


def _activated_project(block: Block) -> Parts:
    return (("project", Conv(block.expanded, block.out_channels, activation=block.activation)),)


def _fused_project(block: Block) -> Parts:
    if block.expansion > 1.0:
        return _project(block)
    alone = Conv(block.in_channels, block.out_channels, block.kernel, block.stride, activation=block.activation)
    return (("project", alone),)


def _pointwise_shortcut(block: Block) -> Parts:
    return (("shortcut", Conv(block.in_channels, block.out_channels, 1, block.stride)),)


def _wider(block: Block) -> int:
    return block.in_channels if block.expansion == 1.0 else round_channels(block.in_channels * block.expansion)


def _even(block: Block) -> int:
    return round_channels(block.in_channels * block.expansion)


def _narrower(block: Block) -> int:
    return block.out_channels if block.expansion == 1.0 else round_channels(block.out_channels / block.expansion)


@dataclass(frozen=True, slots=True)
class Kind:
    """What makes a kind of block.

    Attributes:
        words: The kind in words, for people: the plural.
        inner: The convolutions before squeeze-and-excitation.
        projection: The convolutions behind it, from `expanded` channels; the first is called "project".
        expanded: Channels between the two.
        shortcut: What a residual block's input goes through where it cannot be added as it is; None for a kind that
            then adds nothing.
        activates_sum: Whether the non-linearity stands behind the sum too.
    """

    words: str
    inner: Callable[[Block], Parts]
    projection: Callable[[Block], Parts] = _project
    expanded: Callable[[Block], int] = _wider
    shortcut: Callable[[Block], Parts] | None = None
    activates_sum: bool = False


KINDS: Mapping[BlockKind, Kind] = {
    "mbconv": Kind("inverted bottlenecks (MBConv)", _mbconv),
    "separable": Kind("depthwise separable blocks", _separable, _activated_project),
    "fused": Kind("fused inverted bottlenecks", _fused, _fused_project),
    "universal": Kind("universal inverted bottlenecks", _universal),
    "bottleneck": Kind(
        "bottlenecks", _bottleneck, expanded=_narrower, shortcut=_pointwise_shortcut, activates_sum=True
    ),
    "basic": Kind("basic residual blocks", _basic, _basic_project, _narrower, _pointwise_shortcut, activates_sum=True),
    "ghost": Kind("Ghost bottlenecks", _ghost, _ghost_project, _even, _ghost_shortcut),
}
"""Each kind of block is one row."""


def check_block(
    kind: BlockKind,
    channels: int,
    kernel: int,
    stride: int,
    expansion: float,
    start_kernel: int,
    squeeze: Squeeze | None,
) -> None:
    """Raise a one-line `ValueError` for a block that no kind can be."""
    choose("block kind", kind, get_args(BlockKind))
    check_stride(stride)
    if kind == "universal":
        if stride == 2 and not (kernel or start_kernel):
            raise ValueError("a universal block without a depthwise convolution cannot have stride 2")
    elif start_kernel != 0:
        raise ValueError(f"start_kernel is {shown(start_kernel)}; only a universal block has one")
    for value in (kernel, start_kernel) if kind == "universal" else (kernel,):
        if kind != "universal" or value != 0:
            check_kernel(value)
    number("expansion", expansion, least=1.0, most=MOST_EXPANSION)
    if kind in ("separable", "basic") and expansion != 1.0:
        raise ValueError(f"a {kind} block has no expansion, but {shown(expansion)} was given")
    if kind == "fused" and expansion == 1.0 and squeeze is not None:
        raise ValueError("a fused block without expansion is one convolution: it has no squeeze-and-excitation")
    if kind == "ghost" and channels % 2:
        raise ValueError(f"a ghost block makes its channels by halves, and {channels} is odd; give an even number")


def check_kernel(kernel: int) -> None:
    """Kernels are odd: SAME and symmetric padding then give equal sizes."""
    check_integer("kernel", kernel, most=MOST_KERNEL)
    if kernel % 2 == 0:
        raise ValueError(f"kernel is {kernel}; it must be odd")


def check_stride(stride: int) -> None:
    """Strides are 1 or 2: no more, and no 1.0, which would make sizes that are not integers."""
    check_integer("stride", stride)
    choose("stride", stride, (1, 2))


def block_macs(block: Block, in_px: Px) -> int:
    """Multiply-adds of a block for one image, squeeze-and-excitation and shortcut included."""
    chains = _chain_macs((*block.inner, *block.projection), in_px) + _chain_macs(block.shortcut, in_px)
    return chains + sum(conv.macs((1, 1)) for conv in block.excitation or ())


def chain_px(parts: Parts, px: Px) -> Px:
    """Height and width behind convolutions that run one after the other."""
    for _, conv in parts:
        px = conv.out_px(px)
    return px


def _chain_macs(parts: Parts, px: Px) -> int:
    macs = 0
    for _, conv in parts:
        macs += conv.macs(px)
        px = conv.out_px(px)
    return macs
