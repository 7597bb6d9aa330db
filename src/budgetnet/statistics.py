"""What a count of right answers says: intervals, and differences on the same images, for one seed or several."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from budgetnet.codec import NonNegativeFloat, PositiveInt, Share, require, require_interval

Z_95 = 1.959963984540054
"""The 97.5 % quantile of the normal distribution is this: a two-sided interval of 95 %."""

LEAST_PROBABILITY = 1e-7
"""A true class counts as at least this probable: where it is less, single precision says 0."""

RightAnswers = Sequence[bool] | NDArray[np.bool_]
"""Each image, in one order, has whether the answer was right."""


def wilson(correct: float, count: float) -> tuple[float, float]:
    """Wilson's 95 % interval of a share: `correct` of `count` -> (low, high), both in [0, 1].

    (p + z**2 / 2n -+ z sqrt(p (1 - p) / n + z**2 / 4n**2)) / (1 + z**2 / n) with p = correct / n,
    z = 1.96. Raises `ValueError` unless 0 <= correct <= count and count >= 1. Means over seeds need not be whole.
    Source: Wilson, Probable Inference, JASA 22 (1927); Brown, Cai, DasGupta (2001), section 3.1.1.
    """
    if not 0 <= correct <= count or count < 1:
        raise ValueError(f"{correct} of {count} is not a share; give 0 <= correct <= count and a count of at least 1")
    share, spread = correct / count, Z_95**2 / count
    middle = share + spread / 2
    half = Z_95 * math.sqrt(share * (1 - share) / count + spread / (4 * count))
    low, high = (middle - half) / (1 + spread), (middle + half) / (1 + spread)
    return (0.0 if correct == 0 else low), (1.0 if correct == count else high)


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with its 95 % interval, from `n` images."""

    value: float
    low: float
    high: float
    n: PositiveInt


@dataclass(frozen=True, slots=True)
class PairedDifference:
    """A measure of `a` minus that of `b` on the same images or by the same seeds, with its 95 % interval.

    Attributes:
        a: The id of the one.
        b: The id of the other.
        difference: The measure of `a` minus that of `b`, mean over seeds.
        low: The lower end of its interval; None where one seed has no interval, as are `high` and `p_value` then.
        high: The upper end.
        p_value: The probability of a difference as large if there were none.
        significant: Whether the interval leaves 0 out.
        significant_holm: Whether it does so when all differences that are looked at together are counted (Holm's rule).
        error_images: The standard error that the choice of images leaves.
        error_seeds: The standard error that the seeds show; None for one seed.
        seeds: Each seed's difference.
    """

    a: str
    b: str
    difference: float
    low: float | None
    high: float | None
    p_value: Share | None
    significant: bool
    significant_holm: bool
    error_images: NonNegativeFloat
    error_seeds: NonNegativeFloat | None
    seeds: tuple[float, ...]

    def __post_init__(self) -> None:
        unknown = {self.low is None, self.high is None, self.p_value is None}
        require(len(unknown) == 1, "some of low, high and p_value are missing")
        require_interval(self.difference, self.low, self.high, "difference")
        require(bool(self.seeds), "seeds is empty; it must have at least one item")
        require(self.a != self.b, f"a and b are both {self.a}")

    def turned(self) -> PairedDifference:
        """The same of b and a."""
        return dataclasses.replace(
            self,
            a=self.b,
            b=self.a,
            difference=-self.difference,
            low=None if self.high is None else -self.high,
            high=None if self.low is None else -self.low,
            seeds=tuple(-value for value in self.seeds),
        )


def paired_difference(correct_a: RightAnswers, correct_b: RightAnswers) -> Estimate:
    """How much better a answers than b on the same images; an interval without 0 says that they differ.

    With n images, b01 right by a alone and b10 right by b alone:
    difference = (b01 - b10) / n; standard error = sqrt(b01 + b10 - (b01 - b10)**2 / n) / n. The
    interval is the same with half an image added to each of the four cells, which keeps its 95 %
    for few images and does not shrink to nothing where both answer alike. Raises `ValueError` for
    answers that are not one an image of both.
    Source: Agresti and Min, Statistics in Medicine 24 (2005), section 2.
    """
    a, b = np.asarray(correct_a, dtype=bool), np.asarray(correct_b, dtype=bool)
    if a.shape != b.shape or a.ndim != 1 or a.size == 0:
        raise ValueError(f"{a.size} and {b.size} answers cannot be paired; give one an image, in the same order")
    only_a, only_b, count = int((a & ~b).sum()), int((b & ~a).sum()), a.size
    difference, _ = _moments(only_a, only_b, count)
    middle, wide = _moments(only_a + 0.5, only_b + 0.5, count + 2)
    return Estimate(difference, max(-1.0, middle - Z_95 * wide), min(1.0, middle + Z_95 * wide), count)


def log_losses(probabilities: NDArray[np.floating], labels: NDArray[np.integer]) -> NDArray[np.float64]:
    """-log p of the true class for each image: (n, classes) and (n,) -> (n,), in nats.

    A probability below 1e-7 counts as that, for float32 may say 0; a row with numbers that are none loses infinitely.
    """
    answers = np.asarray(probabilities, dtype=np.float64)
    true = answers[np.arange(len(answers)), labels]
    return np.where(np.isfinite(answers).all(1), -np.log(np.maximum(true, LEAST_PROBABILITY)), np.inf)


@dataclass(frozen=True, slots=True)
class OverSeeds:
    """A mean over seeds of a mean over test images, and how sure it is.

    `error_images` is the standard error that the choice of images leaves, `error_seeds` the one that the seeds
    show (None for one seed); `standard_error` is the larger. `quantile` times it is half of a 95 % interval.
    `images` counts the different ones of all seeds.
    """

    mean: float
    error_images: float
    error_seeds: float | None
    standard_error: float
    degrees: float
    images: int

    @property
    def quantile(self) -> float:
        """97.5 % quantile of Student's t at these degrees of freedom: 1.96 where the images say it all."""
        from scipy.special import stdtrit

        return Z_95 if math.isinf(self.degrees) else float(stdtrit(self.degrees, 0.975))

    @property
    def p_value(self) -> float:
        """Probability of a mean at least as far from 0 if the true one were 0: two-sided."""
        from scipy.special import ndtr, stdtr

        if self.standard_error == 0.0:
            return 1.0 if self.mean == 0.0 else 0.0
        ratio = -abs(self.mean) / self.standard_error
        return 2 * float(ndtr(ratio) if math.isinf(self.degrees) else stdtr(self.degrees, ratio))


Seeds = Sequence[tuple[NDArray[np.integer], NDArray[np.floating]]]
"""Each seed has two arrays: which images were used, by any number that is the same for the same image, and a value for
each."""


def over_seeds(seeds: Seeds) -> OverSeeds:
    """The mean of per-image values v over S seeds, seed s with n_s images and mean m_s.

    mean = sum over s of m_s / S. The images' error counts an image that several seeds asked as one (a cluster):

        error_images**2 = (M**2 * sum over images i of (sum over s of (v_is - m_s) / (n_s S))**2 + 1) / (M + 2)**2

    for M different images; the 1 and the 2 are half an image added to each of the four cells of right and wrong,
    as in `paired_difference`. error_seeds = deviation of the m_s / sqrt(S). The larger counts; what seeds show beyond
    the images has S - 1 degrees of freedom, so that all of it has degrees = E**4 / (excess**2 / (S - 1)).
    Raises `ValueError` without seeds or without images.
    Source: Liang and Zeger, Biometrika 73 (1986), section 2; Satterthwaite, Biometrics Bulletin 2 (1946).
    """
    if not seeds or any(len(images) == 0 or len(images) != len(values) for images, values in seeds):
        raise ValueError("a mean over seeds needs at least one seed, and a value for each of its images")
    count = len(seeds)
    means = np.array([float(values.mean()) for _, values in seeds])
    names = np.concatenate([images for images, _ in seeds])
    parts = np.concatenate(
        [(values - mean) / (len(values) * count) for (_, values), mean in zip(seeds, means, strict=True)]
    )
    different, inverse = np.unique(names, return_inverse=True)
    total = len(different)
    square = float((np.bincount(inverse, weights=parts) ** 2).sum())
    images = (total**2 * square + 1) / (total + 2) ** 2
    spread = None if count == 1 else float(means.var(ddof=1)) / count
    excess = 0.0 if spread is None else max(0.0, spread - images)
    degrees = math.inf if excess == 0.0 else (images + excess) ** 2 / (excess**2 / (count - 1))
    error = math.sqrt(images + excess)
    seen = None if spread is None else math.sqrt(spread)
    return OverSeeds(float(means.mean()), math.sqrt(images), seen, error, degrees, total)


def paired_over_seeds(first: Seeds, second: Seeds) -> OverSeeds:
    """The mean over seeds of our values minus theirs on the same images.

    Both must have the same seeds, and those the same images in the same order. Source: as `over_seeds`.
    """
    both = list(zip(first, second, strict=True))
    assert all(np.array_equal(one[0], other[0]) for one, other in both), "the same images in the same order"
    return over_seeds([(images, values - others) for (images, values), (_, others) in both])


def with_shared_split(found: OverSeeds, seeds: int) -> OverSeeds:
    """The same where all seeds asked the same images, so that what those images are like is in every seed alike.

    Neither error then holds the other, and both count: E**2 = error_images**2 + error_seeds**2, with
    E**4 / (error_seeds**4 / (S - 1)) degrees of freedom. What chance adds to single answers is counted twice, on the
    safe side. One seed stays as it is. Source: as `over_seeds`.
    """
    if found.error_seeds is None:
        return found
    square = found.error_images**2 + found.error_seeds**2
    degrees = square**2 / (found.error_seeds**4 / (seeds - 1)) if found.error_seeds else math.inf
    return dataclasses.replace(found, standard_error=math.sqrt(square), degrees=degrees)


def from_seeds(values: Sequence[float]) -> OverSeeds:
    """The mean of one number a seed, with nothing known but how the seeds differ: Student's t with S - 1 degrees.

    For losses and other measures of a whole training. One seed has no error, and so no interval: `error_seeds` is
    None. Raises `ValueError` without seeds.
    """
    if not values:
        raise ValueError("a mean over seeds needs at least one seed")
    row = np.asarray(values, dtype=np.float64)
    error = None if len(row) == 1 else float(row.std(ddof=1)) / math.sqrt(len(row))
    return OverSeeds(float(row.mean()), 0.0, error, error or 0.0, max(1.0, len(row) - 1.0), 0)


def accuracy_interval(found: OverSeeds) -> tuple[float, float]:
    """95 % interval of a mean accuracy: Wilson's for all different images, wider where seeds differ by more.

    Wilson's for M / k images, k = max(1, (quantile * error_seeds)**2 / (1.96**2 * p (1 - p) / M)).
    """
    share = min(1.0, max(0.0, found.mean))
    binomial = share * (1 - share) / found.images
    seen = 0.0 if found.error_seeds is None else (found.quantile * found.error_seeds / Z_95) ** 2
    count = found.images / max(1.0, seen / binomial) if binomial else float(found.images)
    return wilson(share * max(count, 1.0), max(count, 1.0))


def difference_interval(found: OverSeeds) -> tuple[float, float]:
    """95 % interval of a mean difference: mean -+ quantile * standard error, within -1 and 1."""
    low, high = mean_interval(found)
    return max(-1.0, low), min(1.0, high)


def mean_interval(found: OverSeeds) -> tuple[float, float]:
    """95 % interval of a mean of any unit: mean -+ quantile * standard error."""
    half = found.quantile * found.standard_error
    return found.mean - half, found.mean + half


def accuracy_of_seeds(seeds: Seeds) -> Estimate:
    """The mean accuracy over seeds of answers that are 1 or 0, with its 95 % interval (`accuracy_interval`)."""
    found = over_seeds(seeds)
    return Estimate(found.mean, *accuracy_interval(found), found.images)


def difference_of_seeds(
    a: str,
    b: str,
    found: OverSeeds,
    seeds: Sequence[float],
    interval: Callable[[OverSeeds], tuple[float, float]] = difference_interval,
) -> PairedDifference:
    """The mean difference over seeds as a row, and each seed's; `interval` says within which bounds it lies.

    Where neither several seeds nor images say how sure it is, as of one seed's losses, there is no interval.
    """
    known = found.error_seeds is not None or found.images > 0
    low, high = interval(found) if known else (None, None)
    return PairedDifference(
        a=a,
        b=b,
        difference=found.mean,
        low=low,
        high=high,
        p_value=found.p_value if known else None,
        significant=low is not None and high is not None and (low > 0.0 or high < 0.0),
        significant_holm=False,
        error_images=found.error_images,
        error_seeds=found.error_seeds,
        seeds=tuple(seeds),
    )


def holm(p_values: Sequence[float], level: float = 0.05) -> tuple[bool, ...]:
    """Which of several differences are significant when all are looked at: at most `level` to see any if none is there.

    The k-th smallest of n p-values must be at most level / (n - k + 1), and all smaller ones too.
    Source: Holm, Scandinavian Journal of Statistics 6 (1979), section 3.
    """
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    significant = [False] * len(p_values)
    for rank, index in enumerate(order):
        if p_values[index] > level / (len(p_values) - rank):
            break
        significant[index] = True
    return tuple(significant)


def holm_adjusted(rows: Sequence[PairedDifference]) -> tuple[PairedDifference, ...]:
    """The rows with `significant_holm` set: those that are significant, also when all of them are looked at (`holm`).

    Rows without a p-value are not: they do not count.
    """
    adjusted = iter(holm([row.p_value for row in rows if row.p_value is not None]))
    return tuple(
        row if row.p_value is None else dataclasses.replace(row, significant_holm=next(adjusted) and row.significant)
        for row in rows
    )


def _moments(only_a: float, only_b: float, count: float) -> tuple[float, float]:
    """Mean and standard error of the per-image difference."""
    net = only_a - only_b
    return net / count, math.sqrt(max(0.0, only_a + only_b - net**2 / count)) / count
