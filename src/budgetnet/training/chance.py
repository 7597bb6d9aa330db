"""Whether a training learned anything: it must beat the answer that knows the class frequencies and sees no image."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from budgetnet.data import ImageSet
from budgetnet.draw.wording import listed


@dataclass(frozen=True, slots=True)
class AgainstChance:
    """Mean log loss on `count` images, that of the class frequencies, and the upper end of the difference, in nats.

    `upper` ends the one-sided 95 % interval of loss minus chance loss, paired by images (Student's t).
    `split` says whose images they are. A training that diverged loses infinitely.
    """

    loss: float
    chance_loss: float
    upper: float
    count: int
    split: str = "validation"

    @property
    def beaten(self) -> bool:
        """Whether the loss is below that of the class frequencies, be it by luck."""
        return self.loss < self.chance_loss

    @property
    def learned(self) -> bool:
        """Whether the loss is below that of the class frequencies, and not by luck."""
        return self.upper < 0.0

    def check(self, name: str, epochs: float, instead: str = "--time or --epochs, a smaller budget") -> None:
        """Raise a one-line `ValueError` that says what to change (`instead`: what more of), unless it learned."""
        if self.learned:
            return
        if self.beaten:
            raise ValueError(
                f"{self.count:,} {self.split} images do not tell whether {name} learned anything: its log loss on them "
                f"is {self.loss:.3f}, that of the class frequencies {self.chance_loss:.3f}, and the difference may be "
                f"chance; give more images, or more {instead}; --fresh or another --out starts again"
            )
        raise ValueError(
            f"the training of {name} learned nothing: after {epochs:.2g} times through the images its log loss on "
            f"{self.count:,} {self.split} images is {self.loss:.3f}, and that of the class frequencies alone "
            f"{self.chance_loss:.3f}, so this is not an answer; give more {instead}, or see "
            "whether the labels are right; --fresh or another --out starts again"
        )


def check_any_learned(name: str, found: Sequence[AgainstChance], epochs: float) -> None:
    """Raise as `AgainstChance.check` does for the best of several trainings, unless one of them learned.

    Each is tested at 95 %: of twenty that learned nothing, one may pass by luck.
    """
    if not any(one.learned for one in found):
        min(found, key=lambda one: one.loss).check(name, epochs, "--time")


def nothing_learned(label: str, seeds: Sequence[object]) -> str:
    """What is to be said of a network whose trainings by these seeds learned nothing."""
    which = listed(list(map(str, seeds)))
    return (
        f"{label} learned nothing in seed {which}: its log loss is not shown to be below that of the class frequencies "
        "alone, so its accuracy there says nothing about the network."
    )


class SeedOutcome(Protocol):
    """What one training of several answered."""

    @property
    def seed(self) -> int:
        """Of its weights and images."""
        ...

    @property
    def diverged(self) -> bool:
        """Whether its answers are not numbers."""
        ...

    @property
    def learned(self) -> bool:
        """Whether its log loss is below that of the class frequencies."""
        ...


def failed_seeds(label: str, seeds: Sequence[SeedOutcome]) -> Iterator[str]:
    """What is to be said of the trainings of a network that diverged, and of those that learned nothing."""
    lost = [str(one.seed) for one in seeds if one.diverged]
    if lost:
        yield f"{label} diverged in seed {listed(lost)}: answers that are not numbers count as wrong."
    nothing = [one.seed for one in seeds if not one.learned and not one.diverged]
    if nothing:
        yield nothing_learned(label, nothing)


def against_chance(
    losses: NDArray[np.floating], labels: NDArray[np.integer], images: ImageSet, split: str = "validation"
) -> AgainstChance:
    """Log losses (n,) on images with these true classes (n,), against the class frequencies of the training images.

    The frequencies have one image more in each class, so that none is 0. `split` names the images that were asked.
    """
    from scipy.special import stdtrit

    counts = np.bincount(np.asarray(images.labels)[images.indices("train")], minlength=len(images.classes)) + 1.0
    chance = -np.log(counts / counts.sum())[labels]
    count = len(labels)
    if not np.isfinite(losses).all():
        return AgainstChance(math.inf, float(chance.mean()), math.inf, count, split)
    worse = losses - chance
    mean = float(worse.mean())
    error = float(worse.std(ddof=1)) / math.sqrt(count) if count > 1 else 0.0
    quantile = float(stdtrit(count - 1, 0.95)) if count > 1 else 0.0
    return AgainstChance(float(losses.mean()), float(chance.mean()), mean + quantile * error, count, split)
