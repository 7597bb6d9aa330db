"""Which finalist wins: the best on the validation images, or a cheaper one that cannot be told from it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from budgetnet.codec import require, require_interval
from budgetnet.statistics import Estimate, paired_difference

LEAST_SAVED = 0.1
"""A network is cheaper where it saves this share of the multiply-adds; where it saves less, two cost the same for all
that matters."""
MOST_LOST = 0.005
"""A cheaper network may be at most half a point of accuracy worse."""


@dataclass(frozen=True, slots=True, eq=False)
class ValidationScores:
    """A finalist's answers to the validation images: which are right (n,), and the log loss of each (n,)."""

    right: NDArray[np.bool_]
    losses: NDArray[np.float64]

    @property
    def accuracy(self) -> float:
        """The share of right answers."""
        return float(self.right.mean())

    @property
    def log_loss(self) -> float:
        """The mean of the losses, in nats; infinite where the training diverged."""
        return float(self.losses.mean())


@dataclass(frozen=True, slots=True)
class Choice:
    """The winner `id`, the one with the best score `best_id`, why, and the difference of accuracies if they differ."""

    id: str
    best_id: str
    reason: str
    difference: Estimate | None

    def __post_init__(self) -> None:
        if self.difference is not None:
            require_interval(self.difference.value, self.difference.low, self.difference.high, "difference.value")
        same = (self.difference is None) == (self.id == self.best_id)
        require(same, "difference is there exactly where id is not best_id")


def choose_winner(
    scores: Mapping[str, ValidationScores], macs: Mapping[str, int], in_eight_bits: bool = False
) -> Choice:
    """The finalist with the lowest log loss on validation, or the cheapest that is as good as it.

    `in_eight_bits`: the scores are those of the networks in eight bits, which the reason says.

    Log loss and not accuracy, for it takes into account how sure each answer was, and so tells two networks apart on
    fewer images (docs/lab-log.md). A cheaper network, by a tenth of the multiply-adds or more, is as good within one
    standard error of the paired difference of the losses, and half a point of accuracy. Equal losses go to the cheaper.
    """
    best = min(scores, key=lambda name: (scores[name].log_loss, macs[name]))
    most = (1 - LEAST_SAVED) * macs[best]
    alike = [name for name in scores if macs[name] <= most and _as_good(scores[name], scores[best])]
    numbers = ", in eight bits" if in_eight_bits else ""
    score = f"log loss on the validation images in the last rung{numbers}, {_in_words(scores[best])}"
    if not alike:
        return Choice(best, best, f"{best} has the lowest {score}", None)
    name = min(alike, key=lambda name: (macs[name], name))
    saved = 100 * (1 - macs[name] / macs[best])
    reason = (
        f"{best} has the lowest {score}; but {name} with {saved:.0f} % fewer MACs has {_in_words(scores[name])}, "
        "which is within one standard error and half a point"
    )
    return Choice(name, best, reason, paired_difference(scores[best].right, scores[name].right))


def _as_good(one: ValidationScores, best: ValidationScores) -> bool:
    if not math.isfinite(one.log_loss):
        return False
    worse = one.losses - best.losses
    error = float(worse.std(ddof=1)) / math.sqrt(len(worse))
    return float(worse.mean()) <= error and best.accuracy - one.accuracy <= MOST_LOST


def _in_words(scores: ValidationScores) -> str:
    return f"{scores.log_loss:.3f} ({100 * scores.accuracy:.1f} % right)"
