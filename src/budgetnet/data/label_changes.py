"""Whether a change of images changes their class: found on the training images, by a quick classifier.

It is fitted to four fifths of the images and asked about the last fifth, in turn; then again with the changed images,
under their old labels, beside the originals or instead of them (`data.changed_pairs` has what counts as proof). One
look, at a bounded number of images, is enough where there are so many of each class that two which are made one show.
Of many classes there are too few of each. Then the first look only finds the most suspect pairs, and a second is at
further images of these alone: what made a pair suspect is not a proof, and few pairs need less proof than all do.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from budgetnet.data import ImageSet, Pixels
from budgetnet.data.augment import Augmentation, Kind
from budgetnet.data.changed_pairs import (
    PAIR_CHANCE,
    Change,
    Pair,
    Tried,
    changes_of,
    mixed_by,
    mixed_by_all,
    suspects_of,
)
from budgetnet.data.draw import MASK
from budgetnet.data.quick_classifier import Classifier

MOST_IMAGES = 1200
"""The most images that are looked at, evenly from all classes: they take a second or two of one core for each kind of
change. A second look takes at most this many again."""
FIRST_IMAGES = 2400
"""The most images of a first look that a second one follows: more, since suspects are to be found among many
classes."""
MOST_CLASSES = 2000
"""The most classes that are looked at, drawn by the seed: with `FEWEST_IMAGES` of each it still takes seconds."""
LEAST_IMAGES = 4
"""The fewest images of a class that is looked at; all classes together need four times this many."""
FEWEST_IMAGES = 2
"""The fewest images that are taken of a class, however many classes there are: one to learn from, one to ask about."""
FIRST_SHARE = 0.25
"""The largest share of a class's images that the first of two looks takes; the others are for the second."""
MOST_SUSPECTS = 20
"""How many pairs of classes are looked at again, for each kind of change."""
RIGHT_SHARE = 0.7
"""The share of a class's images that the classifier is right about, at most that of photos: the others cannot be
lost."""
TOO_FEW = "a pair of classes would not show among this many classes with this few images each"
TOO_MANY = f"only {MOST_CLASSES:,} of the classes can be looked at"


@dataclass(frozen=True, slots=True)
class Looked:
    """What was found of one kind of change. `pair`: changed images of the first class look like the second; None where
    none do. `unable`: why nothing could be told, else empty. `images` were looked at."""

    pair: tuple[str, str] | None
    unable: str
    images: int


def label_changes(
    images: ImageSet, pixels: Pixels, augmentation: Augmentation, kinds: Sequence[Kind], seed: int
) -> dict[Kind, Looked]:
    """For each kind of change, as the augmentation draws it, whether it changes classes. Training images only.

    A function of its arguments; some seconds at most, however many images there are.
    """
    sample = _sample(images, seed)
    if sample is None:
        few = f"fewer than {LEAST_IMAGES} training images a class"
        return {kind: Looked(None, few, 0) for kind in kinds}
    classifier = Classifier.of(pixels, *sample.first, seed)
    if not classifier.able:
        unable = "a quick classifier cannot tell the classes apart"
        return {kind: Looked(None, unable, len(classifier.indices)) for kind in kinds}
    looked: dict[Kind, Looked] = {}
    for kind in kinds:
        seen, pair = {*classifier.indices.tolist()}, None
        for change in changes_of(kind, augmentation, images.in_channels):
            pair, further = _look(sample, classifier, change, pixels)
            seen.update(further)
            if pair is not None:
                break
        names = None if pair is None else (sample.classes[pair[0]], sample.classes[pair[1]])
        looked[kind] = Looked(names, "" if names else sample.unable, len(seen))
    return looked


def _look(sample: _Sample, classifier: Classifier, change: Change, pixels: Pixels) -> tuple[Pair | None, list[int]]:
    """The two classes that this change makes one, if any; and which images were looked at again for it."""
    first = Tried(classifier, change, classifier.changed(change.augmentation))
    pair = mixed_by_all(first)
    if pair is not None or not sample.twice:
        return pair, []
    suspects = suspects_of(first, sample.provable, MOST_SUSPECTS)
    indices, labels = sample.more_of(np.flatnonzero((suspects | suspects.T).any(1)))
    count, more = len(classifier.indices), classifier.with_more(pixels, indices, labels)
    changed = torch.cat([first.changed, more.changed(change.augmentation, count)])
    judged = np.arange(len(changed)) >= count
    return mixed_by(Tried(more, change, changed), suspects, judged), indices.tolist()


@dataclass(frozen=True, slots=True, eq=False)
class _Sample:
    """Training images of each class that is looked at, in an order drawn by the seed, of which `each` come first.

    `twice`: whether there is a second look. `unseen` classes have too few images to be looked at, `left_out` of enough
    are too many.
    """

    classes: tuple[str, ...]
    drawn: tuple[NDArray[np.int64], ...]
    each: int
    twice: bool
    unseen: int
    left_out: int

    @property
    def first(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The images of the first look and their classes, in the set's order."""
        return _labelled([rows[: self.each] for rows in self.drawn], range(len(self.drawn)))

    @property
    def provable(self) -> NDArray[np.bool_]:
        """Which classes have enough images, in the look that decides, for a changed pair of them to be told."""
        counts = np.asarray([len(rows) for rows in self.drawn])
        if self.twice:
            return counts - self.each >= _needed(MOST_SUSPECTS)
        return np.minimum(counts, self.each) >= _needed(_pairs(len(counts)))

    @property
    def unable(self) -> str:
        """Why a pair that is changed might not be found, else empty."""
        if self.left_out:
            return TOO_MANY
        shown, classes = int(self.provable.sum()), len(self.classes) + self.unseen
        if shown == classes:
            return ""
        return TOO_FEW if shown < 2 else f"{classes - shown:,} of {classes:,} classes have too few images for it"

    def more_of(self, classes: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Images of these classes that the first look did not take, evenly, and their classes."""
        rest = [self.drawn[label][self.each :] for label in classes.tolist()]
        each = _each([len(rows) for rows in rest], MOST_IMAGES)
        return _labelled([rows[:each] for rows in rest], classes.tolist())


def _labelled(rows: Sequence[NDArray[np.int64]], labels: Sequence[int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    indices = np.concatenate(rows)
    order = np.argsort(indices)
    return indices[order], np.repeat(np.asarray(labels, np.int64), [len(one) for one in rows])[order]


def _sample(images: ImageSet, seed: int) -> _Sample | None:
    """Training images, evenly from all classes, or from some where there are very many. None: too few to tell."""
    generator = np.random.default_rng([seed & MASK, 1])
    train = images.indices("train")
    labels = np.asarray(images.labels)[train]
    ends = np.bincount(labels, minlength=len(images.classes)).cumsum()[:-1]
    by_class = [generator.permutation(rows) for rows in np.split(train[np.argsort(labels, kind="stable")], ends)]
    enough = [label for label, rows in enumerate(by_class) if len(rows) >= LEAST_IMAGES]
    if len(enough) < 2 or sum(len(by_class[label]) for label in enough) < 4 * LEAST_IMAGES:
        return None
    chosen = sorted(enough[index] for index in generator.permutation(len(enough))[:MOST_CLASSES].tolist())
    drawn = tuple(by_class[label] for label in chosen)
    counts = np.asarray([len(rows) for rows in drawn])
    usual, each = float(np.median(counts)), _each(counts, MOST_IMAGES)
    few = min(_each(counts, FIRST_IMAGES), max(FEWEST_IMAGES, int(FIRST_SHARE * usual)))
    surely = min(usual, each) >= _needed(_pairs(len(counts)))
    twice = not surely and usual - few >= _needed(MOST_SUSPECTS)
    return _Sample(
        classes=tuple(images.classes[label] for label in chosen),
        drawn=drawn,
        each=few if twice else each,
        twice=twice,
        unseen=len(images.classes) - len(enough),
        left_out=len(enough) - len(chosen),
    )


def _pairs(classes: int) -> int:
    return classes * (classes - 1) // 2


def _needed(pairs: int) -> int:
    """How many images of each class it takes for two that are made one to be told from chance, among so many pairs.

    Half of those that the classifier is right about are then taken for the other class.
    """
    return math.ceil(math.log2(pairs / PAIR_CHANCE) / RIGHT_SHARE)


def _each(counts: Sequence[int] | NDArray[np.int64], most: int) -> int:
    """How many of each class at most, so that all together are at most so many; `FEWEST_IMAGES` at least."""
    choices = range(FEWEST_IMAGES, max(FEWEST_IMAGES, *counts) + 1)
    below = bisect_right(choices, most, key=lambda each: int(np.minimum(counts, each).sum()))
    return choices[max(below - 1, 0)]
