"""`budgetnet landscape loss`: a plan, then point after point of it, each written down once it is known."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from budgetnet.arguments import RUN, flag, listener, of_kind, path, several
from budgetnet.codec import ONLY_IF_SET, from_plain, to_plain
from budgetnet.data import Folders, data_of
from budgetnet.inspect.landscape.loss.curvature import TOLERANCE, hessian_product, largest_eigenvalue, parameter_count
from budgetnet.inspect.landscape.loss.subjects import Subject, Subjects, open_subjects
from budgetnet.inspect.landscape.loss.values import (
    Around,
    Eigenvalue,
    Losses,
    LossLandscape,
    RunLoss,
    landscape_of,
    rise_of,
)
from budgetnet.inspect.landscape.loss.weights import Direction, Moved, kept
from budgetnet.networks import choose
from budgetnet.parallel.progress import Progress, Update, silent
from budgetnet.runs.files import append_event, read_events
from budgetnet.runs.folder import clear_run, run_lock
from budgetnet.runs.record import Record, check_request, machine_record, read_record, save_record
from budgetnet.runs.run import device_of
from budgetnet.training.scored_images import CHOICES

COMMAND = "landscape loss"
POINTS = "points.jsonl"
ACROSS, UP, FIRST_DRAW = 0, 1, 2
"""Directions have these indices: the plane's two, then one a draw."""
LOSSLESS = "the loss of {} is not a number at its own weights; its training diverged"
Kind = Literal["line", "rise", "eigenvalue", "row"]


@dataclass(frozen=True, slots=True)
class Task:
    """What is computed and written down as one: a point of the line, a draw, the eigenvalue, a row of the grid."""

    kind: Kind
    run: int
    index: int

    def count(self, around: Around) -> int:
        """How many times the loss is computed for it."""
        return around.size if self.kind == "row" else 0 if self.kind == "eigenvalue" else 1


@dataclass(frozen=True, slots=True)
class Found:
    """What a task gave, a line of points.jsonl: losses, or the eigenvalue."""

    kind: Kind
    run: int
    index: int
    losses: Losses = field(default=(), metadata=ONLY_IF_SET)
    eigenvalue: Eigenvalue | None = field(default=None, metadata=ONLY_IF_SET)

    @property
    def task(self) -> Task:
        """The task."""
        return Task(self.kind, self.run, self.index)


@dataclass(frozen=True, slots=True)
class LossRequest:
    """What is asked: the fields of `Around`, and digests of the weights and of the images, which are of this split."""

    run_weights: tuple[str, ...]
    data_digest: str
    split: str
    size: int
    extent: float
    images: int
    draws: int
    radius: float
    seed: int


@dataclass(frozen=True, slots=True)
class LossPlan:
    """The runs, as they were given."""

    runs: tuple[str, ...]


def tasks(around: Around, run: int) -> Iterator[Task]:
    """All tasks of a run in their order: what is quick first."""
    yield from (Task("line", run, index) for index in range(len(around.line_steps)))
    yield from (Task("rise", run, index) for index in range(around.draws))
    yield Task("eigenvalue", run, 0)
    yield from (Task("row", run, index) for index in range(around.size))


def loss_landscape(
    runs: Sequence[str | Path],
    folder: str | Path,
    data: str | Path | Folders | None = None,
    split: str | None = None,
    around: Around | None = None,
    device: str = "auto",
    fresh: bool = False,
    progress: Progress | None = None,
) -> LossLandscape:
    """The loss around the weights of a run, or of twins: the same networks with other activation functions::

        L(w + a d1 + b d2)    over the plane of two random directions, each filter as long as that of w

    The loss is the mean cross entropy of a fixed draw of images, without augmentation or label smoothing, in evaluation
    mode: BatchNorm keeps its statistics. How sharp it is: the largest eigenvalue of the Hessian at w, and the rises
    L(w + radius d) - L(w) of further directions. Twins get the same directions, normalised by their own weights, and
    the same images. Every point is written to points.jsonl once it is known; the same call continues where a stopped
    one was, to the same numbers.

    Source: Li et al., Visualizing the Loss Landscape of Neural Nets, arXiv:1712.09913, section 4.

    Args:
        runs: A run's folder, or those of several twins.
        folder: Where the plan and the points are kept.
        data: Other labelled images, as `open_images` takes them; unless given, those that the runs were trained from.
        split: "train", "validation", "test" or "all". Unless given "train" of the runs' own images, and "all" of
            others.
        around: Which weights are tried, and on how many images.
        device: "auto" (a CUDA GPU where there is one, else the processor), "cpu", "cuda" or "mps".
        fresh: Whether what is in the folder is removed and computed again.
        progress: Called with an `Update` as the work goes on.

    Returns:
        The losses of each run.

    Raises:
        ValueError: A run has no weights or its loss is not a number, runs are not twins, there are no images, or the
            folder holds something else or was begun with other arguments.
        TypeError: An argument has another type.

    Example:
        >>> import dataclasses
        >>> import budgetnet
        >>> from budgetnet.inspect.landscape import Around
        >>> from budgetnet.model.weights import save_weights
        >>> net = budgetnet.network("mobilenet_v3_small", classes=10, resolution_px=32)
        >>> grey = dataclasses.replace(net, in_channels=1)
        >>> pixels = {"mean": [0.5], "std": [0.25]}
        >>> save_weights("digits.safetensors", budgetnet.build(grey, seed=0), list("0123456789"), pixels)
        >>> around = Around(size=5, images=4, draws=1)
        >>> found = budgetnet.loss_landscape("digits.safetensors", "landscape", "digits", around=around)
        >>> len(found.runs[0].line)
        9
    """
    runs = several("runs", runs, lambda what, one: path(f"one of {what}", one, RUN), wanted="runs' folders")
    place, data = Path(path("folder", folder)), None if data is None else data_of(data)
    around = Around() if around is None else of_kind("around", around, Around, "an Around, or None")
    if split is not None:
        choose("split", split, CHOICES)
    fresh, progress = flag("fresh", fresh), listener("progress", progress)
    device = device_of(device)
    opened = open_subjects(runs, data, split, around.images, around.seed, device, progress)
    for subject in opened.subjects:
        if subject.probe.loss() is None:
            raise ValueError(LOSSLESS.format(subject.run))
    weights = tuple(subject.weights for subject in opened.subjects)
    request = LossRequest(weights, opened.digest, opened.split, **dataclasses.asdict(around))
    with run_lock(place):
        if fresh:
            clear_run(place, POINTS)
        record = read_record(place, COMMAND, LossRequest, LossPlan)
        if record is None:
            save_record(place, _record(request, opened))
        else:
            check_request(record.request, request, place)
        found = _computed(opened.subjects, around, place / POINTS, progress or silent)
    rows = tuple(_row(subject, index, around, found) for index, subject in enumerate(opened.subjects))
    return landscape_of(opened.split, opened.subjects[0].probe.images, around, TOLERANCE, rows)


def _record(request: LossRequest, opened: Subjects) -> Record[LossRequest, LossPlan]:
    plan = LossPlan(tuple(subject.run for subject in opened.subjects))
    return Record(COMMAND, opened.data, opened.seed, machine_record(), request, plan)


def _computed(subjects: Sequence[Subject], around: Around, file: Path, progress: Progress) -> Mapping[Task, Found]:
    """What each task gave: read where it was written down, else computed."""
    rows = (from_plain(Found, row, f"a line of {file}") for row in read_events(file))
    found = {row.task: row for row in rows}
    todo = [task for index in range(len(subjects)) for task in tasks(around, index)]
    total = sum(task.count(around) for task in todo)
    done = sum(task.count(around) for task in todo if task in found)
    for index, subject in enumerate(subjects):
        left = [task for task in todo if task.run == index and task not in found]
        if not left:
            continue
        with kept(subject.probe) as moved:
            plane = tuple(moved.direction(around.seed, one) for one in (ACROSS, UP))
            for task in left:
                found[task] = _found(subject, moved, plane, around, task, progress)
                append_event(file, to_plain(found[task]))
                done += task.count(around)
                progress(Update("loss", done, total, subject.label))
    return found


def _found(
    subject: Subject, moved: Moved, plane: Sequence[Direction], around: Around, task: Task, progress: Progress
) -> Found:
    """What a task gives."""
    if task.kind == "eigenvalue":
        moved.put_back()
        probe = subject.probe
        count = parameter_count(probe.model)
        value = largest_eigenvalue(
            lambda vector: hessian_product(probe, vector), count, around.seed, progress=progress, label=subject.label
        )
        return Found(task.kind, task.run, task.index, eigenvalue=value)
    if task.kind == "line":
        points = [[(around.line_steps[task.index], plane[ACROSS])]]
    elif task.kind == "rise":
        points = [[(around.radius, moved.direction(around.seed, FIRST_DRAW + task.index))]]
    else:
        up = (around.grid_steps[task.index], plane[UP])
        points = [[(step, plane[ACROSS]), up] for step in around.grid_steps]
    return Found(task.kind, task.run, task.index, losses=tuple(moved.loss_at(steps) for steps in points))


def _row(subject: Subject, index: int, around: Around, found: Mapping[Task, Found]) -> RunLoss:
    """What the tasks of a run say together."""

    def losses(kind: Kind, count: int) -> Losses:
        return tuple(found[Task(kind, index, one)].losses[0] for one in range(count))

    loss, accuracy = subject.probe.loss_and_accuracy()
    eigenvalue = found[Task("eigenvalue", index, 0)].eigenvalue
    assert loss is not None and eigenvalue is not None  # the first was checked before anything was computed
    rises = tuple(None if one is None else one - loss for one in losses("rise", around.draws))
    return RunLoss(
        run=subject.run,
        label=subject.label,
        network=subject.network,
        activations=subject.activations,
        loss=loss,
        accuracy=accuracy,
        line=losses("line", len(around.line_steps)),
        grid=tuple(found[Task("row", index, one)].losses for one in range(around.size)),
        rises=rises,
        eigenvalue=eigenvalue,
        rise=rise_of(rises),
    )
