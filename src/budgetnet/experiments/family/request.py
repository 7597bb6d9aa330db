"""What a search for a family is asked."""

from __future__ import annotations

from dataclasses import dataclass

from budgetnet.budgets.budget import Budget
from budgetnet.budgets.search_space import Space
from budgetnet.codec import NonNegativeInt, PositiveFloat
from budgetnet.networks import Network
from budgetnet.training.augmenting import Augment
from budgetnet.training.recipe import Recipe


@dataclass(frozen=True, slots=True)
class FamilyRequest:
    """The budget of S0, and what is searched within it. `space` is None for the default around `base`."""

    budget: Budget
    time_seconds: PositiveFloat
    space: Space | None
    base: str | Network
    exponent: float
    seed: NonNegativeInt
    recipe: Recipe
    precision: str
    augment: Augment
