"""An exported file at work in the runtime of its format: it answers, and it is timed. Nothing here needs torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from budgetnet.inspect.turns import Timed, image_measurements
from budgetnet.model.probabilities import class_probabilities_of_file
from budgetnet.ship.exported import Format
from budgetnet.ship.formats import opener
from budgetnet.ship.made import Runner
from budgetnet.training.answerer import Answerer

SECONDS = 0.5
"""An export takes so long to time a file."""


def answerer_of_file(file: Path, to: Format) -> Answerer:
    """A file of this format, by kernels that say what is right: its answers are those that its export was judged by.

    Raises a one-line `ValueError` where a package is missing, and for a damaged file.
    """
    return answerer_by(opener(to)(file, True))


def answerer_by(runner: Runner) -> Answerer:
    """An opened file, ready to answer."""
    notes = runner.notes

    def answer(pixels: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        logits = runner.logits(pixels)
        return logits, class_probabilities_of_file(logits, notes.temperature)

    return Answerer(notes.network, notes.classes, notes.preprocessing, notes.side_px, answer, notes.trust)


def timed_file(file: str, runner: Runner) -> Timed:
    """An inference of one image, from plain pixels to logits."""
    network = runner.notes.network
    shape = (1, *network.resolution_px, network.in_channels)
    image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    return Timed(file, lambda: runner.logits(image))


def latency_ms_of(file: Path, to: Format) -> float | None:
    """Milliseconds of an inference of one image on one thread here, by the quick kernels; None where two halves of the
    runs differ too much."""
    (found,) = image_measurements([timed_file(str(file), opener(to)(file, False))], SECONDS)
    return found.latency_ms
