"""A solve from its plan to its result: the race, the choice, the final training, the test, the file in eight bits."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path

from budgetnet.cluster.executor import Trials
from budgetnet.codec import to_plain
from budgetnet.experiments.experiment import Context
from budgetnet.experiments.race import race
from budgetnet.experiments.solve.choice import Choice, ValidationScores, choose_winner
from budgetnet.experiments.solve.plan import Entrant, SolvePlan, Steps
from budgetnet.experiments.solve.result import RungScore, SolveRecord, SolveResult
from budgetnet.experiments.solve.shipping import shipped
from budgetnet.parallel.progress import Update
from budgetnet.runs.files import write_json
from budgetnet.ship.rounded_job import run_rounded_job
from budgetnet.statistics import wilson
from budgetnet.training.augmenting import tell_augmentation
from budgetnet.training.final import chance_of, check_learned
from budgetnet.training.job import TrainingJob, run_job
from budgetnet.training.outcome import finalize
from budgetnet.training.predictions import read_validation_predictions
from budgetnet.training.pretrained import check_initial_weights


def run(record: SolveRecord, context: Context) -> SolveResult:
    """The result, from wherever an earlier start was stopped. What is done is read, what is missing is made.

    Raises a one-line `ValueError` where every final training diverged, and where the winner learned nothing.
    """
    plan, images = record.plan, context.images[0]
    if plan.parent is not None:
        check_initial_weights(context.run, [row.id for row in plan.entrants])
    pixels = context.pixels(plan.side_px)
    if context.resumed:
        tell_augmentation(plan.augmentation, context.progress)
    rungs = raced(plan, context)
    choice, final = trained_winner(plan, context, rungs[-1])
    winner = plan.entrant(choice.id)
    network = winner.config.network
    # What learned from the validation images has no score on them: then that of its last rung counts.
    last = next(job for job in rungs[-1] if job.config.id == choice.id)
    metrics = finalize(final, images, pixels, last if final.learns_validation else None, len(plan.entrants))
    file = None
    if plan.eight_bits is not None:
        file = shipped(context.run, record.request.budget, images, pixels, plan.eight_bits, context.progress)
    certificate = {"network": network.name, **winner.certificate.to_dict()}
    certificate |= {} if file is None else {"shipped": to_plain(file)}
    write_json(context.run / "certificate.json", certificate)
    return SolveResult(
        validation=metrics.validation,
        test=metrics.test,
        calibration=metrics.calibration,
        mistakes=metrics.mistakes,
        learned=metrics.learned,
        held_out=metrics.held_out,
        choice=choice,
        race=rung_scores(rungs, plan, context),
        run=context.run,
        record=record,
        trust=metrics.trust,
        promises=metrics.promises,
        shipped=file,
    )


def raced(plan: SolvePlan, context: Context) -> list[list[TrainingJob]]:
    """The jobs of every rung, all done. A rung that is finished is not run again."""
    rungs: list[list[TrainingJob]] = []
    where, total = context.job_context(plan.side_px, context.seed), sum(plan.kept)
    # The race is over when what the final training and the finish need is left.
    after_race = (plan.final_seconds or 0.0) + plan.finish_seconds
    work = run_job if plan.eight_bits is None else run_rounded_job
    with context.executor.workers(work, where, plan.slots, context.progress) as workers:

        def score(rung: int, ids: Sequence[str]) -> dict[str, float]:
            jobs = _rung_jobs(plan, context, rung, ids, after_race)
            done = sum(map(len, rungs))
            rungs.append(jobs)
            _train(jobs, workers, plan, context, rung, done, total)
            return {job.config.id: -scores_of(job, plan, context).log_loss for job in jobs}

        race([row.id for row in plan.entrants], score, plan.kept, plan.incumbent)
    return rungs


def _rung_jobs(
    plan: SolvePlan, context: Context, rung: int, ids: Sequence[str], after_race: float
) -> list[TrainingJob]:
    """The jobs of a rung; the rungs that are left share the time that is left of the race."""
    waves = [math.ceil(count / plan.slots) for count in plan.kept[rung:]]
    after = after_race + (context.time.left_for(after_race) * (len(waves) - 1) / len(waves))
    deadlines = context.time.deadlines(len(ids), plan.slots, after)
    return [
        training_job(plan.entrant(name), context, plan, f"rung-{rung}", f"race/{name}", steps, deadline)
        for name, deadline in zip(ids, deadlines, strict=True)
        for steps in [plan.entrant(name).rungs[rung]]
    ]


def _train(
    jobs: Sequence[TrainingJob],
    workers: Trials[TrainingJob, bool],
    plan: SolvePlan,
    context: Context,
    rung: int,
    done: int,
    total: int,
) -> None:
    missing = [job for job in jobs if not scores_file(job, plan).exists()]

    def show(text: str) -> None:
        context.progress(Update("race", done + sum(scores_file(job, plan).exists() for job in jobs), total, text))

    show(f"rung {rung + 1}")
    if missing:
        workers.run(missing, lambda job, _: show(job.config.id))


def trained_winner(plan: SolvePlan, context: Context, finalists: Sequence[TrainingJob]) -> tuple[Choice, TrainingJob]:
    """The winner and its final training. One that diverges is passed over: the next best is trained."""
    lost: list[str] = []
    macs = {row.id: row.macs for row in plan.candidates}
    while left := [job for job in finalists if job.config.id not in lost]:
        scores = {job.config.id: scores_of(job, plan, context) for job in left}
        choice = choose_winner(scores, macs, plan.eight_bits is not None)
        last = next(job for job in left if job.config.id == choice.id)
        final = _final(plan, context, last)
        if final is not None:
            check_learned(final, context.images[0])
            diverged = f"the final training of {' and '.join(lost)} diverged; of the others " if lost else ""
            return dataclasses.replace(choice, reason=diverged + choice.reason), final
        lost.append(choice.id)
    raise ValueError(
        f"the final training of every finalist diverged ({', '.join(lost)}): their answers are not numbers; "
        f"give another --recipe or --seed, and --fresh if it is to lie in {context.run} as well"
    )


def _final(plan: SolvePlan, context: Context, last: TrainingJob) -> TrainingJob | None:
    """A finalist's training, done: its last rung where that was the whole, else a final one. None: it diverged."""
    entrant = plan.entrant(last.config.id)
    if entrant.final is None:
        return last if math.isfinite(scores_of(last, plan, context).log_loss) else None
    (deadline,) = context.time.deadlines(1, 1, 0.0)
    final = training_job(entrant, context, plan, "final", "final", entrant.final, deadline)
    step_seconds = entrant.config.batch / entrant.data_parallel
    final = dataclasses.replace(final, finish_seconds=plan.finish_seconds, step_seconds=step_seconds)
    # Where nothing was learned yet, only images that the final training does not see can tell whether it does.
    if chance_of(last, context.images[0]).learned:
        final = dataclasses.replace(final, learns_validation=True, held_out=plan.held_out)
    return final if context.executor.train(final, plan.group, context.progress) else None


def training_job(
    entrant: Entrant,
    context: Context,
    plan: SolvePlan,
    name: str,
    phase: str,
    steps: Steps,
    deadline: float | None,
) -> TrainingJob:
    """A rung of an entrant, or its final training."""
    where = context.job_context(plan.side_px, context.seed)
    return TrainingJob(entrant.config, where, name, phase, steps.trunk_until, steps.cooldown_steps, deadline=deadline)


def scores_file(job: TrainingJob, plan: SolvePlan) -> Path:
    """Where the answers that choose lie: of a network that is shipped in eight bits those that it gives in them."""
    return job.scores if plan.eight_bits is None else job.rounded_scores


def scores_of(job: TrainingJob, plan: SolvePlan, context: Context) -> ValidationScores:
    """The answers of the job's model to the validation images, in the numbers that it is shipped in."""
    answers, _ = read_validation_predictions(job, context.images[0], rounded=plan.eight_bits is not None)
    return ValidationScores(answers.right, answers.losses)


def rung_scores(rungs: Sequence[Sequence[TrainingJob]], plan: SolvePlan, context: Context) -> tuple[RungScore, ...]:
    """Every entrant's score at the end of every rung."""
    rows: list[RungScore] = []
    for rung, jobs in enumerate(rungs):
        for job in jobs:
            scores = scores_of(job, plan, context)
            low, high = wilson(int(scores.right.sum()), len(scores.right))
            loss = scores.log_loss if math.isfinite(scores.log_loss) else None
            rows.append(RungScore(job.config.id, rung, job.last_step, scores.accuracy, low, high, loss))
    return tuple(rows)
