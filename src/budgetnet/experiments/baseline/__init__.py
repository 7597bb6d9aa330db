"""A baseline for a budget: a space of networks, scores of them, a search above those, and the best trained in full."""

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
from budgetnet.experiments.baseline.default_space import space_for
from budgetnet.experiments.baseline.objective import EXPONENT, check_exponent
from budgetnet.experiments.baseline.plan import BaselinePlan
from budgetnet.experiments.baseline.plan import propose as propose_search
from budgetnet.experiments.baseline.ranking import read_ranking
from budgetnet.experiments.baseline.report import report as report_of
from budgetnet.experiments.baseline.request import BaselineRequest
from budgetnet.experiments.baseline.result import FILE, FORMAT, Baseline, BaselineRecord
from budgetnet.experiments.baseline.run import run as run_search
from budgetnet.experiments.baseline.search import SAMPLERS, Sampler
from budgetnet.experiments.bases import given_base
from budgetnet.experiments.compute import Compute
from budgetnet.experiments.experiment import Context, perform, report_path
from budgetnet.experiments.report import Report
from budgetnet.networks import Network, choose
from budgetnet.parallel.progress import Progress
from budgetnet.training.augmenting import Augment, Everything, augment_of
from budgetnet.training.plan import check_time
from budgetnet.training.recipe import Recipe, recipe_of
from budgetnet.training.stopwatch import MACHINE, Clock

__all__ = ["Baseline", "search_baseline", "space_for"]
BASE_NAME = "efficientnet_b0"


@dataclass(frozen=True, slots=True)
class SearchBaseline:
    """The experiment of `search_baseline`."""

    name = "search baseline"
    file = FILE
    format = FORMAT
    types = (BaselineRequest, BaselinePlan)

    def split_seeds(self, request: BaselineRequest) -> Sequence[int]:
        """One split: other splits' test images would be known to the search."""
        return (request.seed,)

    def propose(self, request: BaselineRequest, context: Context) -> BaselinePlan:
        """The space, and how many networks are trained for how long."""
        return propose_search(request, context)

    def run(self, record: BaselineRecord, context: Context) -> Baseline:
        """Scores, semifinals, finals."""
        return run_search(record, context)

    def read(self, row: object, record: BaselineRecord, run: Path) -> Baseline:
        """baseline.json, and what was measured of its scores since."""
        ranking = read_ranking(run)
        more = {"run": run, "report": report_path(run), "record": record, "ranking": ranking}
        return from_record(Baseline, row, FORMAT, f"{FILE} in {run}", **more)

    def report(self, record: BaselineRecord, result: Baseline) -> Report:
        """The front, the winner's stages, the finals, how the search went."""
        return report_of(record, result)


SEARCH_BASELINE = SearchBaseline()


def search_baseline(
    data: str | Path | Folders,
    budget: Budget,
    time_seconds: float = 5400.0,
    space: Space | None = None,
    base: str | Network = BASE_NAME,
    sampler: Sampler = "evolution",
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
) -> Baseline:
    """Search a space of networks for the one that is best within a budget, on the user's images.

    Each proposed network is scored on the validation images by the objective of MnasNet, with T the budget's MACs, or
    the base's where the budget limits none::

        ACC * (MACs / T)**exponent

    The best are trained again for a quarter of a final training (semifinals); the best few of these, and the space's
    base, in full, from nothing. The winner has the highest objective of the finals by validation accuracy; test images
    are used once, at the end. docs/search-baseline.md has the method.

    The same call continues where a stopped one was; a finished run is read and not made again, unless `fresh` is given.

    Source: Tan et al., MnasNet, arXiv:1807.11626.

    Args:
        data: The images, as `open_images` takes them.
        budget: The limits.
        time_seconds: For everything: a number of seconds, or text such as "90m". docs/how-it-works.md says how the
            limit is kept.
        space: The networks that are searched; unless given, one for the images, the budget and `base`.
        base: The network that the space is built around, or its name; it is trained too, to compare with.
        sampler: Who proposes networks: "evolution" or "random".
        exponent: Of the objective; below 0 cheaper networks are preferred.
        seed: The split, the proposals, the weights and the augmentation are functions of it.
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
        The winner, the finals, the candidates, and where the run and its report lie.

    Raises:
        BudgetError: No network of the space keeps the budget.
        ValueError: An argument or the images are wrong, the time is too short, or the folder was begun with other
            arguments.
        TypeError: An argument has another type.

    Example:
        >>> import budgetnet
        >>> found = budgetnet.search_baseline("digits", budgetnet.Budget(macs="1M"), time_seconds="5m", out="run")
        >>> budgetnet.cost(found.network).macs <= 1_000_000
        True
    """
    given = data_of(data)
    out, seed, fresh, progress = run_arguments(out, seed, fresh, progress)
    choose("sampler", sampler, SAMPLERS)
    compute = Compute(device, precision, cluster).checked()
    request = BaselineRequest(
        budget=budget_of("budget", budget),
        time_seconds=check_time(time_seconds),
        space=None if space is None else of_kind("space", space, Space, SPACE),
        base=given_base("base", base),
        sampler=sampler,
        exponent=check_exponent(exponent),
        seed=seed,
        recipe=recipe_of(recipe),
        precision=compute.precision,
        augment=augment_of(augment),
    )
    return perform(SEARCH_BASELINE, request, given, compute, out, fresh, request.time_seconds, progress, clock)
