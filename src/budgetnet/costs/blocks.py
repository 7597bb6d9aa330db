"""The distinct blocks of a network, each where it stands: what costs are counted and kept for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from budgetnet.networks import Block, Network, Px

CACHED_BLOCKS = 1 << 14


class Placed(NamedTuple):
    """A block, the pixels that it sees, and how many such blocks follow one another; `name` is the first one's."""

    stage: int
    first: int
    block: Block
    px: Px
    times: int

    @property
    def name(self) -> str:
        """The name of the model's module."""
        return f"stages.{self.stage}.{self.first}"


def distinct_blocks(network: Network) -> Iterator[Placed]:
    """From the image to the head: the repeats of a stage are equal."""
    px = network.stem_px
    for stage, blocks in enumerate(network.stage_blocks()):
        yield Placed(stage, 0, blocks[0], px, 1)
        px = blocks[0].out_px(px)
        if len(blocks) > 1:
            yield Placed(stage, 1, blocks[-1], px, len(blocks) - 1)
