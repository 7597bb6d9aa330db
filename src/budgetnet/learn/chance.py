"""Whether a training learned anything: it must beat the answer that knows the class frequencies and sees no image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from budgetnet.learn.data import ImageSet


@dataclass(frozen=True, slots=True)
class AgainstChance:
    """Mean log loss on `count` images, that of the class frequencies, and the upper end of the difference, in nats.

    `upper` ends the one-sided 95 % interval of loss minus chance loss, paired by images (Student's t).
    """

    loss: float
    chance_loss: float
    upper: float
    count: int

    @property
    def learned(self) -> bool:
        """Whether the loss is below that of the class frequencies, and not by luck."""
        return self.upper < 0.0

    def check(self, name: str, epochs: float) -> None:
        """Raise a one-line `ValueError` that says what to change, unless something was learned."""
        if self.learned:
            return
        if self.loss < self.chance_loss:
            raise ValueError(
                f"{self.count:,} validation images do not tell whether {name} learned anything: its log loss on them "
                f"is {self.loss:.3f}, that of the class frequencies {self.chance_loss:.3f}, and the difference may be "
                "chance; give more images, or more --time or --epochs; --fresh or another --out starts again"
            )
        raise ValueError(
            f"the training of {name} learned nothing: after {epochs:.2g} times through the images its log loss on "
            f"{self.count:,} validation images is {self.loss:.3f}, and that of the class frequencies alone "
            f"{self.chance_loss:.3f}, so this is no answer; give more --time or --epochs, a smaller budget, or see "
            "whether the labels are right; --fresh or another --out starts again"
        )


def against_chance(losses: NDArray[np.floating], labels: NDArray[np.integer], images: ImageSet) -> AgainstChance:
    """Log losses (n,) on images with these true classes (n,), against the class frequencies of the training images.

    The frequencies have one image more in each class, so that none is 0.
    """
    from scipy.special import stdtrit

    counts = np.bincount(np.asarray(images.labels)[images.indices("train")], minlength=len(images.classes)) + 1.0
    chance = -np.log(counts / counts.sum())[labels]
    worse, count = losses - chance, len(labels)
    mean = float(worse.mean())
    error = float(worse.std(ddof=1)) / np.sqrt(count) if count > 1 else 0.0
    quantile = float(stdtrit(count - 1, 0.95)) if count > 1 else 0.0
    return AgainstChance(float(losses.mean()), float(chance.mean()), mean + quantile * error, count)
