"""The life cycle of an experiment, once for all kinds: its folder, lock, plan, images, work, result and page.

    request ──> propose ──> plan.json ──> run ──> result file ──> report
                   │                       │
                   only where no plan is   makes what is missing

A run is a folder. plan.json is written before anything is trained, and all that follows is a function of it. The
result's file is written last: where it is, the run is finished, and the same command shows it again.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, TypeVar

from budgetnet.arguments import of_kind
from budgetnet.cluster.executor import Executor
from budgetnet.codec import require, to_plain
from budgetnet.data import Data, ImageSet, Pixels, open_cache, open_images, tell_images
from budgetnet.data.images import SPLITS
from budgetnet.experiments.compute import Compute
from budgetnet.experiments.report import PAGE, Report, write_report
from budgetnet.experiments.timing import TimeBudget
from budgetnet.parallel.notebook import notebook_progress
from budgetnet.parallel.progress import Progress, silent
from budgetnet.reading import read_json_file
from budgetnet.runs.elapsed import Elapsed, earlier_starts_seconds
from budgetnet.runs.files import reading, write_json
from budgetnet.runs.folder import clear_run, clear_training, run_folder, run_lock
from budgetnet.runs.record import FILE as PLAN
from budgetnet.runs.record import (
    Record,
    check_images,
    check_request,
    check_values,
    data_record,
    machine_record,
    read_record,
    save_record,
    warn_of_other_cores,
)
from budgetnet.training.job import JobContext
from budgetnet.training.stopwatch import MACHINE, Clock

Request = TypeVar("Request")
Plan = TypeVar("Plan")
Result = TypeVar("Result")


class Context:
    """What a plan is made with and a run is made in: the images, where trainings compute, the time that is left.

    `seed` is that of the first split; `resumed`: an earlier start made the plan.
    """

    def __init__(
        self,
        run: Path,
        data: Data,
        images: tuple[ImageSet, ...],
        executor: Executor,
        precision: str,
        time: TimeBudget,
        progress: Progress | None,
        seed: int,
        earlier: str | None = None,
        resumed: bool = False,
    ) -> None:
        self.run, self.data, self.images, self.executor = run, data, images, executor
        self.precision, self.time, self.progress = precision, time, progress or silent
        self._pixels: tuple[int, Pixels] | None = None
        self.seed, self.resumed = seed, resumed
        self._earlier = earlier

    def clear(self) -> None:
        """Remove the earlier run that a fresh one replaces: called once the input is known to be good."""
        if self._earlier is not None:
            clear_run(self.run, self._earlier)
            self._earlier = None

    def pixels(self, side_px: int) -> Pixels:
        """The images decoded with this short side, once. Before the first time it is said what they are."""
        if self._pixels is None:
            tell_images(self.images[0], self.progress)
        if self._pixels is None or self._pixels[0] != side_px:
            self._pixels = side_px, open_cache(self.images[0], side_px, progress=self.progress)
        return self._pixels[1]

    def job_context(self, side_px: int, split_seed: int) -> JobContext:
        """Where a training finds the images and leaves its files."""
        folder = str(self.run / "training")
        return JobContext(self.data, split_seed, side_px, folder, self.executor.device, self.precision)


class Experiment(Protocol[Request, Plan, Result]):
    """One kind of experiment: a value that says how its plan is made, how it runs and what it reports."""

    @property
    def name(self) -> str:
        """The command, and the plan's kind."""
        ...

    @property
    def file(self) -> str:
        """The result's file in the run's folder."""
        ...

    @property
    def format(self) -> str:
        """The result file's format."""
        ...

    @property
    def types(self) -> tuple[type[Request], type[Plan]]:
        """Of the request and the plan, as plan.json is read."""
        ...

    def split_seeds(self, request: Request) -> Sequence[int]:
        """The seeds of the splits of the images that it needs; the first is the run's."""
        ...

    def propose(self, request: Request, context: Context) -> Plan:
        """The plan for this request: what is trained, and for how many steps. Raises where the time is too short.

        It writes nothing into the folder before it has called the context's `clear`.
        """
        ...

    def run(self, record: Record[Request, Plan], context: Context) -> Result:
        """The result. What an earlier start has made is read, what is missing is made by the context's executor."""
        ...

    def read(self, row: object, record: Record[Request, Plan], run: Path) -> Result:
        """The result of a finished run, from its file. Raises a one-line `ValueError` for a damaged one."""
        ...

    def report(self, record: Record[Request, Plan], result: Result) -> Report:
        """What the terminal and the page show."""
        ...


def perform(
    experiment: Experiment[Request, Plan, Result],
    request: Request,
    data: Data,
    compute: Compute,
    out: Path | str | None = None,
    fresh: bool = False,
    time_seconds: float = math.inf,
    progress: Progress | None = None,
    clock: Clock = MACHINE,
) -> Result:
    """The experiment's result: made, gone on with where an earlier start was stopped, or read where it is finished.

    `fresh` begins again in the same folder. Without `progress` a notebook shows bars. Raises a one-line `ValueError`
    for a run of another command, request or images, for one that another process works at, and what the experiment
    itself raises.
    """
    of_kind("clock", clock, Clock, "a Clock, as budgetnet.training.stopwatch has it")
    began = clock.now() - clock.earlier_seconds
    progress = progress or notebook_progress()
    run = run_folder(out, data, experiment.name, request)
    with run_lock(run):
        record = None if fresh else _record_of(experiment, run)
        if record is not None:
            check_request(record.request, request, run)
            if (run / experiment.file).exists():
                return _finished(experiment, record, run, data, progress)
        spent = 0.0 if fresh else earlier_starts_seconds(run)
        with compute.open() as executor:
            seeds = experiment.split_seeds(request)
            images = tuple(open_images(data, seed, progress) for seed in seeds)
            time = TimeBudget(clock, began, time_seconds, spent)
            earlier = experiment.file if fresh else None
            context = Context(
                run, data, images, executor, compute.precision, time, progress, seeds[0], earlier, record is not None
            )
            if record is None:
                plan = experiment.propose(request, context)
                context.clear()
                about = data_record(data, images[0]), seeds[0], machine_record()
                record = Record(experiment.name, *about, request, plan)
                save_record(run, record)
            else:
                check_images(record, images[0], run)
                check_values(record, images[0], run)
                warn_of_other_cores(record, run)
            # Not before: a start that is refused changes nothing, and a fresh one leaves the earlier run's seconds.
            with Elapsed(run, lambda: time.elapsed_seconds):
                result = experiment.run(record, context)
                write_json(run / experiment.file, {"format": experiment.format, **to_plain(result)})
                return _shown(experiment, run)  # again from its files: with what was amended on the way


def _record_of(experiment: Experiment[Request, Plan, Result], run: Path) -> Record[Request, Plan] | None:
    """What the run's plan.json holds; None where there is none. Raises as `read_record`, for a seed that is not that of
    the request, and for a split without images."""
    record = read_record(run, experiment.name, *experiment.types)
    if record is not None:
        with reading(run / PLAN, "begin again with --fresh or another --out"):
            seed = experiment.split_seeds(record.request)[0]
            require(record.seed == seed, f"seed is {record.seed}, and that of its request {seed}")
            for split in SPLITS:
                require(record.data.counts[split] > 0, f"data.counts.{split} is 0; every split has images")
    return record


def _finished(
    experiment: Experiment[Request, Plan, Result],
    record: Record[Request, Plan],
    run: Path,
    data: Data,
    progress: Progress | None,
) -> Result:
    """The result of a run that is finished, for the images that it was made from."""
    check_images(record, open_images(data, record.seed, progress), run)
    return _shown(experiment, run)


def _shown(experiment: Experiment[Request, Plan, Result], run: Path) -> Result:
    """The result that a finished run's file holds, and its page, drawn by this version."""
    clear_training(run)
    record, result = read_finished(experiment, run)
    write_report(experiment.report(record, result), run)
    return result


def read_finished(experiment: Experiment[Request, Plan, Result], run: Path) -> tuple[Record[Request, Plan], Result]:
    """What a finished run was asked and planned, and its result.

    Raises a one-line `ValueError` for a run of another command, one that is not finished, and a damaged file.
    """
    record = _record_of(experiment, run)
    if record is None or not (run / experiment.file).exists():
        raise ValueError(
            f"{run} has no {experiment.file}, so it is not a finished run; the command that began it goes on with it"
        )
    with reading(run / experiment.file):
        return record, experiment.read(read_json_file(run / experiment.file), record, run)


def report_path(run: Path) -> Path:
    """Where a run's page is."""
    return run / PAGE
