"""A trained network that answers, whatever runs it: a model of torch, or an exported file in its own runtime."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from budgetnet.data import ImageSet, Pixels, Preprocessing, network_pixels
from budgetnet.data.held_out import FEWEST_VALIDATION
from budgetnet.model.trust import Promise, Trust
from budgetnet.networks import Network
from budgetnet.parallel.progress import Progress, Update
from budgetnet.training.image_scores import ImageScores, image_scores, joined

BATCH = 64
"""This many images are answered together."""


@dataclass(frozen=True, slots=True, eq=False)
class Answerer:
    """What answers images, and all that they need before it sees them.

    Attributes:
        network: The network's description.
        classes: Names of the classes, in the order of the logits.
        preprocessing: How images are cropped and scaled.
        side_px: Images are decoded with their short side scaled down to this, before the preprocessing.
        answer: Pixels of the network's size (n, height, width, c) to logits and probabilities, each (n, classes).
        trust: When not to believe its answers; None where that is not known.
    """

    network: Network
    classes: tuple[str, ...]
    preprocessing: Preprocessing
    side_px: int
    answer: Callable[[NDArray[np.uint8]], tuple[NDArray[np.float32], NDArray[np.float32]]]
    trust: Trust | None = None

    def promise(self, max_error: float) -> Promise:
        """Which answers count, so that at most this share of them is wrong, with 95 % confidence.

        Raises a one-line `ValueError` where it is not known which answers are wrong, and where such a share cannot be
        promised.
        """
        if self.trust is None:
            raise ValueError(
                "no share of errors can be promised: these weights say nothing of answers to images that stayed out of "
                f"their training; train, or solve with {FEWEST_VALIDATION} validation images or more, keeps that"
            )
        return self.trust.promise(max_error)

    def answers(self, decoded: list[NDArray[np.uint8]]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Logits and probabilities of decoded images (h, w, c), each (n, classes)."""
        return self.answer(network_pixels(decoded, self.network.resolution_px, self.preprocessing))


def scores_of(
    answerer: Answerer,
    images: ImageSet,
    pixels: Pixels,
    indices: NDArray[np.int64],
    labels: NDArray[np.integer],
    progress: Progress | None = None,
) -> ImageScores:
    """What the answers to the images at `indices` with these true labels are worth."""
    parts: list[ImageScores] = []
    for start in range(0, len(indices), BATCH):
        some = indices[start : start + BATCH].tolist()
        logits, shares = answerer.answers([pixels[index] for index in some])
        parts.append(image_scores(shares, labels[start : start + BATCH], logits))
        if progress:
            progress(Update("evaluate", start + len(some), len(indices), images.name))
    return joined(parts)
