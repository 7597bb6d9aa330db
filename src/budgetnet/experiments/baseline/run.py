"""A search for a baseline from its plan to its result: score candidates, semifinals, finals, tell the difference."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from budgetnet.atomic_write import written_aside
from budgetnet.budgets.feasible_space import FeasibleSpace, hypervolume
from budgetnet.cluster.pending import train_pending
from budgetnet.data import ImageSet
from budgetnet.experiments.baseline.evolution import POPULATION
from budgetnet.experiments.baseline.findings import findings
from budgetnet.experiments.baseline.objective import Objective, Scored, best_of
from budgetnet.experiments.baseline.plan import PAGE_SECONDS, BaselinePlan, Rung
from budgetnet.experiments.baseline.result import (
    BASE,
    Baseline,
    BaselineRecord,
    Trainings,
    candidates_of,
    difference_of,
    final_of,
    ranked,
    semifinals_of,
)
from budgetnet.experiments.baseline.scoring import CandidateScoring, score_of
from budgetnet.experiments.baseline.search import Search, run_search
from budgetnet.experiments.baseline.surrogate import select_semifinalists
from budgetnet.experiments.experiment import Context, report_path
from budgetnet.networks import Network
from budgetnet.parallel.progress import Update
from budgetnet.runs.record import amendments_of
from budgetnet.training.augmenting import tell_augmentation
from budgetnet.training.chance import check_any_learned
from budgetnet.training.job import JobContext, TrainingJob, run_job, whole_job
from budgetnet.training.predictions import predictions_of, read_validation_predictions, train_and_test

LEAST_BATCHES = 10
"""A search on many workers has at least this many batches: within a batch no candidate learns from another."""


def run(record: BaselineRecord, context: Context) -> Baseline:
    """The search's result, from wherever an earlier start was stopped.

    Raises a one-line `ValueError` where no training of the winner learned anything: then there is no answer.
    """
    request, plan, images = record.request, record.plan, context.images[0]
    context.pixels(plan.side_px)
    tell_augmentation(plan.augmentation, context.progress)
    at = context.job_context(plan.side_px, request.seed)
    space = FeasibleSpace.of(plan.space, request.budget)
    scoring, objective = scoring_of(record, space, at, images), objective_of(record, space)

    scored = _scored(search_of(record, space), scoring, plan, context)
    again = _semifinals(record, space, scored, at, context)
    best = [row.architecture for row in best_of(again or scored, plan.finals.networks)]
    finalists = [(row.id, space.network(row)) for row in best]
    done = _finals(record, [*finalists, (BASE, plan.space.base)], at, context)

    scores = {row.architecture.id: row.score.accuracy for row in scored}
    finals = ranked(
        [
            final_of(name, network, scores.get(name), done[name], request.budget, objective)
            for name, network in finalists
        ]
    )
    finals.append(final_of(BASE, plan.space.base, None, done[BASE], request.budget, objective))
    winner = finals[0]
    epochs = plan.config(winner.id, winner.network, request.seed, plan.finals).epochs(len(images.indices("train")))
    check_any_learned(winner.id, [test.chance for test in done[winner.id].tests], epochs)
    with written_aside(context.run / "network.json") as aside:
        aside.write_text(winner.network.to_json() + "\n", encoding="utf-8")

    candidates, semifinals = candidates_of(scored), semifinals_of(again)
    against_base = difference_of(winner.id, BASE, done[winner.id], done[BASE])
    test_images, networks = len(done[BASE].tests[0].indices), plan.space.count
    shortened = len({(row.job, row.part) for row in amendments_of(context.run)})
    return Baseline(
        run=context.run,
        winner=winner.id,
        scored_by=scoring.name,
        target_macs=objective.target_macs,
        exponent=objective.exponent,
        networks_in_space=networks,
        candidates=candidates,
        semifinals=semifinals,
        hypervolume=hypervolume([(row.macs, row.score.accuracy) for row in scored], objective.target_macs),
        finals=tuple(finals),
        against_base=against_base,
        test_images=test_images,
        statement=findings(
            plan, candidates, semifinals, finals, against_base, test_images, networks, scoring.name, shortened
        ),
        report=report_path(context.run),
        record=record,
    )


def objective_of(record: BaselineRecord, space: FeasibleSpace) -> Objective:
    """The request's, whose T is the budget's limit of MACs, or the base's where there is none."""
    return Objective(space.budget.macs or space.budget.price(space.space.base).macs, record.request.exponent)


def search_of(record: BaselineRecord, space: FeasibleSpace) -> Search:
    """The search that the plan says: as many candidates at once as were planned, however many workers there are now."""
    request, count, slots = record.request, record.plan.scores.networks, record.plan.slots
    return Search(
        space=space,
        trials=count,
        at_once=min(slots, max(POPULATION, count // LEAST_BATCHES)),
        objective=objective_of(record, space),
        sampler=request.sampler,
        seed=request.seed,
    )


def scoring_of(record: BaselineRecord, space: FeasibleSpace, at: JobContext, images: ImageSet) -> CandidateScoring:
    """How the plan says that candidates are scored."""
    plan = record.plan
    config = plan.config("candidate", plan.space.base, record.request.seed, plan.scores)
    return CandidateScoring(space, at, config, images)


def _scored(search: Search, scoring: CandidateScoring, plan: BaselinePlan, context: Context) -> tuple[Scored, ...]:
    """Every candidate with its score."""
    known = 0

    def deadline() -> float | None:
        """That of the next batch."""
        other, each = plan.after_scores + plan.scores.prediction_seconds, plan.scores.seconds_each
        return context.time.planned_deadlines([each] * (search.trials - known), search.at_once, other)[0]

    def on_scored(found: Sequence[Scored]) -> None:
        nonlocal known
        known = len(found)
        best = max(found, key=lambda row: row.reward)
        text = f"the best so far {100 * best.score.accuracy:.1f} % at {best.macs / 1e6:.2f} M MACs"
        context.progress(Update("search", known, search.trials, text))

    with scoring.open(context.executor, search.at_once, context.progress, deadline) as score_batch:
        return run_search(search, score_batch, on_scored)


def _semifinals(
    record: BaselineRecord, space: FeasibleSpace, scored: Sequence[Scored], at: JobContext, context: Context
) -> tuple[Scored, ...]:
    """The semifinalists, each with the score of a longer training; none where none were planned."""
    plan = record.plan
    if plan.semifinals is None:
        return ()
    objective = objective_of(record, space)
    best = select_semifinalists(space, scored, objective, plan.semifinals.networks, record.request.seed)
    jobs = semifinal_jobs(record, [(row.id, space.network(row)) for row in best], at)
    _train(
        "semifinals", jobs, plan.semifinals, plan.slots, plan.after_semifinals, run_job, lambda job: job.scores, context
    )
    scores = [score_of(read_validation_predictions(job, context.images[0])[0]) for job in jobs]
    return tuple(objective.scored(row, space.macs(row), score) for row, score in zip(best, scores, strict=True))


def _finals(
    record: BaselineRecord, networks: Sequence[tuple[str, Network]], at: JobContext, context: Context
) -> dict[str, Trainings]:
    """The final trainings of these (id, network)."""
    plan = record.plan
    jobs = final_jobs(record, networks, at)
    _train("finals", jobs, plan.finals, plan.slots, PAGE_SECONDS, train_and_test, lambda job: job.predictions, context)
    return trainings_of(jobs, context.images[0])


def _train(
    what: str,
    jobs: Sequence[TrainingJob],
    rung: Rung,
    slots: int,
    after_seconds: float,
    function: Callable[[TrainingJob], bool],
    done: Callable[[TrainingJob], Path],
    context: Context,
) -> None:
    """Every job of a rung that is not done, `slots` at a time: those share the time that is left."""
    missing = [job for job in jobs if not done(job).exists()]
    other = after_seconds + rung.prediction_seconds
    deadlines = context.time.planned_deadlines([rung.seconds_each] * len(missing), slots, other)
    when = {job.config.id: deadline for job, deadline in zip(missing, deadlines, strict=True)}
    timed = [dataclasses.replace(job, deadline=when.get(job.config.id)) for job in jobs]
    train_pending(timed, what, context.executor, jobs[0].context, slots, context.progress, function, done)


def semifinal_jobs(
    record: BaselineRecord, networks: Sequence[tuple[str, Network]], at: JobContext
) -> tuple[TrainingJob, ...]:
    """The semifinals of these (id, network), by a seed that neither scores nor finals have."""
    plan, seed = record.plan, record.request.seed + record.plan.seeds
    assert plan.semifinals is not None, "semifinals were planned"
    configs = {name: plan.config(f"{name}-semifinal", row, seed, plan.semifinals) for name, row in networks}
    return tuple(whole_job(config, at, f"semifinals/{name}", config.cooldown_steps) for name, config in configs.items())


def final_jobs(
    record: BaselineRecord, networks: Sequence[tuple[str, Network]], at: JobContext
) -> tuple[TrainingJob, ...]:
    """The final trainings of these (id, network), one seed after another, on the one split of the search.

    A seed is of the weights and the augmentation: other splits' test images would be known to the search.
    """
    plan = record.plan
    rows = [
        (name, seed, plan.config(f"{name}-seed{seed}", network, record.request.seed + seed, plan.finals))
        for seed in range(plan.seeds)
        for name, network in networks
    ]
    return tuple(
        whole_job(config, at, f"finals/{name}, seed {seed}", config.cooldown_steps) for name, seed, config in rows
    )


def trainings_of(jobs: Sequence[TrainingJob], images: ImageSet) -> dict[str, Trainings]:
    """What the final trainings of each network predicted, in the order of the jobs."""
    grouped: dict[str, list[TrainingJob]] = {}
    for job in jobs:
        grouped.setdefault(job.config.id.rpartition("-seed")[0], []).append(job)
    return {
        name: Trainings(tuple(predictions_of(job, images) for job in rows), tuple(_right(job, images) for job in rows))
        for name, rows in grouped.items()
    }


def _right(job: TrainingJob, images: ImageSet) -> NDArray[np.bool_]:
    """Which validation images a final training got right; none where it diverged."""
    if not job.scores.exists():
        return np.zeros(len(images.indices("validation")), np.bool_)
    return read_validation_predictions(job, images)[0].right
