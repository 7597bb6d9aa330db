"""Images as most runtimes take them: some at once, channels before height and width."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

import numpy as np
from numpy.typing import NDArray

IMAGES_AT_ONCE = 16


def channels_first(images: Iterable[NDArray[np.uint8]], at_once: int = IMAGES_AT_ONCE) -> Iterator[NDArray[np.uint8]]:
    """Images (h, w, c), `at_once` at a time: (n, c, h, w)."""
    rest = iter(images)
    while some := list(islice(rest, at_once)):
        yield np.ascontiguousarray(np.stack(some).transpose(0, 3, 1, 2))
