"""What a solve is asked."""

from __future__ import annotations

from dataclasses import dataclass

from budgetnet.budgets.budget import Budget
from budgetnet.codec import NonNegativeInt, NotEmpty, PositiveFloat
from budgetnet.networks import Network
from budgetnet.networks.scaling import Coefficients, FitStrategy
from budgetnet.training.augmenting import Augment
from budgetnet.training.recipe import Recipe


@dataclass(frozen=True, slots=True)
class SolveRequest:
    """The budget and the time.

    `bases` are None where none were asked for and the network of pretrained weights is the base, `recipe` where none
    was asked for and `pretrained` is "auto".
    """

    budget: Budget
    time_seconds: PositiveFloat
    seed: NonNegativeInt
    recipe: Recipe | None
    bases: NotEmpty[str | Network] | None
    strategies: NotEmpty[FitStrategy]
    pretrained: str
    coefficients: Coefficients
    augment: Augment
    precision: str

    @property
    def in_eight_bits(self) -> bool:
        """Whether what is shipped is a file in eight bits, so that networks are chosen and tested as it rounds."""
        return self.budget.dtype == "int8"
