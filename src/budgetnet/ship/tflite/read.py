"""Reads an exported .tflite file and answers with it, by LiteRT."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from budgetnet.ship.notes import Notes
from budgetnet.ship.tflite.archive import notes_behind
from budgetnet.ship.tflite.interpreters import logits_by_litert


@dataclass(frozen=True, slots=True, eq=False)
class TfliteRunner:
    """A .tflite file in LiteRT; `reference`: by the kernels that TensorFlow Lite Micro follows."""

    notes: Notes
    content: bytes
    reference: bool

    def logits(self, images: Iterable[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """The logits of images (h, w, c) in pixels of 0 to 255: (n, classes)."""
        return logits_by_litert(self.content, images, self.reference)


def opened(path: Path, reference: bool = False) -> TfliteRunner:
    """A file that `export` wrote. Raises a one-line `ValueError` for another, and for a damaged one.

    In float32 the quick kernels answer in any case: the reference ones take minutes and differ by rounding alone.
    """
    content = path.read_bytes()
    return TfliteRunner(notes_behind(str(path), content), content, reference)
