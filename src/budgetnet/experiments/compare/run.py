"""A comparison from its plan to its result: train what is missing, test, measure, tell the differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from budgetnet.atomic_write import written_aside
from budgetnet.cluster.pending import train_pending
from budgetnet.experiments.compare.ablation import WHOLE
from budgetnet.experiments.compare.describe import blocks, design, origin
from budgetnet.experiments.compare.findings import findings
from budgetnet.experiments.compare.plan import ComparePlan, PlannedEntrant, jobs_of
from budgetnet.experiments.compare.request import CompareRequest
from budgetnet.experiments.compare.result import Compared, Comparison, pairs_of, published_of, seed_score
from budgetnet.experiments.experiment import Context, report_path
from budgetnet.inspect.latency import measure_each
from budgetnet.inspect.turns import Measurement
from budgetnet.runs.record import Record
from budgetnet.statistics import accuracy_interval, over_seeds
from budgetnet.training.chance import check_any_learned
from budgetnet.training.events import events_of, training_seconds
from budgetnet.training.predictions import TestPredictions, predictions_of, right_over_seeds, train_and_test


def run(record: Record[CompareRequest, ComparePlan], context: Context) -> Comparison:
    """The comparison, from wherever an earlier start was stopped.

    Raises a one-line `ValueError` where no training learned anything: then there is nothing to compare.
    """
    request, plan = record.request, record.plan
    jobs = jobs_of(plan, request.seeds, context)
    train_pending(
        list(jobs.values()),
        "compare",
        context.executor,
        context.job_context(plan.side_px, 0),
        plan.slots,
        context.progress,
        train_and_test,
        lambda job: job.predictions,
    )
    events = events_of(context.run).steps
    seeds = range(request.seeds)
    tests = {
        row.entrant.id: [predictions_of(jobs[row.entrant.id, seed], context.images[seed]) for seed in seeds]
        for row in plan.entrants
    }
    took = {
        row.entrant.id: _mean([training_seconds(events, jobs[row.entrant.id, seed]) for seed in seeds])
        for row in plan.entrants
    }
    steps = {
        row.entrant.id: float(np.mean([jobs[row.entrant.id, seed].last_step for seed in seeds]))
        for row in plan.entrants
    }
    train_images = len(context.images[0].indices("train"))
    _check_learned(plan.entrants, tests, steps, train_images)
    speeds = measure_each(
        [row.entrant.network for row in plan.entrants],
        seconds=plan.measured_seconds,
        device=context.executor.device,
        progress=context.progress,
    )
    networks = [
        _compared(request, row, tests[row.entrant.id], steps[row.entrant.id], took[row.entrant.id], speed, train_images)
        for row, speed in zip(plan.entrants, speeds, strict=True)
    ]
    networks.sort(key=lambda row: (-row.accuracy, row.macs, row.id))
    reference = WHOLE if request.question == "ablation" and WHOLE in tests else None
    pairs = pairs_of(tests, [row.id for row in networks], reference)
    images = len(np.unique(np.concatenate([test.indices for test in tests[networks[0].id]])))
    _write_networks(networks, context)
    return Comparison(
        run=context.run,
        networks=tuple(networks),
        reference=reference,
        pairs=pairs,
        statement=findings(networks, pairs, images, reference),
        left_out=plan.left_out,
        test_images=images,
        seconds_each=plan.seconds_each,
        disturbance=networks[0].measurement.disturbance,
        report=report_path(context.run),
        record=record,
    )


def _check_learned(
    entrants: Sequence[PlannedEntrant],
    tests: Mapping[str, Sequence[TestPredictions]],
    steps: Mapping[str, float],
    train_images: int,
) -> None:
    best = min(entrants, key=lambda row: min(test.chance.loss for test in tests[row.entrant.id]))
    every = [test.chance for rows in tests.values() for test in rows]
    epochs = steps[best.entrant.id] * best.batch / train_images
    check_any_learned(f"{best.entrant.label}, the best of all,", every, epochs)


def _compared(
    request: CompareRequest,
    row: PlannedEntrant,
    tests: Sequence[TestPredictions],
    steps: float,
    took: float | None,
    speed: Measurement,
    train_images: int,
) -> Compared:
    """All that was found of one network; its trainings had so many `steps` in the mean."""
    entrant, budget = row.entrant, request.budget
    price, binding = budget.price(entrant.network), budget.check(entrant.network).binding
    found = over_seeds(right_over_seeds(tests))
    low, high = accuracy_interval(found)
    published = published_of(entrant.base, entrant.network) if request.question == "families" else None
    return Compared(
        id=entrant.id,
        label=entrant.label,
        base=entrant.base,
        strategy=entrant.strategy,
        phi=entrant.phi,
        dropped_strides=entrant.dropped_strides,
        network=entrant.network,
        design=design(entrant.strategy, entrant.network.rounding),
        blocks=blocks(entrant.network),
        accuracy=found.mean,
        low=low,
        high=high,
        error_images=found.error_images,
        error_seeds=found.error_seeds,
        seeds=tuple(map(seed_score, tests)),
        params=price.params,
        macs=price.macs,
        activations=price.activations,
        weight_bytes=price.weight_bytes,
        peak_activation_bytes=price.peak_activation_bytes,
        peak_bytes=price.peak_bytes,
        binding=binding.name,
        share=binding.share,
        measurement=speed,
        images_per_second=row.images_per_second,
        batch=row.batch,
        steps=round(steps),
        epochs=steps * row.batch / train_images,
        recipe=row.recipe.name,
        parent=row.parent,
        published_top1=published and published.top1,
        published_source=published and published.source,
        training_seconds=took,
        origin=origin(entrant.base, entrant.network.source),
    )


def _write_networks(networks: Sequence[Compared], context: Context) -> None:
    """The networks' files, for every command that takes one."""
    folder = context.run / "networks"
    folder.mkdir(exist_ok=True)
    for row in networks:
        with written_aside(folder / f"{row.id}.json") as aside:
            aside.write_text(row.network.to_json() + "\n", encoding="utf-8")


def _mean(values: Sequence[float | None]) -> float | None:
    """The mean; None where one is not known."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known and len(known) == len(values) else None
