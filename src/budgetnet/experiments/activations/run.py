"""A study of activations from its plan to its result: train what is missing, measure, compare, draw."""

from __future__ import annotations

from budgetnet.cluster.pending import train_pending
from budgetnet.costs.network_cost import cost
from budgetnet.experiments.activations.findings import findings
from budgetnet.experiments.activations.measures import last_steps
from budgetnet.experiments.activations.networks import activation_name, with_activation
from budgetnet.experiments.activations.pictures.files import write_pictures
from budgetnet.experiments.activations.plan import StudyRecord, jobs_of
from budgetnet.experiments.activations.result import ImageCounts, Study, curve_steps, differences_of, studied_activation
from budgetnet.experiments.activations.training import TRAIN_IMAGES, read_training, train_and_probe
from budgetnet.experiments.experiment import Context, report_path


def run(record: StudyRecord, context: Context) -> Study:
    """The study, from wherever an earlier start was stopped, and its pictures in the run's folder."""
    request, plan = record.request, record.plan
    jobs = jobs_of(record, context)
    train_pending(
        list(jobs.values()),
        "training",
        context.executor,
        context.job_context(plan.side_px, 0),
        context.executor.slots(),
        context.progress,
        train_and_probe,
        lambda job: job.record,
    )
    records = {
        activation: [read_training(jobs[activation, seed], context.images[seed]) for seed in range(request.seeds)]
        for activation in request.activations
    }
    twins = tuple(studied_activation(activation, rows) for activation, rows in records.items())
    differences = differences_of({activation_name(activation): rows for activation, rows in records.items()})
    counts = ImageCounts(*(len(context.images[0].indices(split)) for split in ("train", "validation")))
    study = Study(
        run=context.run,
        data=record.data.name,
        network=plan.network.name,
        macs=cost(with_activation(plan.network, request.activations[0])).macs,
        resolution_px=plan.network.resolution_px,
        recipe=request.recipe.name,
        seeds=request.seeds,
        steps=plan.steps,
        batch=plan.batch,
        epochs=plan.steps * plan.batch / counts.train,
        images=counts,
        last_steps=last_steps(plan.steps),
        loss_images=min(TRAIN_IMAGES, counts.train),
        probe_images=min(request.probe_images, counts.train),
        probe_steps=plan.probe_steps,
        lengths=plan.lengths,
        curve_steps=curve_steps(plan.steps),
        statement=findings(twins, differences),
        twins=twins,
        differences=differences,
        report=report_path(context.run),
        record=record,
    )
    write_pictures(study, context.run, context.progress)
    return study
