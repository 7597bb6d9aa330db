"""What a solve is asked."""

from __future__ import annotations

from dataclasses import dataclass

from budgetnet.budgets.budget import Budget
from budgetnet.networks import Network
from budgetnet.networks.scaling import Coefficients, Strategy
from budgetnet.training.augmenting import Augment
from budgetnet.training.recipe import Recipe


@dataclass(frozen=True, slots=True)
class SolveRequest:
    """The budget and the time. `recipe` and `bases` are None for those that suit where the weights come from."""

    budget: Budget
    time_seconds: float
    seed: int
    recipe: Recipe | None
    bases: tuple[str | Network, ...] | None
    strategies: tuple[Strategy, ...]
    pretrained: str
    coefficients: Coefficients
    augment: Augment
    precision: str
