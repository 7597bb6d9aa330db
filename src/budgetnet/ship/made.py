"""What the maker of a format gives, and what the reader of a format can do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from budgetnet.parallel.progress import Progress
from budgetnet.ship.exported import Int8Try, NumberType
from budgetnet.ship.notes import Notes

if TYPE_CHECKING:
    from budgetnet.ship.subject import Subject


Content = bytes | Mapping[str, bytes]


@dataclass(frozen=True, slots=True, eq=False)
class Made:
    """A trained network in a format.

    Attributes:
        notes: What it says of itself, until it is judged.
        packed: The bytes of the file with these notes; of a format that is a folder, those of each file by its path in
            it. What a device runs is the same with all notes.
        flash_bytes: What of it a device stores: without what only people and tools read.
        arena_bytes: The RAM that TensorFlow Lite Micro takes for it; None for other runtimes.
        allocated: Whether its interpreter was given so many bytes here and answered; None where that was not tried.
        quantile: Ranges end at this quantile of each tensor's values; None without ranges.
        calibration_images: How many training images the ranges were read from.
        tried: The ways to eight bits that were tried, in their order; the nearest is the file.
        first_difference: Asked where the logits of a float file differ from the model's: the first op that does.
    """

    notes: Notes
    packed: Callable[[Notes], Content]
    flash_bytes: int
    arena_bytes: int | None = None
    allocated: bool | None = None
    quantile: float | None = None
    calibration_images: int = 0
    tried: tuple[Int8Try, ...] = ()
    first_difference: Callable[[], str | None] = lambda: None


class Runner(Protocol):
    """An exported file in the runtime that runs it, on the thread that asks. Nothing of it needs torch."""

    @property
    def dtype(self) -> NumberType:
        """The number type of its weights and maps."""
        ...

    @property
    def notes(self) -> Notes:
        """What the file says of itself."""
        ...

    def logits(self, images: Iterable[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """The logits of images (h, w, c) of the network's size in pixels of 0 to 255: (n, classes)."""
        ...


Maker = Callable[["Subject", NumberType, Progress | None], Made]
"""Makes a file of a trained network in memory. Raises a one-line `ValueError` for what the format cannot hold."""
Opener = Callable[[Path, bool], Runner]
"""Reads an exported file: its path, and whether kernels that say what is right are taken where a runtime has such.

Raises a one-line `ValueError` for a file that is none of the format, or is damaged.
"""
