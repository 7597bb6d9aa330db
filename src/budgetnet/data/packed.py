"""Decoded pixels on their way to another machine: in pieces, named by what is in them, kept once a machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from budgetnet.data.cache import CACHE_FORMAT, Pixels, is_whole, mapped
from budgetnet.data.store import alone, cache_folder, opened_aside, write_all
from budgetnet.networks import Px

PIECE_BYTES = 64 * 1024**2
"""The bytes of one piece. Neither sender nor receiver ever holds more than this beside the file."""


@dataclass(frozen=True, slots=True)
class Packed:
    """What the pieces are: 32 hex digits over their bytes, and what it takes to read them."""

    name: str
    side_px: int
    sizes_px: tuple[Px, ...]
    channels: int

    @property
    def total_bytes(self) -> int:
        """Of all pieces together."""
        return self.channels * sum(height * width for height, width in self.sizes_px)


def pieces(pixels: Pixels, piece_bytes: int = PIECE_BYTES) -> Iterator[NDArray[np.uint8]]:
    """All pixels in the order of the images, flat, some whole images at a time."""
    held: list[NDArray[np.uint8]] = []
    size = 0
    for index in range(len(pixels)):
        held.append(np.ascontiguousarray(pixels[index]).reshape(-1))
        size += held[-1].size
        if size >= piece_bytes:
            yield np.concatenate(held)
            held, size = [], 0
    if held:
        yield np.concatenate(held)


def packed_of(pixels: Pixels, parts: Sequence[NDArray[np.uint8]] | Iterator[NDArray[np.uint8]]) -> Packed:
    """The name of pixels by their pieces, which are looked at one by one."""
    channels = pixels[0].shape[2]
    digest = sha256(repr((CACHE_FORMAT, pixels.side_px, channels, pixels.sizes_px)).encode())
    for part in parts:
        digest.update(part.data)
    return Packed(digest.hexdigest()[:32], pixels.side_px, pixels.sizes_px, channels)


def unpacked(packed: Packed, received: Callable[[], Iterator[NDArray[np.uint8]]]) -> Pixels:
    """The pixels in a memory-mapped file of this machine's cache folder, which `received` pieces fill the first time.

    Processes of one machine wait for the first of them. Raises a one-line `ValueError` where the pieces are not whole.
    """
    place = cache_folder() / "pixels" / f"sent-{packed.name}.bin"
    if not is_whole(place, packed.total_bytes):
        place.parent.mkdir(parents=True, exist_ok=True)
        with alone(place):
            if not is_whole(place, packed.total_bytes):  # the one waited for may have made it
                with opened_aside(place) as descriptor:
                    end = 0
                    for part in received():
                        write_all(descriptor, part.data, end)
                        end += part.nbytes
                    if end != packed.total_bytes:
                        raise ValueError(f"{end} bytes of pixels came, not {packed.total_bytes}")
    return mapped(place, packed.side_px, packed.sizes_px, packed.channels)
