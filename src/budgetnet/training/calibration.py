"""Probabilities that are right as often as they say: one temperature for a model, fitted on images it has not learned.

    p(class | image) = softmax(logits / T)

Training with soft targets (label smoothing, MixUp) leaves answers less sure than they are right, long training without
them surer; one number mends most of either. Source: Guo et al., On Calibration of Modern Neural Networks,
arXiv:1706.04599, section 4.2.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from budgetnet.codec import NonNegativeInt, PositiveFloat, Share, require
from budgetnet.data import ImageSet, Pixels, Preprocessing, evenly
from budgetnet.data.held_out import FEWEST_VALIDATION
from budgetnet.model.build import Model
from budgetnet.model.trust import Trust, trust_of
from budgetnet.training.chance import against_chance
from budgetnet.training.evaluate import logits_of
from budgetnet.training.evaluation import calibration_error

FEWEST_IMAGES = 50
"""A temperature is fitted on at least this many images: on 30 it makes the log loss of other images worse as often as
better."""
PRIOR_DEVIATION = 0.5
"""The standard deviation of log T before any image is seen; its weight is that of one image against all others."""
BOUNDS = (0.05, 20.0)
"""Temperatures between these two are tried."""
MOST_LOGITS = 1 << 26
"""At most this many logits are held at once, 256 MB: of 20,000 classes those of 3,355 images, which are plenty for one
number."""
ROWS = 1024
"""Logits of this many images are computed with together."""

CalibrationSplit = Literal["validation", "held out", "race"]


@dataclass(frozen=True, slots=True)
class Calibration:
    """The temperature of a model, on how many images it was fitted, and what it does to the calibration error.

    Attributes:
        temperature: What logits are divided by; 1 where there are fewer than 50 images or nothing was learned.
        images: How many images it was fitted on.
        split: "validation", all of these images, which the training has not learned; "held out", those of them that
            stayed out of a final training; "race", all of them, answered by the network as its last rung in the race
            left it.
        error_before: The expected calibration error on these images at temperature 1.
        error_after: The same at `temperature`.
        test_error_before: The error on the test images, which fit nothing, at temperature 1; None where none were
            answered.
        test_error_after: The same at `temperature`.
    """

    temperature: PositiveFloat
    images: NonNegativeInt
    split: CalibrationSplit
    error_before: Share
    error_after: Share
    test_error_before: Share | None = None
    test_error_after: Share | None = None

    def __post_init__(self) -> None:
        fitted = self.temperature == 1 or self.images > 0
        require(fitted, f"images is 0, and temperature {self.temperature:g}: of no images it is 1")
        both = (self.test_error_before is None) == (self.test_error_after is None)
        require(both, "one of test_error_before and test_error_after is missing")

    @property
    def basis(self) -> str:
        """Which images the temperature was fitted on, in words; for 1, why it is 1."""
        which = {
            "validation": f"{self.images:,} validation images",
            "held out": f"{self.images:,} validation images that stayed out of the final training",
            "race": f"{self.images:,} validation images, as the last rung of the race answers them: fewer than "
            f"{FEWEST_VALIDATION} are too few to keep some out of the final training",
        }[self.split]
        if self.images < FEWEST_IMAGES:
            return f"not fitted, for {self.images} validation images are too few; {FEWEST_IMAGES} would do"
        if self.temperature == 1.0:
            return f"left as it was, for no temperature beats the class frequencies on {which}"
        return f"fitted on {which}"


@dataclass(frozen=True, slots=True, eq=False)
class HeldOut:
    """A model's answers to images that it has not learned.

    Attributes:
        logits: float32 (n, classes).
        labels: The true classes, (n,).
        images: The set that they are of.
        split: Which of its images they are.
    """

    logits: NDArray[np.float32]
    labels: NDArray[np.integer]
    images: ImageSet
    split: CalibrationSplit

    def calibration(self) -> Calibration:
        """The temperature of the model."""
        temperature = fit_temperature(self.logits, self.labels)
        losses = log_losses(self.logits, self.labels, temperature)
        if not against_chance(losses, self.labels, self.images).beaten:
            temperature = 1.0
        before, after = (_error(self.logits, self.labels, value) for value in (1.0, temperature))
        return Calibration(temperature, len(self.labels), self.split, before, after)

    def trust(self, temperature: float, networks: int) -> Trust | None:
        """When not to believe the model, which was chosen from this many networks.

        None of answers by an earlier state of the model, and of such as are not numbers.
        """
        if self.split == "race" or not np.isfinite(self.logits).all():
            return None
        return trust_of(self.logits, self.labels, temperature, networks)


def answer_held_out(
    model: Model,
    images: ImageSet,
    pixels: Pixels,
    indices: NDArray[np.int64],
    split: CalibrationSplit,
    preprocessing: Preprocessing,
    device: str = "cpu",
) -> HeldOut:
    """The model's answers to the images at `indices`, which it must not have learned from.

    The model must be on `device`. Of more logits than fit into 256 MB, evenly chosen images count.
    """
    chosen = evenly(indices, max(FEWEST_IMAGES, MOST_LOGITS // model.network.classes))
    logits = logits_of(model, images, pixels, chosen, preprocessing, device)
    return HeldOut(logits, np.asarray(images.labels)[chosen], images, split)


def fit_temperature(logits: NDArray[np.floating], labels: NDArray[np.integer]) -> float:
    """The temperature of logits (n, classes) for true labels (n,): of fewer than 50 images, or no numbers, 1.

        T = argmin over T of mean(-log softmax(logits / T)[label]) + (log T / 0.5)**2 / (2 n)

    The second term is ours and not the paper's. Where all of some dozen answers are right, the log loss alone falls
    until T is 0, and the first wrong answer then costs everything (docs/lab-log.md, 2026-11-30).

    >>> import numpy as np
    >>> unsure = np.log([[0.6, 0.4]] * 90 + [[0.4, 0.6]] * 10)
    >>> round(fit_temperature(unsure, np.zeros(100, int)), 2)  # right 90 times of 100, and said 60
    0.22
    """
    from scipy.optimize import minimize_scalar

    if len(labels) < FEWEST_IMAGES or not np.isfinite(logits).all():
        return 1.0

    def objective(log_temperature: float) -> float:
        loss = float(log_losses(logits, labels, math.exp(log_temperature)).mean())
        return loss + (log_temperature / PRIOR_DEVIATION) ** 2 / (2 * len(labels))

    low, high = map(math.log, BOUNDS)
    found = minimize_scalar(objective, bounds=(low, high), method="bounded", options={"xatol": 1e-4})
    return math.exp(float(found.x))


def log_losses(
    logits: NDArray[np.floating], labels: NDArray[np.integer], temperature: float = 1.0
) -> NDArray[np.float64]:
    """-log softmax(logits / temperature)[label], in nats: (n, classes) and (n,) -> (n,)."""
    from scipy.special import logsumexp

    losses = np.empty(len(labels))
    for start in range(0, len(labels), ROWS):
        block = slice(start, start + ROWS)
        scaled = logits[block].astype(np.float64) / temperature
        losses[block] = logsumexp(scaled, axis=1) - scaled[np.arange(len(scaled)), labels[block]]
    return losses


def _error(logits: NDArray[np.floating], labels: NDArray[np.integer], temperature: float) -> float:
    """The expected calibration error of softmax(logits / temperature)."""
    predicted = logits.argmax(1)
    confidence = np.exp(-log_losses(logits, predicted, temperature))
    return calibration_error(confidence, predicted == labels)
