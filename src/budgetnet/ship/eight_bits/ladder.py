"""The ways from a trained network to eight bits: rounded, with corrected biases, trained on.

What a format must say for it is `EightBits`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from budgetnet.data.draw import evenly
from budgetnet.parallel.progress import Progress
from budgetnet.ship.eight_bits.quantiles import QUANTILES, Seen, seen_of
from budgetnet.ship.eight_bits.rounded import corrected
from budgetnet.ship.eight_bits.scale import Scale
from budgetnet.ship.eight_bits.steps import Step, Weights, values
from budgetnet.ship.eight_bits.tries import Candidate, Tries
from budgetnet.ship.eight_bits.tuned import tuned
from budgetnet.ship.exported import Int8Try
from budgetnet.ship.subject import Answers, SizedImages, Subject

IMAGES_AT_ONCE = 25
CORRECTION_IMAGES = 64
"""Biases are corrected by this many images at once: their largest maps, twice, are in memory together."""
NEAR_ENOUGH = 0.005
"""Nats: of a file whose probabilities are this near to the model's no other is sought."""

File = TypeVar("File")


class EightBits(Protocol[File]):
    """A trained network in a format that rounds it to eight bits."""

    @property
    def steps(self) -> Sequence[Step]:
        """What it computes, from the pixels to the logits."""
        ...

    @property
    def weights(self) -> Weights:
        """The model's, in float."""
        ...

    @property
    def maps(self) -> Collection[str]:
        """The tensors whose values decide how they are rounded."""
        ...

    def scales(self, seen: Mapping[str, Sequence[Seen]], quantile: float) -> Mapping[str, Scale]:
        """How every tensor that is rounded is, by its name: ranges end at the quantile of what these maps held."""
        ...

    def file(self, weights: Weights, scales: Mapping[str, Scale]) -> File:
        """The file with these weights."""
        ...

    def logits(self, file: File, images: Iterable[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """What the format's runtime makes of images (h, w, c): (n, classes)."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Nearest(Generic[File]):
    """The file whose probabilities are the nearest to the model's on validation images.

    Attributes:
        file: The file.
        weights: Its weights, in float.
        scales: How its tensors are rounded.
        quantile: Its ranges end at this quantile.
        calibration_images: They were read from so many training images.
        tried: The ways that were tried, in their order.
        answers: What the format's runtime answers with it.
    """

    file: File
    weights: Weights
    scales: Mapping[str, Scale]
    quantile: float
    calibration_images: int
    tried: tuple[Int8Try, ...]
    answers: Answers


def nearest(subject: Subject, network: EightBits[File], progress: Progress | None) -> Nearest[File]:
    """The nearest of the files that were tried.

    Rounded weights and corrected biases are tried with all quantiles, and training only where no file is near enough.
    It begins from corrected biases, with the quantile that is best for rounded weights: weights learn to live with
    ranges that are cut, as biases cannot, so that wider ones, which these may want, leave it farther away.
    """
    images, steps, weights = subject.images, network.steps, network.weights
    with torch.no_grad():
        seen = seen_of(_values(network, images), network.maps)
    scales = {quantile: network.scales(seen, quantile) for quantile in QUANTILES}
    some = pixels(images, evenly(images.calibration, CORRECTION_IMAGES))
    tries = Tries[File](subject, lambda file: network.logits(file, images.pixels(images.validation)))

    def candidate(weights: Weights, quantile: float) -> Candidate[File]:
        return Candidate(network.file(weights, scales[quantile]), weights, quantile)

    def better(quantile: float) -> Weights:
        return corrected(steps, weights, scales[quantile], some)

    rounded = (candidate(weights, quantile) for quantile in QUANTILES)
    tight = tries.add_nearest("rounded", rounded, progress).quantile
    tries.add_nearest("corrected biases", (candidate(better(quantile), quantile) for quantile in QUANTILES), progress)
    if tries.best.row.divergence > NEAR_ENOUGH and subject.tuning_steps:
        how = images.training, partial(pixels, images), subject.tuning_steps, progress
        trained = tuned(steps, weights, better(tight), scales[tight], *how)
        tries.add("trained in eight bits", candidate(trained, tight))
    best = tries.best.candidate
    at, answers = scales[best.quantile], partial(network.logits, best.file)
    return Nearest(best.file, best.weights, at, best.quantile, len(images.calibration), tries.rows, answers)


def _values(network: EightBits[File], images: SizedImages) -> Iterator[tuple[str, Any]]:
    """What every tensor holds for the calibration images, some of them at once."""
    for start in range(0, len(images.calibration), IMAGES_AT_ONCE):
        some = images.calibration[start : start + IMAGES_AT_ONCE]
        yield from values(network.steps, network.weights, pixels(images, some))


def pixels(images: SizedImages, indices: NDArray[np.int64]) -> Tensor:
    """These images as the steps read them: (n, c, h, w), 0 to 255."""
    return torch.from_numpy(np.stack(list(images.pixels(indices)))).permute(0, 3, 1, 2).float()
