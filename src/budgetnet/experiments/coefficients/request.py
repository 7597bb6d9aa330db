"""What a search for coefficients is asked."""

from __future__ import annotations

from dataclasses import dataclass

from budgetnet.budgets.coefficient_space import Measure
from budgetnet.codec import NonNegativeInt, PositiveFloat, PositiveInt
from budgetnet.networks import Network
from budgetnet.training.augmenting import Augment
from budgetnet.training.recipe import Recipe


@dataclass(frozen=True, slots=True)
class CoefficientsRequest:
    """Which networks of a base race for how long, and how often the last of them are trained.

    `growth` times the base's cost in `measure`, within `tolerance`, is what a candidate costs. `train_bytes` is a limit
    on the memory of a training step, None for what the machine has.
    """

    base: str | Network
    growth: PositiveFloat
    tolerance: PositiveFloat
    measure: Measure
    candidates: PositiveInt
    finalists: PositiveInt
    seeds: PositiveInt
    time_seconds: PositiveFloat
    seed: NonNegativeInt
    recipe: Recipe
    precision: str
    augment: Augment
    train_bytes: int | None
