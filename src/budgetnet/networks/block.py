"""One block in its place: its derived convolutions, its skip, its multiply-adds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import get_args

from budgetnet.arguments import number, shown
from budgetnet.networks.bounds import MOST_EXPANSION, MOST_KERNEL
from budgetnet.networks.values import (
    IDENTITY,
    SWISH,
    Activation,
    BlockKind,
    Conv,
    Norm,
    Padding,
    Px,
    Squeeze,
    check_integer,
    choose,
    round_channels,
)

Parts = tuple[tuple[str, Conv], ...]
"""Named convolutions in the order in which they run."""


@dataclass(frozen=True, slots=True)
class Block:
    """One block in its place: convolutions (`inner`), squeeze-and-excitation, a projection, a skip.

    mbconv: expand 1x1, depthwise k x k, project 1x1 without activation (Sandler et al., arXiv:1801.04381, table 1).
    separable: depthwise k x k, project 1x1 with activation (Howard et al., arXiv:1704.04861, section 3.1).
    fused: expand k x k, project 1x1; without expansion one k x k convolution with activation (Tan & Le,
    arXiv:2104.00298, figure 2). universal: depthwise `start_kernel` without activation, expand 1x1, depthwise k x k,
    project; either depthwise may be absent, kernel 0 (Qin et al., arXiv:2404.10518, figure 4). bottleneck: reduce 1x1
    to out_channels / expansion, k x k, project 1x1, activation behind the sum (He et al., arXiv:1512.03385, figure 5).

    Attributes:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel: Side of the depthwise (or full) convolution.
        stride: 1 or 2.
        expansion: Inner channels over input channels (bottleneck: output over inner channels).
        squeeze: Squeeze-and-excitation, or None.
        activation: The non-linearity inside.
        residual: Whether a skip is allowed. There is one where shapes allow it (`has_skip`), and a bottleneck has a 1x1
            `shortcut` where they do not.
        kind: "mbconv", "separable", "fused", "universal" or "bottleneck".
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
        check_block(self.kind, self.kernel, self.stride, self.expansion, self.start_kernel, self.squeeze)

    @property
    def expanded(self) -> int:
        """Channels that the projection reads, in multiples of 8 where there is an expansion."""
        base = self.out_channels if self.kind == "bottleneck" else self.in_channels
        if self.expansion == 1.0:
            return base
        return round_channels(base / self.expansion if self.kind == "bottleneck" else base * self.expansion)

    @property
    def squeezed(self) -> int | None:
        """Channels inside squeeze-and-excitation; None without it."""
        return self.squeeze and self.squeeze.channels(self.in_channels, self.expanded)

    @property
    def has_skip(self) -> bool:
        """Whether the input is added to the output: stride 1 and equal channels, if `residual`."""
        return self.residual and self.stride == 1 and self.in_channels == self.out_channels

    @property
    def inner(self) -> Parts:
        """The convolutions before squeeze-and-excitation and the projection."""
        return _INNER[self.kind](self)

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
        """The last convolution: 1x1 and linear, with activation in a separable block.

        A fused block without expansion is this one alone, k x k and with activation.
        """
        if self.kind == "fused" and self.expansion == 1.0:
            return Conv(self.in_channels, self.out_channels, self.kernel, self.stride, activation=self.activation)
        after = self.activation if self.kind == "separable" else IDENTITY
        return Conv(self.expanded, self.out_channels, activation=after)

    @property
    def shortcut(self) -> Conv | None:
        """What a bottleneck's input goes through where it cannot be added as it is; None elsewhere."""
        if self.kind != "bottleneck" or not self.residual or self.has_skip:
            return None
        return Conv(self.in_channels, self.out_channels, 1, self.stride)

    @property
    def after(self) -> Activation:
        """The non-linearity behind the sum: a bottleneck's."""
        return self.activation if self.kind == "bottleneck" else IDENTITY

    @property
    def convs(self) -> tuple[Conv, ...]:
        """Every convolution in order, the excitation's two and the shortcut included."""
        parts = (*(conv for _, conv in self.inner), *(self.excitation or ()), self.project, self.shortcut)
        return tuple(part for part in parts if part is not None)

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


_INNER: Mapping[BlockKind, Callable[[Block], Parts]] = {
    "mbconv": _mbconv,
    "separable": _separable,
    "fused": _fused,
    "universal": _universal,
    "bottleneck": _bottleneck,
}


def check_block(
    kind: BlockKind, kernel: int, stride: int, expansion: float, start_kernel: int, squeeze: Squeeze | None
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
    if kind == "separable" and expansion != 1.0:
        raise ValueError(f"a separable block has no expansion, but {shown(expansion)} was given")
    if kind == "fused" and expansion == 1.0 and squeeze is not None:
        raise ValueError("a fused block without expansion is one convolution: it has no squeeze-and-excitation")


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
    macs = block.shortcut.macs(in_px) if block.shortcut else 0
    for _, conv in block.inner:
        macs += conv.macs(in_px)
        in_px = conv.out_px(in_px)
    return macs + sum(conv.macs((1, 1)) for conv in block.excitation or ()) + block.project.macs(in_px)
