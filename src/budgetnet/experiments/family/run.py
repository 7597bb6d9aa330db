"""A family from its plan to its result: three parts, each a run in a folder of its own, one after another."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path

from budgetnet.codec import from_record
from budgetnet.data import ImageSet
from budgetnet.experiments.baseline import search_baseline
from budgetnet.experiments.coefficients import search_coefficients
from budgetnet.experiments.coefficients.entrants import base_of, space_of
from budgetnet.experiments.compute import Compute
from budgetnet.experiments.experiment import Context, perform, report_path
from budgetnet.experiments.family import training
from budgetnet.experiments.family.findings import findings
from budgetnet.experiments.family.members import published_members
from budgetnet.experiments.family.plan import BASELINE, COEFFICIENTS, MEMBERS, PARTS, Part
from budgetnet.experiments.family.report import members_report
from budgetnet.experiments.family.result import FILE, Family, FamilyRecord, SearchPart
from budgetnet.experiments.family.training import MembersPlan, MembersRecord, MembersRequest, TrainedMembers
from budgetnet.experiments.report import Report
from budgetnet.networks import Network
from budgetnet.parallel.progress import Progress, Update
from budgetnet.runs.folder import clear_run
from budgetnet.runs.record import FILE as PLAN
from budgetnet.training.augmenting import settled, tell_augmentation
from budgetnet.training.plan import TooShort

GROWTH = 2.0
"""One step of phi multiplies the cost by this, as in the paper."""
TOLERANCES = (0.05, 0.1, 0.2, 0.4)
"""The first tolerance that leaves at least two of the winner's networks is that of those that race for coefficients."""


@dataclass(frozen=True, slots=True)
class TrainMembers:
    """The experiment of the third part."""

    name = "search family, family"
    file = "members.json"
    format = training.FORMAT
    types = (MembersRequest, MembersPlan)

    def split_seeds(self, request: MembersRequest) -> Sequence[int]:
        """The split of the searches: its test images were seen by no choice."""
        return (request.seed,)

    def propose(self, request: MembersRequest, context: Context) -> MembersPlan:
        """Equal steps for all members."""
        return training.propose(request, context)

    def run(self, record: MembersRecord, context: Context) -> TrainedMembers:
        """Trains and tests."""
        return training.run(record, context)

    def read(self, row: object, record: MembersRecord, run: Path) -> TrainedMembers:
        """members.json."""
        where = f"{self.file} in {run}"
        return from_record(TrainedMembers, row, self.format, where, run=run, report=report_path(run), record=record)

    def report(self, record: MembersRecord, result: TrainedMembers) -> Report:
        """The family's table and picture."""
        return members_report(record, result)


TRAIN_MEMBERS = TrainMembers()


def run(record: FamilyRecord, context: Context) -> Family:
    """The family, from wherever an earlier start was stopped: a part that is finished is read."""
    request, plan, images = record.request, record.plan, context.images[0]
    tell_augmentation(plan.augmentation, context.progress)
    augment = settled(plan.augmentation)
    device, executor = context.executor.device, context.executor
    clock = context.time.clock.for_part()

    with _part(BASELINE, plan.baseline_seconds, record, context) as progress, _leaving_nothing(context.run):
        baseline = search_baseline(
            context.data,
            request.budget,
            time_seconds=plan.baseline_seconds,
            space=request.space,
            base=request.base,
            exponent=request.exponent,
            seed=request.seed,
            recipe=request.recipe,
            out=context.run / BASELINE.name,
            device=device,
            precision=request.precision,
            progress=progress,
            cluster=executor,
            augment=augment,
            clock=clock,
        )
    with _part(COEFFICIENTS, plan.coefficients_seconds, record, context) as progress:
        found = search_coefficients(
            context.data,
            base=baseline.network,
            growth=GROWTH,
            tolerance=tolerance_for(images, baseline.network),
            candidates=plan.candidates,
            seeds=plan.coefficient_seeds,
            time_seconds=plan.coefficients_seconds,
            seed=request.seed,
            recipe=request.recipe,
            out=context.run / COEFFICIENTS.name,
            device=device,
            precision=request.precision,
            progress=progress,
            cluster=executor,
            augment=augment,
            train_bytes=request.budget.train_bytes,
            clock=clock,
        )
    with _part(MEMBERS, plan.family_seconds, record, context) as progress:
        members = MembersRequest(
            base=baseline.network,
            coefficients=found.coefficients,
            budget=request.budget,
            time_seconds=plan.family_seconds,
            seed=request.seed,
            recipe=request.recipe,
            precision=request.precision,
            augment=augment,
        )
        compute = Compute(device, request.precision, executor)
        folder, seconds = context.run / MEMBERS.name, plan.family_seconds
        trained = perform(TRAIN_MEMBERS, members, context.data, compute, folder, False, seconds, progress, clock)

    made = trained.record.plan
    return Family(
        run=context.run,
        coefficients=found.coefficients,
        members=trained.members,
        gains=trained.gains,
        published=published_members(),
        steps=made.steps,
        batch=made.batch,
        epochs=made.epochs,
        test_images=trained.test_images,
        parts=tuple(
            SearchPart(part.name, f"{part.name}/report.html", tuple(said[:2]))
            for part, said in ((BASELINE, baseline.statement), (COEFFICIENTS, found.statement))
        ),
        statement=findings(trained, found.coefficients),
        report=report_path(context.run),
        record=record,
    )


@contextlib.contextmanager
def _part(part: Part, seconds: int, record: FamilyRecord, context: Context) -> Generator[Progress]:
    """Progress that says which part it is of; a time too short for the part is one too short for the whole.

    What the data is was said for the whole.
    """

    def show(update: Update) -> None:
        phase = f"{part.number} of {len(PARTS)}, {update.phase}"
        context.progress(dataclasses.replace(update, phase=phase, lines=()))

    try:
        yield show
    except TooShort as error:
        whole = record.request.time_seconds
        least = error.least_seconds / part.share + whole - seconds / part.share
        kept = "" if part is BASELINE else f"; what was found by then lies in {context.run}"
        what = f"for three parts: {part.name} has {seconds} s of them"
        raise TooShort(whole, what, least, kept) from error


@contextlib.contextmanager
def _leaving_nothing(run: Path) -> Generator[None]:
    """Where the first part refuses its input, nothing came of the whole, and bad input leaves no folder."""
    try:
        yield
    except ValueError:
        if not (run / BASELINE.name / PLAN).exists():
            clear_run(run, FILE)
        raise


def tolerance_for(images: ImageSet, winner: Network) -> float:
    """How far from twice the winner's multiply-adds a network may be, so that there is more than one to choose from.

    The first of 5, 10, 20 and 40 % that leaves two; the last also where none does, and the search says so.
    """
    base = base_of(images, winner)
    for tolerance in TOLERANCES:
        with contextlib.suppress(ValueError):  # no network is as near
            if len(space_of(images, base, GROWTH, tolerance, "macs").candidates) > 1:
                return tolerance
    return TOLERANCES[-1]
