"""What is compared: networks scaled to one budget from the images' own size, one of each family."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from budgetnet.budget import Budget, BudgetError, Fit, fit
from budgetnet.learn.bases import LEAST_LAST_PX, adapted_bases, largest_px, last_px, safe_name
from budgetnet.learn.data import ImageSet
from budgetnet.scaling import Strategy
from budgetnet.spec import Network

FAMILIES = ("efficientnet_b0", "efficientnet_lite0", "mobilenet_v1", "mobilenet_v2", "mobilenet_v3_large")


@dataclass(frozen=True, slots=True)
class Entrant:
    """A network to train: `id` names its files, `label` is what people read, `base` is what it was scaled from."""

    id: str
    label: str
    base: str
    strategy: Strategy
    phi: float
    dropped_strides: int
    network: Network

    def to_dict(self) -> dict[str, Any]:
        """The row of plan.json, but for the network, which stands in its course."""
        return {
            "id": self.id,
            "label": self.label,
            "base": self.base,
            "strategy": self.strategy,
            "phi": self.phi,
            "dropped_strides": self.dropped_strides,
        }

    @staticmethod
    def from_dict(row: Mapping[str, Any]) -> Entrant:
        """The entrant of plan.json."""
        network = Network.from_json(json.dumps(row["course"]["network"]))
        names = ("id", "label", "base", "strategy", "phi", "dropped_strides")
        return Entrant(**{name: row[name] for name in names}, network=network)


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A base that cannot keep the budget, and why, in a line."""

    base: str
    reason: str


def families(
    images: ImageSet,
    budget: Budget,
    bases: Sequence[str | Network] = FAMILIES,
    strategy: Strategy = "compound",
    inherited: bool = False,
) -> tuple[tuple[Entrant, ...], tuple[LeftOut, ...]]:
    """The largest network of every base's path within the budget, and the bases that have none.

    Bases start in the images' own size. Where images are small, strides are dropped by one rule for all: as few as
    leave a last map of 4 px. `inherited`: with none dropped, in the images' shape. Raises `BudgetError` where
    no base keeps the budget, `ValueError` for two bases of one name.
    """
    entrants: list[Entrant] = []
    failures: dict[str, BudgetError] = {}
    for name, rows in groupby(adapted_bases(images, bases, inherited), key=lambda row: row[0]):
        fits: list[tuple[int, Fit]] = []
        for _, dropped, base in rows:
            try:
                fits.append((dropped, fit(base, budget, strategy, largest_px=largest_px(images))))
            except BudgetError as error:
                failures.setdefault(name, error)
        if fits:
            dropped, chosen = min(fits, key=lambda row: _small_map(*row))
            entrants.append(Entrant(safe_name(name), name, name, strategy, chosen.phi, dropped, chosen.network))
    left_out = tuple(LeftOut(name, _reason(error, budget)) for name, error in failures.items() if _none(name, entrants))
    if not entrants:
        raise min(failures.values(), key=lambda error: error.excess / getattr(budget, error.limit))
    return tuple(entrants), left_out


def _small_map(dropped: int, fitted: Fit) -> tuple[int, int]:
    """First those with a last map of 4 px, with the fewest strides dropped; of others those with the largest map."""
    side = last_px(fitted.network)
    return -min(side, LEAST_LAST_PX), dropped


def _none(name: str, entrants: Sequence[Entrant]) -> bool:
    return all(row.base != name for row in entrants)


def _reason(error: BudgetError, budget: Budget) -> str:
    limit = getattr(budget, error.limit)
    return f"its smallest network has {error.limit} {limit + error.excess:,} of {limit:,}"
