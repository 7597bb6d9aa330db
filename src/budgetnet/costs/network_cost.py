"""What a network costs, from its description alone: one row an op, and sums over the rows.

`lower` gives the rows; `cost` the sums, which it keeps for every distinct block, so that a search can
price thousands of networks. Definitions and what they are held against: docs/cost.md.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal, NamedTuple, get_args

from budgetnet.arguments import integer
from budgetnet.costs import training_memory
from budgetnet.costs.blocks import CACHED_BLOCKS, distinct_blocks
from budgetnet.costs.number_types import WEIGHT_BYTES, DType, folded_biases
from budgetnet.costs.planners import MemoryPlan, Runtime, planner_of
from budgetnet.costs.training_memory import Optimiser
from budgetnet.networks import Block, Conv, Network, Parts, Px, chain_px, choose, network_of

Shape = tuple[int, int, int]
"""Channels, height and width of one image's tensor. A vector is (features, 1, 1)."""

OpKind = Literal["conv", "linear", "norm", "activation", "average", "maximum", "multiply", "add", "concatenate"]


@dataclass(frozen=True, slots=True)
class Op:
    """One operation of a network, for one image.

    Attributes:
        name: The name of the module that computes it in the built model.
        kind: "conv", "linear", "norm", "activation", "average", "maximum", "multiply", "add" or
            "concatenate".
        in_shapes: (channels, height, width) of each input.
        out_shape: (channels, height, width) of the output.
        macs: Multiply-adds.
        params: What training learns.
        output_elements: Elements of the output.
        bytes_moved: 4 bytes (float32) for every element that is read or written in the deployed form: inputs, folded
            weights, output. BatchNorm ("norm") is folded and moves nothing.
        conv: The convolution or linear layer that it is, or whose BatchNorm or activation.
    """

    name: str
    kind: OpKind
    in_shapes: tuple[Shape, ...]
    out_shape: Shape
    macs: int
    params: int
    output_elements: int
    bytes_moved: int
    conv: Conv = field(repr=False)

    @property
    def activations(self) -> int:
        """Output elements of a convolution or linear layer; 0 for the other kinds."""
        return self.output_elements if self.kind in ("conv", "linear") else 0


@dataclass(frozen=True, slots=True)
class Cost:
    """What a network costs at a batch, a dtype and a runtime. docs/cost.md says what is counted and how it is checked.

    Attributes:
        params: What training learns, with BatchNorm's scale and shift.
        macs: Multiply-adds of convolutions and linear layers for one image, without biases.
        activations: Output elements of convolutions and linear layers for one image.
        weight_bytes: Bytes of the weights, BatchNorm folded, so that every convolution has a bias. int8 has 1 byte a
            weight and 4 bytes a bias. With a runtime of its own the bytes of its file.
        peak_activation_bytes: The most bytes of activations that are live at once in an inference of `batch` images.
            With a runtime of its own all that it needs of RAM for the network: `memory_plan` has the parts.
        peak_bytes: weight_bytes + peak_activation_bytes.
        batch: For how many images at once.
        dtype: The number type of weights and activations.
        network: The network.
        runtime: What runs the network: its planner says the bytes.
    """

    params: int
    macs: int
    activations: int
    weight_bytes: int
    peak_activation_bytes: int
    peak_bytes: int
    batch: int
    dtype: DType
    network: Network = field(repr=False)
    runtime: Runtime = "deployed"

    @property
    def memory_plan(self) -> MemoryPlan:
        """Where the runtime needs the most memory, and what for."""
        return planner_of(self.runtime).plan(self.network, self.batch, self.dtype)

    @property
    def ops(self) -> tuple[Op, ...]:
        """One row an op, from the image to the logits."""
        return lower(self.network)

    def train_bytes(self, batch: int, optimiser: Optimiser = "sgd", ema: bool = False) -> int:
        """An upper bound on the live bytes of tensors in one training step, in float32.

        Never below what is measured, and at most 10 % above: docs/cost.md.

        Args:
            batch: Images in a step.
            optimiser: "sgd" (with momentum), "adamw" or "rmsprop".
            ema: Whether a moving average of the weights is kept.

        Returns:
            Bytes.

        Raises:
            ValueError: The optimiser is unknown, or the batch is below 1.
        """
        return training_memory.train_bytes(self.network, batch, optimiser, ema)


def cost(network: Network, batch: int = 1, dtype: DType = "float32", runtime: Runtime = "deployed") -> Cost:
    """What a network costs, from its description alone: no weights, no torch.

    Args:
        network: Any network.
        batch: For how many images at once the bytes are counted.
        dtype: The number type that bytes are counted in: "float32", "float16" or "int8".
        runtime: What runs the network, for the bytes: "deployed", the least that any runtime can need, or
            "tflite_micro" (int8 and one image).

    Returns:
        The sums; `ops` has them row by row.

    Raises:
        ValueError: The dtype or the runtime is unknown, the batch is below 1, or the runtime does not have that dtype,
            that batch or an activation of the network.
        TypeError: The network is not a `Network`.

    Example:
        >>> import budgetnet
        >>> b0 = budgetnet.cost(budgetnet.network("efficientnet_b0"))
        >>> b0.params, b0.macs
        (5288548, 385814752)
        >>> budgetnet.cost(b0.network, dtype="int8").peak_activation_bytes == b0.peak_activation_bytes // 4
        True
        >>> budgetnet.cost(b0.network, dtype="int8", runtime="tflite_micro").memory_plan.op
        'stages.1.0.expand.multiply'
    """
    network_of("network", network)
    batch = integer("batch", batch)
    choose("dtype", dtype, get_args(DType))
    return _priced(network, planner_of(runtime, batch, dtype).plan(network, batch, dtype), batch, dtype, runtime)


def least_cost(network: Network, batch: int, dtype: DType, runtime: Runtime) -> Cost:
    """As `cost`, with the runtime's lower bounds of memory, which never fall as a network without skips grows."""
    return _priced(network, planner_of(runtime, batch, dtype).floor(network, batch, dtype), batch, dtype, runtime)


def _priced(network: Network, plan: MemoryPlan, batch: int, dtype: DType, runtime: Runtime) -> Cost:
    sums = _sums(network)
    return Cost(
        params=sums.params,
        macs=sums.macs,
        activations=sums.activations,
        weight_bytes=plan.file_bytes,
        peak_activation_bytes=plan.arena_bytes,
        peak_bytes=plan.file_bytes + plan.arena_bytes,
        batch=batch,
        dtype=dtype,
        network=network,
        runtime=runtime,
    )


class _Sums(NamedTuple):
    params: int
    macs: int
    activations: int
    operations: int


class Computing(NamedTuple):
    """What one image takes of a network: sums over its operations, and how many they are."""

    macs: int
    activations: int
    params: int
    operations: int


def computing(network: Network) -> Computing:
    """The same numbers as `cost` has, where memory is not asked for: quicker, since no inference is walked."""
    sums = _sums(network)
    return Computing(sums.macs, sums.activations, sums.params, sums.operations)


def _sum_rows(rows: tuple[Op, ...]) -> _Sums:
    return _Sums(
        params=sum(row.params for row in rows),
        macs=sum(row.macs for row in rows),
        activations=sum(row.activations for row in rows),
        operations=len(rows),
    )


@lru_cache(maxsize=CACHED_BLOCKS)
def _block_sums(block: Block, in_px: Px) -> _Sums:
    return _sum_rows(block_rows(block, in_px))


@lru_cache(maxsize=64)
def _sums(network: Network) -> _Sums:
    """Sums over all rows: what every distinct block adds, as often as it is repeated, and both ends.

    Kept for a while: a search asks what a network costs, and then how long its training takes.
    """
    blocks = tuple(distinct_blocks(network))
    last = blocks[-1]
    rows = (*stem_rows(network), *tail_rows(network, last.block.out_px(last.px)))
    parts = [(_sum_rows(rows), 1), *((_block_sums(placed.block, placed.px), placed.times) for placed in blocks)]
    columns = zip(*([number * times for number in part] for part, times in parts), strict=True)
    return _Sums(*map(sum, columns))


class Part(NamedTuple):
    """What a part of a network adds to its sums. `weights_at`: those that are used at each size of map, whose pixels
    times weights are its multiply-adds."""

    params: int
    weights: int
    biases: int
    weights_at: tuple[tuple[Px, int], ...]


def stem_part_of(network: Network) -> Part:
    """All before the first block."""
    return _part(tuple(stem_rows(network)), (network.stem_conv,))


def tail_part_of(network: Network) -> Part:
    """All behind the last block."""
    *_, last = distinct_blocks(network)
    ends = (network.head_conv, network.hidden_linear, network.classifier)
    return _part(tuple(tail_rows(network, last.block.out_px(last.px))), tuple(conv for conv in ends if conv))


@lru_cache(maxsize=CACHED_BLOCKS)
def part_of(block: Block, in_px: Px) -> Part:
    """A block that sees such a map."""
    return _part(block_rows(block, in_px), block.convs)


def _part(rows: tuple[Op, ...], convs: tuple[Conv, ...]) -> Part:
    at = tuple(
        (row.out_shape[1:], row.macs // (row.out_shape[1] * row.out_shape[2]))
        for row in rows
        if row.kind in ("conv", "linear")
    )
    weights, biases = sum(conv.weights for conv in convs), sum(map(folded_biases, convs))
    return Part(sum(row.params for row in rows), weights, biases, at)


def lower(network: Network) -> tuple[Op, ...]:
    """The ops of a network from the image to the logits; names are those of the model's modules."""
    return tuple(_rows(network))


def _rows(network: Network) -> Iterator[Op]:
    yield from stem_rows(network)
    px = network.stem_px
    for i, blocks in enumerate(network.stage_blocks()):
        for j, block in enumerate(blocks):
            yield from (dataclasses.replace(row, name=f"stages.{i}.{j}.{row.name}") for row in block_rows(block, px))
            px = block.out_px(px)
    yield from tail_rows(network, px)


def stem_rows(network: Network) -> Iterator[Op]:
    """The ops before the first block."""
    yield from _conv_rows(network.stem_conv, network.resolution_px, "stem.")
    if network.stem.pool:
        channels, px = network.stem.channels, network.stem_conv.out_px(network.resolution_px)
        yield _op("stem_pool", "maximum", ((channels, *px),), (channels, *network.stem_px))


def tail_rows(network: Network, px: Px) -> Iterator[Op]:
    """The ops behind the last block, which makes a map of so many pixels."""
    channels = network.stages[-1].channels
    if network.head_conv is not None:
        yield from _conv_rows(network.head_conv, px, "head.")
        channels = network.head_conv.out_channels
    yield _op("pool", "average", ((channels, *px),), (channels, 1, 1))
    hidden = network.hidden_linear
    if hidden is not None:
        yield from _conv_rows(hidden, (1, 1), "hidden.") if hidden.norm else _linear_rows("hidden", hidden)
    yield from _linear_rows("classifier", network.classifier)


@lru_cache(maxsize=CACHED_BLOCKS)
def block_rows(block: Block, in_px: Px) -> tuple[Op, ...]:
    """The ops of a block that sees such a map."""
    rows = list(_chain_rows(block.inner, in_px))
    px = chain_px(block.inner, in_px)
    if block.excitation is not None:
        rows += _excitation_rows(block.excitation, px)
    rows += _chain_rows(block.projection, px)
    rows += _chain_rows(block.shortcut, in_px)
    shape = (block.out_channels, *block.out_px(in_px))
    if block.adds:
        rows.append(_op("add", "add", (shape, shape), shape))
    if block.after.kind != "identity":
        rows.append(_op("after", "activation", (shape,), shape, Conv(1, 1, norm=False, activation=block.after)))
    return tuple(rows)


def _chain_rows(parts: Parts, px: Px) -> Iterator[Op]:
    for name, conv in parts:
        yield from _conv_rows(conv, px, f"{name}.")
        px = conv.out_px(px)


def _conv_rows(conv: Conv, in_px: Px, prefix: str) -> Iterator[Op]:
    """A convolution, its BatchNorm, its activation if it has one, its input beside it: `ConvNorm`."""
    source, shape = (conv.in_channels, *in_px), (conv.out_channels, *conv.out_px(in_px))
    yield _op(f"{prefix}conv", "conv", (source,), shape, conv)
    yield _op(f"{prefix}norm", "norm", (shape,), shape, conv)
    yield from _activation_rows(f"{prefix}activation", conv, shape)
    if conv.concatenates:
        yield _op(f"{prefix}concatenate", "concatenate", (source, shape), (conv.map_channels, *in_px))


def _excitation_rows(excitation: tuple[Conv, Conv], px: Px) -> Iterator[Op]:
    reduce, expand = excitation
    wide, vector, inside = (reduce.in_channels, *px), (reduce.in_channels, 1, 1), (reduce.out_channels, 1, 1)
    yield _op("squeeze.average", "average", (wide,), vector)
    yield _op("squeeze.reduce", "conv", (vector,), inside, reduce)
    yield from _activation_rows("squeeze.inner", reduce, inside)
    yield _op("squeeze.expand", "conv", (inside,), vector, expand)
    yield from _activation_rows("squeeze.gate", expand, vector)
    yield _op("squeeze.multiply", "multiply", (wide, vector), wide)


def _linear_rows(name: str, linear: Conv) -> Iterator[Op]:
    shape = (linear.out_channels, 1, 1)
    yield _op(name, "linear", ((linear.in_channels, 1, 1),), shape, linear)
    yield from _activation_rows(f"{name}_activation", linear, shape)


def _activation_rows(name: str, conv: Conv, shape: Shape) -> Iterator[Op]:
    if conv.activation.kind != "identity":
        yield _op(name, "activation", (shape,), shape, conv)


Price = tuple[int, int, int]
"""The multiply-adds, the params, and the elements that are read and written."""


def _multiply_adds(shapes: tuple[Shape, ...], out: Shape, conv: Conv) -> Price:
    """height * width * kernel**2 * in / groups * out multiply-adds; the bias adds none."""
    macs = out[1] * out[2] * conv.weights
    folded = conv.weights + folded_biases(conv)
    return macs, conv.weights + conv.bias * conv.out_channels, math.prod(shapes[0]) + folded + math.prod(out)


def _norm(shapes: tuple[Shape, ...], out: Shape, conv: Conv) -> Price:
    """Scale and shift of every channel are learned; once folded, nothing is computed or moved."""
    return 0, 2 * conv.out_channels, 0


def _activation(shapes: tuple[Shape, ...], out: Shape, conv: Conv) -> Price:
    return 0, conv.activation.params, math.prod(shapes[0]) + math.prod(out)


def _elementwise(shapes: tuple[Shape, ...], out: Shape, conv: Conv) -> Price:
    return 0, 0, sum(map(math.prod, shapes)) + math.prod(out)


FORMULAS: Mapping[OpKind, Callable[[tuple[Shape, ...], Shape, Conv], Price]] = {
    "conv": _multiply_adds,
    "linear": _multiply_adds,
    "norm": _norm,
    "activation": _activation,
    "average": _elementwise,
    "maximum": _elementwise,
    "multiply": _elementwise,
    "add": _elementwise,
    "concatenate": _elementwise,
}
"""The price of every kind of op, from its shapes and the convolution that it belongs to."""

_NO_CONV = Conv(1, 1, norm=False)


def _op(name: str, kind: OpKind, in_shapes: tuple[Shape, ...], out_shape: Shape, conv: Conv = _NO_CONV) -> Op:
    if kind not in FORMULAS:
        raise ValueError(f"there is no formula for an op of kind {kind!r}; add it to cost.FORMULAS")
    macs, params, moved = FORMULAS[kind](in_shapes, out_shape, conv)
    return Op(
        name, kind, in_shapes, out_shape, macs, params, math.prod(out_shape), moved * WEIGHT_BYTES["float32"], conv
    )
