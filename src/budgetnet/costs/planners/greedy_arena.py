"""The arena that TensorFlow Lite Micro lays out: buffers in the order of their sizes, each in the first gap it fits.

Source: tensorflow/tflite-micro, tensorflow/lite/micro/memory_planner/greedy_memory_planner.cc.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Buffer(NamedTuple):
    """A tensor or a kernel's scratch: its bytes, and the first and last op at which it must hold."""

    size: int
    first: int
    last: int


def arena_bytes(buffers: Sequence[Buffer]) -> int:
    """The highest end of a buffer, once all are placed.

    The largest is placed first, of equal ones the last; each gets the lowest offset at which no buffer that was placed
    before and lives at one time with it is in the way. Never below the largest sum of sizes that live at once, and
    above it where gaps are left.
    """
    offsets: dict[int, int] = {}
    placed: list[list[int]] = [[] for _ in range(1 + max((buffer.last for buffer in buffers), default=0))]
    end = 0
    for index in sorted(range(len(buffers)), key=lambda index: (-buffers[index].size, -index)):
        size, first, last = buffers[index]
        beside = {other for op in range(first, last + 1) for other in placed[op]}
        offset = 0
        for start, other in sorted((offsets[other], other) for other in beside):
            if start - offset >= size:
                break
            offset = max(offset, start + buffers[other].size)
        offsets[index] = offset
        end = max(end, offset + size)
        for op in range(first, last + 1):
            placed[op].append(index)
    return end
