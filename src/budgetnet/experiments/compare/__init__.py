"""Families side by side: one budget, one recipe, the same seeds, and what the differences are worth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from budgetnet.arguments import integer, number, path, run_arguments
from budgetnet.budgets.budget import Budget, budget_of
from budgetnet.cluster.executor import Executor
from budgetnet.cluster.ray_cluster import Cluster
from budgetnet.codec import from_record
from budgetnet.data import Data, Folders, data_of
from budgetnet.experiments.bases import given_bases
from budgetnet.experiments.compare.entrants import FAMILIES
from budgetnet.experiments.compare.kinds import bases_of
from budgetnet.experiments.compare.plan import ComparePlan
from budgetnet.experiments.compare.plan import propose as propose_comparison
from budgetnet.experiments.compare.report import report as report_of
from budgetnet.experiments.compare.request import CompareRequest, Question
from budgetnet.experiments.compare.result import FORMAT, Comparison
from budgetnet.experiments.compare.run import run as run_comparison
from budgetnet.experiments.compare.scalings import SCALINGS, START_SHARE
from budgetnet.experiments.compute import Compute
from budgetnet.experiments.experiment import Context, perform, report_path
from budgetnet.experiments.report import Report
from budgetnet.networks import Network
from budgetnet.networks.scaling import PAPER, Coefficients, Strategy, check_compound, coefficients_of
from budgetnet.parallel.progress import Progress
from budgetnet.runs.record import Record
from budgetnet.training.augmenting import Augment, Everything, augment_of
from budgetnet.training.plan import check_time
from budgetnet.training.recipe import Recipe, recipe_of

__all__ = ["FAMILIES", "Comparison", "compare"]
CompareRecord = Record[CompareRequest, ComparePlan]


@dataclass(frozen=True, slots=True)
class Compare:
    """The experiment of `compare`."""

    name = "compare"
    file = "comparison.json"
    format = FORMAT
    types = (CompareRequest, ComparePlan)

    def split_seeds(self, request: CompareRequest) -> Sequence[int]:
        """Each seed splits the images anew."""
        return range(request.seeds)

    def propose(self, request: CompareRequest, context: Context) -> ComparePlan:
        """Equal seconds for every training."""
        return propose_comparison(request, context)

    def run(self, record: CompareRecord, context: Context) -> Comparison:
        """Trains, tests, measures."""
        return run_comparison(record, context)

    def read(self, row: object, record: CompareRecord, run: Path) -> Comparison:
        """comparison.json."""
        where = f"comparison.json in {run}"
        return from_record(Comparison, row, FORMAT, where, run=run, report=report_path(run), record=record)

    def report(self, record: CompareRecord, result: Comparison) -> Report:
        """Tables, pictures, findings."""
        return report_of(record, result)


COMPARE = Compare()


def compare(
    data: str | Path | Folders,
    budget: Budget,
    time_seconds: float = 3600.0,
    seeds: int = 3,
    networks: Sequence[str | Network] | None = None,
    strategy: Strategy = "compound",
    pretrained: str = "none",
    recipe: str | Recipe | None = None,
    question: Question = "families",
    out: Path | str | None = None,
    device: str = "cpu",
    precision: str = "float32",
    fresh: bool = False,
    progress: Progress | None = None,
    start_share: float = START_SHARE,
    coefficients: Coefficients = PAPER,
    augment: Augment | Everything = "auto",
    cluster: Cluster | Executor | None = None,
) -> Comparison:
    """Networks at one budget side by side, each trained `seeds` times for equal seconds of one core or GPU.

    The question says which: the bases `networks` ("families"; `FAMILIES` unless given), one base under several
    strategies ("scaling"), or one base and the same without one of its parts ("ablation"; `ablation.CHANGES`; trained
    with stochastic depth). Every base is scaled to the budget from the images' own size. Seed s splits the images and
    draws the weights and the augmentation, so that the networks of one seed answer the same test images: differences
    are paired (`statistics.over_seeds`). `time_seconds` is for all of it; steps are planned once, by timed steps.

    Under the question "scaling" all strategies grow from one network, of at most `start_share` of the budget: the base
    or, where it is larger, a smaller one of its compound path (`scalings.grown_from`).

    With `pretrained`, a source as `load_weights` takes it or "auto" (the nearest relative of each), networks
    inherit. `coefficients` are those of the compound strategy. The recipe is one for all; unless given it is "modern",
    or "finetune" for what inherits. `augment` says which kinds of its augmentation are drawn: those that change no
    class of the seed's training images, unless given. Trainings run on a Ray `cluster` where one is given, else here.

    The same call goes on where a killed one was; a finished comparison is read, not made again, unless `fresh`.
    A base that cannot keep the budget is left out. Raises `BudgetError` if all are, `ValueError` for other bad input.
    """
    given: Data = data_of(data)
    out, _, fresh, progress = run_arguments(out, 0, fresh, progress)
    budget_of("budget", budget)
    bases = None if networks is None else given_bases("networks", networks)
    coefficients_of(coefficients)
    compute = Compute(device, precision, cluster).checked()
    request = CompareRequest(
        question=question,
        budget=budget,
        time_seconds=check_time(time_seconds),
        seeds=integer("seeds", seeds),
        networks=bases_of(question, bases, strategy),
        strategy=strategy,
        coefficients=coefficients,
        pretrained=path("pretrained", pretrained),
        recipe=None if recipe is None else recipe_of(recipe),
        precision=precision,
        augment=augment_of(augment),
        start_share=number("start_share", start_share),
    )
    check_compound(coefficients, SCALINGS if question == "scaling" else [strategy])
    return perform(COMPARE, request, given, compute, out, fresh, request.time_seconds, progress)
