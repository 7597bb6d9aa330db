"""A candidate's score by a supernet: its slices of the shared weights, with BatchNorm's statistics anew.

Statistics of BatchNorm are those of whatever the supernet ran last, so each candidate gets its own, from a fixed draw
of training images, before it is judged. Source: Yu & Huang, arXiv:1903.05134, section 3.1; Yu et al., BigNAS,
arXiv:2003.11142, section 3.
"""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import nn

from budgetnet.budgets.feasible_space import Options
from budgetnet.budgets.search_space import Architecture
from budgetnet.cluster.executor import Executor
from budgetnet.data import ImageSet, Pixels, Preprocessing, evenly, input_batches
from budgetnet.experiments.baseline.scorer import score_of
from budgetnet.experiments.baseline.search import Score, Scores, Told
from budgetnet.experiments.baseline.teaching import PHASE, Teaching, supernet_of, teach
from budgetnet.model.build import Model
from budgetnet.model.files import load_tensors
from budgetnet.model.supernet import Supernet
from budgetnet.parallel.progress import Progress, Update
from budgetnet.parallel.workers import ProcessGroup, Workers
from budgetnet.training.evaluate import answer
from budgetnet.training.job import JobContext, JobFiles, opened

CALIBRATION_IMAGES = 512
"""For BatchNorm's statistics; more change no rank."""
CALIBRATION_BATCH = 64
MOST_IMAGES = 2000
"""Of the validation split, evenly from all: with so many the accuracy's standard error is a point."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """An architecture to score by the supernet of a teaching."""

    architecture: Architecture
    teaching: Teaching

    @property
    def context(self) -> JobContext:
        """The teaching's."""
        return self.teaching.context

    @property
    def phase(self) -> str:
        """What its progress is of."""
        return f"candidates/{self.architecture.id}"

    @property
    def files(self) -> JobFiles:
        """A candidate reads the supernet's weights and leaves no file."""
        return JobFiles((self.teaching.weights,))

    def at(self, context: JobContext) -> Candidate:
        """The same candidate at another place."""
        return dataclasses.replace(self, teaching=dataclasses.replace(self.teaching, context=context))


@dataclass(frozen=True, slots=True)
class Judged:
    """A candidate's score and the seconds that it took."""

    score: Score
    seconds: float


@dataclass(frozen=True, slots=True)
class BySupernet:
    """Scores of a supernet's slices; the supernet is trained on this machine, wherever candidates are scored."""

    teaching: Teaching

    @property
    def options(self) -> Options:
        """The teaching's."""
        return self.teaching.options

    @property
    def context(self) -> JobContext:
        """The teaching's."""
        return self.teaching.context

    @property
    def name(self) -> str:
        """How long the supernet was trained."""
        return f"a supernet of {self.teaching.steps} steps"

    @property
    def single_process(self) -> bool:
        """All are slices of the same weights."""
        return False

    def prepare(self, group: ProcessGroup, progress: Progress) -> None:
        """Train the supernet, on from where it was."""
        teaching = self.teaching
        if teaching.weights.exists():
            return
        progress(Update(PHASE, 0, teaching.steps, f"{teaching.options.count:.2g} networks share its weights"))
        with Workers(teach, group.processes, self.context.device, True, progress, group.threads) as workers:
            workers.run([teaching])

    @contextlib.contextmanager
    def scores(self, executor: Executor, at_once: int, progress: Progress) -> Iterator[Scores]:
        """A worker opens supernet and images once, and then scores."""
        with executor.workers(judge, self.context, at_once, progress) as workers:

            def scores(architectures: Sequence[Architecture], told: Told) -> None:
                jobs = [Candidate(row, self.teaching) for row in architectures]
                workers.run(jobs, lambda job, judged: told(job.architecture, judged.score))

            yield scores


@lru_cache(maxsize=1)
def _supernet(weights: str, teaching: Teaching) -> Supernet:
    """The supernet of a worker: trained where it is, else as it begins, which takes as long to score."""
    supernet = supernet_of(teaching)
    if Path(weights).exists():
        supernet.load_state_dict(load_tensors(weights)[0])
    return supernet


def judge(candidate: Candidate) -> Judged:
    """The candidate's accuracy and mean log loss on the validation images."""
    began, teaching = time.monotonic(), candidate.teaching
    context = teaching.context
    images, pixels = opened(context.data, context.split_seed, context.side_px)
    supernet = _supernet(str(teaching.weights), teaching)
    model = supernet.standalone(teaching.options.network(candidate.architecture)).to(context.device)
    recalibrate(model, images, pixels, teaching.preprocessing, context.device)
    indices = evenly(images.indices("validation"), MOST_IMAGES)
    labels = np.asarray(images.labels)[indices]
    answers, _ = answer(model, images, pixels, indices, labels, teaching.preprocessing, context.device)
    return Judged(score_of(answers), time.monotonic() - began)


@torch.no_grad()
def recalibrate(model: Model, images: ImageSet, pixels: Pixels, preprocessing: Preprocessing, device: str) -> None:
    """Replace every BatchNorm's running statistics by their mean over a fixed draw of the training images."""
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean of all batches
        norm.train()
    indices = evenly(images.indices("train"), CALIBRATION_IMAGES)
    # A last batch of one image would have no variance where the map is one pixel.
    whole = indices[: max(1, len(indices) // CALIBRATION_BATCH) * CALIBRATION_BATCH]
    size_px = model.network.resolution_px
    for inputs in input_batches(pixels, whole, CALIBRATION_BATCH, size_px, preprocessing, device):
        model(inputs)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    model.eval()
