"""What a search for a baseline is asked, by itself or as the first part of a family, checked once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from budgetnet.arguments import of_kind
from budgetnet.budgets.budget import Budget, budget_of
from budgetnet.budgets.search_space import SPACE, Space
from budgetnet.cluster.executor import check_cluster, check_trials
from budgetnet.cluster.ray_cluster import Cluster
from budgetnet.experiments.baseline.objective import check_exponent
from budgetnet.experiments.bases import given_base
from budgetnet.networks import Network
from budgetnet.training.augmenting import Augment, Everything, augment_of, given_augment
from budgetnet.training.plan import check_time
from budgetnet.training.recipe import Recipe, recipe_of
from budgetnet.training.train import check_computing


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """A budget and what is searched within it. `space` is made for the images unless given."""

    budget: Budget
    time_seconds: float
    space: Space | None
    base: str | Network
    exponent: float
    seed: int
    recipe: Recipe
    precision: str
    augment: Augment

    def to_dict(self) -> dict[str, Any]:
        """As the run's name and plan.json hold it."""
        return {
            "budget": self.budget.to_dict(),
            "time_seconds": self.time_seconds,
            "space_asked": None if self.space is None else self.space.to_json(),
            "base": self.base if isinstance(self.base, str) else self.base.to_json(),
            "exponent": self.exponent,
            "seed": self.seed,
            "recipe_name": self.recipe.name,
            "precision": self.precision,
            "augment": given_augment(self.augment),
        }


def search_request(
    budget: Budget,
    time_seconds: float,
    space: Space | None,
    base: str | Network,
    exponent: float,
    seed: int,
    recipe: str | Recipe,
    device: str,
    precision: str,
    cluster: Cluster | None,
    augment: Augment | Everything,
) -> SearchRequest:
    """The request, if every argument can be meant. Raises `TypeError` or `ValueError`, in one line that names it."""
    budget_of("budget", budget)
    time_seconds, exponent = check_time(time_seconds), check_exponent(exponent)
    space = None if space is None else of_kind("space", space, Space, SPACE)
    base, recipe = given_base("base", base), recipe_of(recipe)
    check_cluster(cluster)
    check_computing(device, precision)
    check_trials(cluster, precision)
    return SearchRequest(budget, time_seconds, space, base, exponent, seed, recipe, precision, augment_of(augment))
