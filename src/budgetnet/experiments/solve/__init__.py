"""The main job: a budget and images in, the winner and its evidence out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from budgetnet.arguments import of_kind, path, run_arguments, seconds, several
from budgetnet.budgets.budget import Budget, Fit, budget_of
from budgetnet.cluster.executor import Executor
from budgetnet.cluster.ray_cluster import Cluster
from budgetnet.codec import PRIVATE, from_record
from budgetnet.data import Folders, data_of, open_images
from budgetnet.experiments.bases import given_bases
from budgetnet.experiments.compute import Compute
from budgetnet.experiments.experiment import Context, perform, report_path
from budgetnet.experiments.report import Report
from budgetnet.experiments.solve.candidates import BASES, Candidate
from budgetnet.experiments.solve.plan import SolvePlan
from budgetnet.experiments.solve.plan import propose as propose_solve
from budgetnet.experiments.solve.preview import Preview, preview_of
from budgetnet.experiments.solve.report import report as report_of
from budgetnet.experiments.solve.request import SolveRequest
from budgetnet.experiments.solve.result import SolveRecord, SolveResult
from budgetnet.experiments.solve.run import run as run_solve
from budgetnet.experiments.solve.shipping import Shipped
from budgetnet.experiments.summary import Summary
from budgetnet.experiments.timing import TimeBudget
from budgetnet.experiments.trained import summary_rows
from budgetnet.networks import Network
from budgetnet.networks.scaling import (
    FIT_STRATEGIES,
    PAPER,
    STRATEGIES,
    Coefficients,
    FitStrategy,
    check_compound,
    coefficients_of,
    fit_strategy_of,
)
from budgetnet.parallel.progress import Progress, silent
from budgetnet.parallel.ranks import led
from budgetnet.training.augmenting import Augment, Everything, augment_of
from budgetnet.training.calibration import Calibration
from budgetnet.training.evaluation import Evaluation
from budgetnet.training.outcome import FILE, FORMAT, check_model
from budgetnet.training.pretrained import asked_recipe
from budgetnet.training.recipe import Recipe
from budgetnet.training.stopwatch import MACHINE, Clock

LEAST_SECONDS = 20.0
"""The least time of a solve: a race and a training need it."""


@dataclass(frozen=True, slots=True)
class Solution:
    """The winner and its evidence.

    Attributes:
        run: The run's folder; docs/formats.md says what is in it.
        fit: The winner: its network, its cost, and the certificate that it keeps the budget.
        candidates: Every network that was found within the budget, in numbers, with whether it raced and why.
        choice: Why it is this one, in a sentence.
        validation: The scores on the validation images, which chose it; so they are optimistic.
        test: The scores on the test images, which no choice has seen.
        calibration: The temperature of its probabilities, and what it does to their calibration error.
        shipped: Of a budget in int8 the file in eight bits: what it takes, and its accuracy beside the model's. It lies
            in the run's folder, unless it has faults, which say why not. None of a budget in float.
        report: The page with all of it: report.html in the run's folder.
        result: All that metrics.json has, with what was asked and planned.
    """

    run: Path
    fit: Fit
    candidates: tuple[Candidate, ...]
    choice: str
    validation: Evaluation
    test: Evaluation
    calibration: Calibration
    shipped: Shipped | None
    report: Path
    result: SolveResult = field(metadata=PRIVATE, repr=False, compare=False)

    @staticmethod
    def of(found: SolveResult) -> Solution:
        """What a finished solve found.

        Args:
            found: The content of metrics.json.

        Returns:
            The same as users take it.
        """
        return Solution(
            run=found.run,
            fit=found.fit,
            candidates=found.record.plan.candidates,
            choice=found.choice.reason,
            validation=found.validation,
            test=found.test,
            calibration=found.calibration,
            shipped=found.shipped,
            report=report_path(found.run),
            result=found,
        )

    @property
    def summary(self) -> Summary:
        """What Python's prompt and a notebook show of it."""
        network, budget = self.fit.network, self.result.record.request.budget
        file = self.shipped and self.shipped.file
        rows = summary_rows(self.test, network, budget, self.fit.certificate, file)
        return Summary(network.name, {**rows, "choice": self.choice}, self.report)

    def __repr__(self) -> str:
        return self.summary.text()

    def _repr_html_(self) -> str:
        return self.summary.html()


@dataclass(frozen=True, slots=True)
class Solve:
    """The experiment of `solve`."""

    name = "solve"
    file = FILE
    format = FORMAT
    types = (SolveRequest, SolvePlan)

    def split_seeds(self, request: SolveRequest) -> Sequence[int]:
        """One split."""
        return (request.seed,)

    def propose(self, request: SolveRequest, context: Context) -> SolvePlan:
        """The candidates, and how the time is shared."""
        return propose_solve(request, context)

    def run(self, record: SolveRecord, context: Context) -> SolveResult:
        """The race, the choice, the final training, the test."""
        return run_solve(record, context)

    def read(self, row: object, record: SolveRecord, run: Path) -> SolveResult:
        """metrics.json; the network and its weights must be there as well."""
        check_model(run)
        return from_record(SolveResult, row, FORMAT, f"{FILE} in {run}", run=run, record=record)

    def report(self, record: SolveRecord, result: SolveResult) -> Report:
        """The answer, the certificate, what was tried and why this one."""
        return report_of(record, result)


SOLVE = Solve()


def solve(
    data: str | Path | Folders,
    budget: Budget,
    time_seconds: float = 900.0,
    out: Path | str | None = None,
    seed: int = 0,
    recipe: str | Recipe | None = None,
    bases: Sequence[str | Network] | None = None,
    strategies: Sequence[FitStrategy] | None = None,
    device: str = "auto",
    precision: str = "auto",
    fresh: bool = False,
    progress: Progress | None = None,
    pretrained: str = "none",
    coefficients: Coefficients = PAPER,
    augment: Augment | Everything = "auto",
    clock: Clock = MACHINE,
    cluster: Cluster | Executor | None = None,
) -> Solution:
    """The most accurate network that keeps the budget, trained within a time.

    Candidates of every base and strategy are fitted to the budget, a diverse few race on the validation images, and
    the winner trains for the rest of the time and is tested once on images that no choice has seen. Where the time is
    too short to train the largest network that fits, smaller ones take part: a network of which a training would see
    each image fewer than four times (twice with pretrained weights) is not a candidate. docs/how-it-works.md explains
    each step.

    Where the budget's dtype is "int8", as that of every microcontroller is, networks are scored in eight bits, and the
    winner is written as the .tflite file that the device runs, which answers the test images, too (docs/shipping.md).
    That takes the packages of the extra tflite.

    The same call continues where a stopped one was; a finished run is read and not made again, unless `fresh` is given.
    Under torchrun or accelerate launch the final training is by all of their processes, and each returns the same.

    Args:
        data: The images, as `open_images` takes them.
        budget: The limits.
        time_seconds: For everything: a number of seconds, or text such as "15m". docs/how-it-works.md says how the
            limit is kept.
        out: The run's folder; unless given, one under runs/ that is named after the data and the arguments.
        seed: The split, the weights and the augmentation are functions of it.
        recipe: "modern", "paper", "finetune" or a `Recipe`. Unless given "modern", and "finetune" from pretrained
            weights.
        bases: Networks to scale, or their names. Unless given, one of every family; with `pretrained`, its own network.
        strategies: How they are scaled (see `fit`); unless given all of one dial, and with several limits "joint" and
            "staged", too.
        device: "auto" (a CUDA GPU where there is one, else the processor), "cpu", "cuda" or "mps".
        precision: "auto" (bfloat16 on GPUs that have it, else float32), "float32", "bfloat16" or "float16".
        fresh: Whether a run in the folder is removed and made again.
        progress: Called with an `Update` as the work goes on. Unless given, a notebook shows bars, a script nothing.
        pretrained: A source of weights as `load_weights` takes it, which every candidate inherits (`inherit`); "auto"
            for the nearest that is installed, cached or in the folder BUDGETNET_WEIGHTS; "none".
        coefficients: Alpha, beta and gamma of the compound strategy, such as `search_coefficients` finds.
        augment: Which kinds of augmentation are drawn: an `Augment`, "auto" (those that change no class) or "none".
        clock: Where the plan's seconds come from: this machine, or another in a simulation.
        cluster: A Ray cluster or another executor on which trainings run; this machine's processes unless given.

    Returns:
        The network, its certificate, its scores, the candidates, and where the run and its report lie.

    Raises:
        BudgetError: No network keeps the budget.
        ValueError: An argument or the images are wrong, nothing that keeps the budget can be trained in the time, the
            folder was begun with other arguments, a budget is in int8 and the packages for its file are missing, or the
            training learned nothing.
        TypeError: An argument has another type.

    Example:
        >>> import budgetnet
        >>> answer = budgetnet.solve("digits", budgetnet.Budget(macs="2M"), time_seconds=120, out="run")
        >>> answer.fit.cost.macs <= 2_000_000, answer.test.count
        (True, 359)
    """
    given = data_of(data)
    out, seed, fresh, progress = run_arguments(out, seed, fresh, progress)
    compute = Compute(device, precision, cluster).checked(by_ranks=True)
    request = _request(
        budget, time_seconds, seed, recipe, bases, strategies, compute.precision, pretrained, coefficients, augment
    )

    def performed() -> SolveResult:
        return perform(SOLVE, request, given, compute, out, fresh, request.time_seconds, progress, clock)

    return Solution.of(led(compute.device, performed))


def preview(
    data: str | Path | Folders,
    budget: Budget,
    time_seconds: float = 900.0,
    seed: int = 0,
    recipe: str | Recipe | None = None,
    bases: Sequence[str | Network] | None = None,
    strategies: Sequence[FitStrategy] | None = None,
    device: str = "auto",
    precision: str = "auto",
    progress: Progress | None = None,
    pretrained: str = "none",
    coefficients: Coefficients = PAPER,
    augment: Augment | Everything = "auto",
    clock: Clock = MACHINE,
    cluster: Cluster | Executor | None = None,
) -> Preview:
    """What `solve` would race with these arguments, and how it would share its time. Nothing is timed or trained.

    Args:
        data: As for `solve`.
        budget: As for `solve`.
        time_seconds: As for `solve`.
        seed: As for `solve`.
        recipe: As for `solve`.
        bases: As for `solve`.
        strategies: As for `solve`.
        device: As for `solve`.
        precision: As for `solve`.
        progress: As for `solve`.
        pretrained: As for `solve`.
        coefficients: As for `solve`.
        augment: As for `solve`.
        clock: As for `solve`.
        cluster: As for `solve`.

    Returns:
        The candidates with their costs, those that would race with their steps, and the seconds of each part.

    Raises:
        BudgetError: No network keeps the budget.
        ValueError: As `solve` raises before it trains.
        TypeError: An argument has another type.

    Example:
        >>> import budgetnet
        >>> plan = budgetnet.preview("digits", budgetnet.Budget(macs="2M"), time_seconds=120)
        >>> len(plan.entrants) >= 2, all(row.macs <= 2_000_000 for row in plan.candidates)
        (True, True)
    """
    given = data_of(data)
    _, seed, _, progress = run_arguments(None, seed, False, progress)
    compute = Compute(device, precision, cluster).checked()
    request = _request(
        budget, time_seconds, seed, recipe, bases, strategies, compute.precision, pretrained, coefficients, augment
    )
    of_kind("clock", clock, Clock, "a Clock, as budgetnet.training.stopwatch has it")
    with compute.open() as executor:
        time = TimeBudget(clock, clock.now(), request.time_seconds)
        return preview_of(request, given, open_images(given, seed, progress or silent), executor, time)


def _request(
    budget: Budget,
    time_seconds: float,
    seed: int,
    recipe: str | Recipe | None,
    bases: Sequence[str | Network] | None,
    strategies: Sequence[FitStrategy] | None,
    precision: str,
    pretrained: str,
    coefficients: Coefficients,
    augment: Augment | Everything,
) -> SolveRequest:
    """The request of these arguments. Raises a one-line `ValueError` or `TypeError` for what cannot be asked."""
    budget = budget_of("budget", budget)
    long = f"at least {LEAST_SECONDS:g} s, which a race and a training need"
    coefficients_of(coefficients)
    pretrained = path("pretrained", pretrained)
    given_seconds = seconds("time", time_seconds, LEAST_SECONDS, long)
    request = SolveRequest(
        budget=budget,
        time_seconds=given_seconds,
        seed=seed,
        recipe=asked_recipe(recipe, pretrained),
        bases=_asked_bases(bases, pretrained),
        strategies=usual_strategies(budget, given_seconds)
        if strategies is None
        else several("strategies", strategies, fit_strategy_of),
        pretrained=pretrained,
        coefficients=coefficients,
        augment=augment_of(augment),
        precision=precision,
    )
    check_compound(coefficients, request.strategies)
    return request


STAGED_SECONDS = 300.0
"""Staged networks are looked for from this time on: a search for those of all bases takes some seconds of it."""


def usual_strategies(budget: Budget, time_seconds: float) -> tuple[FitStrategy, ...]:
    """Every strategy of one dial; where there are several limits those of several, which exist to fill them all.

    Staged ones only where the time is long enough to look for them.
    """
    limits = [name for name in budget.limits() if name != "train_bytes"]
    if len(limits) < 2:
        return STRATEGIES
    return tuple(name for name in FIT_STRATEGIES if name != "staged" or time_seconds >= STAGED_SECONDS)


def _asked_bases(bases: Sequence[str | Network] | None, pretrained: str) -> tuple[str | Network, ...] | None:
    """The bases that were given, or the usual ones; None where the network of pretrained weights is the base."""
    if bases is None:
        return BASES if pretrained == "none" else None
    return given_bases("bases", bases)
