"""From answers to scores and differences: log loss decides, accuracy is shown beside it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from budgetnet.data import ImageSet
from budgetnet.experiments.coefficients.result import Difference, Needed, Score, SeedScore
from budgetnet.statistics import (
    LEAST_PROBABILITY,
    Seeds,
    accuracy_interval,
    counted_together,
    difference_interval,
    mean_interval,
    on_one_split,
    over_seeds,
    paired_over_seeds,
)
from budgetnet.training.chance import AgainstChance, against_chance
from budgetnet.training.image_scores import ImageScores
from budgetnet.training.job import TrainingJob
from budgetnet.training.predictions import read_test_predictions, read_validation_predictions

POWER_QUANTILE = 1.959963984540054 + 0.8416212335729143
"""Standard errors that a difference must be to be shown at 95 % in four cases of five: z of 97.5 % and of 80 %."""
MOST_LOSS = -math.log(LEAST_PROBABILITY)
"""Of an answer: what a diverged training loses on every image, so that means stay numbers."""


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """One training's answers: which images, which of them right, the log loss of each, and whether it learned anything
    (`chance`)."""

    seed: int
    indices: NDArray[np.int64]
    right: NDArray[np.bool_]
    losses: NDArray[np.float64]
    diverged: bool
    chance: AgainstChance


def on_validation(job: TrainingJob, images: ImageSet) -> Answers:
    """What a job's model answered to the validation images."""
    return _answers(job.config.seed, *read_validation_predictions(job, images), images, "validation")


def on_test(job: TrainingJob, images: ImageSet) -> Answers:
    """What a training of the check answered to the test images."""
    return _answers(job.config.seed, *read_test_predictions(job), images, "test")


def _answers(seed: int, answers: ImageScores, indices: NDArray[np.int64], images: ImageSet, split: str) -> Answers:
    chance = against_chance(answers.losses, np.asarray(images.labels)[indices], images, split)
    losses = np.minimum(answers.losses, MOST_LOSS)
    return Answers(seed, indices, answers.right, losses, not bool(answers.finite.all()), chance)


def score_of(tests: Sequence[Answers]) -> Score:
    """Means over seeds with their intervals."""
    losses = on_one_split(over_seeds(_losses(tests)), len(tests))
    low, high = mean_interval(losses)
    right = over_seeds(_right(tests))
    return Score(
        losses.mean,
        max(0.0, low),
        high,
        right.mean,
        *accuracy_interval(right),
        tuple(map(_seed_score, tests)),
    )


def _seed_score(one: Answers) -> SeedScore:
    return SeedScore(one.seed, float(one.losses.mean()), float(one.right.mean()), one.diverged, one.chance.learned)


def _losses(tests: Sequence[Answers]) -> Seeds:
    return [(one.indices, one.losses) for one in tests]


def _right(tests: Sequence[Answers]) -> Seeds:
    return [(one.indices, one.right.astype(np.float64)) for one in tests]


def difference_of(a: str, b: str, ours: Sequence[Answers], theirs: Sequence[Answers]) -> Difference:
    """Of a minus b, seed by seed on the same images."""
    losses = on_one_split(paired_over_seeds(_losses(ours), _losses(theirs)), len(ours))
    right = on_one_split(paired_over_seeds(_right(ours), _right(theirs)), len(ours))
    low, high = mean_interval(losses)
    return Difference(
        a=a,
        b=b,
        log_loss=losses.mean,
        low=low,
        high=high,
        standard_error=losses.standard_error,
        error_images=losses.error_images,
        error_seeds=losses.error_seeds,
        chance=losses.chance,
        differs=low > 0.0 or high < 0.0,
        stands=low > 0.0 or high < 0.0,
        accuracy=right.mean,
        **dict(zip(("accuracy_low", "accuracy_high"), difference_interval(right), strict=True)),
    )


def differences_of(tests: Mapping[str, Sequence[Answers]], order: Sequence[str]) -> tuple[Difference, ...]:
    """Every pair of the finalists, the better one as a; `stands` counts them all."""
    return counted_together([difference_of(a, b, tests[a], tests[b]) for a, b in itertools.combinations(order, 2)])


def needed_for(row: Difference, seeds: int, training_seconds: float, workers: int) -> Needed | None:
    """What it takes to tell the two apart; None where there is no difference or one seed alone to judge by.

    With k times the seeds and the images the squared error falls by k: k = (2.8 E / |difference|)**2, 2.8 for 95 % and
    four cases of five. With k times the seeds alone E_images stays: k = (2.8 E_seeds)**2 / (difference**2 - (2.8
    E_images)**2), and no number is enough where that is below 0.
    """
    if row.log_loss == 0.0 or row.error_seeds is None:
        return None
    times = max(1.0, (POWER_QUANTILE * row.standard_error / row.log_loss) ** 2)
    left = row.log_loss**2 - (POWER_QUANTILE * row.error_images) ** 2
    alone = math.ceil(seeds * max(1.0, (POWER_QUANTILE * row.error_seeds) ** 2 / left)) if left > 0 else None
    # k times the seeds; an image more does not lengthen a training of a fixed number of steps.
    hours = 2 * math.ceil(seeds * times) * training_seconds / workers / 3600
    return Needed(row.a, row.b, times, alone, hours)
