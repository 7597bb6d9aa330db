"""An exported file as one that answers, by the runtime of its format. Nothing here needs torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from budgetnet.model.probabilities import class_probabilities_of_file
from budgetnet.ship.exported import Format
from budgetnet.ship.formats import opener
from budgetnet.training.answerer import Answerer


def answerer_of_file(file: Path, to: Format) -> Answerer:
    """A file of this format, by kernels that say what is right: its answers are those that its export was judged by.

    Raises a one-line `ValueError` where a package is missing, and for a damaged file.
    """
    runner = opener(to)(file, True)
    notes = runner.notes

    def answer(pixels: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        logits = runner.logits(pixels)
        return logits, class_probabilities_of_file(logits, notes.temperature)

    return Answerer(notes.network, notes.classes, notes.preprocessing, notes.side_px, answer)
