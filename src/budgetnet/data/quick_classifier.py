"""A classifier of images that takes a second: ridge regression on small features, each image judged by the others.

The images lie in folds; an image's scores come from a regression on the other folds. What it has learned may be the
images as they are, changed ones under their labels, or both: sums over folds are all that a regression needs.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, reduce

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from budgetnet.data import Pixels, Preprocessing
from budgetnet.data.augment import Augmentation, draws_of
from budgetnet.data.batches import augmented
from budgetnet.data.draw import MASK
from budgetnet.data.features import SIDE_PX, Features, features_of
from budgetnet.data.fitting import shrunk

LOOKED_AT_PX = 2 * SIDE_PX
"""The pixels of a side that images are held at, for changes to be drawn from."""
FOLDS = 5
RIDGES = (0.1, 1.0, 10.0)
ABLE_DEVIATIONS = 4.0
"""A classifier that is right more often than chance by fewer standard deviations than this cannot tell classes
apart."""


@dataclass(frozen=True, slots=True, eq=False)
class Sums:
    """Of features and targets by fold, weighted by class: all that a ridge regression on any folds needs."""

    moments: tuple[Tensor, ...]
    products: tuple[Tensor, ...]


@dataclass(frozen=True, eq=False)
class Classifier:
    """The classifier, and the images it learns from: `indices` of the set, `labels` 0 to `count` - 1.

    `values` are the features of the images as they are, `originals` what it learns from these.
    """

    count: int
    indices: NDArray[np.int64]
    labels: NDArray[np.int64]
    folds: NDArray[np.int64]
    seed: int
    arrays: NDArray[np.uint8]
    features: Features
    values: Tensor
    ridge: float

    @staticmethod
    def of(pixels: Pixels, indices: NDArray[np.int64], labels: NDArray[np.int64], seed: int) -> Classifier:
        """The classifier for these images; the ridge that does best for all classes alike."""
        arrays = _arrays(pixels, indices)
        inputs = _inputs(arrays, indices, Augmentation(), seed)
        features = features_of(inputs, seed)
        rest = (folds_of(labels, seed), seed, arrays, features, features(inputs))
        tried = [Classifier(int(labels.max()) + 1, indices, labels, *rest, ridge) for ridge in RIDGES]
        return max(tried, key=lambda one: balanced(one.before == labels, labels))

    def with_more(self, pixels: Pixels, indices: NDArray[np.int64], labels: NDArray[np.int64]) -> Classifier:
        """The same, with further images behind those it has; features and ridge stay."""
        arrays = _arrays(pixels, indices)
        values = self.features(_inputs(arrays, indices, Augmentation(), self.seed))
        return dataclasses.replace(
            self,
            indices=np.concatenate([self.indices, indices]),
            labels=np.concatenate([self.labels, labels]),
            folds=np.concatenate([self.folds, folds_of(labels, self.seed)]),
            arrays=np.concatenate([self.arrays, arrays]),
            values=torch.cat([self.values, values]),
        )

    @cached_property
    def originals(self) -> Sums:
        """What is learned from the images as they are."""
        return self.learned(self.values)

    @cached_property
    def scores_before(self) -> Tensor:
        """The scores of the images as they are, by what was learned from the others as they are."""
        return self.scores(self.values, [self.originals])

    @cached_property
    def before(self) -> NDArray[np.int64]:
        """The class of each image as it is, by these scores."""
        return answers_of(self.scores_before)

    @property
    def able(self) -> bool:
        """Whether it tells the classes apart at all: right more often than by chance, all classes alike."""
        chance = 1.0 / self.count
        deviation = chance * math.sqrt(chance * (1.0 - chance) * float((1.0 / np.bincount(self.labels)).sum()))
        return balanced(self.before == self.labels, self.labels) - chance > ABLE_DEVIATIONS * deviation

    def changed(self, augmentation: Augmentation, start: int = 0) -> Tensor:
        """The features of the images from `start` on as the augmentation draws them in the first epoch."""
        return self.features(_inputs(self.arrays[start:], self.indices[start:], augmentation, self.seed))

    def learned(self, values: Tensor) -> Sums:
        """What is learned from the images with these features, all classes alike."""
        labels = torch.from_numpy(self.labels)
        weights = torch.from_numpy((1.0 / np.bincount(self.labels))[self.labels]).float()
        rows = [torch.from_numpy(self.folds == fold) for fold in range(FOLDS)]
        weighted = [values[row] * weights[row, None] for row in rows]
        of_classes = [
            torch.zeros(self.count, values.shape[1]).index_add_(0, labels[row], one)
            for one, row in zip(weighted, rows, strict=True)
        ]
        return Sums(
            tuple((one.T @ values[row]).double() for one, row in zip(weighted, rows, strict=True)),
            tuple((2.0 * one - one.sum(0)).T.double() for one in of_classes),  # targets are 1, and -1 for other classes
        )

    def scores(self, values: Tensor, learned: Sequence[Sums]) -> Tensor:
        """Of images with these features, how much each looks like each class (n, count), by the other folds."""
        found = torch.empty(len(values), self.count)
        penalty = self.ridge * torch.eye(values.shape[1], dtype=torch.float64)
        penalty[-1, -1] = 0.0  # the constant is free
        for fold in range(FOLDS):
            rest = [other for other in range(FOLDS) if other != fold]
            moments = reduce(torch.add, [sums.moments[other] for sums in learned for other in rest])
            products = reduce(torch.add, [sums.products[other] for sums in learned for other in rest])
            factor = torch.linalg.cholesky(moments / moments[-1, -1] + penalty)
            chosen = torch.from_numpy(self.folds == fold)
            inputs, targets = values[chosen], products / moments[-1, -1]
            if self.count <= len(inputs):
                found[chosen] = inputs @ torch.cholesky_solve(targets, factor).float()
            else:  # of very many classes: solved for the images, which are fewer
                found[chosen] = torch.cholesky_solve(inputs.double().T, factor).T.float() @ targets.float()
        return found

    def means(self, scores: Tensor) -> NDArray[np.float64]:
        """Of all images' scores the mean over each class: (class of the images, class that they are scored for)."""
        sums = torch.zeros(self.count, self.count).index_add_(0, torch.from_numpy(self.labels), scores)
        return sums.numpy() / np.bincount(self.labels)[:, None].astype(np.float64)


def answers_of(scores: Tensor) -> NDArray[np.int64]:
    """The class that each image looks like most, by its scores."""
    return scores.argmax(1).numpy()


def balanced(right: NDArray[np.bool_], labels: NDArray[np.int64]) -> float:
    """The share of right answers, all classes alike."""
    return float(np.mean(np.bincount(labels, weights=right) / np.bincount(labels)))


def folds_of(labels: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """A fold for each image, every class spread evenly over them."""
    folds, generator = np.empty(len(labels), np.int64), np.random.default_rng([seed & MASK, 2])
    for label in range(int(labels.max()) + 1):
        rows = generator.permutation(np.flatnonzero(labels == label))
        folds[rows] = np.arange(len(rows)) % FOLDS
    return folds


def _arrays(pixels: Pixels, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
    return shrunk([pixels[index] for index in indices.tolist()], (LOOKED_AT_PX, LOOKED_AT_PX))


def _inputs(arrays: NDArray[np.uint8], indices: NDArray[np.int64], augmentation: Augmentation, seed: int) -> Tensor:
    """Images as the augmentation draws them in the first epoch, (n, c, 32, 32), values 0 to 1."""
    channels, epochs = arrays.shape[3], np.zeros(len(arrays), np.int64)
    plain = Preprocessing(mean=(0.0,) * channels, std=(1.0,) * channels)
    drawn = draws_of(seed, epochs, indices)
    found = augmented(list(arrays), indices, epochs, (SIDE_PX, SIDE_PX), plain, augmentation, seed, drawn)
    return found.contiguous()
