"""What is exported: a trained model, its budget, and the images that it is calibrated, tuned and judged by."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from budgetnet.budgets.budget import Budget
from budgetnet.codec import as_object, from_plain
from budgetnet.data import Data, ImageSet, Pixels, network_pixels, open_cache
from budgetnet.data.draw import evenly
from budgetnet.model.hub_folder import OWN_WEIGHTS
from budgetnet.model.trust import Trust
from budgetnet.parallel.progress import Progress
from budgetnet.runs.files import read_json, reading
from budgetnet.runs.record import FILE as PLAN
from budgetnet.runs.record import DataRecord, read_header
from budgetnet.runs.run import Loaded, load_run
from budgetnet.runs.split_file import FILE as SPLIT
from budgetnet.runs.split_file import read_split
from budgetnet.ship.exported import NumberType
from budgetnet.ship.notes import Notes
from budgetnet.ship.said import said_by
from budgetnet.training.calibration import HeldOut
from budgetnet.training.evaluate import logits_of
from budgetnet.training.scored_images import Scored, home_of, images_of

if TYPE_CHECKING:
    from budgetnet.ship.eight_bits.ladder import Nearest

CALIBRATION_IMAGES = 200
"""Ranges of integers are read from at most this many training images."""
VALIDATION_IMAGES = 1000
"""At most this many validation images choose among files: each answers all of them."""
TUNING_STEPS = 100
"""A file in eight bits is trained for so many steps, unless the time of its run allows for fewer."""
HELD_OUT_IMAGES = 1000
"""At most this many images that stayed out of the training say when not to believe a file in eight bits."""

Answers = Callable[[Iterable[NDArray[np.uint8]]], NDArray[np.float32]]
"""It gives logits (n, classes) of images (h, w, c) in pixels of 0 to 255."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the weights of a run come from.

    Attributes:
        trained_here: Whether a run says how they were trained; else they are somebody's weights, exported as they are.
        began_from: The weights that the training began from, as they were named; None where it began from drawn ones.
            Of somebody's weights these themselves.
        images: The images of the run by split; None for somebody's weights.
        run_sha256: A digest of the run's plan and weights; of an exported file that of the run that it says to be of.
            None for somebody's weights.
    """

    trained_here: bool
    began_from: str | None
    images: DataRecord | None
    run_sha256: str | None = None

    @classmethod
    def of(cls, run: str, said: Notes | None = None) -> Origin:
        """Of a run's folder, or of weights; `said` is what an exported file says of itself."""
        home = home_of(run)
        run_sha256 = digest_of(home) if said is None and home is not None else said and said.run_sha256
        if home is None:
            return cls(trained_here=False, began_from=run, images=None, run_sha256=run_sha256)
        with reading(home / PLAN):
            rows = read_json(home / PLAN)
            plan, request = (as_object(rows[name], name) for name in ("plan", "request"))
        named = (plan.get("parent"), request.get("weights"))
        began_from = next((one for one in named if isinstance(one, str)), None)
        return cls(trained_here=True, began_from=began_from, images=read_header(home).data, run_sha256=run_sha256)


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """A run that is exported.

    Attributes:
        loaded: Its model in evaluation mode, with its classes and preprocessing.
        budget: The limits that it was asked to keep; None where it had none.
        images: Its images at the network's size.
        origin: Where its weights come from.
        softmax: Whether its files give probabilities in place of logits.
        tuning_steps: A file in eight bits is trained for so many steps, where rounding moves its answers too far.
        kept: What was found of it for the TensorFlow Lite file in int8, which the folder of C holds, too.
    """

    loaded: Loaded
    budget: Budget | None
    images: SizedImages
    origin: Origin
    softmax: bool = False
    tuning_steps: int = TUNING_STEPS
    kept: dict[NumberType, Nearest[bytes]] = field(default_factory=dict)

    @classmethod
    def of(cls, run: str, data: Data | None, progress: Progress | None) -> Subject:
        """A run's folder, or weights, with labelled images where it names none.

        Raises a one-line `ValueError` for a run that cannot be read, and where no images are known.
        """
        loaded = load_run(run)
        scored = images_of(run, loaded, data, "test", "test", progress)
        pixels = open_cache(scored.images, loaded.side_px, progress=progress)
        held_out = _held_out(run, data, scored.images)
        sized = SizedImages(loaded, scored, pixels, held_out, own=data is None)
        said = said_by(run)
        return cls(loaded, budget_of(run, said), sized, Origin.of(run, said))

    @classmethod
    def of_run(cls, run: Path, budget: Budget, images: ImageSet, pixels: Pixels, tuning_steps: int) -> Subject:
        """A run whose weights and split are written and whose images are open: its experiment is about to end."""
        loaded = load_run(run)
        scored = Scored(images, list(range(len(images.classes))), "test", images.indices("test"))
        held_out = _held_out(str(run), None, images)
        sized = SizedImages(loaded, scored, pixels, held_out, own=True)
        return cls(loaded, budget, sized, Origin.of(str(run)), tuning_steps=tuning_steps)

    def notes(self, arena_bytes: int | None = None, answers: Answers | None = None) -> Notes:
        """What every file of it says of itself.

        `answers` are given of a file whose answers are not the model's: its temperature and when not to believe it are
        then found on the images that stayed out of the training, as they were for the model. Where these are not known
        the file says what the model's answers said.
        """
        notes = notes_of(self.loaded, self.budget)
        temperature, trust = (notes.temperature, notes.trust) if answers is None else self._held_against(answers)
        return dataclasses.replace(
            notes,
            temperature=temperature,
            arena_bytes=arena_bytes,
            softmax=self.softmax,
            run_sha256=self.origin.run_sha256,
            trust=_by_probabilities(trust) if self.softmax else trust,
        )

    def _held_against(self, answers: Answers) -> tuple[float, Trust | None]:
        """The temperature, and when not to believe such answers."""
        loaded, images = self.loaded, self.images
        indices = images.held_out
        if loaded.trust is None or not len(indices):
            return loaded.temperature, loaded.trust
        held = HeldOut(answers(images.pixels(indices)), images.labels(indices), images.set, "held out")
        # A file that gives probabilities makes them at the model's temperature.
        temperature = loaded.temperature if self.softmax else held.calibration().temperature
        return temperature, held.trust(temperature, loaded.trust.networks)


class SizedImages:
    """The images of a run at its network's size: one split after another, one image after another."""

    def __init__(self, loaded: Loaded, scored: Scored, pixels: Pixels, held_out: NDArray[np.int64], own: bool) -> None:
        self._loaded, self._scored, self._cached, self._held_out = loaded, scored, pixels, held_out
        self._own = own

    @property
    def own(self) -> bool:
        """Whether they are those of the run itself, in its own split, so that no choice has seen the test images."""
        return self._own

    @property
    def set(self) -> ImageSet:
        """The set that they are of."""
        return self._scored.images

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

    @property
    def held_out(self) -> NDArray[np.int64]:
        """The indices of at most 1,000 images that the model has not learned and that are not for the test; none where
        that is not known."""
        return evenly(self._held_out, HELD_OUT_IMAGES)

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


def notes_of(loaded: Loaded, budget: Budget | None) -> Notes:
    """What a file in float32 that gives logits says of itself."""
    weights = hashlib.sha256()
    for name, tensor in sorted(loaded.model.state_dict().items()):
        weights.update(name.encode() + tensor.contiguous().numpy().tobytes())
    return Notes(
        network=loaded.network,
        classes=loaded.classes,
        preprocessing=loaded.preprocessing,
        side_px=loaded.side_px,
        temperature=loaded.temperature,
        arena_bytes=None,
        budget=budget,
        weights_sha256=weights.hexdigest(),
        trust=loaded.trust,
    )


def _by_probabilities(trust: Trust | None) -> Trust | None:
    """What can be told without logits: strangers cannot, for they are told by the logits' size."""
    return None if trust is None else dataclasses.replace(trust, familiar=None)


def budget_of(run: str, said: Notes | None) -> Budget | None:
    """The budget that a run was asked to keep, also of a file that was exported of it and that weights are taken from;
    None for weights alone, and where a run had none."""
    if said is not None:
        return said.budget
    if (home := home_of(run)) is None:
        return None
    with reading(plan := home / PLAN):
        row = read_json(plan)["request"].get("budget")
        return None if row is None else from_plain(Budget, row, "request.budget")


def digest_of(home: Path) -> str | None:
    """Which run this is: the SHA-256 of that of its plan.json and that of its weights; None of one without weights."""
    files = [home / name for name in (PLAN, OWN_WEIGHTS)]
    if not all(file.is_file() for file in files):
        return None
    return hashlib.sha256(b"".join(hashlib.sha256(file.read_bytes()).digest() for file in files)).hexdigest()


def _held_out(run: str, data: Data | None, images: ImageSet) -> NDArray[np.int64]:
    """Positions of a run's validation images that it has not learned; none for other images, and for weights alone."""
    home = home_of(run)
    if data is not None or home is None or not (home / SPLIT).is_file():
        return np.empty(0, np.int64)
    split, validation = read_split(home), images.indices("validation")
    if "validation" not in split.learned:
        return validation
    kept = frozenset(split.held_out)
    return np.array([index for index in validation.tolist() if images.files[index] in kept], np.int64)
