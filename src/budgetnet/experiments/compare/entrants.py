"""What is compared: networks at one budget, scaled from the images' own size.

Families, one base under several strategies, or one base with a part taken away: whatever the list, an entrant is an
id, a label and a network, and everything behind this file treats all alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from budgetnet.budgets.budget import Budget, BudgetError, Fit, nearest_miss
from budgetnet.budgets.fit import fit
from budgetnet.codec import NonNegativeInt
from budgetnet.data import ImageSet
from budgetnet.experiments.bases import AdaptedBase, adapted_bases, largest_px, map_rank, safe_name
from budgetnet.networks import Network
from budgetnet.networks.scaling import PAPER, Coefficients, FitStrategy, for_strategy

FAMILIES = ("efficientnet_b0", "efficientnet_lite0", "mobilenet_v1", "mobilenet_v2", "mobilenet_v3_large")
BASE = "efficientnet_b0"
"""This network is scaled or taken apart, unless another is named."""


@dataclass(frozen=True, slots=True)
class Entrant:
    """A network to train: `id` names its files, `label` is what people read, `base` is what it was scaled from."""

    id: str
    label: str
    base: str
    strategy: FitStrategy
    phi: float | None
    dropped_strides: NonNegativeInt
    network: Network


@dataclass(frozen=True, slots=True)
class LeftOut:
    """What cannot keep the budget, and why, in a line."""

    base: str
    reason: str


Entered = tuple[tuple[Entrant, ...], tuple[LeftOut, ...]]
"""The first are those that take part, the second those that cannot."""


def families(
    images: ImageSet,
    budget: Budget,
    bases: Sequence[str | Network] = FAMILIES,
    strategy: FitStrategy = "compound",
    inherited: bool = False,
    coefficients: Coefficients = PAPER,
) -> Entered:
    """The largest network of every base's path within the budget, and the bases that have none.

    Bases start in the images' own size. Where images are small, strides are dropped by one rule for all: as few as
    leave a last map of 4 px. `inherited`: with none dropped, in the images' shape. Raises `BudgetError` where
    no base keeps the budget, `ValueError` for two bases of one name.
    """
    groups = groupby(adapted_bases(images, bases, inherited), key=lambda row: row[0])
    return entered(
        [(name, name, name, strategy, fitted(rows, images, budget, strategy, coefficients)) for name, rows in groups],
        budget,
    )


Fitted = tuple[int, Fit] | BudgetError
"""It says how many strides are dropped and what fits, or why nothing does."""


def fitted(
    rows: Iterable[AdaptedBase],
    images: ImageSet,
    budget: Budget,
    strategy: FitStrategy,
    coefficients: Coefficients = PAPER,
) -> Fitted:
    """The fit of one base among its numbers of dropped strides."""
    chosen = for_strategy(coefficients, strategy)
    fits: list[tuple[int, Fit]] = []
    failures: list[BudgetError] = []
    for _, dropped, base in rows:
        try:
            fits.append((dropped, fit(base, budget, strategy, chosen, largest_px(images))))
        except BudgetError as error:
            failures.append(error)
    return min(fits, key=lambda row: map_rank(row[0], row[1].network)) if fits else failures[0]


def entered(rows: Sequence[tuple[str, str, str, FitStrategy, Fitted]], budget: Budget) -> Entered:
    """Rows of (id, label, base, strategy, fit) as entrants, and those that have no fit."""
    entrants: list[Entrant] = []
    failures: list[tuple[str, BudgetError]] = []
    for name, label, base, strategy, outcome in rows:
        if isinstance(outcome, BudgetError):
            failures.append((label, outcome))
        else:
            dropped, found = outcome
            entrants.append(Entrant(safe_name(name), label, base, strategy, found.phi, dropped, found.network))
    if not entrants:
        raise nearest_miss((error for _, error in failures), budget)
    return tuple(entrants), tuple(LeftOut(label, _reason(error, budget)) for label, error in failures)


def _reason(error: BudgetError, budget: Budget) -> str:
    limit = getattr(budget, error.limit)
    return f"its smallest network has {error.limit} {limit + error.excess:,} of {limit:,}"
