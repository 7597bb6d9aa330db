"""The paper's three steps: a baseline for a budget, coefficients on it, and the family that they give."""

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
from budgetnet.training.stopwatch import MACHINE, Clock

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
    device: str = "auto",
    precision: str = "auto",
    fresh: bool = False,
    progress: Progress | None = None,
    cluster: Cluster | Executor | None = None,
    augment: Augment | Everything = "auto",
    clock: Clock = MACHINE,
) -> Family:
    """A family of networks from a budget and images: the paper's two searches, and what they lead to, in one call.

    ====================  ==============================================================  =================
    part                  what it does                                                    share of the time
    ====================  ==============================================================  =================
    baseline              `search_baseline` within the budget                             1/2
    coefficients          `search_coefficients` on its winner, S0                         1/4
    family                S0 scaled by phi = 1, 2, 3 with them, all trained alike         1/4
    ====================  ==============================================================  =================

    All parts have one split of the images, so that the family's test images were seen by no choice.
    docs/search-family.md has the method.

    The same call continues where a stopped one was; a finished run is read and not made again, unless `fresh` is given.

    Source: Tan & Le, EfficientNet, arXiv:1905.11946, section 4; Tan et al., MnasNet, arXiv:1807.11626.

    Args:
        data: The images, as `open_images` takes them.
        budget: The limits of S0.
        time_seconds: For everything, all three parts together: a number of seconds, or text such as "3h".
            docs/how-it-works.md says how the limit is kept.
        space: See `search_baseline`.
        base: See `search_baseline`.
        exponent: See `search_baseline`.
        seed: The split, the searches, the weights and the augmentation are functions of it.
        recipe: "modern", "paper" or a `Recipe`.
        out: The run's folder; unless given, one under runs/ that is named after the data and the arguments.
        device: "auto" (a CUDA GPU where there is one, else the processor), "cpu", "cuda" or "mps".
        precision: "auto" (bfloat16 on GPUs that have it, else float32), "float32", "bfloat16" or "float16".
        fresh: Whether a run in the folder is removed and made again.
        progress: Called with an `Update` as the work goes on.
        cluster: A Ray cluster or another executor on which trainings run; this machine's processes unless given.
        augment: Which kinds of augmentation are drawn: an `Augment`, "auto" (those that change no class) or "none".
        clock: Where seconds come from: this machine, or another in a simulation.

    Returns:
        The coefficients, S0 to S3 with their accuracies, and where the run and its report lie.

    Raises:
        BudgetError: No network keeps the budget.
        ValueError: An argument or the images are wrong, the time is too short for three parts, or the folder was begun
            with other arguments.
        TypeError: An argument has another type.

    Example:
        >>> import budgetnet
        >>> found = budgetnet.search_family("digits", budgetnet.Budget(macs="0.5M"), time_seconds="10m", out="run")
        >>> [member.id for member in found.members]
        ['S0', 'S1', 'S2', 'S3']
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
        precision=compute.precision,
        augment=augment_of(augment),
    )
    return perform(SEARCH_FAMILY, request, given, compute, out, fresh, request.time_seconds, progress, clock)
