"""From predictions to scores and differences: log loss decides, accuracy is shown beside it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from budgetnet.data import ImageSet
from budgetnet.experiments.coefficients.result import Needed, Score, ScoreDifference, SeedScore
from budgetnet.statistics import (
    LEAST_PROBABILITY,
    Seeds,
    accuracy_interval,
    difference_of_seeds,
    holm_adjusted,
    mean_interval,
    over_seeds,
    paired_over_seeds,
    with_shared_split,
)
from budgetnet.training.chance import AgainstChance, against_chance
from budgetnet.training.image_scores import ImageScores
from budgetnet.training.job import TrainingJob
from budgetnet.training.predictions import read_test_predictions, read_validation_predictions

POWER_QUANTILE = 1.959963984540054 + 0.8416212335729143
"""A difference of this many standard errors is shown at 95 % in four cases of five: z of 97.5 % and of 80 %."""
MOST_LOSS = -math.log(LEAST_PROBABILITY)
"""A diverged training loses this on every image, so that means stay numbers."""


@dataclass(frozen=True, slots=True, eq=False)
class Predictions:
    """One training's predictions: of which images, which of them right, the log loss of each, and whether it learned
    anything (`chance`)."""

    seed: int
    indices: NDArray[np.int64]
    right: NDArray[np.bool_]
    losses: NDArray[np.float64]
    diverged: bool
    chance: AgainstChance


def on_validation(job: TrainingJob, images: ImageSet) -> Predictions:
    """What a job's model predicted for the validation images."""
    return _predictions(job.config.seed, *read_validation_predictions(job, images), images, "validation")


def on_test(job: TrainingJob, images: ImageSet) -> Predictions:
    """What a training of the check predicted for the test images."""
    return _predictions(job.config.seed, *read_test_predictions(job), images, "test")


def _predictions(
    seed: int, scores: ImageScores, indices: NDArray[np.int64], images: ImageSet, split: str
) -> Predictions:
    chance = against_chance(scores.losses, np.asarray(images.labels)[indices], images, split)
    losses = np.minimum(scores.losses, MOST_LOSS)
    return Predictions(seed, indices, scores.right, losses, not bool(scores.finite.all()), chance)


def score_of(trainings: Sequence[Predictions]) -> Score:
    """Means over seeds with their intervals."""
    losses = with_shared_split(over_seeds(_losses(trainings)), len(trainings))
    low, high = mean_interval(losses)
    right = over_seeds(_right(trainings))
    seeds = tuple(map(_seed_score, trainings))
    return Score(losses.mean, max(0.0, low), high, right.mean, *accuracy_interval(right), seeds)


def _seed_score(one: Predictions) -> SeedScore:
    return SeedScore(one.seed, float(one.losses.mean()), float(one.right.mean()), one.diverged, one.chance.learned)


def _losses(trainings: Sequence[Predictions]) -> Seeds:
    return [(one.indices, one.losses) for one in trainings]


def _right(trainings: Sequence[Predictions]) -> Seeds:
    return [(one.indices, one.right.astype(np.float64)) for one in trainings]


def differences_of(trainings: Mapping[str, Sequence[Predictions]], order: Sequence[str]) -> tuple[ScoreDifference, ...]:
    """Every pair of these networks, the one that stands first in `order` as a, seed by seed on the same images."""
    pairs = [(a, b, trainings[a], trainings[b]) for a, b in itertools.combinations(order, 2)]
    count = len(trainings[order[0]])
    losses = holm_adjusted(
        [
            difference_of_seeds(
                a,
                b,
                with_shared_split(paired_over_seeds(_losses(first), _losses(second)), count),
                [float((one.losses - other.losses).mean()) for one, other in zip(first, second, strict=True)],
                mean_interval,
            )
            for a, b, first, second in pairs
        ]
    )
    accuracies = holm_adjusted(
        [
            difference_of_seeds(
                a,
                b,
                with_shared_split(paired_over_seeds(_right(first), _right(second)), count),
                [float(one.right.mean() - other.right.mean()) for one, other in zip(first, second, strict=True)],
            )
            for a, b, first, second in pairs
        ]
    )
    return tuple(map(ScoreDifference, losses, accuracies))


def needed_for(pair: ScoreDifference, training_seconds: float, slots: int) -> Needed | None:
    """What it takes to tell the two apart; None where there is no difference or one seed alone to judge by.

    With k times the seeds and the images the squared error falls by k: k = (2.8 E / |difference|)**2, 2.8 for 95 % and
    four cases of five. With k times the seeds alone E_images stays: k = (2.8 E_seeds)**2 / (difference**2 - (2.8
    E_images)**2), and no number is enough where that is below 0.
    """
    row = pair.log_loss
    if row.difference == 0.0 or row.error_seeds is None:
        return None
    seeds = len(row.seeds)
    error = math.hypot(row.error_images, row.error_seeds)  # all seeds share their images: `with_shared_split`
    times = max(1.0, (POWER_QUANTILE * error / row.difference) ** 2)
    left = row.difference**2 - (POWER_QUANTILE * row.error_images) ** 2
    alone = math.ceil(seeds * max(1.0, (POWER_QUANTILE * row.error_seeds) ** 2 / left)) if left > 0 else None
    # k times the seeds; an image more does not lengthen a training of a fixed number of steps.
    hours = 2 * math.ceil(seeds * times) * training_seconds / slots / 3600
    return Needed(row.a, row.b, times, alone, hours)
