"""The images of a run in a cluster's storage: index and decoded pixels, written once, read by every node."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256

import numpy as np

from budgetnet.cluster.storage import Storage
from budgetnet.codec import from_plain, to_plain
from budgetnet.data import ImageSet, Pixels
from budgetnet.data.cache import CACHE_FORMAT, is_whole, mapped
from budgetnet.data.store import alone, cache_folder
from budgetnet.networks import Px

FOLDER = "images"
FORMAT = "budgetnet.stored_images.v1"


@dataclass(frozen=True, slots=True)
class StoredImages:
    """Images by the names of their files in a storage."""

    storage: Storage
    index: str
    pixels: str


@dataclass(frozen=True, slots=True)
class _Index:
    """The index file: the images, and what it takes to read their pixels."""

    format: str
    images: ImageSet
    side_px: int
    sizes_px: tuple[Px, ...]


def write_images(images: ImageSet, pixels: Pixels, storage: Storage) -> StoredImages:
    """Write what is not there yet. Files are named by what is in them, so that runs on the same images share them."""
    what = (CACHE_FORMAT, pixels.side_px, images.in_channels, images.value_range, pixels.sizes_px, images.digests)
    text = json.dumps(to_plain(_Index(FORMAT, images, pixels.side_px, pixels.sizes_px)))
    stored = StoredImages(storage / FOLDER, f"{_name(text)}.json", f"{_name(repr(what))}.bin")
    if not stored.storage.exists(stored.pixels):
        with stored.storage.writing(stored.pixels) as file:
            for index in range(len(pixels)):
                file.write(np.ascontiguousarray(pixels[index]).tobytes())
    if not stored.storage.exists(stored.index):
        with stored.storage.writing(stored.index) as file:
            file.write(text.encode())
    return stored


@lru_cache(maxsize=8)
def read_images(stored: StoredImages) -> tuple[ImageSet, Pixels]:
    """The images and their pixels, memory-mapped: from the storage where it is a folder of this machine.

    From elsewhere the pixels are copied into this machine's cache folder once; its other processes wait for the first.
    Raises a one-line `ValueError` where this node does not see the storage.
    """
    text = stored.storage.read(stored.index)
    if text is None:
        raise ValueError(f"a node does not see {stored.storage}; give a --storage that every node sees")
    index = from_plain(_Index, json.loads(text), stored.index)
    images = index.images
    total_bytes = images.in_channels * sum(height * width for height, width in index.sizes_px)
    place = stored.storage.local(stored.pixels)
    if place is None:
        place = cache_folder() / "pixels" / f"stored-{stored.pixels}"
        place.parent.mkdir(parents=True, exist_ok=True)
        with alone(place):
            if not is_whole(place, total_bytes):
                stored.storage.get(stored.pixels, place)
    if not is_whole(place, total_bytes):
        raise ValueError(f"the pixels {place} are not whole; remove {stored.storage} and run the same command again")
    return images, mapped(place, index.side_px, index.sizes_px, images.in_channels)


def _name(text: str) -> str:
    return sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:32]
