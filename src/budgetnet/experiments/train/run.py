"""A training from its plan to its result."""

from __future__ import annotations

from budgetnet.experiments.experiment import Context
from budgetnet.experiments.train.plan import TrainPlan
from budgetnet.experiments.train.request import TrainRequest
from budgetnet.experiments.train.result import TrainResult
from budgetnet.runs.files import write_json
from budgetnet.runs.record import Record
from budgetnet.training.augmenting import tell_augmentation
from budgetnet.training.final import check_learned
from budgetnet.training.job import whole_job
from budgetnet.training.outcome import finalize
from budgetnet.training.pretrained import check_initial_weights


def run(record: Record[TrainRequest, TrainPlan], context: Context) -> TrainResult:
    """Train, test, write the network and its weights.

    Raises a one-line `ValueError` where the training diverged or learned nothing.
    """
    plan, images, network = record.plan, context.images[0], record.plan.config.network
    if plan.parent is not None:
        check_initial_weights(context.run, [plan.config.id])
    pixels = context.pixels(plan.side_px)
    if context.resumed:
        tell_augmentation(plan.augmentation, context.progress)
    where = context.job_context(plan.side_px, record.seed)
    (deadline,) = context.time.deadlines(1, 1, plan.finish_seconds)
    job = whole_job(plan.config, where, "final", plan.cooldown_steps, deadline)
    if not context.executor.train(job, plan.group, context.progress):
        what = f"the training of {network.name} diverged: its answers are not numbers"
        raise ValueError(
            f"{what}; give another --recipe or --seed, and --fresh if it is to lie in {context.run} as well"
        )
    check_learned(job, images)
    budget = record.request.budget
    if budget is not None:
        certificate = budget.check(network)
        write_json(context.run / "certificate.json", {"network": network.name, **certificate.to_dict()})
    return TrainResult.of(finalize(job, images, pixels), context.run, network, record)
