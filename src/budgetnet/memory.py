"""Live memory of a network, from its description alone: the peak of an inference.

Everything is counted in elements for one image; `cost` multiplies by batch and bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache

from budgetnet.spec import Block, Network, Px

CACHED_BLOCKS = 1 << 14
_BlockElements = Callable[[Block, Px], int]


def peak_activation_elements(network: Network) -> int:
    """Most elements live at once in a sequential inference of one image, the weights not counted.

    max over ops of: image + output + every tensor that this or a later op still reads. The form is
    the deployed one: BatchNorm folded; activations, the squeeze-and-excitation multiply and the
    residual add in place; padding inside the convolutions; the image held throughout.
    """
    return max(_image_elements(network) + live for live in _live_elements(network, _block_peak_elements))


def peak_floor_elements(network: Network) -> int:
    """A lower bound on `peak_activation_elements` that never falls as channels, repeats or resolution grow.

    The peak itself can fall along a path: a skip, with the input that it holds, vanishes where two
    channel counts round apart. Here no skip holds anything: max over ops of image + input + output.
    Every kernel and stride is the path's constant and rounding is monotone, so no term falls.
    """
    return max(_image_elements(network) + live for live in _live_elements(network, _block_floor_elements))


def distinct_blocks(network: Network) -> Iterator[tuple[Block, Px, int]]:
    """(block, input px, how often in a row) from the image to the head: the repeats of a stage are equal."""
    px = network.stem_conv.out_px(network.resolution_px)
    for blocks in network.stage_blocks():
        yield blocks[0], px, 1
        px = blocks[0].out_px(px)
        if len(blocks) > 1:
            yield blocks[-1], px, len(blocks) - 1


def _image_elements(network: Network) -> int:
    height, width = network.resolution_px
    return network.in_channels * height * width


def _live_elements(network: Network, block_elements: _BlockElements) -> Iterator[int]:
    """Elements live beside the image at the peak of the stem, of every distinct block, of the head."""
    height, width = px = network.stem_conv.out_px(network.resolution_px)
    yield network.stem.channels * height * width
    for block, at, _ in distinct_blocks(network):
        yield block_elements(block, at)
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


def _steps(block: Block, in_px: Px) -> Iterator[tuple[bool, int]]:
    """(whether the op reads the block's input, its input + output + what must wait beside it), in order."""
    before, (height, width) = in_px[0] * in_px[1], block.out_px(in_px)
    after, wide = height * width, block.expanded
    if block.expand is not None:
        yield True, (block.in_channels + wide) * before
    yield block.expand is None, wide * (before + after)
    if block.squeezed is not None:
        # The average and the excitation, while the map waits to be multiplied.
        yield False, wide * after + wide + block.squeezed
    yield False, (wide + block.out_channels) * after


@lru_cache(maxsize=CACHED_BLOCKS)
def _block_peak_elements(block: Block, in_px: Px) -> int:
    held = block.in_channels * in_px[0] * in_px[1] if block.has_skip else 0
    return max(elements + (0 if reads_input else held) for reads_input, elements in _steps(block, in_px))


@lru_cache(maxsize=CACHED_BLOCKS)
def _block_floor_elements(block: Block, in_px: Px) -> int:
    return max(elements for _, elements in _steps(block, in_px))
