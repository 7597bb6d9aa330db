"""A toy experiment: how many nearest neighbours answer the test images best. docs/add-an-experiment.md explains it.

It trains nothing, and is whole all the same: resumable, locked, with a page and a terminal table.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from budgetnet.cluster.pending import train_pending
from budgetnet.codec import NOT_STORED, from_plain, from_record, to_plain
from budgetnet.draw.style import COLOURS, house_style
from budgetnet.draw.svg import inline_svg, new_figure
from budgetnet.draw.wording import percent, points
from budgetnet.experiments.experiment import Context
from budgetnet.experiments.report import PAGE, Column, Figure, Finding, Report, Section, Table, row
from budgetnet.reading import read_json_file
from budgetnet.runs.files import write_json
from budgetnet.runs.record import Record
from budgetnet.statistics import Estimate, wilson
from budgetnet.training.job import JobContext, JobFiles, opened


@dataclass(frozen=True, slots=True)
class NeighboursRequest:
    """Try 1, 3, 5, ... neighbours, `most` at most."""

    most: int


@dataclass(frozen=True, slots=True)
class NeighboursPlan:
    """Which counts are tried, on images of this short side."""

    side_px: int
    counts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Score:
    """How many test images a count of neighbours answers."""

    neighbours: int
    accuracy: Estimate


@dataclass(frozen=True, slots=True)
class NeighboursResult:
    """The scores, the best first."""

    run: Path = field(metadata=NOT_STORED)
    scores: tuple[Score, ...]


@dataclass(frozen=True, slots=True)
class NeighboursJob:
    """One count of neighbours; its score lies in a file of its own, by which the job is known to be done."""

    neighbours: int
    context: JobContext

    @property
    def phase(self) -> str:
        return f"neighbours/{self.neighbours}"

    @property
    def score(self) -> Path:
        return Path(self.context.folder).parent / "scores" / f"{self.neighbours}.json"

    @property
    def files(self) -> JobFiles:
        return JobFiles(leaves=(self.score,))

    def at(self, context: JobContext) -> NeighboursJob:
        return dataclasses.replace(self, context=context)


def answer(job: NeighboursJob) -> bool:
    """Answer the test images by their nearest training images; True once the score is written."""
    images, pixels = opened(job.context.data, job.context.split_seed, job.context.side_px)
    train, test = images.indices("train"), images.indices("test")
    labels = np.asarray(images.labels)
    known, asked = (np.stack([pixels[index].ravel() for index in part]).astype(float) for part in (train, test))
    distances = (known**2).sum(1) - 2 * asked @ known.T
    nearest = labels[train][np.argsort(distances, axis=1, kind="stable")[:, : job.neighbours]]
    given = np.array([np.bincount(votes).argmax() for votes in nearest])
    right = int((given == labels[test]).sum())
    job.score.parent.mkdir(exist_ok=True)
    accuracy = Estimate(right / len(test), *wilson(right, len(test)), len(test))
    write_json(job.score, to_plain(Score(job.neighbours, accuracy)))
    return True


NeighboursRecord = Record[NeighboursRequest, NeighboursPlan]


class Neighbours:
    """The experiment."""

    name, file, format = "neighbours", "neighbours.json", "budgetnet.neighbours.v1"
    types = (NeighboursRequest, NeighboursPlan)

    def split_seeds(self, request: NeighboursRequest) -> Sequence[int]:
        return (0,)

    def propose(self, request: NeighboursRequest, context: Context) -> NeighboursPlan:
        if request.most < 1:
            raise ValueError(f"most is {request.most}; give a number of neighbours of at least 1")
        return NeighboursPlan(8, tuple(range(1, request.most + 1, 2)))

    def run(self, record: NeighboursRecord, context: Context) -> NeighboursResult:
        place = context.job_context(record.plan.side_px, 0)
        jobs = [NeighboursJob(count, place) for count in record.plan.counts]
        slots = context.executor.slots()
        train_pending(jobs, self.name, context.executor, place, slots, context.progress, answer, lambda job: job.score)
        scores = [from_plain(Score, read_json_file(job.score), str(job.score)) for job in jobs]
        scores.sort(key=lambda score: (-score.accuracy.value, score.neighbours))
        return NeighboursResult(context.run, tuple(scores))

    def read(self, row: object, record: NeighboursRecord, run: Path) -> NeighboursResult:
        return from_record(NeighboursResult, row, self.format, str(run / self.file), run=run)

    def report(self, record: NeighboursRecord, result: NeighboursResult) -> Report:
        best = result.scores[0]
        columns = (Column("neighbours"), Column("test %"), Column("95 %"))
        rows = tuple(row(str(one.neighbours), *in_points(one.accuracy)) for one in result.scores)
        figure = Figure(partial(draw, result.scores), "Test accuracy with its 95 % interval.", "accuracy")
        return Report(
            title="Nearest neighbours",
            overline=f"{record.data.name}: up to {record.request.most} neighbours",
            intro="Every test image is answered by the training images that are nearest to it.",
            findings=(Finding(f"{best.neighbours} neighbours answer most: {percent(best.accuracy.value)}."),),
            sections=(Section("counts", "Counts of neighbours", (Table(columns, rows), figure)),),
            paths={"report": str(result.run / PAGE)},
        )


def in_points(accuracy: Estimate) -> tuple[str, str]:
    """An accuracy and its interval, in percent."""
    return points(accuracy.value), f"{points(accuracy.low)} to {points(accuracy.high)}"


def draw(scores: Sequence[Score], width_px: int, prefix: str) -> str:
    """Accuracy against the count of neighbours, as SVG."""
    with house_style():
        figure = new_figure(width_px, 260)
        axes = figure.add_axes((0.12, 0.2, 0.85, 0.7))
        for one in scores:
            axes.plot([one.neighbours] * 2, [100 * one.accuracy.low, 100 * one.accuracy.high], color=COLOURS["accent"])
            axes.plot(one.neighbours, 100 * one.accuracy.value, "D", color=COLOURS["accent"])
        axes.set_xlabel("neighbours")
        axes.set_title("Test accuracy, %")
        return inline_svg(figure, prefix, f"Test accuracy of {len(scores)} counts of neighbours")
