"""The default space of a search: around a base that is scaled to the budget from the images' own size."""

from __future__ import annotations

import dataclasses
import itertools
import math

from budgetnet.budgets.budget import Budget, BudgetError, Fit, nearest_miss
from budgetnet.budgets.fit import fit
from budgetnet.budgets.search_space import Space, default_space
from budgetnet.data import ImageSet
from budgetnet.experiments.bases import SMALL_PX, adapted_bases, base_px, largest_px, map_rank
from budgetnet.networks import Network
from budgetnet.networks.scaling import PAPER, Coefficients

OWN_SIZE = Coefficients(PAPER.alpha, math.sqrt(2 / PAPER.alpha), 1.0)
"""alpha * beta^2 = 2 with the paper's alpha: the resolution stays. CIFAR-10 at 18 px was a poor base for 8 M MACs; the
same at 32 px got 3.8 points more in equal steps (docs/lab-log.md)."""


def space_for(images: ImageSet, budget: Budget, base: str | Network) -> Space:
    """The default space around a base, scaled to the budget from the images' own size.

    Strides are dropped as in a comparison: as few as leave a last map of 4 px. The compound rule scales it, unless the
    images are small and only a base of their own size has such a map: then depth and width share what it would have
    given the resolution. Raises `BudgetError` where no size of the base keeps the budget.
    """
    rules = (PAPER, OWN_SIZE) if base_px(images) < SMALL_PX else (PAPER,)
    fits: list[tuple[int, Fit]] = []
    failures: list[BudgetError] = []
    for coefficients, (_, dropped, row) in itertools.product(rules, adapted_bases(images, [base])):
        try:
            fits.append((dropped, fit(row, budget, coefficients=coefficients, largest_px=largest_px(images))))
        except BudgetError as error:
            failures.append(error)
    if not fits:
        raise nearest_miss(failures, budget)
    found = min(fits, key=lambda row: map_rank(row[0], row[1].network))[1].network
    return default_space(dataclasses.replace(found, name=found.name.partition(" ")[0]))
