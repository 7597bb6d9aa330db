"""What a comparison is asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from budgetnet.budgets.budget import Budget
from budgetnet.codec import NotEmpty, PositiveFloat, PositiveInt
from budgetnet.networks import Network
from budgetnet.networks.scaling import Coefficients, FitStrategy
from budgetnet.training.augmenting import Augment
from budgetnet.training.recipe import Recipe

Question = Literal["families", "scaling", "ablation"]


@dataclass(frozen=True, slots=True)
class CompareRequest:
    """Which networks at which budget, trained how often for how long. `recipe` is None for what suits each."""

    question: Question
    budget: Budget
    time_seconds: PositiveFloat
    seeds: PositiveInt
    networks: NotEmpty[str | Network]
    strategy: FitStrategy
    coefficients: Coefficients
    pretrained: str
    recipe: Recipe | None
    precision: str
    augment: Augment
    start_share: PositiveFloat
