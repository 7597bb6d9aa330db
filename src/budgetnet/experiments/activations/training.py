"""One training in a worker: the loss and the betas of every step, probes of the gradient, and how it ended."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray
from torch import nn

from budgetnet.atomic_write import written_aside
from budgetnet.data import ImageSet, Pixels, evenly
from budgetnet.data.batches import input_batches, train_batch
from budgetnet.experiments.activations.probe import ModelProbe, Probe, ProbeValues
from budgetnet.inspect.landscape.units import dead_units
from budgetnet.model.build import Model
from budgetnet.model.layers import Swish
from budgetnet.runs.files import reading_rows
from budgetnet.training.chance import against_chance
from budgetnet.training.evaluate import answer
from budgetnet.training.image_scores import scores_in
from budgetnet.training.job import JobContext, JobFiles, TrainingJob, opened, run_job
from budgetnet.training.outcome import trained_model
from budgetnet.training.trainer import StepReport, Trainer

Table = NDArray[np.float64]

UNIT_IMAGES = 256
"""Validation images on which dead units are counted, as `landscape dead` does."""
TRAIN_IMAGES = 512
"""Training images, evenly from all, whose loss is taken at the end without augmentation."""
BATCH = 64
NOTED = ("losses", "betas", "probes", "lengths")
"""These are the arrays that `GradientProbe` notes."""


@dataclass(frozen=True, slots=True)
class ProbedTraining:
    """A training, and after which of its steps the gradient is probed: at which distances, on how many training images.

    It is a `Job` for an executor.
    """

    training: TrainingJob
    probe_steps: tuple[int, ...]
    lengths: tuple[float, ...]
    probe_images: int

    @property
    def context(self) -> JobContext:
        """The training's."""
        return self.training.context

    @property
    def phase(self) -> str:
        """The training's."""
        return self.training.phase

    @property
    def files(self) -> JobFiles:
        """Those of the training, what was noted before each checkpoint, and in place of predictions what is kept."""
        files = self.training.files
        leaves = (*files.leaves[:-1], self.record)
        return dataclasses.replace(files, checkpoints=(self.notes, *files.checkpoints), leaves=leaves)

    def at(self, context: JobContext) -> ProbedTraining:
        """The same training at another place."""
        return dataclasses.replace(self, training=self.training.at(context))

    @property
    def notes(self) -> Path:
        """What was noted so far, beside the checkpoints."""
        return self.training.folder / "notes.npz"

    @property
    def record(self) -> Path:
        """All that is kept of a training: there once it is done."""
        return self.training.predictions


def trained_betas(model: Model) -> dict[str, Swish]:
    """The layers whose beta is trained, by name, in the order in which they run."""
    named = cast("Iterable[tuple[str, nn.Module]]", model.named_modules())
    return {name: module for name, module in named if isinstance(module, Swish) and module.trainable}


@dataclass(slots=True, eq=False)
class GradientProbe:
    """A `Callback` that keeps a row a step and a row a probe; of steps behind a checkpoint it begins again."""

    job: ProbedTraining
    images: ImageSet
    pixels: Pixels
    losses: list[float] = field(default_factory=list[float])
    betas: list[list[float]] = field(default_factory=list[list[float]])
    probes: list[Probe] = field(default_factory=list[Probe])
    model: ModelProbe | None = None
    layers: tuple[Swish, ...] = ()

    def on_start(self, trainer: Trainer) -> None:
        """Read what was noted, up to the trainer's step."""
        config, indices = trainer.config, evenly(self.images.indices("train"), self.job.probe_images)
        batch = train_batch(
            self.images,
            self.pixels,
            indices,
            0,
            config.network.resolution_px,
            config.preprocessing,
            device=trainer.accelerator.device,
        )
        self.layers = tuple(trained_betas(trainer.model).values())
        self.model = ModelProbe(trainer.model, batch, config.recipe.label_smoothing)
        if trainer.step:
            self._read(trainer.step)

    def _read(self, step: int) -> None:
        with reading_rows(self.job.notes) as rows:
            self.losses = rows["losses"][:step].tolist()
            self.betas = rows["betas"][:step].tolist()
            done = sum(probed <= step for probed in self.job.probe_steps)
            self.probes = [_probe_of(row, rows["lengths"]) for row in rows["probes"][:done]]

    def on_step(self, trainer: Trainer, step: StepReport) -> None:
        """Note the step, and probe the gradient where that is due."""
        self.losses.append(step.loss)
        self.betas.append([float(layer.beta.detach()) for layer in self.layers])
        if step.step in self.job.probe_steps:
            assert self.model is not None
            self.probes.append(self.model.at(trainer.model, self.job.lengths))

    def on_checkpoint(self) -> None:
        """Write all of it beside the checkpoints: losses (steps), betas (steps, layers), probes (probes, 3 + 2 *
        lengths), lengths."""
        with written_aside(self.job.notes) as aside, aside.open("wb") as file:
            np.savez(
                file,
                losses=np.array(self.losses, np.float64),
                betas=np.array(self.betas, np.float64).reshape(len(self.losses), len(self.layers)),
                probes=np.array([_probe_row(row) for row in self.probes], np.float64),
                lengths=np.array(self.job.lengths, np.float64),
            )


def _probe_row(row: Probe) -> list[float]:
    return [row.loss, row.gradient_norm, row.weight_norm, *row.losses, *row.gradient_changes]


def _probe_of(values: Table, lengths: Table) -> Probe:
    """The probe of a row of `_probe_row`."""
    numbers, many = values.tolist(), len(lengths)
    loss, gradient, weight = numbers[:3]
    return Probe(
        tuple(lengths.tolist()), loss, gradient, weight, tuple(numbers[3 : 3 + many]), tuple(numbers[3 + many :])
    )


def train_and_probe(job: ProbedTraining) -> bool:
    """Train from the newest checkpoint, if that is still to do; write what is kept; remove what led to it."""
    training = job.training
    images, pixels = opened(training.context.data, training.context.split_seed, training.context.side_px)
    if not training.scores.exists():
        run_job(training, GradientProbe(job, images, pixels))
    model = trained_model(training).to(training.context.device)
    with reading_rows(job.notes) as notes:
        noted = {name: notes[name] for name in NOTED}
    arrays = {**noted, **_end(training, model, images, pixels), **_units(training, model, images, pixels)}
    arrays["layers"] = np.array(list(trained_betas(model)), dtype=str)
    job.record.parent.mkdir(exist_ok=True)
    with written_aside(job.record) as aside, aside.open("wb") as file:
        np.savez(file, **arrays)  # pyright: ignore[reportArgumentType]
    for spent in (*training.folder.glob("*.pt"), training.weights, job.notes):
        spent.unlink(missing_ok=True)
    return True


def _end(job: TrainingJob, model: Model, images: ImageSet, pixels: Pixels) -> dict[str, NDArray[np.generic]]:
    """The loss of training images without augmentation, and which validation images are answered right."""
    labels, indices = np.array(images.labels), evenly(images.indices("train"), TRAIN_IMAGES)
    answers, _ = answer(model, images, pixels, indices, labels[indices], job.config.preprocessing, job.context.device)
    true = np.maximum(answers.true_share.astype(np.float64), np.finfo(np.float32).tiny)
    with reading_rows(job.scores) as validation:
        validation_indices = validation.pop("indices")
        validation_labels = labels[validation_indices]
    return {
        "train_indices": indices,
        "train_losses": -np.log(true),
        "indices": validation_indices,
        "labels": validation_labels,
        **validation,
    }


def _units(job: TrainingJob, model: Model, images: ImageSet, pixels: Pixels) -> dict[str, NDArray[np.generic]]:
    """Dead and silent units on validation images, a row a layer; gates of squeeze-and-excitation are left out."""
    config, indices = job.config, evenly(images.indices("validation"), UNIT_IMAGES)
    size_px = config.network.resolution_px
    use = dead_units(model, input_batches(pixels, indices, BATCH, size_px, config.preprocessing, job.context.device))
    rows = [row for row in use.layers if not row.name.endswith(".gate")]
    return {
        "unit_layers": np.array([row.name for row in rows]),
        "units": np.array([row.units for row in rows]),
        "dead": np.array([row.dead for row in rows]),
        "silent": np.array([row.silent for row in rows]),
        "blocked_shares": np.array([row.blocked_share for row in rows]),
    }


@dataclass(frozen=True, slots=True, eq=False)
class TrainingRecord:
    """One training, as `train_and_probe` wrote it: a row a step, a row a probe, and what was measured at its end.

    `right` of the validation images `indices`; `learned` says whether the log loss on them is below that of the class
    frequencies (`training.chance`).
    """

    seed: int
    losses: NDArray[np.float64]
    betas: NDArray[np.float64]
    layers: tuple[str, ...]
    probes: tuple[ProbeValues, ...]
    train_indices: NDArray[np.int64]
    train_losses: NDArray[np.float64]
    indices: NDArray[np.int64]
    right: NDArray[np.bool_]
    diverged: bool
    learned: bool
    units: int
    dead: int
    silent: int
    blocked_share: float


def read_training(job: ProbedTraining, images: ImageSet) -> TrainingRecord:
    """What `train_and_probe` wrote. `images` are split as the job's were.

    Raises a one-line `ValueError` for a file that is missing or damaged.
    """
    with reading_rows(job.record) as rows:
        units, answers = rows["units"], scores_in(rows, rows["labels"])
        return TrainingRecord(
            seed=job.context.split_seed,
            losses=rows["losses"],
            betas=rows["betas"],
            layers=tuple(rows["layers"].tolist()),
            probes=tuple(_probe_of(row, rows["lengths"]).values() for row in rows["probes"]),
            train_indices=rows["train_indices"],
            train_losses=rows["train_losses"],
            indices=rows["indices"],
            right=answers.right,
            diverged=not bool(answers.finite.all()),
            learned=against_chance(answers.losses, rows["labels"], images).learned,
            units=int(units.sum()),
            dead=int(rows["dead"].sum()),
            silent=int(rows["silent"].sum()),
            blocked_share=float((rows["blocked_shares"] * units).sum() / units.sum()),
        )
