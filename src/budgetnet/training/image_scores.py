"""What an answer to each image is worth: a few numbers an image, however many classes there are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from budgetnet.statistics import LEAST_PROBABILITY

MOST_WHOLE_CLASSES = 1000
"""Probabilities of all classes are held and kept for no more: of 20,000 classes and 40,000 images they are 3.2 GB."""
ROWS = 1024
"""The probabilities of this many images are looked at together."""


@dataclass(frozen=True, slots=True, eq=False)
class ImageScores:
    """Of n answers, each (n,): the most probable class and its probability, the true class's probability and rank.

    Rank 0 is the most probable class; of equal ones the lower class comes first. An answer with numbers that are none
    has the confidence NaN: it is wrong, and loses infinitely.
    """

    predicted: NDArray[np.int64]
    confidence: NDArray[np.float32]
    true_share: NDArray[np.float32]
    rank: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.predicted)

    @property
    def finite(self) -> NDArray[np.bool_]:
        """Which answers are numbers."""
        return np.isfinite(self.confidence)

    @property
    def right(self) -> NDArray[np.bool_]:
        """Which answers are right."""
        return (self.rank == 0) & self.finite

    @property
    def losses(self) -> NDArray[np.float64]:
        """-log p of the true class, in nats; as `log_losses`."""
        true = np.maximum(self.true_share.astype(np.float64), LEAST_PROBABILITY)
        return np.where(self.finite, -np.log(true), np.inf)

    def rows(self) -> dict[str, NDArray[np.generic]]:
        """The arrays by their names, for a file; `scores_in` reads them."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


def image_scores(
    probabilities: NDArray[np.floating], labels: NDArray[np.integer], logits: NDArray[np.floating] | None = None
) -> ImageScores:
    """What probabilities (n, classes) are worth for true labels (n,).

    Classes are ranked by the `logits` (n, classes) where these are given: a temperature may round two probabilities to
    one number, and must not change the ranks.
    """
    truth = np.asarray(labels, dtype=np.int64)
    order = probabilities if logits is None else logits
    blocks = [slice(start, start + ROWS) for start in range(0, len(truth), ROWS)]
    return joined([_scored(probabilities[block], truth[block], order[block]) for block in blocks])


def _scored(answers: NDArray[np.floating], truth: NDArray[np.int64], order: NDArray[np.floating]) -> ImageScores:
    own = np.arange(len(truth)), truth
    true = order[own][:, None]
    earlier = np.arange(order.shape[1]) < truth[:, None]
    rank = ((order > true) | ((order == true) & earlier)).sum(1)
    confidence = np.where(np.isfinite(answers).all(1), answers.max(1), np.nan)
    return ImageScores(order.argmax(1), confidence, answers[own], rank)


def joined(parts: Sequence[ImageScores]) -> ImageScores:
    """Several one behind another."""
    if not parts:
        none, share = np.empty(0, np.int64), np.empty(0, np.float32)
        return ImageScores(none, share, share, none)
    return ImageScores(
        *(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(ImageScores))
    )


def scores_in(rows: Mapping[str, Any], labels: NDArray[np.integer]) -> ImageScores:
    """The scores in a file's arrays: of whole `probabilities`, or as `ImageScores.rows` wrote them."""
    if "probabilities" in rows:
        return image_scores(rows["probabilities"], labels)
    return ImageScores(*(rows[field.name] for field in fields(ImageScores)))
