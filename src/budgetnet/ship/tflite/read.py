"""Reads an exported .tflite file and answers with it, by LiteRT."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from budgetnet.ship.exported import NumberType
from budgetnet.ship.notes import Notes
from budgetnet.ship.tflite.archive import notes_behind
from budgetnet.ship.tflite.interpreters import interpreter_of, logits_from


@dataclass(frozen=True, slots=True, eq=False)
class TfliteRunner:
    """A .tflite file in LiteRT, on one thread."""

    notes: Notes
    interpreter: Any

    @property
    def dtype(self) -> NumberType:
        """The number type of the file."""
        return "int8" if self.interpreter.get_input_details()[0]["dtype"] is np.int8 else "float32"

    def logits(self, images: Iterable[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """The logits of images (h, w, c) in pixels of 0 to 255: (n, classes)."""
        return self.notes.logits(logits_from(self.interpreter, images))


def opened(path: Path, reference: bool = False) -> TfliteRunner:
    """A file that `export` wrote. Raises a one-line `ValueError` for another, and for a damaged one.

    `reference`: by the kernels that TensorFlow Lite Micro follows. In float32 the quick kernels answer in any case: the
    reference ones take minutes and differ by rounding alone.
    """
    content = path.read_bytes()
    notes = notes_behind(str(path), content)
    try:
        interpreter = interpreter_of(content, reference)
    except (RuntimeError, ValueError) as error:
        raise ValueError(f"{path} is damaged: {' '.join(str(error).split())}") from error
    runner, network = TfliteRunner(notes, interpreter), notes.network
    given, made = interpreter.get_input_details(), interpreter.get_output_details()
    shapes = [tuple(row["shape"].tolist()) for row in (*given, *made)]
    if shapes != [(1, *network.resolution_px, network.in_channels), (1, network.classes)]:
        raise ValueError(f"{path} is damaged: its model has other inputs and outputs than its notes say")
    try:
        interpreter.invoke()  # an op may refuse what it reads only now
    except RuntimeError as error:
        raise ValueError(f"{path} is damaged: {' '.join(str(error).split())}") from error
    return runner
