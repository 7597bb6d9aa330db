"""What a solve would race and how it would share its time, before anything is decoded, timed or trained."""

from __future__ import annotations

from dataclasses import dataclass

from budgetnet.cluster.executor import Executor
from budgetnet.data import Data, ImageSet
from budgetnet.draw.wording import LIMIT_NAMES, count, counted, duration, percent
from budgetnet.experiments.report import Cell, Column, Finding, Report, Row, Section, Table
from budgetnet.experiments.solve.candidates import Candidate
from budgetnet.experiments.solve.plan import estimated_field, planned
from budgetnet.experiments.solve.request import SolveRequest
from budgetnet.experiments.timing import TimeBudget
from budgetnet.training.pretrained import parent_for


@dataclass(frozen=True, slots=True)
class PreviewEntrant:
    """A network that would race, with the steps of each of its rungs and of its whole training, on a usual machine."""

    id: str
    rung_steps: tuple[int, ...]
    steps: int
    epochs: float


@dataclass(frozen=True, slots=True)
class Preview:
    """The plan of a solve as it would be on a machine of the usual speed.

    Attributes:
        parent: The source of the weights that all would begin from; None for drawn ones.
        candidates: Every network that keeps the budget; those that would race first.
        entrants: Those that would race, with their steps.
        kept: How many would take part in each rung.
        race_seconds: For the race.
        final_seconds: For the final training; None where each would be trained to its end in the race.
        finish_seconds: For testing and the report.
    """

    parent: str | None
    candidates: tuple[Candidate, ...]
    entrants: tuple[PreviewEntrant, ...]
    kept: tuple[int, ...]
    race_seconds: float
    final_seconds: float | None
    finish_seconds: float

    @property
    def report(self) -> Report:
        """What the terminal shows."""
        rows = {row.id: row for row in self.candidates}
        columns = (
            Column("would race", number=False),
            Column("px"),
            Column("MACs"),
            Column("params"),
            Column("used"),
            Column("steps in a rung"),
            Column("steps in all"),
            Column("epochs"),
        )
        table = Table(columns, tuple(_row(one, rows[one.id]) for one in self.entrants))
        return Report(
            title="What would race",
            overline="",
            intro="",
            findings=(Finding(self._beginning()), Finding(self._time()), Finding(self._others())),
            sections=(Section("candidates", "Candidates", (table,)),),
            paths={},
        )

    def _beginning(self) -> str:
        if self.parent is None:
            return "All would begin from drawn weights."
        return f"All would inherit the weights of {self.parent}."

    def _time(self) -> str:
        race = f"The race would take {duration(self.race_seconds)}"
        if self.final_seconds is None:
            return f"{race}, in which each network is trained to its end."
        return f"{race}, the final training of the best {duration(self.final_seconds)}."

    def _others(self) -> str:
        left = len(self.candidates) - len(self.entrants)
        return (
            f"{counted(left, 'more network')} within the budget would not race. Steps are estimates for a machine of "
            "the usual speed; a run times its own machine, so it may race other networks."
        )


def _row(one: PreviewEntrant, row: Candidate) -> Row:
    cells = (
        Cell(one.id),
        Cell("{}x{}".format(*row.resolution_px)),
        Cell(count(row.macs)),
        Cell(count(row.params)),
        Cell(f"{percent(row.share, 0)} of {LIMIT_NAMES[row.binding]}"),
        Cell(" + ".join(map(str, one.rung_steps))),
        Cell(str(one.steps)),
        Cell(f"{one.epochs:.1f}"),
    )
    return Row(cells)


def preview_of(request: SolveRequest, data: Data, images: ImageSet, executor: Executor, time: TimeBudget) -> Preview:
    """The preview of a request on these images. Raises as a plan's making does."""
    field = estimated_field(request, data, images, executor, time)
    shared = planned(field, images, time, executor.slots(), request.in_eight_bits)
    count_images = len(images.indices("train"))
    entrants = tuple(
        PreviewEntrant(
            id=row.id,
            rung_steps=tuple(steps.trunk_until + steps.cooldown_steps for steps in row.rungs),
            steps=row.config.steps,
            epochs=row.config.epochs(count_images),
        )
        for row in shared.entrants
    )
    return Preview(
        parent=parent_for(request.pretrained, request.budget),
        candidates=tuple(row.row() for row in shared.field.found),
        entrants=entrants,
        kept=shared.kept,
        race_seconds=shared.race_seconds,
        final_seconds=shared.final_seconds,
        finish_seconds=shared.finish_seconds,
    )
