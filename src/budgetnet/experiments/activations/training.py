"""One training of a twin in a worker, watched: every step's loss and betas, probes of the gradient, and its end."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from budgetnet.atomic_write import written_aside
from budgetnet.data import ImageSet, Pixels, evenly, input_batches, train_batch
from budgetnet.experiments.activations.probe import ModelProbe, Probe
from budgetnet.inspect.landscape.units import dead_units
from budgetnet.model.build import Model
from budgetnet.model.layers import Swish
from budgetnet.training.evaluate import answer
from budgetnet.training.job import JobContext, JobFiles, TrainingJob, opened, run_job
from budgetnet.training.outcome import trained_model
from budgetnet.training.trainer import StepReport, Trainer

Table = NDArray[np.float64]

UNIT_IMAGES = 256
"""Validation images on which dead units are counted, as `landscape dead` does."""
TRAIN_IMAGES = 512
"""Training images, evenly from all, whose loss is taken at the end without augmentation."""
BATCH = 64


@dataclass(frozen=True, slots=True)
class WatchedTraining:
    """A training, and after which of its steps the gradient is probed on how many training images."""

    training: TrainingJob
    probe_steps: tuple[int, ...]
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
        """Those of the training, what was seen before each checkpoint, and in place of predictions what is kept."""
        files = self.training.files
        leaves = (*files.leaves[:-1], self.answers)
        return dataclasses.replace(files, checkpoints=(self.records, *files.checkpoints), leaves=leaves)

    def at(self, context: JobContext) -> WatchedTraining:
        """The same training at another place."""
        return dataclasses.replace(self, training=self.training.at(context))

    @property
    def records(self) -> Path:
        """What was seen so far, beside the checkpoints."""
        return self.training.folder / "seen.npz"

    @property
    def answers(self) -> Path:
        """All that is kept of a training: there once it is done."""
        return Path(self.training.context.folder).parent / "answers" / f"{self.training.config.id}.npz"


def trained_betas(model: Model) -> dict[str, Swish]:
    """The layers whose beta is trained, by name, in the order in which they run."""
    return {name: module for name, module in model.named_modules() if isinstance(module, Swish) and module.trainable}


@dataclass(slots=True, eq=False)
class Seen:
    """A watch: a row a step, a row a probe; what a kill leaves of later steps is forgotten in `begin`."""

    training: WatchedTraining
    images: ImageSet
    pixels: Pixels
    losses: list[float] = field(default_factory=list)
    betas: list[list[float]] = field(default_factory=list)
    probes: list[Probe] = field(default_factory=list)
    probing: ModelProbe | None = None
    layers: tuple[Swish, ...] = ()

    def begin(self, trainer: Trainer) -> None:
        """Read what was saved, up to the trainer's step."""
        config, indices = trainer.config, evenly(self.images.indices("train"), self.training.probe_images)
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
        self.probing = ModelProbe(trainer.model, batch, config.recipe.label_smoothing)
        if trainer.step:
            self._read(trainer.step)

    def _read(self, step: int) -> None:
        with np.load(self.training.records) as rows:
            self.losses = rows["losses"][:step].tolist()
            self.betas = rows["betas"][:step].tolist()
            done = sum(probed <= step for probed in self.training.probe_steps)
            self.probes = [probe_of(row, rows["lengths"]) for row in rows["probes"][:done]]

    def see(self, trainer: Trainer, step: StepReport) -> None:
        """Note the step, and probe the gradient where that is due."""
        self.losses.append(step.loss)
        self.betas.append([float(layer.beta.detach()) for layer in self.layers])
        if step.step in self.training.probe_steps:
            assert self.probing is not None
            self.probes.append(self.probing.at(trainer.model))

    def save(self) -> None:
        """All of it, beside the checkpoints."""
        with written_aside(self.training.records) as aside, aside.open("wb") as file:
            np.savez(file, **self.arrays())

    def arrays(self) -> dict[str, Any]:
        """Losses (steps), betas (steps, layers), probes (probes, 3 + 2 * lengths), lengths."""
        lengths = self.probes[0].lengths if self.probes else ()
        return {
            "losses": np.array(self.losses, np.float64),
            "betas": np.array(self.betas, np.float64).reshape(len(self.losses), -1)
            if self.losses
            else np.zeros((0, 0)),
            "probes": np.array([_probe_row(row) for row in self.probes], np.float64),
            "lengths": np.array(lengths, np.float64),
        }


def _probe_row(row: Probe) -> list[float]:
    return [row.loss, row.gradient_norm, row.weight_norm, *row.losses, *row.gradient_changes]


def probe_of(values: Table, lengths: Table) -> Probe:
    """The probe of a row of `Seen.arrays`."""
    numbers, many = values.tolist(), len(lengths)
    loss, gradient, weight = numbers[:3]
    return Probe(
        tuple(lengths.tolist()), loss, gradient, weight, tuple(numbers[3 : 3 + many]), tuple(numbers[3 + many :])
    )


def train_and_look(job: WatchedTraining) -> bool:
    """Train from the newest checkpoint, if that is still to do; write what is kept; remove what led to it."""
    training = job.training
    images, pixels = opened(training.context.data, training.context.split_seed, training.context.side_px)
    if not training.scores.exists():
        run_job(training, Seen(job, images, pixels))
    model = trained_model(training).to(training.context.device)
    with np.load(job.records) as seen:
        arrays = {**seen, **_end(training, model, images, pixels), **_units(training, model, images, pixels)}
    arrays["layers"] = np.array(list(trained_betas(model)), dtype=str)
    job.answers.parent.mkdir(exist_ok=True)
    with written_aside(job.answers) as aside, aside.open("wb") as file:
        np.savez(file, **arrays)
    for spent in (*training.folder.glob("*.pt"), training.weights, job.records):
        spent.unlink(missing_ok=True)
    return True


def _end(job: TrainingJob, model: Model, images: ImageSet, pixels: Pixels) -> dict[str, NDArray[np.generic]]:
    """The loss of training images without augmentation, and which validation images are answered right."""
    labels, indices = np.array(images.labels), evenly(images.indices("train"), TRAIN_IMAGES)
    answers, _ = answer(model, images, pixels, indices, labels[indices], job.config.preprocessing, job.context.device)
    true = np.maximum(answers.true_share.astype(np.float64), np.finfo(np.float32).tiny)
    with np.load(job.scores) as scores:
        validation = dict(scores)
    asked = validation.pop("indices")
    return {
        "train_indices": indices,
        "train_losses": -np.log(true),
        "indices": asked,
        "labels": labels[asked],
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
