"""The ops that a network has as a TensorFlow Lite file: what the planner prices, and what the writer writes.

The first op takes plain pixels, 0 to 255, and normalises them: a 1x1 convolution of every channel by itself. BatchNorm
is folded, a ReLU is inside of the op before it, Swish is LOGISTIC and MUL, and a padding that is not TensorFlow's SAME
is an op of its own. Nothing is in place, as in the interpreter.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

from budgetnet.costs.blocks import distinct_blocks
from budgetnet.costs.number_types import BIAS_BYTES
from budgetnet.costs.planners.live import Tensor
from budgetnet.networks import Activation, ActivationKind, Block, Conv, Network, Padding, Parts, Px

Code = Literal[
    "CONV_2D",
    "DEPTHWISE_CONV_2D",
    "FULLY_CONNECTED",
    "PAD",
    "MAX_POOL_2D",
    "MEAN",
    "ADD",
    "MUL",
    "CONCATENATION",
    "LOGISTIC",
    "HARD_SWISH",
    "TANH",
    "SOFTMAX",
]
BIAS = BIAS_BYTES["int8"]
INDEX = 4
"""The bytes of a 32-bit integer, of which the constants of PAD and MEAN are made."""
PADDINGS, AXES, RANK = 8, 2, 4
"""How many integers say where PAD adds pixels, over which axes MEAN goes, and where in a map it is."""
POOL_KERNEL, POOL_STRIDE = 3, 2
NORMALISE = "normalise"
"""The op that makes a network's input of pixels has this name."""
SOFTMAX = "softmax"
"""The op that makes probabilities of logits has this name, where a file ends in them."""
SHIFT, SIXTH = 3.0, 1 / 6
"""A hard sigmoid is relu6(x + SHIFT) * SIXTH; the convolution before it takes the shift into its bias."""


@dataclass(frozen=True, slots=True)
class TfliteOp:
    """One op of a .tflite file.

    Attributes:
        name: The module of the model that it belongs to, and what it does there.
        code: TensorFlow Lite's name of it.
        reads: The tensors that it reads, without its constants.
        makes: The tensor that it makes, int8: a byte an element.
        channels: Channels of what it makes.
        px: Height and width of what it makes.
        layer: The convolution or linear layer whose weights it has.
        same: Whether a convolution or pooling pads as TensorFlow's SAME does; else it does not pad.
        fused: The non-linearity that it computes itself; "hard_sigmoid" stands for relu6(x + 3).
        margin: The pixels that PAD adds on every side.
        factor: What MUL multiplies by, if that is a constant: Swish's beta, or 1 / 6.
    """

    name: str
    code: Code
    reads: tuple[Tensor, ...]
    makes: Tensor
    channels: int
    px: Px
    layer: Conv | None = None
    same: bool = True
    fused: ActivationKind = "identity"
    margin: int = 0
    factor: float | None = None

    @property
    def constants(self) -> tuple[int, ...]:
        """The bytes of each constant tensor: weights and biases, paddings, axes or a factor."""
        if self.layer is not None:
            return self.layer.weights, self.layer.out_channels * BIAS
        if self.code == "PAD":
            return (PADDINGS * INDEX,)
        if self.code == "MEAN":
            return (AXES * INDEX,)
        return () if self.factor is None else (1,)

    @property
    def scaled_channels(self) -> int:
        """Channels with a scale of their own: those of a convolution. A linear layer has one scale."""
        return 0 if self.layer is None or self.code == "FULLY_CONNECTED" else self.layer.out_channels

    @property
    def scratch(self) -> tuple[Tensor, ...]:
        """The tensors that its kernel needs while it runs."""
        sizes = (RANK * INDEX, AXES * INDEX, self.channels * INDEX) if self.code == "MEAN" else ()
        return tuple(Tensor(f"{self.name}.scratch", size) for size in sizes)


class _Map(NamedTuple):
    tensor: Tensor
    channels: int
    px: Px


class _Ops:
    """The ops of a part of a network, one after another; `at` is the map that the next one reads."""

    def __init__(self, name: str, channels: int, px: Px, padding: Padding) -> None:
        self.made: list[TfliteOp] = []
        self.padding: Padding = padding
        self.at = _Map(Tensor(name, channels * px[0] * px[1]), channels, px)

    def _op(
        self,
        name: str,
        code: Code,
        channels: int,
        px: Px,
        beside: tuple[_Map, ...] = (),
        layer: Conv | None = None,
        same: bool = True,
        margin: int = 0,
        factor: float | None = None,
    ) -> None:
        reads = (self.at.tensor, *(each.tensor for each in beside))
        makes = Tensor(name, channels * px[0] * px[1])
        self.made.append(TfliteOp(name, code, reads, makes, channels, px, layer, same, margin=margin, factor=factor))
        self.at = _Map(makes, channels, px)

    def _alike(self, name: str, code: Code, beside: tuple[_Map, ...] = (), factor: float | None = None) -> None:
        """An op whose output has the shape of its input."""
        self._op(name, code, self.at.channels, self.at.px, beside, factor=factor)

    def chain(self, parts: Parts) -> None:
        """Convolutions one after another."""
        for name, conv in parts:
            before = self.at
            self.conv(f"{name}.", conv)
            if conv.concatenates:
                # The map that was read stands before the new channels.
                made, self.at = self.at, before
                self._op(f"{name}.concatenate", "CONCATENATION", conv.map_channels, made.px, (made,))

    def conv(self, prefix: str, conv: Conv) -> None:
        """A convolution with its activation, behind a padded copy where its padding is not TensorFlow's own."""
        px = conv.out_px(self.at.px)
        padded = self.padding == "symmetric" and not conv.pads_alike(self.at.px)
        if padded:
            self._padded(prefix, conv)
        code: Code = "CONV_2D" if conv.groups == 1 else "DEPTHWISE_CONV_2D"
        self._op(f"{prefix}conv", code, conv.out_channels, px, layer=conv, same=not padded)
        self.activation(prefix, conv.activation)

    def pool(self) -> None:
        """The stem's max pooling, which the model pads symmetrically whatever its convolutions do."""
        window = Conv(self.at.channels, self.at.channels, POOL_KERNEL, POOL_STRIDE)
        px, padded = window.out_px(self.at.px), not window.pads_alike(self.at.px)
        if padded:
            self._padded("stem_pool.", window)
        self._op("stem_pool", "MAX_POOL_2D", self.at.channels, px, same=not padded)

    def _padded(self, prefix: str, conv: Conv) -> None:
        height, width = (side + conv.kernel - 1 for side in self.at.px)
        self._op(f"{prefix}pad", "PAD", self.at.channels, (height, width), margin=(conv.kernel - 1) // 2)

    def activation(self, prefix: str, activation: Activation) -> None:
        """A non-linearity: inside of the op before it where that can compute it, else ops of its own."""
        before = self.at
        match activation.kind:
            case "identity":
                pass
            case "relu" | "relu6":
                self._fuse(activation.kind)
            case "swish":
                if activation.trainable or activation.beta != 1.0:
                    self._alike(f"{prefix}beta", "MUL", (), activation.beta)
                self._alike(f"{prefix}sigmoid", "LOGISTIC")
                self._alike(f"{prefix}multiply", "MUL", (before,))
            case "hard_swish":
                self._alike(f"{prefix}activation", "HARD_SWISH")
            case "sigmoid":
                self._alike(f"{prefix}activation", "LOGISTIC")
            case "tanh":
                self._alike(f"{prefix}activation", "TANH")
            case "hard_sigmoid":  # relu6(x + 3) / 6: the convolution before it takes the sum and the ReLU6
                self._fuse("hard_sigmoid")
                self._alike(f"{prefix}activation", "MUL", (), SIXTH)
            case "gelu":
                raise ValueError("the runtime tflite_micro has no op for the activation gelu; take another activation")

    def _fuse(self, kind: ActivationKind) -> None:
        self.made[-1] = dataclasses.replace(self.made[-1], fused=kind)

    def squeeze(self, excitation: tuple[Conv, Conv]) -> None:
        """Squeeze-and-excitation: its last op reads the map once more and makes a new one."""
        before = self.at
        self.average("squeeze.average")
        for name, conv in zip(("squeeze.reduce", "squeeze.expand"), excitation, strict=True):
            self.conv(f"{name}.", conv)
        self._op("squeeze.multiply", "MUL", before.channels, before.px, (before,))

    def average(self, name: str) -> None:
        """The mean of every channel."""
        self._op(name, "MEAN", self.at.channels, (1, 1))

    def linear(self, name: str, linear: Conv) -> None:
        """A linear layer."""
        self._op(name, "FULLY_CONNECTED", linear.out_channels, (1, 1), layer=linear)
        self.activation(f"{name}.", linear.activation)

    def softmax(self) -> None:
        """Probabilities of logits."""
        self._alike(SOFTMAX, "SOFTMAX")

    def add(self, beside: _Map) -> None:
        """The sum of two maps, in a new one."""
        self._alike("add", "ADD", (beside,))


def stem_ops(conv: Conv, pool: bool, px: Px, padding: Padding) -> list[TfliteOp]:
    """The ops before the first block, for an image of so many pixels; they read "image"."""
    channels = conv.in_channels
    stem = _Ops("image", channels, px, padding)
    stem.conv(f"{NORMALISE}.", Conv(channels, channels, groups=channels, bias=True, norm=False))
    stem.conv("stem.", conv)
    if pool:
        stem.pool()
    return stem.made


def block_ops(block: Block, in_px: Px) -> list[TfliteOp]:
    """The ops of a block; they read "input"."""
    made = _Ops("input", block.in_channels, in_px, block.padding)
    source = made.at
    made.chain(block.inner)
    if block.excitation is not None:
        made.squeeze(block.excitation)
    made.chain(block.projection)
    branch = made.at
    if block.adds:
        made.at = source
        made.chain(block.shortcut)
        made.add(branch)
    made.activation("after.", block.after)
    return made.made


def tail_ops(head: Conv | None, hidden: Conv | None, classifier: Conv, px: Px, softmax: bool = False) -> list[TfliteOp]:
    """The ops behind the last block, whose map has so many pixels; they read "input". `softmax`: they end in
    probabilities."""
    first = head or hidden or classifier
    tail = _Ops("input", first.in_channels, px, "same")  # 1x1 convolutions, which pad nothing
    if head is not None:
        tail.conv("head.", head)
    tail.average("pool")
    if hidden is not None:
        tail.linear("hidden", hidden)
    tail.linear("classifier", classifier)
    if softmax:
        tail.softmax()
    return tail.made


def ops_of(network: Network, softmax: bool = False) -> tuple[TfliteOp, ...]:
    """All ops of a network in the order in which they run, every name that of its module in the model; `softmax`: with
    the one that makes probabilities of the logits.

    Raises a one-line `ValueError` for an activation that the runtime has no op for.
    """
    made: list[TfliteOp] = []
    for prefix, ops in _parts(network, softmax):
        source = made[-1].makes if made else None
        made += [_under(prefix, op, source) for op in ops]
    return tuple(made)


def _parts(network: Network, softmax: bool) -> Iterator[tuple[str, list[TfliteOp]]]:
    yield "", stem_ops(network.stem_conv, network.stem.pool, network.resolution_px, network.padding)
    px = network.stem_px
    for placed in distinct_blocks(network):
        for repeat in range(placed.times):
            yield f"stages.{placed.stage}.{placed.first + repeat}.", block_ops(placed.block, placed.px)
        px = placed.block.out_px(placed.px)
    yield "", tail_ops(network.head_conv, network.hidden_linear, network.classifier, px, softmax)


def _under(prefix: str, op: TfliteOp, source: Tensor | None) -> TfliteOp:
    """An op of a part in its network: its part's input is what the part before made."""

    def placed(tensor: Tensor) -> Tensor:
        if tensor.name in ("input", "image"):
            return tensor if source is None else source
        return Tensor(prefix + tensor.name, tensor.elements)

    return dataclasses.replace(op, name=prefix + op.name, reads=tuple(map(placed, op.reads)), makes=placed(op.makes))
