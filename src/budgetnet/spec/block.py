"""One block in its place: its derived convolutions, its skip, its multiply-adds."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import get_args

from budgetnet.spec.values import (
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


def block_macs(block: Block, in_px: Px) -> int:
    """Multiply-adds of a block for one image, squeeze-and-excitation included."""
    out_px = block.out_px(in_px)
    inner = sum(conv.macs((1, 1)) for conv in block.excitation or ())
    expand = block.expand.macs(in_px) if block.expand else 0
    return expand + block.depthwise.macs(in_px) + inner + block.project.macs(out_px)
