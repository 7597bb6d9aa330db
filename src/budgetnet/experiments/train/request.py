"""What a training is asked."""

from __future__ import annotations

from dataclasses import dataclass

from budgetnet.budgets.budget import Budget
from budgetnet.codec import NonNegativeInt, PositiveFloat
from budgetnet.networks import Network
from budgetnet.training.augmenting import Augment
from budgetnet.training.recipe import Recipe


@dataclass(frozen=True, slots=True)
class TrainRequest:
    """The network, and either `epochs` or `time_seconds`.

    `recipe` is None where none was asked for and `pretrained` is "auto".
    """

    network: Network
    epochs: PositiveFloat | None
    time_seconds: PositiveFloat | None
    recipe: Recipe | None
    seed: NonNegativeInt
    precision: str
    weights: str | None
    pretrained: str
    augment: Augment
    budget: Budget | None

    @property
    def source(self) -> str:
        """Where its weights come from, as `parent_for` takes it."""
        return self.pretrained if self.weights is None else self.weights
