"""Which finalist wins: the best on the validation images, or a cheaper one that cannot be told from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from budgetnet.learn.statistics import Paired, paired_difference

LEAST_SAVED = 0.1
"""Of the multiply-adds: what makes a network cheaper. Below, two cost the same for all that matters."""
MOST_LOST = 0.005
"""Half a point of accuracy: the most that cheapness may cost."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The winner `id`, the one with the best score `best_id`, why, and the paired difference if they differ."""

    id: str
    best_id: str
    reason: str
    difference: Paired | None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for metrics.json."""
        return {
            "id": self.id,
            "best_id": self.best_id,
            "reason": self.reason,
            "difference": asdict(self.difference) if self.difference else None,
        }


def choose_winner(finalists: Sequence[str], right: Mapping[str, NDArray[np.bool_]], macs: Mapping[str, int]) -> Choice:
    """The finalist with the best validation score, or the cheapest that is as good as it.

    A cheaper network, by a tenth of the multiply-adds or more, is as good within one standard error of the
    paired difference on the same images, and half a point. Equal scores go to the cheaper one. `right` says for
    each finalist which images it got right.
    """
    best = max(finalists, key=lambda name: (float(right[name].mean()), -macs[name]))
    score = f"{100 * float(right[best].mean()):.1f} %"
    alike: list[tuple[int, str, Paired]] = []
    for name in finalists:
        difference = paired_difference(right[best], right[name])
        as_good = difference.difference <= min(difference.standard_error, MOST_LOST)
        if as_good and macs[name] <= (1 - LEAST_SAVED) * macs[best]:
            alike.append((macs[name], name, difference))
    if not alike:
        return Choice(best, best, f"{best} has the best validation score of the last rung, {score}", None)
    _, name, difference = min(alike, key=lambda row: row[:2])
    saved = 100 * (1 - macs[name] / macs[best])
    reason = (
        f"{best} scores best on validation, {score}, but {name} with {saved:.0f} % fewer MACs is within half a point "
        f"and one standard error of it ({100 * difference.difference:.2f} points, "
        f"standard error {100 * difference.standard_error:.2f})"
    )
    return Choice(name, best, reason, difference)
