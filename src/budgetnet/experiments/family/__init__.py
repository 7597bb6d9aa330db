"""The whole chain of the paper: a baseline for a budget, coefficients on it, and the family that they give."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from budgetnet.arguments import of_kind, run_arguments
from budgetnet.budgets.budget import Budget, budget_of
from budgetnet.budgets.search_space import SPACE, Space
from budgetnet.cluster.executor import Executor
from budgetnet.cluster.ray_cluster import Cluster
from budgetnet.codec import from_record
from budgetnet.data import Folders, data_of
from budgetnet.experiments.baseline import BASE_NAME
from budgetnet.experiments.baseline.objective import EXPONENT, check_exponent
from budgetnet.experiments.bases import given_base
from budgetnet.experiments.compute import Compute
from budgetnet.experiments.experiment import Context, perform, report_path
from budgetnet.experiments.family.plan import FamilyPlan
from budgetnet.experiments.family.plan import propose as propose_family
from budgetnet.experiments.family.report import report as report_of
from budgetnet.experiments.family.request import FamilyRequest
from budgetnet.experiments.family.result import FILE, FORMAT, Family, FamilyRecord
from budgetnet.experiments.family.run import run as run_family
from budgetnet.experiments.report import Report
from budgetnet.networks import Network
from budgetnet.parallel.progress import Progress
from budgetnet.training.augmenting import Augment, Everything, augment_of
from budgetnet.training.plan import check_time
from budgetnet.training.recipe import Recipe, recipe_of

__all__ = ["Family", "search_family"]


@dataclass(frozen=True, slots=True)
class SearchFamily:
    """The experiment of `search_family`."""

    name = "search family"
    file = FILE
    format = FORMAT
    types = (FamilyRequest, FamilyPlan)

    def split_seeds(self, request: FamilyRequest) -> Sequence[int]:
        """One split for all parts."""
        return (request.seed,)

    def propose(self, request: FamilyRequest, context: Context) -> FamilyPlan:
        """Seconds for each part."""
        return propose_family(request, context)

    def run(self, record: FamilyRecord, context: Context) -> Family:
        """Performs the three parts."""
        return run_family(record, context)

    def read(self, row: object, record: FamilyRecord, run: Path) -> Family:
        """family.json."""
        return from_record(Family, row, FORMAT, f"{FILE} in {run}", run=run, report=report_path(run), record=record)

    def report(self, record: FamilyRecord, result: Family) -> Report:
        """The family, and links to both searches."""
        return report_of(record, result)


SEARCH_FAMILY = SearchFamily()


def search_family(
    data: str | Path | Folders,
    budget: Budget,
    time_seconds: float = 10800.0,
    space: Space | None = None,
    base: str | Network = BASE_NAME,
    exponent: float = EXPONENT,
    seed: int = 0,
    recipe: str | Recipe = "modern",
    out: Path | str | None = None,
    device: str = "cpu",
    precision: str = "float32",
    fresh: bool = False,
    progress: Progress | None = None,
    cluster: Cluster | Executor | None = None,
    augment: Augment | Everything = "auto",
) -> Family:
    """A family of networks from a budget and images: the paper's two searches and what they lead to, in one call.

        baseline      `search_baseline` within the budget                      1/2 of the time
        coefficients  `search_coefficients` on its winner, S0                  1/4
        family        S0 scaled by phi = 1, 2, 3 with them, all trained alike  1/4

    All parts have one split of the images, so that the test images of the family were seen by no choice. The members
    are trained from nothing for equal steps. `space`, `base` and `exponent` are those of `search_baseline`. `augment`
    says which kinds of the recipe's augmentation are drawn: those that change no class, unless given; it is settled
    once, for all parts. Trials and trainings run on a Ray `cluster` where one is given, else here.

    The same call goes on where a killed one was; a finished family is read, not made again, unless `fresh`. Raises
    `BudgetError` or `ValueError` where no network keeps the budget, `ValueError` for other bad input and for a time
    that is too short for three parts.
    Source: Tan and Le, EfficientNet, arXiv:1905.11946, section 4; MnasNet, arXiv:1807.11626.
    """
    given = data_of(data)
    out, seed, fresh, progress = run_arguments(out, seed, fresh, progress)
    compute = Compute(device, precision, cluster).checked()
    request = FamilyRequest(
        budget=budget_of("budget", budget),
        time_seconds=check_time(time_seconds),
        space=None if space is None else of_kind("space", space, Space, SPACE),
        base=given_base("base", base),
        exponent=check_exponent(exponent),
        seed=seed,
        recipe=recipe_of(recipe),
        precision=precision,
        augment=augment_of(augment),
    )
    return perform(SEARCH_FAMILY, request, given, compute, out, fresh, request.time_seconds, progress)
