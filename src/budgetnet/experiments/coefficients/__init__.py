"""Coefficients for the user's own data: the true space, a race, and a check at phi = 2."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from budgetnet.arguments import integer, run_arguments
from budgetnet.budgets.coefficient_space import Measure, check_space
from budgetnet.budgets.coefficients_file import FILE, FORMAT
from budgetnet.cluster.executor import Executor
from budgetnet.cluster.ray_cluster import Cluster
from budgetnet.codec import from_record
from budgetnet.data import Folders, data_of
from budgetnet.experiments.bases import given_base
from budgetnet.experiments.coefficients.plan import FINALISTS, CoefficientsPlan
from budgetnet.experiments.coefficients.plan import propose as propose_search
from budgetnet.experiments.coefficients.report import report as report_of
from budgetnet.experiments.coefficients.request import CoefficientsRequest
from budgetnet.experiments.coefficients.result import CoefficientSearch, CoefficientsRecord
from budgetnet.experiments.coefficients.run import run as run_search
from budgetnet.experiments.compute import Compute
from budgetnet.experiments.experiment import Context, perform, report_path
from budgetnet.experiments.report import Report
from budgetnet.networks import Network
from budgetnet.parallel.progress import Progress
from budgetnet.training.augmenting import Augment, Everything, augment_of
from budgetnet.training.plan import check_time
from budgetnet.training.recipe import Recipe, recipe_of
from budgetnet.training.stopwatch import MACHINE, Clock

__all__ = ["CoefficientSearch", "search_coefficients"]
BASE = "efficientnet_b0"


@dataclass(frozen=True, slots=True)
class SearchCoefficients:
    """The experiment of `search_coefficients`."""

    name = "search coefficients"
    file = FILE
    format = FORMAT
    types = (CoefficientsRequest, CoefficientsPlan)

    def split_seeds(self, request: CoefficientsRequest) -> Sequence[int]:
        """One split: seeds draw weights and augmentation."""
        return (request.seed,)

    def propose(self, request: CoefficientsRequest, context: Context) -> CoefficientsPlan:
        """Who races, and how long each training is."""
        return propose_search(request, context)

    def run(self, record: CoefficientsRecord, context: Context) -> CoefficientSearch:
        """Races, and checks the answer at phi = 2."""
        return run_search(record, context)

    def read(self, row: object, record: CoefficientsRecord, run: Path) -> CoefficientSearch:
        """coefficients.json."""
        where = f"{FILE} in {run}"
        return from_record(CoefficientSearch, row, FORMAT, where, run=run, report=report_path(run), record=record)

    def report(self, record: CoefficientsRecord, result: CoefficientSearch) -> Report:
        """The ranking, the triangle, the check."""
        return report_of(record, result)


SEARCH_COEFFICIENTS = SearchCoefficients()


def search_coefficients(
    data: str | Path | Folders,
    base: str | Network = BASE,
    growth: float = 2.0,
    tolerance: float = 0.05,
    measure: Measure = "macs",
    candidates: int = 24,
    finalists: int = FINALISTS,
    seeds: int = 3,
    time_seconds: float = 2700.0,
    seed: int = 0,
    recipe: str | Recipe = "modern",
    out: Path | str | None = None,
    device: str = "auto",
    precision: str = "auto",
    fresh: bool = False,
    progress: Progress | None = None,
    cluster: Cluster | Executor | None = None,
    augment: Augment | Everything = "auto",
    train_bytes: int | None = None,
    clock: Clock = MACHINE,
) -> CoefficientSearch:
    """Alpha, beta and gamma for these images: which network of `growth` times the base's cost is the most accurate.

    The candidates are distinct integer networks, not real numbers. They race by successive halving on the validation
    images; the last of them, with the network nearest to the paper's choice among them, are trained several times.
    Then the found and the paper's coefficients are compared at phi = 2 on the test images. docs/search-coefficients.md
    has the method.

    The same call continues where a stopped one was; a finished run is read and not made again, unless `fresh` is given.

    Source: Tan & Le, EfficientNet, arXiv:1905.11946, section 3.3, step 1.

    Args:
        data: The images, as `open_images` takes them.
        base: The network to scale, or its name. A base of the zoo is adapted to the images; a `Network` keeps its size
            and strides.
        growth: The factor on the cost.
        tolerance: How far the cost of a candidate may be from it, as a share.
        measure: What the cost is: "macs", "activations" or "peak_bytes".
        candidates: How many candidates race at most; fewer where the time is short.
        finalists: How many are trained several times at most.
        seeds: How many times each finalist is trained.
        time_seconds: For everything: a number of seconds, or text such as "45m". docs/how-it-works.md says how the
            limit is kept.
        seed: The split, the candidates, the weights and the augmentation are functions of it.
        recipe: "modern", "paper" or a `Recipe`.
        out: The run's folder; unless given, one under runs/ that is named after the data and the arguments.
        device: "auto" (a CUDA GPU where there is one, else the processor), "cpu", "cuda" or "mps".
        precision: "auto" (bfloat16 on GPUs that have it, else float32), "float32", "bfloat16" or "float16".
        fresh: Whether a run in the folder is removed and made again.
        progress: Called with an `Update` as the work goes on.
        cluster: A Ray cluster or another executor on which trainings run; this machine's processes unless given.
        augment: Which kinds of augmentation are drawn: an `Augment`, "auto" (those that change no class) or "none".
        train_bytes: A limit on the memory of one training step, for which the batch is made smaller.
        clock: Where seconds come from: this machine, or another in a simulation.

    Returns:
        The coefficients, the ranking, the comparison at phi = 2, and where the run and its report lie.

    Raises:
        ValueError: An argument or the images are wrong, no network has this cost, the time is too short, or the folder
            was begun with other arguments.
        TypeError: An argument has another type.

    Example:
        >>> import budgetnet
        >>> base = budgetnet.scale(budgetnet.network("mobilenet_v3_small", 10, 32), -2)
        >>> found = budgetnet.search_coefficients("digits", base, candidates=3, finalists=2, seeds=1, time_seconds="8m",
        ...                                       out="run")
        >>> found.best.network.classes, found.report.exists()
        (10, True)
    """
    given = data_of(data)
    out, seed, fresh, progress = run_arguments(out, seed, fresh, progress)
    growth, tolerance = check_space(growth, tolerance, measure)
    compute = Compute(device, precision, cluster).checked()
    request = CoefficientsRequest(
        base=given_base("base", base),
        growth=growth,
        tolerance=tolerance,
        measure=measure,
        candidates=integer("candidates", candidates, 2),
        finalists=integer("finalists", finalists, 2),
        seeds=integer("seeds", seeds),
        time_seconds=check_time(time_seconds),
        seed=seed,
        recipe=recipe_of(recipe),
        precision=compute.precision,
        augment=augment_of(augment),
        train_bytes=None if train_bytes is None else integer("train_bytes", train_bytes),
    )
    return perform(SEARCH_COEFFICIENTS, request, given, compute, out, fresh, request.time_seconds, progress, clock)
