"""TensorFlow Lite Micro: the arena and the file of an int8 network, from its description alone.

    arena = head + tail
    head  = max over ops of the live tensors, each rounded up to 16 bytes; nothing is in place;
            or what planning them takes before the first op runs, if that is more: networks of many ops with small maps
    tail  = 2 x 4 B a channel, each array rounded up to 16 bytes, for every convolution
            + 64 B an op + 24 B a tensor + what the op's kernel keeps + a base
    file  = weights and biases + 12 B a channel + 110 to 272 B an op with its tensors + a base

The head is what the interpreter's own planner gives, to the byte. Tail and file are upper bounds whose constants are
fitted to measured ones: docs/cost.md.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from budgetnet.costs.blocks import CACHED_BLOCKS, distinct_blocks
from budgetnet.costs.number_types import DType
from budgetnet.costs.planners.greedy_arena import Buffer, arena_bytes
from budgetnet.costs.planners.live import Moment, Step, fullest, last_reads
from budgetnet.costs.planners.memory_plan import LiveTensor, MemoryPlan, PartMemory
from budgetnet.costs.planners.tflite_ops import Code, TfliteOp, block_ops, stem_ops, tail_ops
from budgetnet.networks import Block, Conv, Network, Padding, Px

ALIGNMENT_BYTES = 16
"""Every tensor of the arena starts at a multiple of this."""
CHANNEL_TAIL_BYTES, CHANNEL_TAIL_ARRAYS = 4, 2
"""A convolution keeps a multiplier and a shift of every channel, each in an array of its own."""
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
    "CONCATENATION": 96,
    "LOGISTIC": 16,
    "HARD_SWISH": 32,
    "TANH": 16,
    "SOFTMAX": 96,
}
TAIL_BASE_BYTES = 768
CHANNEL_FILE_BYTES = 12
OP_FILE_BYTES: Mapping[Code, int] = {
    "CONV_2D": 256,
    "DEPTHWISE_CONV_2D": 272,
    "FULLY_CONNECTED": 236,
    "PAD": 208,
    "MAX_POOL_2D": 152,
    "MEAN": 204,
    "ADD": 146,
    "MUL": 130,
    "CONCATENATION": 152,
    "LOGISTIC": 110,
    "HARD_SWISH": 152,
    "TANH": 110,
    "SOFTMAX": 144,
}
"""What an op takes in the file with the tensor that it makes and its constants, without their values."""
FACTOR_FILE_BYTES = 80
"""What a MUL by a constant takes more."""
FILE_BASE_BYTES = 1000
PLANNED_TENSOR_BYTES = 32
"""While it plans, the interpreter keeps so much of every tensor, constants among them (struct AllocationInfo)."""
PLANNED_BUFFER_BYTES = 40
"""It keeps so much more of every tensor that it places (GreedyMemoryPlanner::per_buffer_size)."""
SCRATCH_REQUEST_BYTES, SCRATCH_REQUESTS_AT_ONCE = 16, 12
"""Kernels ask for scratch by a list of so many bytes a request, which has room for 12 more (ScratchBufferRequest,
kMaxScratchBuffersPerOp)."""
PLANNING_BASE_BYTES = (
    256 + PLANNED_TENSOR_BYTES + PLANNED_BUFFER_BYTES + SCRATCH_REQUEST_BYTES * SCRATCH_REQUESTS_AT_ONCE
)
"""This is for the image, room in the list, the offset of the graph, alignment, and what kernels keep that is fitted
(tail) and not counted."""


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
    planning_bytes: int


def plan(network: Network, batch: int, dtype: DType, softmax: bool = False) -> MemoryPlan:
    """The plan of the interpreter for one int8 image; `softmax`: of a file that ends in probabilities.

    Raises a one-line `ValueError` for an activation that the runtime has no op for.
    """
    parts = tuple(_parts(network, softmax))
    planning = PLANNING_BASE_BYTES + sum(part.planning_bytes * times for _, part, times in parts)
    return _plan(parts, max(arena_bytes(_buffers(network, parts)), planning))


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


def stem_memory(network: Network, batch: int, dtype: DType) -> PartMemory:
    """What the stem needs by itself, and what any network does."""
    part = _memory(_stem_part(network))
    return PartMemory(
        part.live_bytes,
        PLANNING_BASE_BYTES + part.planning_bytes,
        TAIL_BASE_BYTES + part.tail_bytes,
        FILE_BASE_BYTES + part.file_bytes,
    )


def block_memory(block: Block, in_px: Px, batch: int, dtype: DType) -> PartMemory:
    """What a block needs by itself."""
    return _memory(_block_part(block, in_px))


def tail_memory(network: Network, px: Px, batch: int, dtype: DType) -> PartMemory:
    """What is needed behind the last block, which makes a map of so many pixels."""
    return _memory(_tail_part(network, px))


def _memory(part: _Part) -> PartMemory:
    return PartMemory(part.moment.size, part.planning_bytes, part.tail_bytes, part.file_bytes)


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


def _parts(network: Network, softmax: bool = False) -> Iterator[tuple[str, _Part, int]]:
    """(name, part, how often in a row) of the stem, every distinct block and the tail."""
    yield "", _stem_part(network), 1
    px = network.stem_px
    for placed in distinct_blocks(network):
        yield placed.name, _block_part(placed.block, placed.px), placed.times
        px = placed.block.out_px(placed.px)
    yield "", _tail_part(network, px, softmax), 1


def _stem_part(network: Network) -> _Part:
    return _part_of_stem(network.stem_conv, network.stem.pool, network.resolution_px, network.padding)


def _tail_part(network: Network, px: Px, softmax: bool = False) -> _Part:
    return _part_of_tail(network.head_conv, network.hidden_linear, network.classifier, px, softmax)


@lru_cache(maxsize=CACHED_BLOCKS)
def _part_of_stem(conv: Conv, pool: bool, px: Px, padding: Padding) -> _Part:
    return _part(stem_ops(conv, pool, px, padding))


@lru_cache(maxsize=CACHED_BLOCKS)
def _part_of_tail(head: Conv | None, hidden: Conv | None, classifier: Conv, px: Px, softmax: bool) -> _Part:
    return _part(tail_ops(head, hidden, classifier, px, softmax))


@lru_cache(maxsize=CACHED_BLOCKS)
def _block_part(block: Block, in_px: Px) -> _Part:
    return _part(block_ops(block, in_px))


def _part(made: Sequence[TfliteOp]) -> _Part:
    steps = [Step(op.name, op.reads, op.makes, op.scratch) for op in made]
    last = last_reads(steps)
    return _Part(
        moment=fullest(steps, lambda tensor: _aligned(tensor.elements)),
        tail_bytes=sum(map(tail_bytes_of, made)),
        file_bytes=sum(map(file_bytes_of, made)),
        made=tuple(
            Buffer(_aligned(op.makes.elements), index, last.get(op.makes.name, index)) for index, op in enumerate(made)
        ),
        scratch=tuple(
            Buffer(_aligned(each.elements), index, index) for index, op in enumerate(made) for each in op.scratch
        ),
        read_until=last[made[0].reads[0].name],
        planning_bytes=sum(map(planning_bytes_of, made)),
    )


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT_BYTES) * ALIGNMENT_BYTES


def channels_tail_bytes(channels: int) -> int:
    """What the scales of so many channels keep in the arena, where every array starts at a multiple of 16.

    Source: tensorflow/tflite-micro, single_arena_buffer_allocator.cc, `AllocatePersistentBuffer`.
    """
    return CHANNEL_TAIL_ARRAYS * _aligned(CHANNEL_TAIL_BYTES * channels)


def tail_bytes_of(op: TfliteOp) -> int:
    """What an op and its constants, and the tensor that it makes, keep in the arena."""
    tensors = 1 + len(op.constants)
    return (
        channels_tail_bytes(op.scaled_channels)
        + KERNEL_TAIL_BYTES[op.code]
        + OP_TAIL_BYTES
        + TENSOR_TAIL_BYTES * tensors
    )


def planning_bytes_of(op: TfliteOp) -> int:
    """What the interpreter needs above the tail to plan an op's constants, the tensor that it makes and its scratch."""
    scratch = len(op.scratch)
    tensors, buffers = 1 + len(op.constants) + scratch, 1 + scratch
    return PLANNED_TENSOR_BYTES * tensors + PLANNED_BUFFER_BYTES * buffers + SCRATCH_REQUEST_BYTES * scratch


def file_bytes_of(op: TfliteOp) -> int:
    """What an op, its constants and the tensor that it makes take in the file."""
    factor = 0 if op.factor is None else FACTOR_FILE_BYTES
    return sum(op.constants) + CHANNEL_FILE_BYTES * op.scaled_channels + OP_FILE_BYTES[op.code] + factor
