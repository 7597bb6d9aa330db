"""A search for coefficients from its plan to its result: race, rank, check at phi = 2, tell the differences."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from budgetnet.cluster.executor import Trials
from budgetnet.cluster.pending import run_pending
from budgetnet.costs.network_cost import cost
from budgetnet.experiments.coefficients.entrants import same_network
from budgetnet.experiments.coefficients.findings import findings
from budgetnet.experiments.coefficients.plan import (
    FOUND,
    PAGE_SECONDS,
    PAPER_ID,
    CoefficientsPlan,
    PlannedEntrant,
    early_job,
    whole_jobs,
)
from budgetnet.experiments.coefficients.request import CoefficientsRequest
from budgetnet.experiments.coefficients.result import Check, Checked, CoefficientSearch, Ranked
from budgetnet.experiments.coefficients.scoring import (
    Predictions,
    differences_of,
    needed_for,
    on_test,
    on_validation,
    score_of,
)
from budgetnet.experiments.experiment import Context, report_path
from budgetnet.experiments.race import race
from budgetnet.networks.scaling import PAPER
from budgetnet.runs.record import Record
from budgetnet.training.augmenting import tell_augmentation
from budgetnet.training.chance import check_any_learned
from budgetnet.training.job import TrainingJob, run_job
from budgetnet.training.predictions import train_and_test

Rung = Mapping[str, Sequence[Predictions]]
"""Each entrant has what its trainings predicted: one in an early rung, one a seed in the last."""


def run(record: Record[CoefficientsRequest, CoefficientsPlan], context: Context) -> CoefficientSearch:
    """The search's result, from wherever an earlier start was stopped.

    Raises a one-line `ValueError` where every finalist diverged, or none learned anything: then there is no answer.
    """
    request, plan, images = record.request, record.plan, context.images[0]
    context.pixels(plan.side_px)
    tell_augmentation(plan.augmentation, context.progress)
    at, slots = context.job_context(plan.side_px, request.seed), context.executor.slots()
    seeds = range(request.seed, request.seed + request.seeds)
    entrants = {row.id: row for row in plan.entrants}
    last = len(plan.kept) - 1
    rungs: list[Rung] = []

    with context.executor.workers(_train, at, slots, context.progress) as workers:

        def score(rung: int, names: Sequence[str]) -> dict[str, float]:
            """A race's score: trains what is missing of a rung."""
            rows = [entrants[name] for name in names]
            if rung < last:
                jobs = {row.id: (early_job(plan, row, request.seed, rung, at),) for row in rows}
            else:
                jobs = {
                    row.id: whole_jobs(plan, row.id, row.network, row.last_steps, seeds, "last", at) for row in rows
                }
            _run_jobs(record, context, workers, f"rung {rung + 1} of {last + 1}", rung, jobs, lambda job: job.scores)
            rungs.append({name: [on_validation(job, images) for job in row] for name, row in jobs.items()})
            return {name: -score_of(rows).log_loss for name, rows in rungs[-1].items()}

        race(list(entrants), score, plan.kept, plan.incumbent.id)
        ranking = _ranking(rungs, plan)
        best = ranking[0]
        if all(one.diverged for one in best.score.seeds):
            raise ValueError(f"every finalist diverged; give another --recipe or --seed, and --fresh for {context.run}")
        epochs = entrants[best.id].last_steps * plan.batch / len(images.indices("train"))
        check_learned(best.id, rungs[-1][best.id], epochs)

        networks = {FOUND: entrants[best.id].check, PAPER_ID: plan.paper}
        tests: dict[str, Sequence[Predictions]] = {}
        if not same_network(networks[FOUND].network, networks[PAPER_ID].network):
            jobs = {
                name: whole_jobs(plan, name, row.network, row.steps, seeds, "check", at)
                for name, row in networks.items()
            }
            _run_jobs(record, context, workers, "check", last + 1, jobs, lambda job: job.predictions)
            tests = {name: [on_test(job, images) for job in rows] for name, rows in jobs.items()}

    differences = differences_of(rungs[-1], [row.id for row in ranking if row.finalist])
    open_pairs = [row for row in differences if row.a == best.id and not row.log_loss.significant_holm]
    needed = [needed_for(row, plan.seconds.last, plan.slots) for row in open_pairs]
    alike = tuple(row.b for row in open_pairs)
    known = tuple(row for row in needed if row is not None)
    check = _check(plan, entrants[best.id], tests)
    return CoefficientSearch(
        alpha=best.coefficients.alpha,
        beta=best.coefficients.beta,
        gamma=best.coefficients.gamma,
        run=context.run,
        region=best.region,
        base=plan.base,
        base_cost=plan.base_cost,
        measure=request.measure,
        growth=request.growth,
        tolerance=request.tolerance,
        networks=plan.networks,
        drawn=plan.drawn,
        seeds=request.seeds,
        ranking=ranking,
        differences=differences,
        alike=alike,
        needed=known,
        check=check,
        statement=findings(ranking, differences, alike, known, check),
        score=best.score,
        report=report_path(context.run),
        record=record,
    )


def _train(job: TrainingJob) -> bool:
    """A job in a worker: those of the check predict the test images too, and no others do."""
    return train_and_test(job) if job.phase.startswith("check/") else run_job(job)


def _run_jobs(
    record: Record[CoefficientsRequest, CoefficientsPlan],
    context: Context,
    workers: Trials[TrainingJob, bool],
    what: str,
    rung: int,
    jobs: Mapping[str, Sequence[TrainingJob]],
    done: Callable[[TrainingJob], Path],
) -> None:
    """Every job of a rung, or of the check behind the last, that is not done, one seed after another.

    Those that are still to do share the time that is left for them.
    """
    plan = record.plan
    lengths = plan.lengths(record.request.seeds)
    after = sum(math.ceil(count / plan.slots) * each for count, each in lengths[rung + 1 :]) + PAGE_SECONDS
    rows = [job for seed in zip(*jobs.values(), strict=True) for job in seed]
    missing = [job for job in rows if not done(job).exists()]
    deadlines = context.time.planned_deadlines([lengths[rung][1]] * len(missing), plan.slots, after)
    timed = [dataclasses.replace(job, deadline=deadline) for job, deadline in zip(missing, deadlines, strict=True)]
    finished = [job for job in rows if done(job).exists()]
    run_pending([*finished, *timed], what, workers, context.progress, done)


def _ranking(rungs: Sequence[Rung], plan: CoefficientsPlan) -> tuple[Ranked, ...]:
    """Those that came farthest first, and of these the lowest log loss."""
    farthest = {name: rung for rung, rows in enumerate(rungs) for name in rows}
    found = [
        Ranked(
            id=row.id,
            coefficients=row.coefficients,
            region=row.region,
            network=row.network,
            cost=row.cost,
            macs=cost(row.network).macs,
            rung=rung,
            finalist=rung == len(rungs) - 1,
            paper=row is plan.incumbent,
            first=score_of(rungs[0][row.id]),
            score=score_of(rungs[rung][row.id]),
        )
        for row in plan.entrants
        for rung in [farthest[row.id]]
    ]
    return tuple(sorted(found, key=lambda row: (-row.rung, row.score.log_loss, row.id)))


def check_learned(name: str, trainings: Sequence[Predictions], epochs: float) -> None:
    """Raise a one-line `ValueError` where the best of all learned nothing: then the order is chance."""
    check_any_learned(f"{name}, the best of the race,", [one.chance for one in trainings], epochs)


def _check(plan: CoefficientsPlan, best: PlannedEntrant, tests: Mapping[str, Sequence[Predictions]]) -> Check:
    """The found coefficients against the paper's; no tests where both give the same network."""
    if not tests:
        return Check(True, 2.0, plan.paper.cost, (), None)
    rows = ((FOUND, best.coefficients, best.check), (PAPER_ID, PAPER, plan.paper))
    return Check(
        same=False,
        phi=2.0,
        cost=plan.paper.cost,
        networks=tuple(
            Checked(name, chosen, row.phi, row.network, row.cost, score_of(tests[name])) for name, chosen, row in rows
        ),
        difference=differences_of(tests, [FOUND, PAPER_ID])[0],
    )
