"""The embedded data: 1,797 real handwritten digits, 8x8 px, that scikit-learn ships."""

from __future__ import annotations

from functools import cache
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from budgetnet.data.images import ImageSet
from budgetnet.data.split import assign


@cache
def _load() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Pixels (1797, 8, 8, 1), scaled from 0..16 to 0..255, and labels; sorted by label."""
    from sklearn.datasets import load_digits

    rows, labels = load_digits(return_X_y=True)
    pixels = np.rint(rows.reshape(-1, 8, 8, 1) * (255.0 / 16.0)).astype(np.uint8)
    order = np.argsort(labels, kind="stable")
    return pixels[order], labels[order].astype(np.int64)


def pixels() -> NDArray[np.uint8]:
    """The digits' pixels, (1797, 8, 8, 1)."""
    return _load()[0]


def image_set(seed: int = 0) -> ImageSet:
    """The digits as an `ImageSet` split 70/10/20 by content and `seed`.

    Source: E. Alpaydin, C. Kaynak, Optical Recognition of Handwritten Digits, UCI (test part).
    """
    images, labels = _load()
    classes = tuple(str(digit) for digit in range(10))
    files = tuple(f"{label}/{index:04d}" for index, label in enumerate(labels.tolist()))
    digests = tuple(sha256(image.tobytes()).hexdigest() for image in images)
    split, pairs = assign(labels.tolist(), digests, [None] * len(files), classes, seed)
    return ImageSet(
        name="digits",
        root="",
        classes=classes,
        files=files,
        labels=tuple(labels.tolist()),
        digests=digests,
        sizes_px=((8, 8),) * len(files),
        in_channels=1,
        split=tuple(split),
        duplicates=tuple((files[left_out], files[equal]) for left_out, equal in pairs),
    )
