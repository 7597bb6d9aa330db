"""Decoded pixels, once: a flat memory-mapped file, or the same interface without one."""

from __future__ import annotations

import errno
import os
import shutil
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from itertools import accumulate
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from budgetnet.data import digits
from budgetnet.data.decode import decode, quiet, scaled_px
from budgetnet.data.images import ImageSet
from budgetnet.data.store import Progress, alone, cache_folder, in_threads, opened_aside, write_all
from budgetnet.networks import Px, check_integer

CACHE_FORMAT = "budgetnet.pixels.v1"
GIB = 1024**3


@dataclass(frozen=True, slots=True)
class Pixels:
    """`pixels[index]` is image `index` as uint8 (height, width, channels): a view, not to be written to.

    `source`: "mapped" from the cache file, "decoded" anew at each access, or "memory".
    """

    side_px: int
    sizes_px: tuple[Px, ...]
    source: Literal["mapped", "decoded", "memory"]
    read: Callable[[int], NDArray[np.uint8]]

    def __len__(self) -> int:
        return len(self.sizes_px)

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        return self.read(index)


def open_cache(
    images: ImageSet,
    side_px: int,
    folder: Path | None = None,
    limit_bytes: int = 4 * GIB,
    progress: Progress | None = None,
) -> Pixels:
    """Every image decoded once, short side scaled down to `side_px` (never up), in a memory-mapped file.

    The file lies in `folder` (default: `$XDG_CACHE_HOME/budgetnet` or ~/.cache/budgetnet) under a
    name made of every image's path, size and mtime, `side_px`, channels and range of values, so that a
    changed file makes a new one. It is written aside and renamed; a second process waits for the first. Where it
    would exceed `limit_bytes`, or cannot be written (a full disk), a warning says so and images are
    decoded at each access. Raises a one-line `ValueError` for an image that has become unreadable.
    """
    check_integer("cache side in pixels", side_px)
    if images.name == "digits" and not images.root:
        return Pixels(side_px, images.sizes_px, "memory", digits.pixels().__getitem__)
    sizes_px = tuple(scaled_px(size, side_px) for size in images.sizes_px)
    total_bytes = images.in_channels * sum(height * width for height, width in sizes_px)
    if total_bytes > limit_bytes:
        why = f"{total_bytes / GIB:.1f} GiB of pixels exceed the limit of {limit_bytes / GIB:.1f}"
        return _decoded(images, side_px, sizes_px, why)
    place = (folder or cache_folder()) / "pixels" / f"{_key(images, side_px)}.bin"
    try:
        if not is_whole(place, total_bytes):
            place.parent.mkdir(parents=True, exist_ok=True)
            with alone(place):
                if not is_whole(place, total_bytes):  # the one waited for may have made it
                    _build(images, side_px, sizes_px, place, total_bytes, progress)
        return mapped(place, side_px, sizes_px, images.in_channels)
    except OSError as error:  # of the cache's own folder: an image that cannot be read is a ValueError
        return _decoded(images, side_px, sizes_px, f"{place.parent}: {error.strerror or error}")


def _key(images: ImageSet, side_px: int) -> str:
    root = Path(images.root)
    what = (CACHE_FORMAT, str(root.resolve()), side_px, images.in_channels, images.sizes_px)
    if images.value_range is not None:
        what = (*what, images.value_range)
    digest = sha256(repr(what).encode("utf-8", "surrogateescape"))
    for file in images.files:
        status = _status(root / file)
        digest.update(os.fsencode(f"{status.st_size} {status.st_mtime_ns} {file}\n"))
    return digest.hexdigest()[:32]


def _status(path: Path) -> os.stat_result:
    try:
        return os.stat(path)
    except OSError as error:
        why = f"{error.strerror}, but it was there when the images were opened; start again"
        raise ValueError(f"{path}: {why}") from error


def is_whole(place: Path, total_bytes: int) -> bool:
    """Whether a file of pixels is there: it is renamed to its place only when it is done."""
    return place.exists() and place.stat().st_size == total_bytes


def _read(images: ImageSet, side_px: int, size_px: Px, index: int) -> NDArray[np.uint8]:
    path = Path(images.root) / images.files[index]
    pixels = decode(path, images.in_channels, side_px, images.value_range)
    if pixels.shape[:2] != size_px:
        raise ValueError(f"{path} has changed since the images were opened; start again")
    return pixels


def _build(
    images: ImageSet, side_px: int, sizes_px: tuple[Px, ...], place: Path, total_bytes: int, progress: Progress | None
) -> None:
    for left_behind in place.parent.glob(f".{place.name}.*.part"):  # of a killed process: the lock is ours
        left_behind.unlink(missing_ok=True)
    if shutil.disk_usage(place.parent).free < total_bytes:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(place))
    offsets = _offsets(sizes_px, images.in_channels)
    with quiet(), opened_aside(place) as descriptor:

        def store(index: int) -> None:
            write_all(descriptor, _read(images, side_px, sizes_px[index], index).data, offsets[index])

        in_threads(store, range(len(sizes_px)), "decoding images", progress)


def _offsets(sizes_px: tuple[Px, ...], channels: int) -> list[int]:
    return list(accumulate((height * width * channels for height, width in sizes_px), initial=0))


def mapped(place: Path, side_px: int, sizes_px: tuple[Px, ...], channels: int) -> Pixels:
    """The pixels of a whole file."""
    # Copy on write: torch warns about read-only arrays, and a stray write must not reach the file.
    flat = np.memmap(place, dtype=np.uint8, mode="c").view(np.ndarray)
    offsets = _offsets(sizes_px, channels)

    def read(index: int) -> NDArray[np.uint8]:
        return flat[offsets[index] : offsets[index + 1]].reshape(*sizes_px[index], channels)

    return Pixels(side_px, sizes_px, "mapped", read)


def _decoded(images: ImageSet, side_px: int, sizes_px: tuple[Px, ...], why: str) -> Pixels:
    warnings.warn(f"images are decoded again at each access, which is slower: {why}", stacklevel=3)
    return Pixels(side_px, sizes_px, "decoded", lambda index: _read(images, side_px, sizes_px[index], index))
