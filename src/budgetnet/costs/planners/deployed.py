"""The deployed form of a network: the least live memory that any runtime can reach.

BatchNorm is folded; activations, the squeeze-and-excitation multiply and the residual add are in place; padding is
inside the convolutions; the image is held throughout. Ops run one after another.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from budgetnet.costs.blocks import CACHED_BLOCKS, distinct_blocks
from budgetnet.costs.number_types import WEIGHT_BYTES, DType, folded_biases, weight_bytes
from budgetnet.costs.planners.live import Moment, Step, Tensor, fullest
from budgetnet.costs.planners.memory_plan import LiveTensor, MemoryPlan, PartMemory
from budgetnet.networks import Block, Conv, Network, Parts, Px


class _Part(NamedTuple):
    """A part of a network: its fullest moment, in elements, and its weights."""

    moment: Moment
    weights: int
    biases: int


def plan(network: Network, batch: int, dtype: DType) -> MemoryPlan:
    """The plan of the deployed form: there is no tail, and the file has weights and biases alone."""
    fullest_name, peak, weights, biases = "", None, 0, 0
    for name, part, times in _parts(network):
        weights += part.weights * times
        biases += part.biases * times
        if peak is None or part.moment.size > peak.size:
            fullest_name, peak = name, part.moment
    assert peak is not None
    at = peak.under(fullest_name) if fullest_name else peak
    image = _image(network)
    scale = batch * WEIGHT_BYTES[dtype]
    return MemoryPlan(
        head_bytes=(image.elements + at.size) * scale,
        tail_bytes=0,
        file_bytes=weight_bytes(weights, biases, dtype),
        op=at.op,
        tensors=tuple(LiveTensor(tensor.name, tensor.elements * scale) for tensor in (image, *at.tensors)),
    )


def _image(network: Network) -> Tensor:
    height, width = network.resolution_px
    return Tensor("image", network.in_channels * height * width)


def stem_memory(network: Network, batch: int, dtype: DType) -> PartMemory:
    """What the stem needs by itself, and the image, which is held beside what lives in any part."""
    return _memory(_stem_part(network), batch, dtype, _image(network).elements)


def block_memory(block: Block, in_px: Px, batch: int, dtype: DType) -> PartMemory:
    """What a block needs by itself."""
    return _memory(_block_part(block, in_px), batch, dtype)


def tail_memory(network: Network, px: Px, batch: int, dtype: DType) -> PartMemory:
    """What is needed behind the last block, which makes a map of so many pixels."""
    return _memory(_tail_part(network, px), batch, dtype)


def _memory(part: _Part, batch: int, dtype: DType, held: int = 0) -> PartMemory:
    scale = batch * WEIGHT_BYTES[dtype]
    return PartMemory(part.moment.size * scale, 0, held * scale, weight_bytes(part.weights, part.biases, dtype))


def _parts(network: Network) -> Iterator[tuple[str, _Part, int]]:
    """(name, part, how often in a row) of the stem, every distinct block and the tail, the image left out."""
    yield "", _stem_part(network), 1
    px = network.stem_px
    for placed in distinct_blocks(network):
        yield placed.name, _block_part(placed.block, placed.px), placed.times
        px = placed.block.out_px(placed.px)
    yield "", _tail_part(network, px), 1


def _stem_part(network: Network) -> _Part:
    return _part(tuple(_stem(network)), (network.stem_conv,))


def _tail_part(network: Network, px: Px) -> _Part:
    convs = tuple(conv for conv in (network.head_conv, network.hidden_linear, network.classifier) if conv)
    return _part(tuple(_tail(network, px)), convs)


def _part(steps: tuple[Step, ...], convs: tuple[Conv, ...]) -> _Part:
    weights, biases = sum(conv.weights for conv in convs), sum(map(folded_biases, convs))
    return _Part(fullest(steps, lambda tensor: tensor.elements), weights, biases)


@lru_cache(maxsize=CACHED_BLOCKS)
def _block_part(block: Block, in_px: Px) -> _Part:
    return _part(tuple(_block(block, in_px)), block.convs)


def _stem(network: Network) -> Iterator[Step]:
    height, width = network.stem_conv.out_px(network.resolution_px)
    made = Tensor("stem.conv", network.stem.channels * height * width)
    yield Step("stem.conv", (), made)
    if network.stem.pool:
        height, width = network.stem_px
        yield Step("stem_pool", (made,), Tensor("stem_pool", network.stem.channels * height * width))


def _tail(network: Network, px: Px) -> Iterator[Step]:
    pixels, channels = px[0] * px[1], network.stages[-1].channels
    made = Tensor("input", channels * pixels)
    if network.head_conv is not None:
        channels = network.head_conv.out_channels
        wide = Tensor("head.conv", channels * pixels)
        yield Step("head.conv", (made,), wide)
        made = wide
    for name, features in (("pool", channels), ("hidden", network.head.hidden), ("classifier", network.classes)):
        if features is not None:
            vector = Tensor(name, features)
            yield Step(name, (made,), vector)
            made = vector


def _block(block: Block, in_px: Px) -> Iterator[Step]:
    source = Tensor("input", block.in_channels * in_px[0] * in_px[1])
    steps, made, px = _chain(block.inner, source, in_px)
    yield from steps
    if block.squeezed is not None:
        average, inside = Tensor("squeeze.average", block.expanded), Tensor("squeeze.reduce", block.squeezed)
        factors = Tensor("squeeze.expand", block.expanded)
        yield Step("squeeze.average", (made,), average)
        yield Step("squeeze.reduce", (average,), inside)
        yield Step("squeeze.expand", (inside,), factors)
        yield Step("squeeze.multiply", (made, factors), None)
    steps, made, _ = _chain(block.projection, made, px)
    yield from steps
    # The shortcut is computed behind the branch, which waits for it.
    steps, beside, _ = _chain(block.shortcut, source, in_px)
    yield from steps
    if block.adds:
        yield Step("add", (made, beside), None)


def _chain(parts: Parts, reads: Tensor, px: Px) -> tuple[list[Step], Tensor, Px]:
    """The steps of convolutions one after another, what the last makes, and its height and width."""
    steps: list[Step] = []
    for name, conv in parts:
        px = conv.out_px(px)
        makes = Tensor(f"{name}.conv", conv.out_channels * px[0] * px[1])
        steps.append(Step(makes.name, (reads,), makes))
        if conv.concatenates:
            joined = Tensor(f"{name}.concatenate", conv.map_channels * px[0] * px[1])
            steps.append(Step(joined.name, (reads, makes), joined))
            makes = joined
        reads = makes
    return steps, reads, px
