"""What is exported: a trained model, its budget, and the images that it is calibrated, tuned and judged by."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from budgetnet.budgets.budget import Budget
from budgetnet.codec import from_plain
from budgetnet.data import Data, Pixels, network_pixels, open_cache
from budgetnet.data.draw import evenly
from budgetnet.model.trust import Trust
from budgetnet.parallel.progress import Progress
from budgetnet.runs.files import read_json, reading
from budgetnet.runs.record import FILE as PLAN
from budgetnet.runs.run import Loaded, load_run
from budgetnet.ship.exported import NumberType
from budgetnet.ship.notes import Notes
from budgetnet.training.evaluate import logits_of
from budgetnet.training.scored_images import Scored, images_of

if TYPE_CHECKING:
    from budgetnet.ship.eight_bits.ladder import Nearest

CALIBRATION_IMAGES = 200
"""Ranges of integers are read from at most this many training images."""
VALIDATION_IMAGES = 1000
"""At most this many validation images choose among files: each answers all of them."""


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """A run that is exported.

    Attributes:
        loaded: Its model in evaluation mode, with its classes and preprocessing.
        budget: The limits that it was asked to keep; None where it had none.
        images: Its images at the network's size.
        softmax: Whether its files give probabilities in place of logits.
        kept: What was found of it for the TensorFlow Lite file in int8, which the folder of C holds, too.
    """

    loaded: Loaded
    budget: Budget | None
    images: SizedImages
    softmax: bool = False
    kept: dict[NumberType, Nearest[bytes]] = field(default_factory=dict)

    @classmethod
    def of(cls, run: str, data: Data | None, progress: Progress | None) -> Subject:
        """A run's folder, or weights, with labelled images where it names none.

        Raises a one-line `ValueError` for a run that cannot be read, and where no images are known.
        """
        loaded = load_run(run)
        scored = images_of(run, loaded, data, "test", "test", progress)
        return cls(loaded, _budget_of(run), SizedImages(loaded, scored, progress))

    def notes(self, arena_bytes: int | None = None) -> Notes:
        """What every file of it says of itself."""
        weights = hashlib.sha256()
        for name, tensor in sorted(self.loaded.model.state_dict().items()):
            weights.update(name.encode() + tensor.contiguous().numpy().tobytes())
        loaded = self.loaded
        return Notes(
            network=loaded.network,
            classes=loaded.classes,
            preprocessing=loaded.preprocessing,
            side_px=loaded.side_px,
            temperature=loaded.temperature,
            arena_bytes=arena_bytes,
            budget=self.budget,
            weights_sha256=weights.hexdigest(),
            softmax=self.softmax,
            trust=_by_probabilities(loaded.trust) if self.softmax else loaded.trust,
        )


class SizedImages:
    """The images of a run at its network's size: one split after another, one image after another."""

    def __init__(self, loaded: Loaded, scored: Scored, progress: Progress | None) -> None:
        self._loaded, self._scored = loaded, scored
        self._cached: Pixels = open_cache(scored.images, loaded.side_px, progress=progress)

    @property
    def test(self) -> NDArray[np.int64]:
        """The indices of the test images."""
        return self._scored.indices

    @property
    def training(self) -> NDArray[np.int64]:
        """The indices of the training images."""
        return self._scored.images.indices("train")

    @property
    def calibration(self) -> NDArray[np.int64]:
        """The indices of the training images that ranges are read from."""
        return self._some("train", CALIBRATION_IMAGES)

    @property
    def validation(self) -> NDArray[np.int64]:
        """The indices of the validation images that choose among files."""
        return self._some("validation", VALIDATION_IMAGES)

    def _some(self, split: str, most: int) -> NDArray[np.int64]:
        """At most `most` images of a split, evenly of all in the order of their classes. Raises `ValueError` for
        none."""
        images = self._scored.images
        found = images.indices(split)
        if not len(found):
            raise ValueError(f"{images.name} has no {split} images, which an export needs; give images in three splits")
        by_class = np.array([images.labels[index] for index in found.tolist()])
        return evenly(found[np.argsort(by_class, kind="stable")], most)

    def labels(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        """The classes of images, as the network counts them."""
        scored = self._scored
        return np.array([scored.class_indices[scored.images.labels[index]] for index in indices.tolist()], np.int64)

    @cached_property
    def test_logits(self) -> NDArray[np.float32]:
        """What the model in float32 makes of the test images: (n, classes)."""
        return self._logits(self.test)

    @cached_property
    def validation_logits(self) -> NDArray[np.float32]:
        """What it makes of those validation images."""
        return self._logits(self.validation)

    def _logits(self, indices: NDArray[np.int64]) -> NDArray[np.float32]:
        loaded = self._loaded
        return logits_of(loaded.model, self._scored.images, self._cached, indices, loaded.preprocessing)

    def pixels(self, indices: NDArray[np.int64]) -> Iterator[NDArray[np.uint8]]:
        """Images (h, w, c), one after another."""
        loaded = self._loaded
        for index in indices.tolist():
            yield network_pixels([self._cached[index]], loaded.network.resolution_px, loaded.preprocessing)[0]


def _by_probabilities(trust: Trust | None) -> Trust | None:
    """What can be told without logits: strangers cannot, for they are told by the logits' size."""
    return None if trust is None else dataclasses.replace(trust, familiar=None)


def _budget_of(run: str) -> Budget | None:
    """The budget that a run was asked to keep; None for weights alone, and where a run had none."""
    plan = Path(run) / PLAN
    if not plan.is_file():
        return None
    with reading(plan):
        row = read_json(plan)["request"].get("budget")
        return None if row is None else from_plain(Budget, row, "request.budget")
