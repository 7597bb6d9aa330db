"""Randomness as a pure function: of (seed, epoch, image index), never of order, batch or worker."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from budgetnet.data.images import ImageSet

Whole = int | NDArray[np.int64]
MASK = (1 << 64) - 1
GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def draw(seed: int, epoch: Whole, index: Whole, count: int, stream: int = 0) -> NDArray[np.float64]:
    """Uniform numbers in [0, 1), shape (n, count), for n images; `epoch` is one or one an image.

    u[i, k] = hash(seed, stream, epoch[i], index[i], k) / 2**64, where the hash chains SplitMix64's
    finaliser over its arguments (Steele et al., Fast Splittable Pseudorandom Number Generators,
    OOPSLA 2014, figure 16). Another `stream` gives other numbers for the same image.
    """
    state = _absorb(_absorb(np.zeros((1, 1), np.uint64), seed), stream)
    state = _absorb(_absorb(state, _column(epoch)), _column(index))
    state = _absorb(state, np.arange(count, dtype=np.uint64)[None, :])
    return (state >> np.uint64(11)).astype(np.float64) * 2.0**-53


def train_order(images: ImageSet, seed: int, epoch: int) -> NDArray[np.int64]:
    """The train indices in the order of an epoch: a permutation, a pure function of (seed, epoch)."""
    return order_of(images.indices("train"), seed, epoch)


def order_of(indices: NDArray[np.int64], seed: int, epoch: int) -> NDArray[np.int64]:
    """Indices sorted by a number drawn for each in this epoch."""
    return indices[np.argsort(draw(seed, epoch, indices, 1, stream=1)[:, 0], kind="stable")]


def evenly(indices: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """At most `count` of the indices, evenly from all, the first and the last among them."""
    chosen = np.linspace(0, len(indices) - 1, min(count, len(indices))).round().astype(np.int64)
    return indices[chosen]


def _column(value: Whole) -> NDArray[np.uint64]:
    return np.atleast_1d(np.asarray(value, dtype=np.int64)).astype(np.uint64)[:, None]


def _absorb(state: NDArray[np.uint64], value: int | NDArray[np.uint64]) -> NDArray[np.uint64]:
    wide = np.full((1, 1), value & MASK, np.uint64) if isinstance(value, int) else value
    mixed = (state ^ wide) + GOLDEN
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))
