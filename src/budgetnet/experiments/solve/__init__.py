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
from budgetnet.data import Folders, data_of
from budgetnet.experiments.bases import given_bases
from budgetnet.experiments.compute import Compute
from budgetnet.experiments.experiment import Context, perform, report_path
from budgetnet.experiments.report import Report
from budgetnet.experiments.solve.candidates import Candidate
from budgetnet.experiments.solve.plan import SolvePlan
from budgetnet.experiments.solve.plan import propose as propose_solve
from budgetnet.experiments.solve.report import report as report_of
from budgetnet.experiments.solve.request import SolveRequest
from budgetnet.experiments.solve.result import SolveRecord, SolveResult
from budgetnet.experiments.solve.run import run as run_solve
from budgetnet.networks import Network
from budgetnet.networks.scaling import (
    PAPER,
    STRATEGIES,
    Coefficients,
    Strategy,
    check_compound,
    coefficients_of,
    strategy_of,
)
from budgetnet.parallel.progress import Progress
from budgetnet.training.augmenting import Augment, Everything, augment_of
from budgetnet.training.calibration import Calibration
from budgetnet.training.evaluate import Evaluation
from budgetnet.training.outcome import FILE, FORMAT, check_weights
from budgetnet.training.recipe import Recipe, recipe_of
from budgetnet.training.stopwatch import MACHINE, Clock

LEAST_SECONDS = 20.0
"""The least time of a solve: a race and a training need it."""


@dataclass(frozen=True, slots=True)
class Solution:
    """The winner and its evidence. `choice` says in a sentence why it is this one."""

    run: Path
    fit: Fit
    candidates: tuple[Candidate, ...]
    choice: str
    validation: Evaluation
    test: Evaluation
    calibration: Calibration
    report: Path
    result: SolveResult = field(metadata=PRIVATE, repr=False, compare=False)


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
        """metrics.json; the weights must be there as well."""
        check_weights(run)
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
    strategies: Sequence[Strategy] | None = None,
    device: str = "cpu",
    precision: str = "float32",
    fresh: bool = False,
    progress: Progress | None = None,
    pretrained: str = "none",
    coefficients: Coefficients = PAPER,
    augment: Augment | Everything = "auto",
    clock: Clock = MACHINE,
    cluster: Cluster | Executor | None = None,
) -> Solution:
    """The most accurate network that keeps the budget, trained within `time_seconds`.

    Candidates of every base and strategy are fitted, a diverse few race on the validation split,
    the winner trains for the rest of the time and is tested once on the held-out test split. Where there is not time
    to train the largest that fits, smaller ones take part: a network of which a training would see each image fewer
    than four times (twice with pretrained weights) is no candidate.

    With `pretrained`, a source as `load_weights` takes it or "auto" (the nearest installed or cached), the
    bases are its network unless given, and every candidate inherits from it; where the parent itself fits at a
    lower resolution, it is raced. The recipe is then "finetune", else "modern".

    `coefficients` are those of the compound strategy, as `search_coefficients` finds them. `augment` says which kinds
    of the recipe's augmentation are drawn: those that change no class, unless given.

    The same call goes on where a killed one was; a finished run is read, not made again, unless `fresh`.
    `clock` is where seconds come from: this machine, or in a simulation another. The race runs on a Ray `cluster`
    where one is given; the final training always on this machine.
    Raises `BudgetError` where no network keeps the budget, `ValueError` for other bad input, for a time in which
    nothing that keeps the budget can be trained, and where the training learned nothing.
    """
    given = data_of(data)
    out, seed, fresh, progress = run_arguments(out, seed, fresh, progress)
    long = f"at least {LEAST_SECONDS:g} s, which a race and a training need"
    coefficients_of(coefficients)
    of_kind("clock", clock, Clock, "a Clock, as budgetnet.training.stopwatch has it")
    compute = Compute(device, precision, cluster).checked()
    request = SolveRequest(
        budget=budget_of("budget", budget),
        time_seconds=seconds("time", time_seconds, LEAST_SECONDS, long),
        seed=seed,
        recipe=None if recipe is None else recipe_of(recipe),
        bases=None if bases is None else given_bases("bases", bases),
        strategies=tuple(STRATEGIES if strategies is None else several("strategies", strategies, strategy_of)),
        pretrained=path("pretrained", pretrained),
        coefficients=coefficients,
        augment=augment_of(augment),
        precision=precision,
    )
    check_compound(coefficients, request.strategies)
    found = perform(SOLVE, request, given, compute, out, fresh, request.time_seconds, progress, clock)
    return Solution(
        run=found.run,
        fit=found.fit,
        candidates=found.record.plan.candidates,
        choice=found.choice.reason,
        validation=found.validation,
        test=found.test,
        calibration=found.calibration,
        report=report_path(found.run),
        result=found,
    )
