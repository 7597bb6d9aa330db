"""A candidate's score by a training of its own: from nothing, for the same few steps as all others.

The proxy task of MnasNet, which trained each candidate for five epochs where a final training had hundreds; here it
is as short as ranks at all. Nothing is shared between candidates, so that what a score says does not depend on how
long something else was trained. Source: Tan et al., MnasNet, arXiv:1807.11626, section 5.
"""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from budgetnet.budgets.feasible_space import Options
from budgetnet.budgets.search_space import Architecture
from budgetnet.cluster.executor import Executor
from budgetnet.data import ImageSet
from budgetnet.experiments.baseline.scorer import score_of
from budgetnet.experiments.baseline.search import Scores, Told
from budgetnet.parallel.progress import Progress
from budgetnet.parallel.workers import ProcessGroup
from budgetnet.training.job import JobContext, TrainingJob, run_job, whole_job
from budgetnet.training.predictions import read_validation_predictions
from budgetnet.training.trainer import TrainingConfig

PHASE = "candidates"


@dataclass(frozen=True, slots=True)
class ByTraining:
    """Scores of short trainings; `config` is the base's, and every candidate's but for its network."""

    options: Options
    context: JobContext
    config: TrainingConfig
    images: ImageSet

    @property
    def name(self) -> str:
        """How long each is trained."""
        return f"{self.config.steps} steps of training each"

    @property
    def single_process(self) -> bool:
        """Each has weights of its own."""
        return True

    def prepare(self, group: ProcessGroup, progress: Progress) -> None:
        """Nothing: each candidate begins from nothing."""

    def job(self, architecture: Architecture) -> TrainingJob:
        """A candidate's training."""
        network = self.options.network(architecture)
        config = dataclasses.replace(self.config, id=architecture.id, network=network)
        return whole_job(config, self.context, f"{PHASE}/{architecture.id}", config.cooldown_steps)

    @contextlib.contextmanager
    def scores(self, executor: Executor, at_once: int, progress: Progress) -> Iterator[Scores]:
        """Trainings side by side; one that a killed search had finished is read, and none leaves its weights."""
        with executor.workers(run_job, self.context, at_once, progress) as workers:

            def scores(architectures: Sequence[Architecture], told: Told) -> None:
                rows = {row.id: row for row in architectures}

                def tell(job: TrainingJob) -> None:
                    told(rows[job.config.id], score_of(read_validation_predictions(job, self.images)[0]))
                    shutil.rmtree(job.folder)

                jobs = [self.job(row) for row in architectures]
                missing = [job for job in jobs if not job.scores.exists()]
                for job in (job for job in jobs if job.scores.exists()):
                    tell(job)
                workers.run(missing, lambda job, _: tell(job))

            yield scores
