"""Live memory of an inference, from a network's description alone.

Counted in elements for one image; `cost` multiplies by batch and bytes.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from functools import lru_cache

from budgetnet.networks import Block, Network, Parts, Px

CACHED_BLOCKS = 1 << 14


def peak_activation_elements(network: Network) -> int:
    """Most elements live at once in a sequential inference of one image, the weights not counted.

    max over ops of: image + output + every tensor that this or a later op still reads. The form is
    the deployed one: BatchNorm folded; activations, the squeeze-and-excitation multiply and the
    residual add in place; padding inside the convolutions; the image held throughout.
    """
    return max(_image_elements(network) + live for live in _live_elements(network))


def distinct_blocks(network: Network) -> Iterator[tuple[Block, Px, int]]:
    """(block, input px, how often in a row) from the image to the head: the repeats of a stage are equal."""
    px = network.stem_px
    for blocks in network.stage_blocks():
        yield blocks[0], px, 1
        px = blocks[0].out_px(px)
        if len(blocks) > 1:
            yield blocks[-1], px, len(blocks) - 1


def _image_elements(network: Network) -> int:
    height, width = network.resolution_px
    return network.in_channels * height * width


def _live_elements(network: Network) -> Iterator[int]:
    """Elements live beside the image at the peak of the stem, of every distinct block, of the head."""
    height, width = px = network.stem_conv.out_px(network.resolution_px)
    yield network.stem.channels * height * width
    if network.stem.pool:
        px = network.stem_px
        yield network.stem.channels * (height * width + px[0] * px[1])
    for block, at, _ in distinct_blocks(network):
        yield _block_peak_elements(block, at)
        px = block.out_px(at)
    pixels = px[0] * px[1]
    channels = network.stages[-1].channels
    if network.head_conv is not None:
        yield (channels + network.head_conv.out_channels) * pixels
        channels = network.head_conv.out_channels
    yield channels * (pixels + 1)
    if network.hidden_linear is not None:
        yield channels + network.hidden_linear.out_channels
    yield network.features + network.classes


@lru_cache(maxsize=CACHED_BLOCKS)
def _block_peak_elements(block: Block, in_px: Px) -> int:
    return max(_block_live_elements(block, in_px))


def _block_live_elements(block: Block, in_px: Px) -> Iterator[int]:
    """What each op reads and makes, with the block's input where a skip or shortcut holds it."""
    source = block.in_channels * in_px[0] * in_px[1]
    held = source if block.adds else 0
    # A convolution that reads the block's input adds nothing to what is held.
    made, px = yield from _chain_live_elements(block.inner, in_px, source - held, held)
    if block.squeezed is not None:
        # The averages and the excitation's inner layer, while the map waits to be multiplied.
        yield made + block.expanded + block.squeezed + held
    made, _ = yield from _chain_live_elements(block.projection, px, made, held)
    # The shortcut is computed behind the branch, which waits for it.
    yield from _chain_live_elements(block.shortcut, in_px, source, made)


def _chain_live_elements(parts: Parts, px: Px, reads: int, held: int) -> Generator[int, None, tuple[int, Px]]:
    """What each convolution reads and makes beside what is held; returns what the last has made, and its size."""
    for _, conv in parts:
        px = conv.out_px(px)
        makes = conv.out_channels * px[0] * px[1]
        yield reads + makes + held
        if conv.concatenates:
            joined = conv.map_channels * px[0] * px[1]
            yield reads + makes + joined + held
            makes = joined
        reads = makes
    return reads, px
