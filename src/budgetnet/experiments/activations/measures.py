"""What is measured of a training, a row a measure: what it is, how it is taken, and how people read it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from budgetnet.draw.wording import MINUS, signed
from budgetnet.experiments.activations.probe import ProbeValues
from budgetnet.experiments.activations.training import TrainingRecord
from budgetnet.inspect.landscape.plane import Spread
from budgetnet.statistics import PairedDifference

LAST_SHARE = 0.05
"""The share of all steps, at the end, whose mean loss is the loss of the last steps."""
ImageValues = tuple[NDArray[np.int64], NDArray[np.float64]]
"""The first array says which images were used, the second has a value for each."""


@dataclass(frozen=True, slots=True)
class Measure:
    """A number of a training: NaN where a loss that ran away left none.

    Those that are means over images have `by_image`, so that the choice of images has an error too. Those of the probes
    are the median over a training's probes: `of_probe` is that of one of them, and where that is a mean over the
    distances `by_length` has each.
    """

    name: str
    title: str
    unit: str
    meaning: str
    digits: int = 3
    share: bool = False
    of_training: Callable[[TrainingRecord], float] | None = None
    by_image: Callable[[TrainingRecord], ImageValues] | None = None
    of_probe: Callable[[ProbeValues], float | None] | None = None
    by_length: Callable[[ProbeValues], tuple[float | None, ...]] | None = None

    def value(self, record: TrainingRecord) -> float:
        """That of a training."""
        if self.by_image is not None:
            return float(self.by_image(record)[1].mean())
        if self.of_probe is not None:
            return float(np.median(np.array([self.of_probe(row) for row in record.probes], np.float64)))
        assert self.of_training is not None
        return self.of_training(record)

    @property
    def heading(self) -> str:
        """The title with its unit."""
        return f"{self.title.capitalize()}, {'%' if self.share else self.unit}"

    @property
    def factor(self) -> float:
        """From the value to what is shown: shares are read in percent."""
        return 100.0 if self.share else 1.0

    def text(self, value: float) -> str:
        """A value: 0.534, or 71.2 where it is a share."""
        return f"{self.factor * value:,.{self.digits}f}"

    def spread_text(self, spread: Spread | None) -> str:
        """0.534 ± 0.012: mean and standard deviation over the seeds; a dash where a seed has no number."""
        if spread is None:
            return "\N{EN DASH}"
        text = self.text(spread.mean)
        return text if spread.deviation is None else f"{text} ± {self.text(spread.deviation)}"

    def difference_text(self, pair: PairedDifference, interval: bool = True) -> str:
        """-0.012 (-0.020 to -0.004), with signs as wide as a plus."""
        ends = (pair.low, pair.high) if interval else ()
        parts = [signed(self.factor * value, self.digits) for value in (pair.difference, *ends) if value is not None]
        return parts[0] if len(parts) == 1 else f"{parts[0]} ({parts[1]} to {parts[2]})"


def last_steps(steps: int) -> int:
    """How many steps at the end count for the loss of the last steps: a twentieth, at least 10 where there are any."""
    return min(steps, max(10, round(LAST_SHARE * steps)))


LAST_LOSS = Measure(
    "last_loss",
    "loss of the last steps",
    "nats",
    "mean over the last steps, on augmented batches, as trained",
    of_training=lambda record: float(record.losses[-last_steps(len(record.losses)) :].mean()),
)
TRAIN_LOSS = Measure(
    "train_loss",
    "loss on training images",
    "nats",
    "at the end, of a fixed set of training images, without augmentation; cross-entropy",
    by_image=lambda record: (record.train_indices, record.train_losses),
)
ACCURACY = Measure(
    "accuracy",
    "validation accuracy",
    "points",
    "at the end, on all validation images",
    digits=1,
    share=True,
    by_image=lambda record: (record.indices, record.right.astype(np.float64)),
)
PROBED = (
    Measure(
        "loss_range",
        "range of the loss along the gradient",
        "nats",
        "largest minus smallest loss over the lengths",
        of_probe=lambda probe: probe.loss_range,
    ),
    Measure(
        "gradient_change",
        "change of the gradient along itself",
        "of its length",
        f"|g(t) {MINUS} g| / |g|, mean over the lengths: 0 where the gradient stays what it is",
        of_probe=lambda probe: probe.gradient_change,
        by_length=lambda probe: probe.gradient_changes,
    ),
    Measure(
        "first_order_error",
        "error of the first-order promise",
        "of the promise",
        "how far the loss is from what the gradient promises, as a share of it; mean over the lengths",
        of_probe=lambda probe: probe.first_order_error,
        by_length=lambda probe: probe.first_order_errors,
    ),
    Measure(
        "relative_smoothness",
        "largest gradient change over distance",
        "relative",
        f"max (|g(t) {MINUS} g| / |g|) / (|w(t) {MINUS} w| / |w|) of all lengths: low is smooth",
        digits=0,
        of_probe=lambda probe: probe.relative_smoothness,
    ),
)
"""How far the gradient can be trusted."""
DEAD_SHARE = Measure(
    "dead_share",
    "dead units",
    "points",
    "no gradient gets through on any validation image; gates are not counted",
    digits=1,
    share=True,
    of_training=lambda record: record.dead / record.units,
)
MEASURES = (LAST_LOSS, TRAIN_LOSS, ACCURACY, *PROBED, DEAD_SHARE)
