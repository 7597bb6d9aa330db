"""TensorFlow Lite Micro: the arena and the file of an int8 network, from its description alone.

    arena = head + tail
    head  = max over ops of the live tensors, each rounded up to 16 bytes; nothing is in place
    tail  = 8 B a channel of convolutions + 64 B an op + 24 B a tensor + what the op's kernel keeps + a base
    file  = weights and biases + 12 B a channel + what ops and tensors take in it + a base

The head is what the interpreter's own planner gives, to the byte. Tail and file are upper bounds whose constants are
fitted to measured ones: docs/cost.md.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple

from budgetnet.costs.blocks import CACHED_BLOCKS, distinct_blocks
from budgetnet.costs.number_types import BIAS_BYTES, DType
from budgetnet.costs.planners.greedy_arena import Buffer, arena_bytes
from budgetnet.costs.planners.live import Moment, Step, Tensor, fullest, last_reads
from budgetnet.costs.planners.memory_plan import LiveTensor, MemoryPlan
from budgetnet.networks import Activation, Block, Conv, Network, Padding, Parts, Px

ALIGNMENT_BYTES = 16
"""Every tensor of the arena starts at a multiple of this."""
BIAS = BIAS_BYTES["int8"]
INDEX = 4
"""The bytes of a 32-bit integer, of which the constants of PAD and MEAN are made."""

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
]
PADDINGS, AXES, RANK = 8, 2, 4
"""How many integers say where PAD adds pixels, over which axes MEAN goes, and where in a map it is."""
POOL_KERNEL, POOL_STRIDE = 3, 2
CHANNEL_TAIL_BYTES = 8
OP_TAIL_BYTES = 64
TENSOR_TAIL_BYTES = 24
KERNEL_TAIL_BYTES: Mapping[Code, int] = {
    "CONV_2D": 108,
    "DEPTHWISE_CONV_2D": 108,
    "FULLY_CONNECTED": 120,
    "PAD": 64,
    "MAX_POOL_2D": 72,
    "MEAN": 80,
    "ADD": 72,
    "MUL": 56,
    "CONCATENATION": 88,
    "LOGISTIC": 16,
    "HARD_SWISH": 32,
    "TANH": 16,
}
TAIL_BASE_BYTES = 800
CHANNEL_FILE_BYTES = 12
OP_FILE_BYTES = 41
TENSOR_FILE_BYTES = 75
FILE_BASE_BYTES = 1000


@dataclass(frozen=True, slots=True)
class TfliteOp:
    """One op of a .tflite file.

    Attributes:
        name: The module of the model that it belongs to, and what it does there.
        code: TensorFlow Lite's name of it.
        reads: The tensors that it reads, without its constants.
        makes: The tensor that it makes, int8: a byte an element.
        constants: The bytes of each tensor of its weights, biases, paddings or axes.
        channels: Channels with a scale of their own: those of a convolution or linear layer.
        scratch: The tensors that its kernel needs while it runs.
    """

    name: str
    code: Code
    reads: tuple[Tensor, ...]
    makes: Tensor
    constants: tuple[int, ...] = ()
    channels: int = 0
    scratch: tuple[Tensor, ...] = ()


class _Part(NamedTuple):
    """A part of a network: its fullest moment, what its ops take of tail and file, its buffers.

    Ops are counted from the part's first. `made` has a buffer an op, the last of them the part's output, whose end the
    next part knows; `read_until` is the last op that reads the part's input.
    """

    moment: Moment
    tail_bytes: int
    file_bytes: int
    made: tuple[Buffer, ...]
    scratch: tuple[Buffer, ...]
    read_until: int


def plan(network: Network, batch: int, dtype: DType) -> MemoryPlan:
    """The plan of the interpreter for one int8 image.

    Raises a one-line `ValueError` for an activation that the runtime has no op for.
    """
    parts = tuple(_parts(network))
    return _plan(parts, arena_bytes(_buffers(network, parts)))


def floor(network: Network, batch: int, dtype: DType) -> MemoryPlan:
    """The same without copies for padding and without gaps in the arena, which come and go along a path."""
    return _plan(tuple(_parts(dataclasses.replace(network, padding="same"))), None)


_Parts = tuple[tuple[str, _Part, int], ...]


def _plan(parts: _Parts, head_bytes: int | None) -> MemoryPlan:
    """The sums over the parts; the head, unless given, is the most that lives at once."""
    place, peak, _ = max(parts, key=lambda row: row[1].moment.size)
    at = peak.moment.under(place) if place else peak.moment
    return MemoryPlan(
        head_bytes=at.size if head_bytes is None else head_bytes,
        tail_bytes=_aligned(TAIL_BASE_BYTES + sum(part.tail_bytes * times for _, part, times in parts)),
        file_bytes=FILE_BASE_BYTES + sum(part.file_bytes * times for _, part, times in parts),
        op=at.op,
        tensors=tuple(LiveTensor(tensor.name, tensor.elements) for tensor in at.tensors),
    )


def _buffers(network: Network, parts: _Parts) -> list[Buffer]:
    """Every tensor in the order in which it is made, and behind them what kernels need for themselves."""
    height, width = network.resolution_px
    given = Buffer(_aligned(network.in_channels * height * width), 0, 0)
    tensors, scratch, ops = [given], list[Buffer](), 0
    for _, part, times in parts:
        for _ in range(times):
            source = tensors[-1]
            tensors[-1] = source._replace(last=ops + part.read_until)
            tensors += [Buffer(size, first + ops, last + ops) for size, first, last in part.made]
            scratch += [Buffer(size, first + ops, last + ops) for size, first, last in part.scratch]
            ops += len(part.made)
    return tensors + scratch


def _parts(network: Network) -> Iterator[tuple[str, _Part, int]]:
    """(name, part, how often in a row) of the stem, every distinct block and the tail."""
    yield "", _part(_stem(network)), 1
    px = network.stem_px
    for placed in distinct_blocks(network):
        yield placed.name, _block_part(placed.block, placed.px), placed.times
        px = placed.block.out_px(placed.px)
    yield "", _part(_tail(network, px)), 1


@lru_cache(maxsize=CACHED_BLOCKS)
def _block_part(block: Block, in_px: Px) -> _Part:
    return _part(_block(block, in_px))


def _part(made: Sequence[TfliteOp]) -> _Part:
    steps = [Step(op.name, op.reads, op.makes, op.scratch) for op in made]
    last = last_reads(steps)
    return _Part(
        moment=fullest(steps, lambda tensor: _aligned(tensor.elements)),
        tail_bytes=sum(map(_tail_bytes, made)),
        file_bytes=sum(map(_file_bytes, made)),
        made=tuple(
            Buffer(_aligned(op.makes.elements), index, last.get(op.makes.name, index)) for index, op in enumerate(made)
        ),
        scratch=tuple(
            Buffer(_aligned(each.elements), index, index) for index, op in enumerate(made) for each in op.scratch
        ),
        read_until=last[made[0].reads[0].name],
    )


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT_BYTES) * ALIGNMENT_BYTES


def _tail_bytes(op: TfliteOp) -> int:
    """What an op and its constants, and the tensor that it makes, keep in the arena."""
    tensors = 1 + len(op.constants)
    return CHANNEL_TAIL_BYTES * op.channels + KERNEL_TAIL_BYTES[op.code] + OP_TAIL_BYTES + TENSOR_TAIL_BYTES * tensors


def _file_bytes(op: TfliteOp) -> int:
    """What an op, its constants and the tensor that it makes take in the file."""
    tensors = 1 + len(op.constants)
    return sum(op.constants) + CHANNEL_FILE_BYTES * op.channels + OP_FILE_BYTES + TENSOR_FILE_BYTES * tensors


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
        constants: tuple[int, ...] = (),
        quantised: int = 0,
        scratch: tuple[int, ...] = (),
    ) -> None:
        reads = (self.at.tensor, *(each.tensor for each in beside))
        makes = Tensor(name, channels * px[0] * px[1])
        own = tuple(Tensor(f"{name}.scratch", size) for size in scratch)
        self.made.append(TfliteOp(name, code, reads, makes, constants, quantised, own))
        self.at = _Map(makes, channels, px)

    def _alike(self, name: str, code: Code, beside: tuple[_Map, ...] = (), constants: tuple[int, ...] = ()) -> None:
        """An op whose output has the shape of its input."""
        self._op(name, code, self.at.channels, self.at.px, beside, constants)

    def chain(self, parts: Parts) -> None:
        """Convolutions one after another."""
        for name, conv in parts:
            before = self.at
            self.conv(f"{name}.", conv)
            if conv.concatenates:
                self._op(f"{name}.concatenate", "CONCATENATION", conv.map_channels, self.at.px, (before,))

    def conv(self, prefix: str, conv: Conv) -> None:
        """A convolution with its activation, behind a padded copy where its padding is not TensorFlow's own."""
        px = conv.out_px(self.at.px)
        self._pad(prefix, conv)
        code: Code = "CONV_2D" if conv.groups == 1 else "DEPTHWISE_CONV_2D"
        constants = (conv.weights, conv.out_channels * BIAS)
        self._op(f"{prefix}conv", code, conv.out_channels, px, (), constants, conv.out_channels)
        self.activation(prefix, conv.activation)

    def pool(self) -> None:
        """The stem's max pooling, which the model pads symmetrically whatever its convolutions do."""
        window = Conv(self.at.channels, self.at.channels, POOL_KERNEL, POOL_STRIDE)
        px = window.out_px(self.at.px)
        if not window.pads_alike(self.at.px):
            self._padded("stem_pool.", window)
        self._op("stem_pool", "MAX_POOL_2D", self.at.channels, px)

    def _pad(self, prefix: str, conv: Conv) -> None:
        if self.padding == "symmetric" and not conv.pads_alike(self.at.px):
            self._padded(prefix, conv)

    def _padded(self, prefix: str, conv: Conv) -> None:
        height, width = (side + conv.kernel - 1 for side in self.at.px)
        self._op(f"{prefix}pad", "PAD", self.at.channels, (height, width), (), (PADDINGS * INDEX,))

    def activation(self, prefix: str, activation: Activation) -> None:
        """The ops of a non-linearity that its convolution or sum does not compute itself."""
        before = self.at
        match activation.kind:
            case "identity" | "relu" | "relu6":
                pass
            case "swish":
                if activation.trainable or activation.beta != 1.0:
                    self._alike(f"{prefix}beta", "MUL", (), (1,))
                self._alike(f"{prefix}sigmoid", "LOGISTIC")
                self._alike(f"{prefix}multiply", "MUL", (before,))
            case "hard_swish":
                self._alike(f"{prefix}activation", "HARD_SWISH")
            case "sigmoid":
                self._alike(f"{prefix}activation", "LOGISTIC")
            case "tanh":
                self._alike(f"{prefix}activation", "TANH")
            case "hard_sigmoid":  # relu6(x + 3) / 6: the convolution before it takes the sum and the ReLU6
                self._alike(f"{prefix}activation", "MUL", (), (1,))
            case "gelu":
                raise ValueError("the runtime tflite_micro has no op for the activation gelu; take another activation")

    def squeeze(self, excitation: tuple[Conv, Conv]) -> None:
        """Squeeze-and-excitation: its last op reads the map once more and makes a new one."""
        before = self.at
        self.average("squeeze.average")
        for name, conv in zip(("squeeze.reduce", "squeeze.expand"), excitation, strict=True):
            self.conv(f"{name}.", conv)
        self._op("squeeze.multiply", "MUL", before.channels, before.px, (before,))

    def average(self, name: str) -> None:
        """The mean of every channel."""
        channels = self.at.channels
        scratch = (RANK * INDEX, AXES * INDEX, channels * INDEX)
        self._op(name, "MEAN", channels, (1, 1), (), (AXES * INDEX,), scratch=scratch)

    def linear(self, name: str, linear: Conv) -> None:
        """A linear layer. Its weights have one scale, or one an output as converters write them: the larger form."""
        constants = (linear.weights, linear.out_channels * BIAS)
        self._op(name, "FULLY_CONNECTED", linear.out_channels, (1, 1), (), constants, linear.out_channels)
        self.activation(f"{name}.", linear.activation)

    def add(self, beside: _Map) -> None:
        """The sum of two maps, in a new one."""
        self._alike("add", "ADD", (beside,))


class _Map(NamedTuple):
    tensor: Tensor
    channels: int
    px: Px


def _stem(network: Network) -> list[TfliteOp]:
    stem = _Ops("image", network.in_channels, network.resolution_px, network.padding)
    stem.conv("stem.", network.stem_conv)
    if network.stem.pool:
        stem.pool()
    return stem.made


def _block(block: Block, in_px: Px) -> list[TfliteOp]:
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


def _tail(network: Network, px: Px) -> list[TfliteOp]:
    tail = _Ops("input", network.stages[-1].channels, px, network.padding)
    if network.head_conv is not None:
        tail.conv("head.", network.head_conv)
    tail.average("pool")
    if network.hidden_linear is not None:
        tail.linear("hidden", network.hidden_linear)
    tail.linear("classifier", network.classifier)
    return tail.made
