"""The building blocks as torch modules, made from the rows of `spec`. All are final and compose.

Tensors are (batch, channels, height, width), kept in channels_last memory.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from budgetnet import networks as spec


class Swish(nn.Module):
    """swish(x) = x * sigmoid(beta * x), elementwise; any shape in, the same shape out.

    beta = 1 is SiLU; beta -> 0 gives x / 2, beta -> infinity gives ReLU. With trainable=True beta
    is a parameter of this layer. Source: Ramachandran et al., arXiv:1710.05941, section 4.
    """

    def __init__(self, beta: float = 1.0, trainable: bool = False) -> None:
        super().__init__()
        self.trainable: Final = trainable
        self.fixed_beta: Final = beta
        if trainable:
            self.beta = nn.Parameter(torch.tensor(float(beta)))

    def forward(self, x: Tensor) -> Tensor:
        """x -> x * sigmoid(beta * x)."""
        if self.trainable:
            return x * torch.sigmoid(self.beta * x)
        return functional.silu(x) if self.fixed_beta == 1.0 else x * torch.sigmoid(self.fixed_beta * x)

    def extra_repr(self) -> str:
        """beta and whether it is trained."""
        return f"beta={float(self.beta) if self.trainable else self.fixed_beta}, trainable={self.trainable}"


_MODULES: dict[spec.ActivationKind, type[nn.Module]] = {
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "hard_swish": nn.Hardswish,
    "gelu": nn.GELU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "hard_sigmoid": nn.Hardsigmoid,
    "identity": nn.Identity,
}


def activation(row: spec.Activation | spec.ActivationKind) -> nn.Module:
    """The module of an activation row, or of its name."""
    row = row if isinstance(row, spec.Activation) else spec.Activation(row)
    return Swish(row.beta, row.trainable) if row.kind == "swish" else _MODULES[row.kind]()


def activation_row(module: nn.Module) -> spec.Activation | None:
    """The row of an activation's module, the inverse of `activation`; None for any other module.

    A trained beta is what it is now.
    """
    if isinstance(module, Swish):
        return spec.Activation("swish", module.beta.item() if module.trainable else module.fixed_beta, module.trainable)
    return next((spec.Activation(kind) for kind, form in _MODULES.items() if type(module) is form), None)


class SamePadConv2d(nn.Conv2d):
    """A convolution with TensorFlow's SAME padding: the odd pixel goes to the bottom and right.

    padding = max((ceil(in / stride) - 1) * stride + kernel - in, 0) a side pair, (n, c, h, w) ->
    (n, c', ceil(h / stride), ceil(w / stride)).
    """

    def forward(self, input: Tensor) -> Tensor:
        """Pad as SAME does for this input's size, then convolve."""
        return super().forward(self.padded(input))

    def padded(self, input: Tensor) -> Tensor:
        """The input with the zeros around it that this size asks for."""
        return same_padded(input, self.kernel_size[0], self.stride[0])


def same_padded(input: Tensor, kernel: int, stride: int) -> Tensor:
    """The input of a convolution with the zeros around it that TensorFlow's SAME padding asks for."""
    down, across = (max((-(-side // stride) - 1) * stride + kernel - side, 0) for side in input.shape[-2:])
    if not (down or across):
        return input
    return functional.pad(input, (across // 2, across - across // 2, down // 2, down - down // 2))


def conv2d(row: spec.Conv, padding: spec.Padding = "symmetric") -> nn.Conv2d:
    """The convolution of a row; symmetric padding is (kernel - 1) / 2 on every side."""
    same = padding == "same" and row.stride > 1
    # With stride 1 and an odd kernel SAME padding is symmetric for every size.
    kind = SamePadConv2d if same else nn.Conv2d
    pad = 0 if same else (row.kernel - 1) // 2
    return kind(row.in_channels, row.out_channels, row.kernel, row.stride, pad, groups=row.groups, bias=row.bias)


class ConvNorm(nn.Module):
    """activation(BatchNorm(conv(x))): (n, c, h, w) -> (n, c', ceil(h / stride), ceil(w / stride)).

    Where the row `concatenates`, x stands before it: (n, c, h, w) -> (n, c + c', h, w).
    """

    def __init__(self, row: spec.Conv, norm: spec.Norm, padding: spec.Padding = "symmetric") -> None:
        super().__init__()
        self.conv = conv2d(row, padding)
        self.norm = nn.BatchNorm2d(row.out_channels, eps=norm.eps, momentum=norm.momentum)
        self.activation = activation(row.activation)
        self.concatenates: Final = row.concatenates

    def forward(self, x: Tensor) -> Tensor:
        """x -> activation(norm(conv(x))), with x before it where it concatenates."""
        y = self.activation(self.linear(x))
        return torch.cat((x, y), dim=1) if self.concatenates else y

    def linear(self, x: Tensor) -> Tensor:
        """What the activation reads: norm(conv(x))."""
        return self.norm(self.conv(x))


class SqueezeExcite(nn.Module):
    """Squeeze-and-excitation: channels weigh themselves. (n, c, h, w) -> (n, c, h, w).

    squeeze  z_c = mean over h, w of u_c                     (n, c, 1, 1), the global average
    excite   s = sigma(W2 delta(W1 z + b1) + b2)             W1: squeezed x c, W2: c x squeezed
    scale    x_c = s_c * u_c

    delta is `inner` (ReLU in Hu et al., Swish in EfficientNet), sigma is `gate` (sigmoid; hard
    sigmoid in MobileNetV3). Hu's reduction ratio r is channels / squeezed. Raises `ValueError` for
    an unknown activation or sizes below 1. Source: Hu et al., arXiv:1709.01507, section 3,
    equations 2 to 4.
    """

    def __init__(
        self,
        channels: int,
        squeezed: int,
        inner: spec.Activation | spec.ActivationKind = "relu",
        gate: spec.Activation | spec.ActivationKind = "sigmoid",
    ) -> None:
        super().__init__()
        spec.check_integer("channels", channels)
        spec.check_integer("squeezed channels", squeezed)
        self.reduce = nn.Conv2d(channels, squeezed, 1)
        self.inner = activation(inner)
        self.expand = nn.Conv2d(squeezed, channels, 1)
        self.gate = activation(gate)

    def gates(self, u: Tensor) -> Tensor:
        """The channel weights s: (n, c, h, w) -> (n, c, 1, 1)."""
        z = u.mean((2, 3), keepdim=True)
        return self.gate(self.expand(self.inner(self.reduce(z))))

    def forward(self, u: Tensor) -> Tensor:
        """u -> s * u."""
        return u * self.gates(u)


def squeeze_excite(block: spec.Block) -> SqueezeExcite | None:
    """The squeeze-and-excitation of a block, or None."""
    if block.squeeze is None or block.squeezed is None:
        return None
    return SqueezeExcite(block.expanded, block.squeezed, block.squeeze.inner, block.squeeze.gate)


class DropPath(nn.Module):
    """Stochastic depth: in training, a sample's branch is dropped with probability `rate`.

    y = b / (1 - rate) * x with b ~ Bernoulli(1 - rate) for each sample; identity in evaluation.
    Source: Huang et al., arXiv:1603.09382, section 3.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        spec.check_share("drop path rate", rate)
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """x -> x with whole samples zeroed, the others scaled to keep the mean."""
        if not self.training or self.rate == 0.0:
            return x
        kept = torch.empty((x.shape[0], 1, 1, 1), dtype=x.dtype, device=x.device).bernoulli_(1.0 - self.rate)
        return x * kept.div_(1.0 - self.rate)

    def extra_repr(self) -> str:
        """The rate."""
        return f"rate={self.rate:.3f}"


class Block(nn.Module):
    """What all blocks are: inner convolutions, squeeze-and-excitation, projection, skip or shortcut.

    `inner`, `projection` and `bypass` (the shortcut's) are the names of the convolutions, in the order in which they
    run; `conv_norm` gives the module of one. Which there are is said by the block's row in `networks/block.py`.
    Raises `ValueError` for a block of another kind than `kind`.
    """

    kind: spec.BlockKind

    def __init__(self, block: spec.Block, drop_rate: float = 0.0) -> None:
        super().__init__()
        if block.kind != self.kind:
            raise ValueError(f"{type(self).__name__} is built from a block of kind {self.kind}, not {block.kind}")
        self.inner: Final = self._add(block.inner, block)
        self.squeeze = squeeze_excite(block)
        self.projection: Final = self._add(block.projection, block)
        self.bypass: Final = self._add(block.shortcut, block)
        self.drop_path = DropPath(drop_rate) if block.adds else None
        self.after = activation(block.after) if block.after.kind != "identity" else None

    def _add(self, parts: spec.Parts, block: spec.Block) -> tuple[str, ...]:
        for name, row in parts:
            self.add_module(name, ConvNorm(row, block.norm, block.padding))
        return tuple(name for name, _ in parts)

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w) -> (n, c', ceil(h / stride), ceil(w / stride)); the class has the formula."""
        y = self.joined(x)
        return y if self.after is None else self.after(y)

    def joined(self, x: Tensor) -> Tensor:
        """The block's output before the non-linearity behind the sum."""
        y = self._through(self.projection, self.read_by("project", x))
        return y if self.drop_path is None else self.drop_path(y) + self.beside(x)

    def beside(self, x: Tensor) -> Tensor:
        """What is added to the branch, where anything is: the input or its shortcut."""
        return self._through(self.bypass, x)

    def read_by(self, part: str, x: Tensor) -> Tensor:
        """The map that a part reads: an inner convolution's name, or "project"."""
        for name in self.inner:
            if name == part:
                return x
            x = self.conv_norm(name)(x)
        return x if self.squeeze is None else self.squeeze(x)

    def _through(self, names: tuple[str, ...], x: Tensor) -> Tensor:
        for name in names:
            x = self.conv_norm(name)(x)
        return x

    def conv_norm(self, part: str) -> ConvNorm:
        """A convolution by its name."""
        module = self.get_submodule(part)
        assert isinstance(module, ConvNorm)
        return module


class MBConv(Block):
    """The mobile inverted bottleneck: (n, c, h, w) -> (n, c', ceil(h / stride), ceil(w / stride)).

    e = act(BN(W_e x))              expand 1x1, c -> t * c           (none where t = 1)
    d = act(BN(W_d * e))            depthwise k x k with the stride
    q = SE(d)                       squeeze-and-excitation           (where the block has it)
    y = BN(W_p q)                   project 1x1, t * c -> c', linear
    y + x                           where the block has a skip; y under stochastic depth

    The block says its channels, kernel, squeeze and whether it has a residual. Raises `ValueError`
    for a block of another kind. Source: Sandler et al., arXiv:1801.04381, section 3.3; Tan et al.,
    arXiv:1807.11626, figure 7 for the squeeze-and-excitation.
    """

    kind = "mbconv"


class DepthwiseSeparable(Block):
    """MobileNet V1's block: (n, c, h, w) -> (n, c', ceil(h / stride), ceil(w / stride)).

    y = act(BN(W_p SE(act(BN(W_d * x))))): depthwise k x k, then pointwise 1x1 with the activation;
    squeeze-and-excitation between them and a skip where the block has them. Raises `ValueError`
    for a block of another kind. Source: Howard et al., arXiv:1704.04861, section 3.1, figure 3.
    """

    kind = "separable"


class FusedMBConv(Block):
    """EfficientNetV2's early block: (n, c, h, w) -> (n, c', ceil(h / stride), ceil(w / stride)).

    e = act(BN(W_e * x))            k x k with the stride, c -> t * c
    y = BN(W_p SE(e))               project 1x1, t * c -> c', linear
    y + x                           where the block has a skip; y under stochastic depth

    With t = 1 it is one convolution, y = act(BN(W * x)), k x k with the stride, and the skip. Raises
    `ValueError` for a block of another kind. Source: Tan & Le, arXiv:2104.00298, section 3.2, figure 2.
    """

    kind = "fused"


class UniversalBottleneck(Block):
    """MobileNetV4's block: (n, c, h, w) -> (n, c', ceil(h / stride), ceil(w / stride)).

    s = BN(W_s * x)                 depthwise, linear                (where it has a start_kernel)
    e = act(BN(W_e s))              expand 1x1, c -> t * c
    d = act(BN(W_d * e))            depthwise k x k with the stride  (where kernel is not 0)
    y = BN(W_p d)                   project 1x1, t * c -> c', linear
    y + x                           where the block has a skip; y under stochastic depth

    Without the second depthwise convolution the first has the stride. Raises `ValueError` for a block
    of another kind. Source: Qin et al., arXiv:2404.10518, section 3, figure 4.
    """

    kind = "universal"


class Bottleneck(Block):
    """The block of the larger ResNets: (n, c, h, w) -> (n, c', ceil(h / stride), ceil(w / stride)).

    r = act(BN(W_r x))              reduce 1x1, c -> c' / t
    m = act(BN(W_m * r))            k x k with the stride
    y = BN(W_p m)                   project 1x1, c' / t -> c'
    act(y + x)                      or act(y + BN(W_x x)), 1x1 with the stride, where shapes differ

    The stride is in the k x k convolution (the form of torchvision and timm; the paper has it in the
    first 1x1). Raises `ValueError` for a block of another kind. Source: He et al., arXiv:1512.03385,
    section 4.1, figure 5.
    """

    kind = "bottleneck"


class BasicBlock(Block):
    """The block of the smaller ResNets: (n, c, h, w) -> (n, c', ceil(h / stride), ceil(w / stride)).

    m = act(BN(W_m * x))            k x k with the stride, c -> c'
    y = BN(W_p * m)                 k x k, c' -> c'
    act(y + x)                      or act(y + BN(W_x x)), 1x1 with the stride, where shapes differ

    Raises `ValueError` for a block of another kind. Source: He et al., arXiv:1512.03385, section 4.1,
    table 1 and figure 5; the shortcut is option B of that section.
    """

    kind = "basic"


class GhostBottleneck(Block):
    """GhostNet's block: (n, c, h, w) -> (n, c', ceil(h / stride), ceil(w / stride)).

    g(x, m, act) = [p, act(BN(W_d * p))]    p = act(BN(W_p x)): 1x1 to m / 2 channels, beside them a depthwise 3x3
    e = g(x, t * c, act)
    d = BN(W_d * e)                         depthwise k x k with the stride  (where the stride is 2)
    y = g(SE(d), c', identity)              squeeze-and-excitation where the block has it
    y + x                                   or y + BN(W_s BN(W_k * x)), depthwise k x k and 1x1, where shapes differ

    Raises `ValueError` for a block of another kind. Source: Han et al., arXiv:1911.11907, sections 3.1 and 3.2,
    figures 2 and 3, with a ratio of 2.
    """

    kind = "ghost"


BLOCKS: Final = {
    kind.kind: kind
    for kind in (MBConv, DepthwiseSeparable, FusedMBConv, UniversalBottleneck, Bottleneck, BasicBlock, GhostBottleneck)
}
"""Each kind of block has its module."""


def block_module(block: spec.Block, drop_rate: float = 0.0) -> Block:
    """The module of a block."""
    return BLOCKS[block.kind](block, drop_rate)
