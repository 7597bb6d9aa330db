"""Whether a change of images changes their class: found on the training images, by a quick classifier.

A ridge regression on small features (`data.features`) is fitted to four fifths of the images and asked about the last
fifth, in turn; then again with the changed images, under their old labels, beside the originals or instead of them. A
change that keeps the class costs nothing, or helps. One that makes another class of an image teaches the classifier
that two classes are one: it confuses exactly those afterwards. Judged on the same unchanged images before and after,
so that a change which only makes images harder, or which the features do not like, counts for little.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from budgetnet.learn.data import ImageSet, Pixels, Preprocessing
from budgetnet.learn.data.augment import Augmentation, Kind, draws_of
from budgetnet.learn.data.batches import augmented, shrunk
from budgetnet.learn.data.draw import MASK
from budgetnet.learn.data.features import SIDE_PX, Features, features_of

MOST_IMAGES = 1200
"""Looked at, evenly from all classes: with these it takes a second or two of one core for each kind of change."""
MOST_CLASSES = 150
"""Looked at, drawn by the seed: fewer than 8 images of each would say nothing."""
LEAST_IMAGES = 4
"""Of a class, for it to be looked at; and of all together four times as many."""
LOOKED_AT_PX = 2 * SIDE_PX
"""Images are held at so many pixels a side, for changes to be drawn from."""
FOLDS = 5
RIDGES = (0.1, 1.0, 10.0)
ABLE_DEVIATIONS = 4.0
"""The classifier must be right more often than by chance by so many standard deviations, or it cannot tell."""
PAIR_SHARE, PAIR_CHANCE = 0.25, 0.01
"""Two classes are mixed up where so large a share of their images, right before, is taken for the other after (a half
is what a coin does), and chance would do it for any pair less often than this (Bonferroni's correction)."""
KEPT_SKILL, SKILL_CHANCE = 0.8, 0.001
"""Of all classes: less than this is left of what the classifier is better than chance, by more than chance. Photos keep
0.97 and more (docs/lab-log.md)."""
HUELESS_SKILL = 0.5
"""The same where no colour is left as it was: what is better than chance then sees by shape. Photos keep 0.75 and more.
"""
RIGHT_SHARE = 0.7
"""Of a class's images that the classifier is right about, as photos have it or less: the others cannot be lost."""
TOO_MANY = "a pair of classes would not show among so many, of so few images each"
SWAPPED_SHARE = 0.5
"""Of both of two classes: so many mirror images are taken for the other, and more than for their own class."""
ALL_HUES = Augmentation(hue=0.5)
"""What a colour is, is asked by turning it: the few percent that a recipe draws never make red of green, but where the
colour is all that tells classes apart, no change of it is of use."""


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
    judge = _Judge.of(images, pixels, sample, seed)
    if not judge.able:
        unable = "a quick classifier cannot tell the classes apart"
        return {kind: Looked(None, unable, len(sample)) for kind in kinds}
    vague = "" if judge.tells_pairs and len(judge.classes) == len(images.classes) else TOO_MANY
    looked: dict[Kind, Looked] = {}
    for kind in kinds:
        pair = judge.changed(kind, augmentation)
        looked[kind] = Looked(pair, "" if pair else vague, len(sample))
    return looked


def _sample(images: ImageSet, seed: int) -> NDArray[np.int64] | None:
    """Training images, evenly from all classes, or from some where there are very many. None: too few to tell."""
    generator = np.random.default_rng([seed & MASK, 1])
    train = images.indices("train")
    labels = np.asarray(images.labels)[train]
    by_class = [generator.permutation(train[labels == label]) for label in range(len(images.classes))]
    enough = [rows for rows in by_class if len(rows) >= LEAST_IMAGES]
    if len(enough) < 2 or sum(map(len, enough)) < 4 * LEAST_IMAGES:
        return None
    places = sorted(generator.permutation(len(enough))[:MOST_CLASSES].tolist())
    each = _each([len(enough[place]) for place in places])
    return np.sort(np.concatenate([enough[place][:each] for place in places]))


def _each(counts: Sequence[int]) -> int:
    """How many of each class at most, so that all together are at most `MOST_IMAGES`."""
    return max(
        (each for each in range(LEAST_IMAGES, max(counts) + 1) if sum(min(each, one) for one in counts) <= MOST_IMAGES),
        default=LEAST_IMAGES,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Sums:
    """Of features and targets by fold, weighted by class: all that a ridge regression on any folds needs."""

    moments: tuple[Tensor, ...]
    products: tuple[Tensor, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Judge:
    """The classifier, and what it says of the unchanged images: `before`. `labels` count the classes looked at."""

    classes: tuple[str, ...]
    labels: NDArray[np.int64]
    folds: NDArray[np.int64]
    seed: int
    indices: NDArray[np.int64]
    arrays: NDArray[np.uint8]
    inputs: Tensor
    features: Features
    values: Tensor
    originals: _Sums
    ridge: float
    before: NDArray[np.int64]

    @staticmethod
    def of(images: ImageSet, pixels: Pixels, sample: NDArray[np.int64], seed: int) -> _Judge:
        """The classifier for these images; the ridge that does best for all classes alike."""
        there, labels = np.unique(np.asarray(images.labels)[sample], return_inverse=True)
        folds = _folds(labels, seed)
        arrays = shrunk([pixels[index] for index in sample.tolist()], (LOOKED_AT_PX, LOOKED_AT_PX))
        inputs = _inputs(arrays, sample, Augmentation(), seed)
        features = features_of(inputs, seed)
        values = features(inputs)
        originals = _sums(values, labels, folds)
        answers = {ridge: _answers(values, folds, [originals], ridge) for ridge in RIDGES}
        ridge = max(RIDGES, key=lambda one: _balanced(answers[one] == labels, labels))
        classes = tuple(images.classes[label] for label in there.tolist())
        rest = (arrays, inputs, features, values, originals, ridge, answers[ridge])
        return _Judge(classes, labels, folds, seed, sample, *rest)

    @property
    def able(self) -> bool:
        """Whether it tells the classes apart at all: right more often than by chance, all classes alike."""
        chance = 1.0 / len(self.classes)
        deviation = chance * math.sqrt(chance * (1.0 - chance) * float((1.0 / np.bincount(self.labels)).sum()))
        return _balanced(self.before == self.labels, self.labels) - chance > ABLE_DEVIATIONS * deviation

    @property
    def tells_pairs(self) -> bool:
        """Whether two classes that are mixed up would be told from chance: not of many with few images each."""
        count, each = len(self.classes), float(np.bincount(self.labels).mean())
        return 0.5 ** (2 * RIGHT_SHARE * each) * count * (count - 1) / 2 <= PAIR_CHANCE

    def changed(self, kind: Kind, augmentation: Augmentation) -> tuple[str, str] | None:
        """Two classes, the first of which looks like the second after a change of this kind; None for none."""
        if kind == "flip":
            mirrored = self.features(self.inputs.flip(3))
            pair = self._swapped(mirrored) or self._mixed([self.originals, self._learned(mirrored)])
        else:
            pair = self._mixed([self.originals, self._learned(self._drawn(augmentation.only(kind)))])
            if pair is None and kind == "colour" and self.inputs.shape[1] == 3:
                pair = self._mixed([self._learned(self._drawn(ALL_HUES))], HUELESS_SKILL)
        return None if pair is None else (self.classes[pair[0]], self.classes[pair[1]])

    def _drawn(self, augmentation: Augmentation) -> Tensor:
        return self.features(_inputs(self.arrays, self.indices, augmentation, self.seed))

    def _learned(self, values: Tensor) -> _Sums:
        return _sums(values, self.labels, self.folds)

    def _mixed(self, learned: Sequence[_Sums], kept_skill: float = KEPT_SKILL) -> tuple[int, int] | None:
        """The two classes that are most mixed up once this is learned, where that is more than chance."""
        after, count = _answers(self.values, self.folds, learned, self.ridge), len(self.classes)
        lost, won = _moves(self.labels, self.before, after, count), _moves(self.labels, after, self.before, count)
        right = np.bincount(self.labels[self.before == self.labels], minlength=count)
        lost_both, won_both = lost + lost.T, won + won.T
        share = (lost_both - won_both) / np.maximum(right[:, None] + right[None, :], 1)
        found = [
            (float(share[one, other]), one, other)
            for one, other in np.argwhere(np.triu(share >= PAIR_SHARE)).tolist()
            if _chance(lost_both[one, other], won_both[one, other]) * count * (count - 1) / 2 <= PAIR_CHANCE
        ]
        if found:
            _, one, other = max(found)
        elif self._unskilled(after, kept_skill):
            one, other = divmod(int(np.argmax(lost - won)), count)
        else:
            return None
        return (one, other) if lost[one, other] >= lost[other, one] else (other, one)

    def _unskilled(self, after: NDArray[np.int64], kept_skill: float) -> bool:
        """Whether much of what it could do before is gone, by more than chance."""
        right, still, chance = self.before == self.labels, after == self.labels, 1.0 / len(self.classes)
        skill, left = (_balanced(rows, self.labels) - chance for rows in (right, still))
        likely = _chance(int((right & ~still).sum()), int((still & ~right).sum()))
        return left < kept_skill * skill and likely <= SKILL_CHANCE

    def _swapped(self, mirrored: Tensor) -> tuple[int, int] | None:
        """Two classes whose mirror images are taken for each other by the classifier that has seen none.

        One that has learned them may see by the rest of a picture which are mirrored, and keep the classes apart.
        """
        count = len(self.classes)
        taken = np.zeros((count, count), np.int64)
        np.add.at(taken, (self.labels, _answers(mirrored, self.folds, [self.originals], self.ridge)), 1)
        share = taken / np.bincount(self.labels)[:, None]
        np.fill_diagonal(share, 0.0)
        for one, other in np.argwhere(np.triu((share >= SWAPPED_SHARE) & (share.T >= SWAPPED_SHARE))).tolist():
            chances = [_chance(taken[a, b], taken[a, a]) for a, b in ((one, other), (other, one))]
            if max(chances) * count * (count - 1) <= PAIR_CHANCE:
                return one, other
        return None


def _inputs(arrays: NDArray[np.uint8], indices: NDArray[np.int64], augmentation: Augmentation, seed: int) -> Tensor:
    """Images as the augmentation draws them in the first epoch, (n, c, 32, 32), values 0 to 1."""
    channels, epochs = arrays.shape[3], np.zeros(len(arrays), np.int64)
    plain = Preprocessing(mean=(0.0,) * channels, std=(1.0,) * channels)
    drawn = draws_of(seed, epochs, indices)
    found = augmented(list(arrays), indices, epochs, (SIDE_PX, SIDE_PX), plain, augmentation, seed, drawn)
    return found.contiguous()


def _folds(labels: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """A fold for each image, every class spread evenly over them."""
    folds, generator = np.empty(len(labels), np.int64), np.random.default_rng([seed & MASK, 2])
    for label in range(int(labels.max()) + 1):
        rows = generator.permutation(np.flatnonzero(labels == label))
        folds[rows] = np.arange(len(rows)) % FOLDS
    return folds


def _sums(values: Tensor, labels: NDArray[np.int64], folds: NDArray[np.int64]) -> _Sums:
    """All classes weigh alike."""
    targets = 2.0 * torch.eye(int(labels.max()) + 1)[torch.from_numpy(labels)] - 1.0
    weights = torch.from_numpy((1.0 / np.bincount(labels))[labels]).float()
    rows = [torch.from_numpy(folds == fold) for fold in range(FOLDS)]
    weighted = [(values[row] * weights[row, None]).T for row in rows]
    return _Sums(
        tuple((one @ values[row]).double() for one, row in zip(weighted, rows, strict=True)),
        tuple((one @ targets[row]).double() for one, row in zip(weighted, rows, strict=True)),
    )


def _answers(values: Tensor, folds: NDArray[np.int64], learned: Sequence[_Sums], ridge: float) -> NDArray[np.int64]:
    """The class of each image by the ridge regression on the other folds of all that is learned."""
    found = np.empty(len(values), np.int64)
    penalty = ridge * torch.eye(values.shape[1], dtype=torch.float64)
    penalty[-1, -1] = 0.0  # the constant is free
    for fold in range(FOLDS):
        rest = [place for place in range(FOLDS) if place != fold]
        moments = reduce(torch.add, [sums.moments[place] for sums in learned for place in rest])
        products = reduce(torch.add, [sums.products[place] for sums in learned for place in rest])
        factor = torch.linalg.cholesky(moments / moments[-1, -1] + penalty)
        solved = torch.cholesky_solve(products / moments[-1, -1], factor).float()
        chosen = folds == fold
        found[chosen] = (values[torch.from_numpy(chosen)] @ solved).argmax(1).numpy()
    return found


def _balanced(right: NDArray[np.bool_], labels: NDArray[np.int64]) -> float:
    """The share of right answers, all classes alike."""
    return float(np.mean(np.bincount(labels, weights=right) / np.bincount(labels)))


def _moves(
    labels: NDArray[np.int64], first: NDArray[np.int64], second: NDArray[np.int64], count: int
) -> NDArray[np.int64]:
    """How many images of each class, right at first, are taken for which other class then."""
    moves = np.zeros((count, count), np.int64)
    chosen = (first == labels) & (second != labels)
    np.add.at(moves, (labels[chosen], second[chosen]), 1)
    return moves


def _chance(more: int, fewer: int) -> float:
    """How likely chance makes at least `more` of both, each of them a toss of a coin (McNemar's test, one-sided)."""
    both = int(more) + int(fewer)
    return sum(math.comb(both, count) for count in range(int(more), both + 1)) / 2**both
