"""Live memory of a training step, from its description alone: the graph that autograd would record, run.

Forward is run op by op as `model` runs it, with what autograd keeps; then backward from the last
op to the first. Bytes of float32.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, get_args

from budgetnet.costs.autograd_memory import FLOAT_BYTES, AutogradMemory, Segment
from budgetnet.costs.blocks import CACHED_BLOCKS
from budgetnet.networks import Activation, Block, Conv, Network, Padding, Parts, Px, check_integer, choose

Optimiser = Literal["sgd", "adamw", "rmsprop"]
MARGIN_PARTS = 100
"""A hundredth is added on top: today the count is exact to some scalars, and a bound must also hold for a later
torch."""


@dataclass(frozen=True, slots=True)
class _OptimiserRow:
    """`state` tensors of a parameter's size for each parameter, and `scratch` of them while one is updated."""

    state: int
    scratch: int


# As torch.optim's single-tensor loops (its default on a CPU) allocate, weight decay on. sgd: momentum
# buffer; decayed gradient. adamw: two moments; root and denominator. rmsprop: mean square and
# momentum; decayed gradient and root.
_OPTIMISERS: Mapping[Optimiser, _OptimiserRow] = {
    "sgd": _OptimiserRow(1, 1),
    "adamw": _OptimiserRow(2, 2),
    "rmsprop": _OptimiserRow(2, 2),
}

# What autograd keeps for the backward of a pointwise non-linearity: its input, or its output.
_KEEPS_OUTPUT = ("relu", "tanh", "sigmoid")


def train_bytes(network: Network, batch: int, optimiser: Optimiser = "sgd", ema: bool = False) -> int:
    """Upper bound on the live tensor bytes of a training step of `batch` images in float32.

    max over forward, backward and optimiser step of: weights, BatchNorm's statistics, optimiser
    state, a moving average of weights and statistics (`ema`), images, targets, logits, the
    gradients of weights so far, what autograd has kept, and the op's own tensors. Steady state: the
    optimiser's state is there, gradients are set to None before a step. Never below what a step of
    the built model with cross entropy makes the dispatcher see on a CPU, at most 10 % above.
    Raises `ValueError` for an unknown optimiser or a batch below 1.
    """
    check_integer("batch", batch)
    choose("optimiser", optimiser, get_args(Optimiser))
    segments = tuple(_segments(network, batch))
    always = _always_bytes(network, batch, _OPTIMISERS[optimiser].state, ema)
    grads = sum(segment.grads * times for segment, times in segments)
    step = always + grads + _OPTIMISERS[optimiser].scratch * _largest_parameter_bytes(network)
    peak, kept, done = 0, 0, grads
    for segment, times in segments:
        # From one repeat to the next what is kept grows and what is done shrinks by as much: the first or the last
        # is the most.
        for repeat in {0, times - 1}:
            before = always + kept + repeat * segment.kept
            backward = before + segment.backward_peak + done - (repeat + 1) * segment.grads
            peak = max(peak, before + segment.forward_peak, backward)
        kept += times * segment.kept
        done -= times * segment.grads
    return max(step, peak + peak // MARGIN_PARTS)


def _segments(network: Network, batch: int) -> Iterator[tuple[Segment, int]]:
    """The step in the order of the forward pass: stem, every block, head; and how often in a row each comes."""
    yield _stem_segment(network, batch), 1
    px, kept = network.stem_px, network.stem.activation.kind in _KEEPS_OUTPUT and not network.stem.pool
    dropped = False  # the very first block's rate is 0
    for blocks in network.stage_blocks():
        first, rest = blocks[0], blocks[-1]
        # `Model.features` holds a stage's input until the stage is done.
        segment = _block_segment(first, px, batch, dropped, kept)
        yield segment, 1
        waiting, dropped = segment.loose, network.drop_path > 0.0
        px, kept = first.out_px(px), _keeps_output(first)
        # The second is like all that follow but for what made its input.
        for times in (min(1, len(blocks) - 1), max(0, len(blocks) - 2)):
            if times:
                segment = _block_segment(rest, px, batch, dropped, kept)
                yield dataclasses.replace(segment, forward_peak=segment.forward_peak + waiting), times
                px, kept = rest.out_px(px), _keeps_output(rest)
    yield _head_segment(network, px, batch, kept), 1


def _always_bytes(network: Network, batch: int, state: int, ema: bool) -> int:
    """Bytes that live through the whole step."""
    convs = tuple(network.distinct_convs())
    params = sum(conv.params * times for conv, times in convs)
    tensors = sum((1 + conv.bias + 2 * conv.norm + conv.activation.params) * times for conv, times in convs)
    # Running mean and variance of every channel, and a 64-bit counter.
    buffers = sum((2 * conv.out_channels + 2) * times for conv, times in convs if conv.norm)
    copies = (params + buffers) * (1 + ema) + state * params + tensors
    height, width = network.resolution_px
    # Targets are 64-bit; logits are kept for a running score; a handful of scalars around the loss.
    images = network.in_channels * height * width + network.classes + 2
    return FLOAT_BYTES * (copies + batch * images + 8)


def _largest_parameter_bytes(network: Network) -> int:
    """The largest weight, and the vector whose temporary is let go only after the weight's is made."""
    convs = tuple(conv for conv, _ in network.distinct_convs())
    return FLOAT_BYTES * (max(conv.weights for conv in convs) + max(conv.out_channels for conv in convs))


def _stem_segment(network: Network, batch: int) -> Segment:
    memory = AutogradMemory(batch)
    x = _conv_norm(memory, None, network.stem_conv, network.resolution_px, network.padding)
    if network.stem.pool:
        elements = network.stem.channels * network.stem_px[0] * network.stem_px[1]
        positions = memory.tensor(2 * elements)  # of the largest elements, in 64 bits
        x = memory.op((x,), elements, saves=(x, positions))
        memory.drop(positions)
    return memory.segment(x)


def _keeps_output(block: Block) -> bool:
    """Whether the op that makes the block's output keeps it for its backward."""
    if block.after.kind != "identity":
        return block.after.kind in _KEEPS_OUTPUT
    _, last = block.projection[-1]
    return last.activation.kind in _KEEPS_OUTPUT and not (block.adds or last.concatenates)


@lru_cache(maxsize=CACHED_BLOCKS)
def _block_segment(block: Block, px: Px, batch: int, dropped: bool, kept: bool) -> Segment:
    """A block of model.layers, op by op; `kept`: the input is kept by what made it."""
    memory = AutogradMemory(batch)
    source = memory.tensor(block.in_channels * px[0] * px[1])
    x, at = _chain(memory, memory.hold(source), block.inner, px, block.padding)
    if block.excitation is not None:
        x = _excite(memory, x, block.excitation, at)
    x, at = _chain(memory, x, block.projection, at, block.padding)
    elements = block.out_channels * math.prod(at)
    if block.adds:
        x = _skip(memory, x, source, block, px, dropped)
    if block.after.kind != "identity":
        own = memory.hold(x)
        x = _activate(memory, x, block.after, elements)
        memory.drop(own)
    return memory.segment(x, source, kept)


def _skip(memory: AutogradMemory, branch: int, source: int, block: Block, px: Px, dropped: bool) -> int:
    """branch + source or its shortcut, with stochastic depth on the branch, whose mask is one number an image."""
    own = memory.hold(branch)
    elements = block.out_channels * math.prod(block.out_px(px))
    if dropped:
        mask = memory.tensor(1)
        branch = memory.op((branch,), elements, saves=(mask,))
        memory.drop(mask)
    other, _ = _chain(memory, memory.hold(source), block.shortcut, px, block.padding)
    output = memory.op((branch, other), elements, shares=True)
    memory.drop(own)
    return output


def _chain(memory: AutogradMemory, x: int, parts: Parts, px: Px, padding: Padding) -> tuple[int, Px]:
    """Convolutions one after the other, from x; the last map and its size."""
    for _, conv in parts:
        x = _conv_norm(memory, x, conv, px, padding)
        px = conv.out_px(px)
    return x, px


def _head_segment(network: Network, px: Px, batch: int, kept: bool) -> Segment:
    """Head convolution, global average, hidden layer, dropout, classifier, cross entropy."""
    memory = AutogradMemory(batch)
    channels = network.stages[-1].channels
    source = memory.tensor(channels * px[0] * px[1])
    x = memory.hold(source)
    if network.head_conv is not None:
        channels = network.head_conv.out_channels
        x = _conv_norm(memory, x, network.head_conv, px)
    # Backward of the average writes its gradient through a strided view first.
    x = memory.op((x,), channels, scratch=3 * channels)
    if network.hidden_linear is not None:
        hidden = network.hidden_linear
        x = _conv_norm(memory, x, hidden, (1, 1)) if hidden.norm else _linear(memory, x, hidden)
    if network.head.dropout > 0.0:
        mask = memory.tensor(network.features)
        x = memory.op((x,), network.features, saves=(mask,))
        memory.drop(mask)
    x = _linear(memory, x, network.classifier)
    x = memory.op((x,), network.classes, saves_output=True)
    return memory.segment(memory.op((x,), 1), source, kept)


def _conv_norm(memory: AutogradMemory, x: int | None, conv: Conv, px: Px, padding: Padding = "symmetric") -> int:
    """activation(BatchNorm(conv(x))): the convolution keeps x, BatchNorm its input and two vectors.

    x is None for the images, which live anyway and want no gradient.
    """
    height, width = conv.out_px(px)
    elements = conv.out_channels * height * width
    held = () if x is None else (memory.hold(x),)
    inputs = held if x is None else (x,)
    padded = _padded_elements(conv, px) if padding == "same" and conv.stride > 1 else None
    if padded is not None:
        inputs = (memory.op(inputs, padded),)
    y = memory.op(inputs, elements, saves=inputs, params=conv.weights)
    statistics = memory.vector(2 * conv.out_channels)
    y = memory.op((y,), elements, saves=(y, statistics), params=2 * conv.out_channels)
    memory.drop(statistics)
    y = _activate(memory, y, conv.activation, elements)
    if conv.concatenates:
        # The gradients of both are views of the gradient of the whole.
        y = memory.op((*map(memory.hold, inputs), y), conv.map_channels * height * width, shares=True)
    memory.drop(*held)
    return y


def _padded_elements(conv: Conv, px: Px) -> int | None:
    """Elements of TensorFlow's SAME-padded input; None where nothing is padded."""
    sides = [max((out - 1) * conv.stride + conv.kernel, side) for out, side in zip(conv.out_px(px), px, strict=True)]
    return None if tuple(sides) == px else conv.in_channels * sides[0] * sides[1]


def _activate(memory: AutogradMemory, x: int, activation: Activation, elements: int) -> int:
    if activation.kind == "identity":
        return x
    if activation.kind == "swish" and (activation.trainable or activation.beta != 1.0):
        return _swish(memory, x, activation.trainable, elements)
    if activation.kind in _KEEPS_OUTPUT:
        return memory.op((x,), elements, saves_output=True)
    return memory.op((x,), elements, saves=(x,))


def _swish(memory: AutogradMemory, x: int, trainable: bool, elements: int) -> int:
    """x * sigmoid(beta * x) in three ops; silu is one."""
    kept = (x,) if trainable else ()
    inner = memory.op((memory.hold(x),), elements, kept, params=len(kept), scratch=elements * len(kept))
    gate = memory.op((inner,), elements, saves_output=True)
    return memory.op((x, gate), elements, saves=(x, gate))


def _excite(memory: AutogradMemory, u: int, excitation: tuple[Conv, Conv], px: Px) -> int:
    """u * gate(W2 inner(W1 mean(u))): the multiply keeps both factors."""
    reduce, expand = excitation
    elements = reduce.in_channels * px[0] * px[1]
    z = memory.op((memory.hold(u),), reduce.in_channels)
    z = _linear(memory, _linear(memory, z, reduce), expand)
    # The gates' gradient is a whole map before it is summed over the pixels.
    return memory.op((u, z), elements, saves=(u, z), scratch=elements)


def _linear(memory: AutogradMemory, x: int, linear: Conv) -> int:
    params = linear.weights + linear.out_channels
    y = memory.op((x,), linear.out_channels, saves=(x,), params=params)
    return _activate(memory, y, linear.activation, linear.out_channels)
