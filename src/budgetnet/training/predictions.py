"""One training of several in a worker: to its end, then every test image is answered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from budgetnet.atomic_write import written_aside
from budgetnet.codec import require, require_interval
from budgetnet.data import ImageSet
from budgetnet.runs.files import reading_rows
from budgetnet.statistics import Seeds
from budgetnet.training.chance import AgainstChance, against_chance
from budgetnet.training.evaluate import answer, answer_rows
from budgetnet.training.image_scores import ImageScores, scores_in
from budgetnet.training.job import TrainingJob, opened, run_job
from budgetnet.training.outcome import trained_model


def train_and_test(job: TrainingJob) -> bool:
    """Train from the newest checkpoint, if that is still to do; write the answers; remove what led to them."""
    if not job.scores.exists():
        run_job(job)
    images, pixels = opened(job.context.data, job.context.split_seed, job.context.side_px)
    model, indices = trained_model(job).to(job.context.device), images.indices("test")
    labels = np.array(images.labels)[indices]
    answers, whole = answer(model, images, pixels, indices, labels, job.config.preprocessing, job.context.device)
    path = job.predictions
    path.parent.mkdir(exist_ok=True)
    files = np.array([images.files[index] for index in indices])
    rows = {**answer_rows(answers, whole), "indices": indices, "labels": labels, "files": files}
    with written_aside(path) as aside, aside.open("wb") as file:
        np.savez(file, **rows)  # pyright: ignore[reportArgumentType]
    for spent in (*job.folder.glob("*.pt"), job.weights, job.initial):
        spent.unlink(missing_ok=True)
    return True


@dataclass(frozen=True, slots=True, eq=False)
class TestPredictions:
    """A training's test: which images (positions in the image set), which of them it got right, and whether it learned
    anything (`chance`)."""

    __test__: ClassVar[bool] = False  # pytest takes classes of such names for tests

    seed: int
    indices: NDArray[np.int64]
    right: NDArray[np.bool_]
    diverged: bool
    chance: AgainstChance


def right_over_seeds(tests: Sequence[TestPredictions]) -> Seeds:
    """1 for a right answer and 0 for a wrong one, for `over_seeds`."""
    return [(test.indices, test.right.astype(np.float64)) for test in tests]


def check_over_seeds(
    accuracy: float, low: float, high: float, seeds: Sequence[float], unlearned: Sequence[int]
) -> None:
    """Raise a one-line `ValueError` unless the interval holds the mean, and `unlearned` names some of the seeds."""
    require_interval(accuracy, low, high, "accuracy")
    for seed in unlearned:
        require(seed < len(seeds), f"unlearned has the seed {seed}, of {len(seeds)}")


def unlearned(tests: Sequence[TestPredictions]) -> tuple[int, ...]:
    """Which of a network's trainings, counted from 0, learned nothing."""
    return tuple(index for index, test in enumerate(tests) if not test.chance.learned)


def read_validation_predictions(
    job: TrainingJob, images: ImageSet, rounded: bool = False
) -> tuple[ImageScores, NDArray[np.int64]]:
    """What a job that is done answers on validation, and the indices of those images (n,).

    `rounded`: by its model rounded to eight bits. Raises a one-line `ValueError` for a file that is missing or damaged.
    """
    with reading_rows(job.rounded_scores if rounded else job.scores) as rows:
        indices = rows["indices"]
        return scores_in(rows, np.asarray(images.labels)[indices]), indices


def read_test_predictions(job: TrainingJob) -> tuple[ImageScores, NDArray[np.int64]]:
    """What `train_and_test` wrote of a training, and the indices of the test images (n,).

    Raises a one-line `ValueError` for a file that is missing or damaged.
    """
    with reading_rows(job.predictions) as rows:
        return scores_in(rows, rows["labels"]), rows["indices"]


def predictions_of(job: TrainingJob, images: ImageSet) -> TestPredictions:
    """What `train_and_test` wrote; answers that are not numbers are wrong. `images` are split as the job's were."""
    answers, indices = read_test_predictions(job)
    chance = against_chance(answers.losses, np.asarray(images.labels)[indices], images, "test")
    return TestPredictions(job.context.split_seed, indices, answers.right, not bool(answers.finite.all()), chance)
