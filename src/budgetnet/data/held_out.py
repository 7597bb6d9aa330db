"""Which validation images stay out of a final training that learns from the others.

What is fitted behind the training (a temperature) must be fitted on images that the training has not learned.
Evidence for the numbers: docs/lab-log.md, 2026-11-30.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict

import numpy as np
from numpy.typing import NDArray

from budgetnet.data.images import ImageSet

FEWEST_VALIDATION = 100
"""Where there are fewer validation images than this, none stays out: they are worth more to the training."""
HELD_OUT_SHARE = 0.25
"""The share of the validation images that stays out."""
LEAST_HELD_OUT, MOST_HELD_OUT = 50, 1000
"""How many stay out at least, and at most: more hardly change one temperature."""


def held_out_count(validation: int) -> int:
    """How many of `validation` images stay out of a final training: a quarter, but 50 to 1,000; of fewer than 100 none.

    >>> [held_out_count(images) for images in (99, 180, 1000, 40_000)]
    [0, 50, 250, 1000]
    """
    if validation < FEWEST_VALIDATION:
        return 0
    return min(max(LEAST_HELD_OUT, round(HELD_OUT_SHARE * validation)), MOST_HELD_OUT)


def held_out_images(images: ImageSet, count: int, seed: int) -> NDArray[np.int64]:
    """Positions of the `count` validation images that stay out, ascending: a function of contents, labels and seed.

    Every class has its share of them, and at least one image where `count` allows it for all classes.
    """
    ordered: defaultdict[int, list[int]] = defaultdict(list)
    validation = images.indices("validation").tolist()
    for index in sorted(validation, key=lambda index: _draw(images.digests[index], seed)):
        ordered[images.labels[index]].append(index)
    one_of_each = len(ordered) <= count
    ranked = sorted(
        (not (one_of_each and rank == 0), (rank + 0.5) / len(members), _draw(images.digests[index], seed), index)
        for members in ordered.values()
        for rank, index in enumerate(members)
    )
    return np.sort(np.array([index for *_, index in ranked[:count]], dtype=np.int64))


def _draw(digest: str, seed: int) -> bytes:
    return hashlib.sha256(f"held out {seed} {digest}".encode()).digest()
