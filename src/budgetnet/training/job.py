"""One job of a training in a worker process: along the trunk, then down a cool-down, then a score.

    trunk:     warm-up, constant rate ------------------> the next job starts from here
                         \\ cool-down: rate to 0 -> score   (rung)

The trunk's checkpoint is kept and the cool-down's is thrown away, so that scores along the way are those
of finished trainings, and promotion still goes on from before the cool-down. Source of the
schedule: Hu et al., MiniCPM, arXiv:2404.06395, section 4 (warm-up, stable, decay).
"""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol, Self

import numpy as np
import torch
from accelerate import Accelerator

from budgetnet.atomic_write import written_aside
from budgetnet.data import Data, ImageSet, Pixels, open_cache, open_images
from budgetnet.model.files import save_tensors
from budgetnet.parallel.progress import Update
from budgetnet.parallel.workers import hold_stop, report
from budgetnet.runs.run import INITIAL, append_event
from budgetnet.statistics import wilson
from budgetnet.training.evaluate import answer, answer_rows
from budgetnet.training.trainer import StepReport, Trainer, TrainingConfig, TrainingSpec, images_per_second, of_all

CHECKPOINT_SECONDS = 20.0
EVENT_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class JobContext:
    """Where a worker finds images and leaves what it makes, and on what it computes."""

    data: Data
    split_seed: int
    side_px: int
    folder: str
    device: str = "cpu"
    precision: str = "float32"


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

    `learns_validation`: it learns from the images for validation too, so its scores on them say nothing.
    """

    config: TrainingConfig
    context: JobContext
    name: str
    phase: str
    trunk_until: int
    cooldown_steps: int
    learns_validation: bool = False

    def at(self, context: JobContext) -> TrainingJob:
        """The same job at another place."""
        return dataclasses.replace(self, context=context)

    @property
    def folder(self) -> Path:
        """The training's own folder, of all its jobs."""
        return Path(self.context.folder) / self.config.id

    @property
    def files(self) -> JobFiles:
        """It begins from initial weights, goes on from its trunk and its cool-down, and leaves how it ended."""
        leaves = (self.diverged, self.weights, self.scores, self.predictions)
        return JobFiles((self.initial,), (self.trunk, self.cooldown), leaves)

    @property
    def trunk(self) -> Path:
        """The checkpoint along the trunk, from which the training's next job goes on too."""
        return self.folder / "trunk.pt"

    @property
    def cooldown(self) -> Path:
        """The checkpoint along the cool-down."""
        return self.folder / f"{self.name}.pt"

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
    def diverged(self) -> Path:
        """There, instead of the scores, once the final training has ended with answers that are no numbers."""
        return self.folder / f"{self.name}.diverged"

    @property
    def weights(self) -> Path:
        """The model's tensors at the end of the cool-down."""
        return self.folder / f"{self.name}.safetensors"


def whole_job(config: TrainingConfig, context: JobContext, phase: str, cooldown_steps: int) -> TrainingJob:
    """A whole training as one job: all of the config's steps, so many of them the cool-down."""
    return TrainingJob(config, context, "final", phase, config.steps - cooldown_steps, cooldown_steps)


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


def run_job(job: TrainingJob, callback: Callback | None = None) -> bool:
    """Train the job to its end, from its newest checkpoint; True from the process that wrote how it ended.

    Checkpoints come by the clock, but nothing that is computed depends on when. A `callback` has
    every step once in what it has kept at the end, whatever kills lie between.
    """
    images, pixels = opened(job.context.data, job.context.split_seed, job.context.side_px)
    learned = images.with_validation() if job.learns_validation else images
    trainer = Trainer(job.config, learned, pixels, accelerator_for(job.context))
    job.folder.mkdir(parents=True, exist_ok=True)
    trunk, down = job.trunk, job.cooldown
    schedule = job.config.schedule

    def rate(step: int) -> float:
        return schedule.at(step, job.trunk_until, job.cooldown_steps)

    with hold_stop():
        newest = down if down.exists() else trunk
        if newest.exists():
            trainer.load(newest)
        elif job.initial.exists():
            trainer.begin_from(job.initial)
        first = trainer.step
        if callback is not None:
            callback.on_start(trainer)
        if not down.exists():
            trainer.advance(job.trunk_until, schedule.trunk, _after(job, trainer, trunk, first, callback))
            _save(trainer, trunk, callback)
        trainer.advance(job.trunk_until + job.cooldown_steps, rate, _after(job, trainer, down, first, callback))
        if callback is not None:
            callback.on_checkpoint()
    if not trainer.accelerator.is_main_process:
        return False
    _finish(job, trainer, images, pixels)
    down.unlink(missing_ok=True)
    return True


def _save(trainer: Trainer, checkpoint: Path, callback: Callback | None) -> None:
    """The checkpoint, and before it what was seen so far: a kill between the two leaves too much, never too little."""
    if callback is not None:
        callback.on_checkpoint()
    trainer.save(checkpoint)


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


def _after(
    job: TrainingJob, trainer: Trainer, checkpoint: Path, first: int, callback: Callback | None
) -> Callable[[StepReport], None]:
    """What follows a step: the callback, an event and a word of progress now and then, a checkpoint by the clock.

    `first` is the step that this process began at: progress counts from there.
    """
    began = said = saved = time.monotonic()
    last = job.trunk_until + job.cooldown_steps
    train_images = len(trainer.batches.images.indices("train"))
    loss = accuracy = None

    def after(step: StepReport) -> None:
        nonlocal said, saved, loss, accuracy
        loss = step.loss if loss is None else 0.9 * loss + 0.1 * step.loss
        accuracy = step.accuracy if accuracy is None else 0.9 * accuracy + 0.1 * step.accuracy
        if callback is not None:
            callback.on_step(trainer, step)
        now = time.monotonic()
        if now - said > EVENT_SECONDS and trainer.accelerator.is_main_process:
            said = now
            event = {"kind": "step", "phase": job.phase, "step": step.step, "loss": loss, "accuracy": accuracy}
            epoch = step.step * job.config.batch / train_images
            event |= {"epoch": epoch, "learning_rate": step.learning_rate, "seconds": now - began}
            append_event(job.events, event)
            text = f"loss {loss:.3f}, accuracy {100 * accuracy:.1f} %, epoch {epoch:.1f}"
            report(Update(job.phase, step.step - first, last - first, text))
        elif step.step == last and trainer.accelerator.is_main_process:
            report(Update(job.phase, last - first, last - first))
        if now - saved > CHECKPOINT_SECONDS and trainer.step < last:
            saved = now
            _save(trainer, checkpoint, callback)
        if trainer.stop:
            _save(trainer, checkpoint, callback)
            os._exit(0)  # not an exception: the parent has gone on without us

    return after


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
    mine = images_per_second(Trainer(config, images, pixels, accelerator, alone=True), seconds)
    return float(of_all(accelerator, mine).mean())
