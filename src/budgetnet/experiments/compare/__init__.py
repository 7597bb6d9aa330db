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
from budgetnet.experiments.compare.result import FORMAT, Comparison, check_planned
from budgetnet.experiments.compare.run import run as run_comparison
from budgetnet.experiments.compare.scalings import SCALINGS, START_SHARE
from budgetnet.experiments.compute import Compute
from budgetnet.experiments.experiment import Context, perform, report_path
from budgetnet.experiments.report import Report
from budgetnet.networks import Network
from budgetnet.networks.scaling import PAPER, Coefficients, FitStrategy, check_compound, coefficients_of
from budgetnet.parallel.progress import Progress
from budgetnet.runs.record import Record
from budgetnet.training.augmenting import Augment, Everything, augment_of
from budgetnet.training.plan import check_time
from budgetnet.training.recipe import Recipe, recipe_of
from budgetnet.training.stopwatch import MACHINE, Clock

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
        found = from_record(Comparison, row, FORMAT, where, run=run, report=report_path(run), record=record)
        check_planned(found)
        return found

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
    strategy: FitStrategy = "compound",
    pretrained: str = "none",
    recipe: str | Recipe | None = None,
    question: Question = "families",
    out: Path | str | None = None,
    device: str = "auto",
    precision: str = "auto",
    fresh: bool = False,
    progress: Progress | None = None,
    start_share: float = START_SHARE,
    coefficients: Coefficients = PAPER,
    augment: Augment | Everything = "auto",
    cluster: Cluster | Executor | None = None,
    clock: Clock = MACHINE,
) -> Comparison:
    """Networks at one budget side by side, each trained several times for equal seconds of one core or GPU.

    Every base is scaled to the budget from the images' own size; one that cannot keep it is left out. Seed s splits the
    images and draws the weights and the augmentation, so that the networks of one seed answer the same test images and
    differences are paired. Steps are planned from timed ones. docs/compare.md says how to read the result.

    The same call continues where a stopped one was; a finished run is read and not made again, unless `fresh` is given.

    Args:
        data: The images, as `open_images` takes them.
        budget: The limits.
        time_seconds: For everything: a number of seconds, or text such as "60m". docs/how-it-works.md says how the
            limit is kept.
        seeds: How many times each network is trained.
        networks: The bases, or their names. Unless given, one of every family; for "scaling" and "ablation" one base.
        strategy: How bases are scaled to the budget: see `scale`.
        pretrained: A source of weights as `load_weights` takes it, which the networks inherit; "auto" for the nearest
            relative of each; "none".
        recipe: One for all: "modern", "paper", "finetune" or a `Recipe`. Unless given "modern", and "finetune" for what
            inherits.
        question: "families" (the bases), "scaling" (one base under several strategies) or "ablation" (one base, and
            the same without one of its parts).
        out: The run's folder; unless given, one under runs/ that is named after the data and the arguments.
        device: "auto" (a CUDA GPU where there is one, else the processor), "cpu", "cuda" or "mps".
        precision: "auto" (bfloat16 on GPUs that have it, else float32), "float32", "bfloat16" or "float16".
        fresh: Whether a run in the folder is removed and made again.
        progress: Called with an `Update` as the work goes on.
        start_share: For "scaling", all strategies grow from one network that uses at most this share of the budget.
        coefficients: Alpha, beta and gamma of the compound strategy.
        augment: Which kinds of augmentation are drawn: an `Augment`, "auto" (those that change no class) or "none".
        cluster: A Ray cluster or another executor on which trainings run; this machine's processes unless given.
        clock: Where seconds come from: this machine, or another in a simulation.

    Returns:
        Accuracies, paired differences with intervals, what they show in words, and where the run and its report lie.

    Raises:
        BudgetError: No base keeps the budget.
        ValueError: An argument or the images are wrong, the time is too short, or the folder was begun with other
            arguments.
        TypeError: An argument has another type.

    Example:
        >>> import budgetnet
        >>> bases = ["mobilenet_v2", "mobilenet_v3_small"]
        >>> found = budgetnet.compare("digits", budgetnet.Budget(macs="1M"), "2m", seeds=1, networks=bases, out="run")
        >>> len(found.networks), len(found.pairs)
        (2, 1)
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
        precision=compute.precision,
        augment=augment_of(augment),
        start_share=number("start_share", start_share),
    )
    check_compound(coefficients, SCALINGS if question == "scaling" else [strategy])
    return perform(COMPARE, request, given, compute, out, fresh, request.time_seconds, progress, clock)
