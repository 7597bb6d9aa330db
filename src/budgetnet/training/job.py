"""One job of a training in a worker process: along the trunk, then down a cool-down, then a score.

    trunk:     warm-up, constant rate ------------------> the next job starts from here
                         \\ cool-down: rate to 0 -> score   (rung)

The trunk's checkpoint is kept and the cool-down's is thrown away, so that scores along the way are those
of finished trainings, and promotion still goes on from before the cool-down. Source of the
schedule: Hu et al., MiniCPM, arXiv:2404.06395, section 4 (warm-up, stable, decay).
"""

from __future__ import annotations

import dataclasses
import math
import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Protocol, Self

import numpy as np
import torch
from accelerate import Accelerator
from numpy.typing import NDArray

from budgetnet.arguments import number
from budgetnet.atomic_write import written_aside
from budgetnet.data import Data, ImageSet, Pixels, open_cache, open_images
from budgetnet.data.held_out import held_out_images
from budgetnet.model.files import save_tensors
from budgetnet.parallel.progress import Update
from budgetnet.parallel.workers import hold_stop, leave, report
from budgetnet.runs.files import INITIAL, append_event
from budgetnet.runs.record import Amendment, amendments_of, append_amendment
from budgetnet.statistics import wilson
from budgetnet.training.evaluate import answer, answer_rows
from budgetnet.training.pace import LEAST_STEPS_SHARE, Pace, StepPlan, steps_at
from budgetnet.training.trainer import (
    StepReport,
    Trainer,
    TrainingConfig,
    TrainingSpec,
    images_per_second,
    of_all,
    shared,
)

CHECKPOINT_SECONDS = 20.0
"""A checkpoint is written this long after the one before, unless the environment's BUDGETNET_CHECKPOINT_SECONDS says
another number: a smaller one where machines are taken away at short notice."""
EVENT_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class JobContext:
    """Where a worker finds images and leaves what it makes, and on what it computes.

    `on_checkpoint` is called after each checkpoint, where checkpoints are to be kept elsewhere too.
    """

    data: Data
    split_seed: int
    side_px: int
    folder: str
    device: str = "cpu"
    precision: str = "float32"
    on_checkpoint: Callable[[], None] | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class JobFiles:
    """The files of a run, by their paths in its folder, that a job reads and writes.

    A job on another machine finds there `reads`, and whatever an attempt that was lost has left of `checkpoints`, from
    which it goes on. The run's folder gets `leaves`, in this order: what says that the job is done comes last.
    """

    reads: tuple[Path, ...] = ()
    checkpoints: tuple[Path, ...] = ()
    leaves: tuple[Path, ...] = ()


class Job(Protocol):
    """Work for an executor, on this machine or another."""

    @property
    def context(self) -> JobContext:
        """Where it finds images and leaves what it makes."""
        ...

    @property
    def phase(self) -> str:
        """The name of the work in its progress."""
        ...

    @property
    def files(self) -> JobFiles:
        """What it reads and leaves in the run's folder."""
        ...

    def at(self, context: JobContext) -> Self:
        """The same job at another place."""
        ...


@dataclass(frozen=True, slots=True)
class TrainingJob:
    """Along the trunk to step `trunk_until`, then `cooldown_steps` down; `name` names its files.

    `learns_validation`: it learns from the images for validation too, so its scores on them say nothing. `deadline`,
    in seconds as `time.time` has them: its steps are to be taken by then, and where the machine becomes slower fewer
    are; `finish_seconds` of other work come behind them where a step takes `step_seconds` (`training.pace`).
    `held_out` of the validation images stay out of it (`held_out_images`).
    """

    config: TrainingConfig
    context: JobContext
    name: str
    phase: str
    trunk_until: int
    cooldown_steps: int
    learns_validation: bool = False
    deadline: float | None = None
    finish_seconds: float = 0.0
    step_seconds: float = math.inf
    held_out: int = 0

    def at(self, context: JobContext) -> TrainingJob:
        """The same job on another machine, where it goes as planned: amendments are written to the plan.json here."""
        return dataclasses.replace(self, context=context, deadline=None)

    @property
    def run(self) -> Path:
        """The run's folder."""
        return Path(self.context.folder).parent

    @property
    def step_plan(self) -> StepPlan:
        """Trunk and cool-down as planned."""
        return StepPlan(self.trunk_until, self.cooldown_steps)

    @property
    def last_step(self) -> int:
        """The step at which it ends: as planned, or with the amendments that plan.json has."""
        return steps_at(self.config.steps, self.step_plan, self.amendments()).last_step

    def epochs(self, train_images: int) -> float:
        """How often it sees each of so many training images by its last step."""
        return self.last_step * self.config.batch / train_images

    def amendments(self) -> tuple[Amendment, ...]:
        """What plan.json says of fewer steps of this job, in the order in which they were decided."""
        return tuple(row for row in amendments_of(self.run) if (row.job, row.part) == (self.config.id, self.name))

    @property
    def folder(self) -> Path:
        """The training's own folder, of all its jobs."""
        return Path(self.context.folder) / self.config.id

    @property
    def files(self) -> JobFiles:
        """It begins from initial weights, goes on from its checkpoints, and leaves how it ended.

        The trunk is left where another job goes on from it.
        """
        trunk = () if self.name == "final" else (self.trunk,)
        leaves = (*trunk, self.diverged, self.weights, self.rounded_scores, self.scores, self.predictions)
        return JobFiles((self.initial,), (self.trunk, self.cooldown), leaves)

    @property
    def trunk(self) -> Path:
        """The checkpoint along the trunk, from which the training's next job goes on too."""
        return self.folder / "trunk.pt"

    @property
    def cooldown(self) -> Path:
        """The checkpoint along the cool-down."""
        return self.folder / f"{self.name}.pt"

    def newest(self) -> Path | None:
        """What it goes on from: a checkpoint, or else the initial weights; None where it begins from drawn ones."""
        return next((path for path in (self.cooldown, self.trunk, self.initial) if path.exists()), None)

    @property
    def predictions(self) -> Path:
        """Answers to the test split: there once the training is done and tested."""
        return Path(self.context.folder).parent / "answers" / f"{self.config.id}.npz"

    @property
    def initial(self) -> Path:
        """Pretrained weights to begin from, where the run has any."""
        return Path(self.context.folder).parent / INITIAL / f"{self.config.id}.safetensors"

    @property
    def events(self) -> Path:
        """The learning curves of the whole run."""
        return Path(self.context.folder).parent / "events.jsonl"

    @property
    def scores(self) -> Path:
        """Answers to the validation split: there once the job is done."""
        return self.folder / f"{self.name}.npz"

    @property
    def rounded_scores(self) -> Path:
        """The same by the model rounded to eight bits, where that is what is chosen by."""
        return self.folder / f"{self.name}-int8.npz"

    @property
    def diverged(self) -> Path:
        """There, instead of the scores, once the final training has ended with answers that are not numbers."""
        return self.folder / f"{self.name}.diverged"

    @property
    def weights(self) -> Path:
        """The model's tensors at the end of the cool-down."""
        return self.folder / f"{self.name}.safetensors"


def whole_job(
    config: TrainingConfig, context: JobContext, phase: str, cooldown_steps: int, deadline: float | None = None
) -> TrainingJob:
    """A whole training as one job: all of the config's steps, so many of them the cool-down."""
    return TrainingJob(
        config, context, "final", phase, config.steps - cooldown_steps, cooldown_steps, deadline=deadline
    )


@dataclass(frozen=True, slots=True)
class Timing:
    """Images a second of one single-threaded trial, and of all processes at one training; the seconds that it took."""

    single_process: float
    data_parallel: float
    seconds: float


_lent: dict[tuple[Data, int, int], tuple[ImageSet, Pixels]] = {}


def lend(context: JobContext, images: ImageSet, pixels: Pixels) -> None:
    """What `opened` is to give in this process: they came from another machine, and lie nowhere here."""
    _lent[context.data, context.split_seed, context.side_px] = images, pixels


def opened(data: Data, split_seed: int, side_px: int) -> tuple[ImageSet, Pixels]:
    """The images and pixels of a worker; the second job finds them open."""
    return _lent.get((data, split_seed, side_px)) or _opened(data, split_seed, side_px)


@lru_cache(maxsize=2)
def _opened(data: Data, split_seed: int, side_px: int) -> tuple[ImageSet, Pixels]:
    images = open_images(data, split_seed)
    return images, open_cache(images, side_px)


def accelerator_for(context: JobContext) -> Accelerator:
    """accelerate's view of this process: its device, its precision, its place among others."""
    precision = {"float32": "no", "bfloat16": "bf16", "float16": "fp16"}[context.precision]
    return Accelerator(mixed_precision=precision, cpu=context.device == "cpu")


def held_out_of(job: TrainingJob, images: ImageSet) -> NDArray[np.int64]:
    """Positions of the validation images that stay out of a job that learns from the others."""
    return held_out_images(images, job.held_out, job.context.split_seed)


class Callback(Protocol):
    """Looks on at a training and never changes it. What it keeps is saved before each checkpoint."""

    def on_start(self, trainer: Trainer) -> None:
        """The trainer is about to go on from `trainer.step`: what was kept of later steps is to be forgotten."""
        ...

    def on_step(self, trainer: Trainer, step: StepReport) -> None:
        """A step was taken."""
        ...

    def on_checkpoint(self) -> None:
        """Write what was kept, so that a checkpoint of this step finds it."""
        ...


def run_job(job: TrainingJob, callback: Callback | None = None, clock: Callable[[], float] = time.time) -> bool:
    """Train the job to its end, from its newest checkpoint; True from the process that wrote how it ended.

    Checkpoints come by the clock, but nothing that is computed depends on when. Where it will not be done by the job's
    deadline, by `clock`, it takes fewer steps, and says so in plan.json first. A `callback` has seen every step once in
    what it has kept at the end, whatever kills lie between.
    """
    images, pixels = opened(job.context.data, job.context.split_seed, job.context.side_px)
    learned = images.with_validation(held_out_of(job, images)) if job.learns_validation else images
    accelerator = accelerator_for(job.context)
    _check_same_images(images, accelerator)
    trainer = Trainer(job.config, learned, pixels, accelerator)
    if accelerator.is_main_process:  # the run's folder is its own, and may lie on its machine alone
        job.folder.mkdir(parents=True, exist_ok=True)
    steps = _Steps(job, trainer, callback, clock)
    with hold_stop():
        newest = shared(accelerator, job.newest)
        if newest is not None and newest != job.initial:
            trainer.load(newest)
        elif newest is not None:
            trainer.begin_from(newest)
        if callback is not None:
            callback.on_start(trainer)
        steps.take(newest == job.cooldown)
        if callback is not None:
            callback.on_checkpoint()
    if not trainer.accelerator.is_main_process:
        return False
    _finish(job, trainer, images, pixels)
    job.cooldown.unlink(missing_ok=True)
    return True


def _check_same_images(images: ImageSet, accelerator: Accelerator) -> None:
    """Raise a one-line `ValueError` in a process that sees other images than the first one, on another machine."""
    if accelerator.num_processes == 1:
        return
    ours = images.fingerprint
    if ours != shared(accelerator, lambda: ours):
        where = f"{images.root} on {socket.gethostname()}"
        raise ValueError(f"{where} holds other images than on the first machine; give each the same files")


def checkpoint_seconds() -> float:
    """Between two checkpoints. Raises a one-line `ValueError` where the environment says what is not a time."""
    given = os.environ.get("BUDGETNET_CHECKPOINT_SECONDS", "")
    if not given:
        return CHECKPOINT_SECONDS
    try:
        return number("BUDGETNET_CHECKPOINT_SECONDS", float(given), least=0.0)
    except ValueError as error:
        what = f"BUDGETNET_CHECKPOINT_SECONDS is {given!r}"
        raise ValueError(f"{what}; give a number of seconds that is not below 0, or unset it") from error


def _save(job: TrainingJob, trainer: Trainer, checkpoint: Path, callback: Callback | None) -> None:
    """The checkpoint, and before it what was seen so far: a kill between the two leaves too much, never too little."""
    if callback is not None:
        callback.on_checkpoint()
    trainer.save(checkpoint)
    if job.context.on_checkpoint is not None:
        job.context.on_checkpoint()


def _finish(job: TrainingJob, trainer: Trainer, images: ImageSet, pixels: Pixels) -> None:
    indices = images.indices("validation")
    model = trainer.result.eval()
    labels, device = np.array(images.labels)[indices], str(trainer.accelerator.device)
    answers, whole = answer(model, images, pixels, indices, labels, job.config.preprocessing, device)
    if job.phase == "final" and not answers.finite.all():
        job.diverged.touch()
        return
    if not job.learns_validation:
        right = answers.right
        low, high = wilson(int(right.sum()), len(right))
        event = {"kind": "score", "phase": job.phase, "step": trainer.step, "accuracy": float(right.mean())}
        append_event(job.events, {**event, "low": low, "high": high})
    save_tensors(job.weights, model.state_dict())
    with written_aside(job.scores) as aside, aside.open("wb") as file:
        np.savez(file, **answer_rows(answers, whole), indices=indices)  # pyright: ignore[reportArgumentType]


class _Steps:
    """The steps of a job, and what follows each: the callback, an event and a word of progress now and then, a
    checkpoint by the clock, and where the time does not suffice fewer steps."""

    def __init__(
        self, job: TrainingJob, trainer: Trainer, callback: Callback | None, clock: Callable[[], float]
    ) -> None:
        self.job, self.trainer, self.callback = job, trainer, callback
        self.amendments = list(shared(trainer.accelerator, job.amendments))
        self.main = trainer.accelerator.is_main_process
        self.checkpoint_seconds = checkpoint_seconds()
        least = max(2, round(LEAST_STEPS_SHARE * job.config.steps))
        self.pace = None
        if job.deadline is not None and self.main:
            self.pace = Pace(job.deadline, least, clock, job.finish_seconds, job.step_seconds)
        self.train_images = len(trainer.batches.images.indices("train"))
        self.first = self.began = self.said = self.saved = 0.0
        self.loss: float | None = None
        self.accuracy: float | None = None

    def take(self, on_cooldown: bool) -> None:
        """All that are left, from where the trainer is; `on_cooldown`: it has left the trunk."""
        self.first, self.began = self.trainer.step, time.monotonic()
        self.said = self.saved = self.began
        if not on_cooldown:
            self.trainer.advance(lambda: self.step_plan.trunk_until, self.job.config.schedule.trunk, self._after_trunk)
            _save(self.job, self.trainer, self.job.trunk, self.callback)
        self.trainer.advance(lambda: self.step_plan.last_step, self._rate, self._after_cooldown)

    @property
    def step_plan(self) -> StepPlan:
        """That of the next step."""
        return steps_at(self.trainer.step, self.job.step_plan, self.amendments)

    def _rate(self, step: int) -> float:
        plan = steps_at(step, self.job.step_plan, self.amendments)
        return self.job.config.schedule.at(step, plan.trunk_until, plan.cooldown_steps)

    def _after_trunk(self, step: StepReport) -> None:
        self._after(step, self.job.trunk)

    def _after_cooldown(self, step: StepReport) -> None:
        self._after(step, self.job.cooldown)

    def _after(self, step: StepReport, checkpoint: Path) -> None:
        self.loss = step.loss if self.loss is None else 0.9 * self.loss + 0.1 * step.loss
        self.accuracy = step.accuracy if self.accuracy is None else 0.9 * self.accuracy + 0.1 * step.accuracy
        if self.callback is not None:
            self.callback.on_step(self.trainer, step)
        self._amend(step.step)
        now = time.monotonic()
        if self.main:
            self._say(step, now)
        if now - self.saved > self.checkpoint_seconds and step.step < self.step_plan.last_step:
            self.saved = now
            _save(self.job, self.trainer, checkpoint, self.callback)
        if self.trainer.stop:
            _save(self.job, self.trainer, checkpoint, self.callback)
            leave()

    def _amend(self, step: int) -> None:
        """Plan the steps that are left again, where another has been asked for behind this step in all processes.

        The first process says before a step how many more there is time for; all hear it with the gradients of that
        step. The amendment is written by the first before any process takes the next step by it, for its gradients
        are needed for that.
        """
        if self.trainer.asked_left:
            plan = self.step_plan.shortened(step, self.trainer.asked_left)
            amendment = Amendment(self.job.config.id, self.job.name, step, plan.trunk_until, plan.cooldown_steps)
            if self.main:
                append_amendment(self.job.run, amendment)
            self.amendments.append(amendment)
        left = self.pace.steps_left(step, self.step_plan) if self.pace is not None else None
        # One step passes until all have heard of it.
        self.trainer.ask_left = 0 if left is None else max(1, left - 1)

    def _say(self, step: StepReport, now: float) -> None:
        """An event for the curves, and a word of progress."""
        last, phase = self.step_plan.last_step, self.job.phase
        if now - self.said > EVENT_SECONDS:
            self.said = now
            epoch = step.step * self.job.config.batch / self.train_images
            event = {"kind": "step", "phase": phase, "step": step.step, "loss": self.loss, "accuracy": self.accuracy}
            event |= {"epoch": epoch, "learning_rate": step.learning_rate, "seconds": now - self.began}
            append_event(self.job.events, event)
            text = f"loss {self.loss:.3f}, accuracy {100 * (self.accuracy or 0.0):.1f} %, epoch {epoch:.1f}"
            report(Update(phase, step.step - int(self.first), last - int(self.first), text))
        elif step.step == last:
            report(Update(phase, last - int(self.first), last - int(self.first)))


def time_config(job: tuple[TrainingSpec, JobContext, float]) -> Timing | None:
    """Images a second of training, measured in every process at once; the first process answers.

    Apart: whole batches on one thread, as a trial runs while its neighbours do. Together: as the final
    training runs.
    """
    began = time.monotonic()
    spec, context, seconds = job
    config = spec.for_steps(1)
    images, pixels = opened(context.data, context.split_seed, context.side_px)
    accelerator = accelerator_for(context)
    trainer = Trainer(config, images, pixels, accelerator)
    data_parallel = images_per_second(trainer, seconds)
    threads = torch.get_num_threads()
    if accelerator.num_processes == 1 and (threads == 1 or context.device != "cpu"):
        return Timing(data_parallel, data_parallel, time.monotonic() - began)
    torch.set_num_threads(1)
    single_process = _single_process_rate(config, images, pixels, accelerator, seconds)
    torch.set_num_threads(threads)
    seconds = time.monotonic() - began
    return Timing(single_process, data_parallel, seconds) if accelerator.is_main_process else None


def time_single_process(job: tuple[TrainingSpec, JobContext, float]) -> Timing | None:
    """As `time_config`, of trainings apart alone: what runs beside each is another like it."""
    began = time.monotonic()
    spec, context, seconds = job
    config = spec.for_steps(1)
    images, pixels = opened(context.data, context.split_seed, context.side_px)
    accelerator = accelerator_for(context)
    single_process = _single_process_rate(config, images, pixels, accelerator, seconds)
    seconds = time.monotonic() - began
    return Timing(single_process, single_process, seconds) if accelerator.is_main_process else None


def _single_process_rate(
    config: TrainingConfig, images: ImageSet, pixels: Pixels, accelerator: Accelerator, seconds: float
) -> float:
    """Images a second of whole batches in each process by itself, all at once: their mean."""
    own_rate = images_per_second(Trainer(config, images, pixels, accelerator, alone=True), seconds)
    return float(of_all(accelerator, own_rate).mean())
