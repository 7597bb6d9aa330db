"""When not to believe a model: the share of errors that is promised of its surer answers, and images of no class.

Both are thresholds, from answers to held-out images, which the model has not learned. Nothing here imports torch, for
exported files are asked the same.

    wrong on at most e:   answered(image) = p(answer | image) >= threshold
    a stranger:           log sum over c of exp(logit_c) < threshold             the energy, with its sign turned

The first is Learn then Test (Angelopoulos et al., arXiv:2110.01052, section 2, fixed-sequence testing) with the exact
binomial test, whose inversion is Clopper and Pearson's bound (Biometrika 26, 1934). The thresholds are quantiles of the
held-out probabilities, so no label chooses them; they are tested from the surest answers on, at level 0.05 each:

    H_j: of the images with p >= threshold_j a share above e is answered wrongly
    p_j = P(Binomial(answered_j, e) <= wrong_j)                                  rejected where p_j <= 0.05

until the first that is not rejected; the last that was is the answer. It breaks its promise only where a true H_j was
rejected. That happens to at most 5 % of all draws of held-out images where less probable answers are not more often
right: then of the images below the first true threshold at least a share e is wrong, one by one, and however many lie
above it, the wrong ones of H_j are at least binomial. Where probabilities rank errors badly, the resplits of
tests/test_trust.py are the evidence.

The second is the energy score (Liu et al., arXiv:2010.02759, section 3.1, at T = 1), chosen by measurement
(docs/lab-log.md, 2026-11-30), with a threshold that a new image of the same kind passes with probability 0.95 or more:
the floor(0.05 (n + 1))-th smallest score of n held-out images (Vovk et al., Algorithmic Learning in a Random World,
section 2.2).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from budgetnet.arguments import number
from budgetnet.codec import Bounds, NotEmpty, Share, require

LEVEL = 0.05
"""A promise is broken in at most this share of all draws of held-out images."""
LOST = 0.05
"""At most this share of a model's own images is taken for strangers."""
THRESHOLDS = 100
"""A curve has this many thresholds: one for each per cent of the held-out images."""
USUAL_ERRORS = (0.01, 0.02, 0.05, 0.1)
"""Reports say what is promised at these shares of errors."""

Count = Annotated[int, Bounds(least=0, most=1e12)]
"""A count of a file that somebody else made, small enough for any arithmetic."""
PositiveCount = Annotated[int, Bounds(least=1, most=1e12)]


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """Of the held-out images those whose answer is sure enough, and how many of these are wrong.

    Attributes:
        threshold: The least probability of an answer that counts.
        answered: How many images have such an answer.
        wrong: How many of those answers are wrong.
    """

    threshold: Share
    answered: PositiveCount
    wrong: Count

    def __post_init__(self) -> None:
        require(self.wrong <= self.answered, f"wrong is {self.wrong}, of {self.answered} answered")


@dataclass(frozen=True, slots=True)
class Promise:
    """With 95 % confidence: answers of at least the probability `threshold` are wrong in at most a share `max_error`.

    Attributes:
        max_error: The share of errors among the images that are answered.
        threshold: The least probability of an answer that counts.
        images: How many held-out images it was found on.
        answered: How many of these have such an answer.
        wrong: How many of those answers are wrong.
    """

    max_error: Share
    threshold: Share
    images: PositiveCount
    answered: PositiveCount
    wrong: Count

    def __post_init__(self) -> None:
        kept = self.wrong <= self.answered <= self.images
        require(kept, f"{self.wrong} wrong of {self.answered} answered of {self.images} images cannot be")

    @property
    def share(self) -> float:
        """The share of images that is answered, estimated on the held-out images.

        Returns:
            A number from 0 to 1.
        """
        return self.answered / self.images

    def answers(self, confidence: NDArray[np.floating]) -> NDArray[np.bool_]:
        """Which answers count.

        Args:
            confidence: The probability of each answer, of any shape.

        Returns:
            True or false for each.
        """
        return np.asarray(confidence >= self.threshold)

    def check(self, confidence: NDArray[np.floating], right: NDArray[np.bool_]) -> CheckedPromise:
        """What comes of it on labelled images.

        Args:
            confidence: The probability of each answer, (n,).
            right: Whether it is right, (n,).

        Returns:
            How many are answered, and how many of those wrongly.
        """
        answered = self.answers(confidence)
        return CheckedPromise(self, len(right), int(answered.sum()), int((answered & ~right).sum()))

    def __str__(self) -> str:
        return (
            f"answers {100 * self.share:.0f} % of the images and is wrong on at most {100 * self.max_error:g} % of "
            f"those, with {100 * (1 - LEVEL):.0f} % confidence"
        )


@dataclass(frozen=True, slots=True)
class CheckedPromise:
    """A promise, and what came of it on other labelled images.

    Attributes:
        promise: What was promised.
        images: How many images it was checked on.
        answered: How many of them the promise answers.
        wrong: How many of those answers are wrong.
    """

    promise: Promise
    images: PositiveCount
    answered: Count
    wrong: Count

    def __post_init__(self) -> None:
        kept = self.wrong <= self.answered <= self.images
        require(kept, f"{self.wrong} wrong of {self.answered} answered of {self.images} images cannot be")


@dataclass(frozen=True, slots=True)
class Trust:
    """What a model's answers to held-out images say of others. It travels with the weights and with exported files.

    Attributes:
        images: How many images were held out.
        curve: The images answered and the errors among them by the least probability that counts, the highest first
            (a risk-coverage curve: El-Yaniv and Wiener, JMLR 11, 2010); the last one, 0, answers all.
        familiar: An image whose `familiarity` is below this is of none of the classes; None where fewer than 19 images
            were held out.
        networks: From how many networks the same images helped to choose this one; 1 where there was no choice.
    """

    images: PositiveCount
    curve: NotEmpty[CurvePoint]
    familiar: float | None
    networks: PositiveCount = 1

    def __post_init__(self) -> None:
        for above, point in zip(self.curve, self.curve[1:], strict=False):
            kept = above.threshold > point.threshold and above.wrong <= point.wrong
            kept = kept and above.answered - above.wrong <= point.answered - point.wrong
            require(kept, f"curve is not in order at threshold {point.threshold:g}")
        require(self.curve[-1].answered == self.images, f"the last point of curve does not answer {self.images} images")
        known = self.familiar is None or math.isfinite(self.familiar)
        require(known, f"familiar is {self.familiar}; it must be a number")

    def promise(self, max_error: float) -> Promise:
        """The most answers that are wrong in at most a share `max_error`, with 95 % confidence.

        Tests begin between a quarter and a half of the images, where two wrong answers are not yet too many, for else
        the first one would end them at once; or behind that, where none is enough to pass. Where the same images
        helped to choose the network from n, each of the n has a promise at level 0.05 / n.

        Args:
            max_error: The share, above 0 and below 1.

        Returns:
            Which answers count.

        Raises:
            ValueError: The images are too few, or errors too many; the message has the smallest share that can be
                promised.
        """
        max_error = error_share(max_error)
        found = self._promised(max_error)
        if found is not None:
            return found
        what = f"at most {100 * max_error:g} % wrong answers cannot be promised"
        if self.images < (fewest := fewest_images(max_error, self.networks)):
            why = f"that takes {fewest:,} held-out images or more, even where none of them is answered wrongly, and "
            why += f"there are {self.images:,}"
        else:
            why = f"too many of the surest answers to {self.images:,} held-out images are wrong"
        possible = next((f"{per_cent}%" for per_cent in range(1, 100) if self._promised(per_cent / 100)), None)
        instead = "no share can be" if possible is None else f"the smallest that can be is {possible}"
        raise ValueError(f"{what}: {why}; {instead}")

    def _promised(self, max_error: float) -> Promise | None:
        from scipy.special import bdtr

        level = LEVEL / self.networks
        answered, wrong = (np.array([getattr(point, name) for point in self.curve]) for name in ("answered", "wrong"))
        fewest, enough = (int((bdtr(errors, answered, max_error) > level).sum()) for errors in (0, 2))
        quarter, half = (int((answered < share * self.images).sum()) for share in (0.25, 0.5))
        start = max(fewest, min(max(quarter, enough), half))
        rejected = bdtr(wrong, answered, max_error)[start:] <= level
        if not rejected[:1].any():
            return None
        last = self.curve[start:][len(rejected) - 1 if rejected.all() else int(rejected.argmin()) - 1]
        return Promise(max_error, last.threshold, self.images, last.answered, last.wrong)

    def promises(self) -> tuple[Promise, ...]:
        """Those that reports show.

        Returns:
            Those of 1, 2, 5 and 10 % that can be made.
        """
        found = (self._promised(max_error) for max_error in USUAL_ERRORS)
        return tuple(promise for promise in found if promise is not None)

    def strangers(self, logits: NDArray[np.floating]) -> NDArray[np.bool_]:
        """Which images are of none of the classes.

        Args:
            logits: (n, classes).

        Returns:
            True or false for each, (n,).
        """
        if self.familiar is None:
            return np.zeros(len(logits), np.bool_)
        return familiarity(logits) < self.familiar


def trust_of(
    logits: NDArray[np.floating], labels: NDArray[np.integer], temperature: float = 1.0, networks: int = 1
) -> Trust:
    """What a model's logits (n, classes) for held-out images of true labels (n,) say, at its temperature.

    `networks` is how many networks the same images helped to choose this one from. Raises `ValueError` without images,
    and for logits that are not numbers.

    >>> import numpy as np
    >>> sure = np.log([[0.99, 0.01]] * 190 + [[0.6, 0.4]] * 10)
    >>> labels = np.array([0] * 190 + [1] * 10)  # the sure ones are right
    >>> print(trust_of(sure, labels).promise(0.05))
    answers 95 % of the images and is wrong on at most 5 % of those, with 95 % confidence
    """
    if not len(labels) or not np.isfinite(logits).all():
        raise ValueError("trust needs held-out images, and logits that are numbers")
    scaled = logits.astype(np.float64) / temperature
    confidence = np.exp(scaled.max(1) - familiarity(scaled)).astype(np.float32)
    right = logits.argmax(1) == labels
    return Trust(len(labels), curve_of(confidence, right), _familiar(familiarity(logits)), networks)


def familiarity(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """log sum over c of exp(logits[:, c]): (n, classes) -> (n,), the energy with its sign turned. Own images have more.

    >>> import numpy as np
    >>> familiarity(np.array([[0.0, 0.0], [9.0, 0.0]])).round(2).tolist()
    [0.69, 9.0]
    """
    rows = logits.astype(np.float64)
    top = rows.max(1)
    return top + np.log(np.exp(rows - top[:, None]).sum(1))


def curve_of(confidence: NDArray[np.floating], right: NDArray[np.bool_]) -> tuple[CurvePoint, ...]:
    """The images answered (n,) and the errors among them, at each per cent of the images and at all of them."""
    order = np.argsort(-confidence, kind="stable")
    sorted_confidence, wrong = confidence[order], np.cumsum(~right[order])
    ranks = np.unique(np.ceil(np.arange(1, THRESHOLDS + 1) / THRESHOLDS * len(order)).astype(np.int64))
    thresholds = np.unique(sorted_confidence[ranks - 1])[::-1]
    answered = np.searchsorted(-sorted_confidence, -thresholds, side="right")
    points = [
        CurvePoint(float(threshold), int(count), int(wrong[count - 1]))
        for threshold, count in zip(thresholds, answered, strict=True)
    ]
    everything = CurvePoint(0.0, len(order), int(wrong[-1]))  # of new images, too, for which a share was measured
    return (*(point for point in points if point.answered < len(order)), everything)


def error_share(max_error: float) -> float:
    """The share, if it lies between 0 and 1. Raises a one-line `ValueError` or `TypeError` for what does not."""
    return number("max_error", max_error, above=0.0, below=1.0, wanted="a share of the answers, such as 0.02")


def fewest_images(max_error: float, networks: int = 1) -> int:
    """How many images show a share of errors where none is answered wrongly: n >= log(0.05 / networks) / log(1 - e).

    >>> [fewest_images(max_error) for max_error in (0.01, 0.02, 0.05)]
    [299, 149, 59]
    """
    return math.ceil(math.log(LEVEL / networks) / math.log1p(-max_error))


def _familiar(scores: NDArray[np.float64]) -> float | None:
    """The threshold that a new image of the same kind passes with probability 0.95 or more; None of fewer than 19."""
    rank = math.floor(LOST * (len(scores) + 1))
    return float(np.sort(scores)[rank - 1]) if rank else None
