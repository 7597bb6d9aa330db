"""A candidate's score: its accuracy on validation after a training of its own, the same few steps for all.

The proxy task of MnasNet, which trained each candidate for five epochs where a final training had hundreds; here it is
as short as still ranks. Nothing is shared between candidates, so what luck adds to a score is its own, and a model of
many scores evens it out (`surrogate.py`). Weights that all candidates share were tried and were worse: see
docs/lab-log.md.
Source: Tan et al., MnasNet, arXiv:1807.11626, section 5.
"""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path

from budgetnet.budgets.feasible_space import FeasibleSpace
from budgetnet.budgets.search_space import Architecture
from budgetnet.cluster.executor import Executor
from budgetnet.codec import from_record, to_plain
from budgetnet.data import ImageSet
from budgetnet.experiments.baseline.objective import Score
from budgetnet.experiments.baseline.search import OnResult, ScoreBatch
from budgetnet.parallel.progress import Progress
from budgetnet.reading import read_json_file
from budgetnet.runs.files import write_json
from budgetnet.training.image_scores import ImageScores
from budgetnet.training.job import JobContext, TrainingJob, run_job, whole_job
from budgetnet.training.predictions import read_validation_predictions
from budgetnet.training.trainer import TrainingConfig

FORMAT = "budgetnet.score.v1"
CANDIDATES = "candidates"
"""The folder of the scores in a run has this name, and so have the trainings' phases."""
DIVERGED_LOSS = 100.0
"""The log loss of predictions that are not numbers: JSON has no infinity."""


@dataclass(frozen=True, slots=True)
class CandidateScoring:
    """Scores architectures of `space` by short trainings on `images`; `config` is that of every candidate but for its
    name and its network."""

    space: FeasibleSpace
    context: JobContext
    config: TrainingConfig
    images: ImageSet

    @property
    def name(self) -> str:
        """What a score is, in a few words: how long each candidate is trained."""
        return f"{self.config.steps} steps of training each"

    def job(self, architecture: Architecture) -> TrainingJob:
        """The training of a candidate."""
        network = self.space.network(architecture)
        config = dataclasses.replace(self.config, id=architecture.id, network=network)
        return whole_job(config, self.context, f"{CANDIDATES}/{architecture.id}", config.cooldown_steps)

    def file(self, architecture: Architecture) -> Path:
        """Where the score of a candidate is kept, in the run's folder."""
        return Path(self.context.folder).parent / CANDIDATES / f"{architecture.id}.json"

    @contextlib.contextmanager
    def open(
        self,
        executor: Executor,
        at_once: int,
        progress: Progress,
        deadline: Callable[[], float | None] = lambda: None,
    ) -> Generator[ScoreBatch]:
        """Workers that train as many candidates side by side as `at_once` says, and what scores a batch by them.

        A score that is kept is read, and a training that had finished is not repeated. A candidate's training leaves
        its score, and no weights. `deadline` is asked for each batch when its trainings are to be done. Raises a
        one-line `ValueError` for a score's file that is damaged.
        """
        with executor.workers(run_job, self.context, at_once, progress) as workers:

            def score_batch(architectures: Sequence[Architecture], on_result: OnResult) -> None:
                by_id = {row.id: row for row in architectures}

                def finish(job: TrainingJob) -> None:
                    architecture = by_id[job.config.id]
                    on_result(architecture, self._keep(architecture, job))

                missing: list[TrainingJob] = []
                for architecture in architectures:
                    job = self.job(architecture)
                    if self.file(architecture).exists():
                        on_result(architecture, self._kept(architecture))
                    elif job.scores.exists():
                        finish(job)
                    else:
                        missing.append(job)
                if missing:
                    by_then = deadline()
                    jobs = [dataclasses.replace(job, deadline=by_then) for job in missing]
                    workers.run(jobs, lambda job, _: finish(job))

            yield score_batch

    def _keep(self, architecture: Architecture, job: TrainingJob) -> Score:
        """The score of a finished training, written before the training's files go."""
        score = score_of(read_validation_predictions(job, self.images)[0])
        file = self.file(architecture)
        file.parent.mkdir(exist_ok=True)
        write_json(file, {"format": FORMAT, **to_plain(score)})
        shutil.rmtree(job.folder)
        return score

    def _kept(self, architecture: Architecture) -> Score:
        file = self.file(architecture)
        shutil.rmtree(self.job(architecture).folder, ignore_errors=True)  # a kill came between the two
        return from_record(Score, read_json_file(file), FORMAT, str(file))


def score_of(predictions: ImageScores) -> Score:
    """Accuracy and mean log loss of predictions."""
    return Score(float(predictions.right.mean()), min(DIVERGED_LOSS, float(predictions.losses.mean())))
