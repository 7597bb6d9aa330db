"""Which two classes a change of images makes one of: what is proof, and which pairs are suspect.

A change that keeps the class costs the quick classifier nothing, or helps. One that makes another class of an image
teaches it that two classes are one: it confuses exactly those afterwards. Judged on the same unchanged images before
and after, so that a change which only makes images harder, or which the features do not like, counts for little.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from budgetnet.data.augment import Augmentation, Kind
from budgetnet.data.quick_classifier import Classifier, answers_of, balanced

PAIR_SHARE, PAIR_CHANCE = 0.25, 0.01
"""Two classes are mixed up where at least PAIR_SHARE of their images that were right before are taken for the other
after the change (a coin gives a half), and chance does this for any pair less often than PAIR_CHANCE (with Bonferroni's
correction)."""
KEPT_SKILL, SKILL_CHANCE = 0.8, 0.001
"""A change is left out where, over all classes, less than KEPT_SKILL is left of what the classifier is better than
chance, by more than chance. Photos keep 0.97 and more (docs/lab-log.md)."""
HUELESS_SKILL = 0.5
"""The share that must be left where no image keeps its colour: what is better than chance then goes by shape. Photos
keep 0.75 and more."""
SWAPPED_SHARE = 0.5
"""Mirroring is left out where at least this share of the images of both of two classes are taken for the other class,
and more of them than for their own."""
MIRRORED = Augmentation(flip=1.0)
ALL_HUES = Augmentation(hue=0.5)
"""Colours are turned all the way round to test them. The few percent that a recipe draws never make green of red, but
where colour alone tells classes apart, changing it is of no use."""

Pair = tuple[int, int]
Pairs = NDArray[np.bool_]
"""A table (first class, second class), true above the diagonal for the pairs that are asked about."""


@dataclass(frozen=True, slots=True)
class Change:
    """How images are changed to be learned from: instead of the originals or beside them; whether images of two classes
    may be each other's changed ones, as mirror images are; what must be left of the classifier's skill."""

    augmentation: Augmentation
    instead: bool = False
    swaps: bool = False
    kept_skill: float = KEPT_SKILL


def changes_of(kind: Kind, augmentation: Augmentation, in_channels: int) -> tuple[Change, ...]:
    """The changes that a kind of augmentation is tried by, one after another."""
    if kind == "flip":
        return (Change(MIRRORED, swaps=True),)
    drawn = Change(augmentation.only(kind))
    if kind == "colour" and in_channels == 3:
        return drawn, Change(ALL_HUES, instead=True, kept_skill=HUELESS_SKILL)
    return (drawn,)


def every_pair(count: int) -> Pairs:
    """All pairs of classes."""
    return np.triu(np.ones((count, count), np.bool_), 1)


@dataclass(frozen=True, eq=False)
class Tried:
    """A change, tried on all images of the classifier: `changed` are the features of the changed ones."""

    classifier: Classifier
    change: Change
    changed: Tensor

    @cached_property
    def swapped(self) -> Tensor:
        """The scores of the changed images by what was learned from the originals."""
        return self.classifier.scores(self.changed, [self.classifier.originals])

    @cached_property
    def after(self) -> Tensor:
        """The scores of the originals once the changed images are learned."""
        sums = self.classifier.learned(self.changed)
        learned = [sums] if self.change.instead else [self.classifier.originals, sums]
        return self.classifier.scores(self.classifier.values, learned)


def mixed_by_all(tried: Tried) -> Pair | None:
    """Two classes that the images prove to be made one, asked about all pairs; or those that suffer most where the
    classifier loses much of its skill. The first, changed, looks like the second."""
    swapped = _swapped(tried) if tried.change.swaps else None
    if swapped:
        return swapped
    pairs, everyone = every_pair(tried.classifier.count), np.ones(len(tried.changed), np.bool_)
    return mixed_by(tried, pairs, everyone) or _unskilled(tried)


def suspects_of(tried: Tried, classes: NDArray[np.bool_], most: int) -> Pairs:
    """The pairs of these classes that mean scores show most: with them a few images of each say much.

    At most `most`, half of them because unchanged images score more for the other class than before once changed ones
    are learned; half because mirror images of both score more for the other class than for their own.
    """
    classifier = tried.classifier
    pairs = every_pair(classifier.count) & classes & classes[:, None]
    mixed = _towards(classifier.means(tried.after)) - _towards(classifier.means(classifier.scores_before))
    if not tried.change.swaps:
        return _most(mixed, pairs, most)
    swapped = _towards(classifier.means(tried.swapped))
    return _most(mixed, pairs, most // 2) | _most(swapped, pairs, most // 2)


def _towards(means: NDArray[np.float64]) -> NDArray[np.float64]:
    """How much more images of both of two classes score for the other than for their own."""
    more = means - np.diag(means)[:, None]
    return more + more.T


def _most(scores: NDArray[np.float64], pairs: Pairs, most: int) -> Pairs:
    """Those of the pairs with the highest scores."""
    listed = np.where(pairs, scores, -np.inf).ravel()
    best = np.argpartition(-listed, most - 1)[:most] if most < len(listed) else np.arange(len(listed))
    found = np.zeros(len(listed), np.bool_)
    found[best] = True
    return found.reshape(pairs.shape) & pairs


def mixed_by(tried: Tried, pairs: Pairs, judged: NDArray[np.bool_]) -> Pair | None:
    """The two classes of these pairs that are most mixed up once the change is learned, if the images `judged` prove
    it. The first, changed, looks like the second. These images must not have made the pairs suspects.

    Only being mixed up is proof for suspects. Of many classes one is the nearest to nearly any strange picture: that
    mirror images of two are taken for each other, rather than for their own class which they do not look like, harms
    nothing.
    """
    count, labels = tried.classifier.count, tried.classifier.labels[judged]
    before, after = tried.classifier.before[judged], answers_of(tried.after)[judged]
    lost, won = _moves(labels, before, after, count), _moves(labels, after, before, count)
    right = np.bincount(labels[before == labels], minlength=count)
    lost_both, won_both = lost + lost.T, won + won.T
    share = (lost_both - won_both) / np.maximum(right[:, None] + right[None, :], 1)
    pair_count = int(pairs.sum())
    found = [
        (float(share[one, other]), one, other)
        for one, other in np.argwhere(pairs & (share >= PAIR_SHARE)).tolist()
        if _chance(lost_both[one, other], won_both[one, other]) * pair_count <= PAIR_CHANCE
    ]
    if not found:
        return None
    _, one, other = max(found)
    return (one, other) if lost[one, other] >= lost[other, one] else (other, one)


def _unskilled(tried: Tried) -> Pair | None:
    """The pair that suffers most where much of what the classifier could do before is gone, by more than chance."""
    labels, before, after = tried.classifier.labels, tried.classifier.before, answers_of(tried.after)
    right, still, count = before == labels, after == labels, tried.classifier.count
    skill, left = (balanced(rows, labels) - 1.0 / count for rows in (right, still))
    likely = _chance(int((right & ~still).sum()), int((still & ~right).sum()))
    if left >= tried.change.kept_skill * skill or likely > SKILL_CHANCE:
        return None
    lost, won = _moves(labels, before, after, count), _moves(labels, after, before, count)
    one, other = divmod(int(np.argmax(lost - won)), count)
    return (one, other) if lost[one, other] >= lost[other, one] else (other, one)


def _swapped(tried: Tried) -> Pair | None:
    """Two classes whose mirror images are taken for each other by the classifier that has seen none.

    One that has learned them may see by the rest of a picture which are mirrored, and keep the classes apart.
    """
    count, labels = tried.classifier.count, tried.classifier.labels
    taken = np.zeros((count, count), np.int64)
    np.add.at(taken, (labels, answers_of(tried.swapped)), 1)
    share = taken / np.bincount(labels)[:, None]
    np.fill_diagonal(share, 0.0)
    for one, other in np.argwhere(np.triu((share >= SWAPPED_SHARE) & (share.T >= SWAPPED_SHARE))).tolist():
        chances = [_chance(taken[a, b], taken[a, a]) for a, b in ((one, other), (other, one))]
        if max(chances) * count * (count - 1) <= PAIR_CHANCE:
            return one, other
    return None


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
