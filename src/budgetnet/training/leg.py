"""One leg of a training in a worker process: along the trunk, then down a cool-down, then a score.

    trunk:     warm-up, constant rate ------------------> the next leg starts from here
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
from typing import Protocol

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
from budgetnet.training.trainer import Course, StepReport, Trainer, images_per_second, of_all

CHECKPOINT_SECONDS = 20.0
EVENT_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Place:
    """Where a worker finds images and leaves what it makes, and on what it computes."""

    data: Data
    split_seed: int
    side_px: int
    folder: str
    device: str = "cpu"
    precision: str = "float32"


@dataclass(frozen=True, slots=True)
class Leg:
    """Along the trunk to step `trunk_until`, then `cooldown_steps` down; `name` names its files.

    `learns_validation`: it learns from the images for validation too, so its scores on them say nothing.
    """

    course: Course
    place: Place
    name: str
    phase: str
    trunk_until: int
    cooldown_steps: int
    learns_validation: bool = False

    def at(self, place: Place) -> Leg:
        """The same leg at another place."""
        return dataclasses.replace(self, place=place)

    @property
    def folder(self) -> Path:
        """The training's own folder, of all its legs."""
        return Path(self.place.folder) / self.course.id

    @property
    def initial(self) -> Path:
        """Pretrained weights to begin from, where the run has any."""
        return Path(self.place.folder).parent / INITIAL / f"{self.course.id}.safetensors"

    @property
    def events(self) -> Path:
        """The learning curves of the whole run."""
        return Path(self.place.folder).parent / "events.jsonl"

    @property
    def scores(self) -> Path:
        """Answers to the validation split: there once the leg is done."""
        return self.folder / f"{self.name}.npz"

    @property
    def diverged(self) -> Path:
        """There, instead of the scores, once the final training has ended with answers that are no numbers."""
        return self.folder / f"{self.name}.diverged"

    @property
    def weights(self) -> Path:
        """The model's tensors at the end of the cool-down."""
        return self.folder / f"{self.name}.safetensors"


def whole_leg(course: Course, place: Place, phase: str, cooldown_steps: int) -> Leg:
    """A whole training as one leg: all of the course's steps, so many of them the cool-down."""
    return Leg(course, place, "final", phase, course.steps - cooldown_steps, cooldown_steps)


@dataclass(frozen=True, slots=True)
class Timing:
    """Images a second of one single-threaded trial, and of all processes at one training; the seconds that it took."""

    apart: float
    together: float
    seconds: float


_lent: dict[tuple[Data, int, int], tuple[ImageSet, Pixels]] = {}


def lend(place: Place, images: ImageSet, pixels: Pixels) -> None:
    """What `opened` is to give in this process: they came from another machine, and lie nowhere here."""
    _lent[place.data, place.split_seed, place.side_px] = images, pixels


def opened(data: Data, split_seed: int, side_px: int) -> tuple[ImageSet, Pixels]:
    """The images and pixels of a worker; the second leg finds them open."""
    return _lent.get((data, split_seed, side_px)) or _opened(data, split_seed, side_px)


@lru_cache(maxsize=2)
def _opened(data: Data, split_seed: int, side_px: int) -> tuple[ImageSet, Pixels]:
    images = open_images(data, split_seed)
    return images, open_cache(images, side_px)


def accelerator_for(place: Place) -> Accelerator:
    """accelerate's view of this process: its device, its precision, its place among others."""
    precision = {"float32": "no", "bfloat16": "bf16", "float16": "fp16"}[place.precision]
    return Accelerator(mixed_precision=precision, cpu=place.device == "cpu")


class Watch(Protocol):
    """Looks on at a training and never changes it. What it keeps is saved before each checkpoint."""

    def begin(self, trainer: Trainer) -> None:
        """The trainer is about to go on from `trainer.step`: what was kept of later steps is to be forgotten."""
        ...

    def see(self, trainer: Trainer, step: StepReport) -> None:
        """A step was taken."""
        ...

    def save(self) -> None:
        """Write what was kept, so that a checkpoint of this step finds it."""
        ...


def run_leg(leg: Leg, watch: Watch | None = None) -> bool:
    """Train the leg to its end, from its newest checkpoint; True from the process that wrote how it ended.

    Checkpoints come by the clock, but nothing that is computed depends on when. A `watch` sees every step once in
    what it has kept at the end, whatever kills lie between.
    """
    images, pixels = opened(leg.place.data, leg.place.split_seed, leg.place.side_px)
    learned = images.with_validation() if leg.learns_validation else images
    trainer = Trainer(leg.course, learned, pixels, accelerator_for(leg.place))
    leg.folder.mkdir(parents=True, exist_ok=True)
    trunk, down = leg.folder / "trunk.pt", leg.folder / f"{leg.name}.pt"
    schedule = leg.course.schedule

    def rate(step: int) -> float:
        return schedule.at(step, leg.trunk_until, leg.cooldown_steps)

    with hold_stop():
        newest = down if down.exists() else trunk
        if newest.exists():
            trainer.load(newest)
        elif leg.initial.exists():
            trainer.begin_from(leg.initial)
        first = trainer.step
        if watch is not None:
            watch.begin(trainer)
        if not down.exists():
            trainer.advance(leg.trunk_until, schedule.trunk, _after(leg, trainer, trunk, first, watch))
            _save(trainer, trunk, watch)
        trainer.advance(leg.trunk_until + leg.cooldown_steps, rate, _after(leg, trainer, down, first, watch))
        if watch is not None:
            watch.save()
    if not trainer.accelerator.is_main_process:
        return False
    _finish(leg, trainer, images, pixels)
    down.unlink(missing_ok=True)
    return True


def _save(trainer: Trainer, checkpoint: Path, watch: Watch | None) -> None:
    """The checkpoint, and before it what was seen so far: a kill between the two leaves too much, never too little."""
    if watch is not None:
        watch.save()
    trainer.save(checkpoint)


def _finish(leg: Leg, trainer: Trainer, images: ImageSet, pixels: Pixels) -> None:
    indices = images.indices("validation")
    model = trainer.result.eval()
    labels, device = np.array(images.labels)[indices], str(trainer.accelerator.device)
    answers, whole = answer(model, images, pixels, indices, labels, leg.course.preprocessing, device)
    if leg.phase == "final" and not answers.finite.all():
        leg.diverged.touch()
        return
    if not leg.learns_validation:
        right = answers.right
        low, high = wilson(int(right.sum()), len(right))
        event = {"kind": "score", "phase": leg.phase, "step": trainer.step, "accuracy": float(right.mean())}
        append_event(leg.events, {**event, "low": low, "high": high})
    save_tensors(leg.weights, model.state_dict())
    with written_aside(leg.scores) as aside, aside.open("wb") as file:
        np.savez(file, **answer_rows(answers, whole), indices=indices)  # pyright: ignore[reportArgumentType]


def _after(
    leg: Leg, trainer: Trainer, checkpoint: Path, first: int, watch: Watch | None
) -> Callable[[StepReport], None]:
    """What follows a step: the watch, an event and a word of progress now and then, a checkpoint by the clock.

    `first` is the step that this process began at: progress counts from there.
    """
    began = said = saved = time.monotonic()
    last = leg.trunk_until + leg.cooldown_steps
    train_images = len(trainer.batches.images.indices("train"))
    loss = accuracy = None

    def after(step: StepReport) -> None:
        nonlocal said, saved, loss, accuracy
        loss = step.loss if loss is None else 0.9 * loss + 0.1 * step.loss
        accuracy = step.accuracy if accuracy is None else 0.9 * accuracy + 0.1 * step.accuracy
        if watch is not None:
            watch.see(trainer, step)
        now = time.monotonic()
        if now - said > EVENT_SECONDS and trainer.accelerator.is_main_process:
            said = now
            event = {"kind": "step", "phase": leg.phase, "step": step.step, "loss": loss, "accuracy": accuracy}
            epoch = step.step * leg.course.batch / train_images
            event |= {"epoch": epoch, "learning_rate": step.learning_rate, "seconds": now - began}
            append_event(leg.events, event)
            text = f"loss {loss:.3f}, accuracy {100 * accuracy:.1f} %, epoch {epoch:.1f}"
            report(Update(leg.phase, step.step - first, last - first, text))
        elif step.step == last and trainer.accelerator.is_main_process:
            report(Update(leg.phase, last - first, last - first))
        if now - saved > CHECKPOINT_SECONDS and trainer.step < last:
            saved = now
            _save(trainer, checkpoint, watch)
        if trainer.stop:
            _save(trainer, checkpoint, watch)
            os._exit(0)  # not an exception: the parent has gone on without us

    return after


def time_course(job: tuple[Course, Place, float]) -> Timing | None:
    """Images a second of training, measured in every process at once; the first process answers.

    Apart: whole batches on one thread, as a trial runs while its neighbours do. Together: as the final
    training runs.
    """
    began = time.monotonic()
    course, place, seconds = job
    images, pixels = opened(place.data, place.split_seed, place.side_px)
    accelerator = accelerator_for(place)
    trainer = Trainer(course, images, pixels, accelerator)
    together = images_per_second(trainer, seconds)
    threads = torch.get_num_threads()
    if accelerator.num_processes == 1 and (threads == 1 or place.device != "cpu"):
        return Timing(together, together, time.monotonic() - began)
    torch.set_num_threads(1)
    apart = _rate_apart(course, images, pixels, accelerator, seconds)
    torch.set_num_threads(threads)
    seconds = time.monotonic() - began
    return Timing(apart, together, seconds) if accelerator.is_main_process else None


def time_apart(job: tuple[Course, Place, float]) -> Timing | None:
    """As `time_course`, of trainings apart alone: what runs beside each is another like it."""
    began = time.monotonic()
    course, place, seconds = job
    images, pixels = opened(place.data, place.split_seed, place.side_px)
    accelerator = accelerator_for(place)
    apart = _rate_apart(course, images, pixels, accelerator, seconds)
    seconds = time.monotonic() - began
    return Timing(apart, apart, seconds) if accelerator.is_main_process else None


def _rate_apart(course: Course, images: ImageSet, pixels: Pixels, accelerator: Accelerator, seconds: float) -> float:
    """Images a second of whole batches in each process by itself, all at once: their mean."""
    mine = images_per_second(Trainer(course, images, pixels, accelerator, alone=True), seconds)
    return float(of_all(accelerator, mine).mean())
