"""Least squares drawn to what is there already, as strongly as held-out images say.

    min over W, b of  sum |W q + b - t|^2 + n |D (W - W0)|^2,   D^2 = pull * diag(cov q)

Few images and wide layers would overfit: each half of the images scores what the other half gives, the pull that
scores best is used on all, and where none beats W0, only the mean is put right.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

PULLS = (1e-3, 1e-2, 1e-1, 1.0, 10.0)


class Sums:
    """Sums of inputs (..., samples, i) and answers (..., samples, o), in float64; mutable."""

    def __init__(self) -> None:
        self.count = 0
        self.inputs = self.answers = self.squares = self.products = torch.zeros((), dtype=torch.float64)

    def add(self, inputs: Tensor, answers: Tensor) -> None:
        """Count in more samples."""
        self.count += inputs.shape[-2]
        self.inputs = self.inputs + inputs.sum(-2, keepdim=True).double()
        self.answers = self.answers + answers.sum(-2, keepdim=True).double()
        self.squares = self.squares + (inputs.mT @ inputs).double()
        self.products = self.products + (inputs.mT @ answers).double()

    def __add__(self, other: Sums) -> Sums:
        both = Sums()
        both.count = self.count + other.count
        for name in ("inputs", "answers", "squares", "products"):
            setattr(both, name, getattr(self, name) + getattr(other, name))
        return both

    @property
    def covariance(self) -> Tensor:
        """Of the inputs: (..., i, i)."""
        return self.squares / self.count - (self.inputs.mT / self.count) @ (self.inputs / self.count)

    @property
    def cross(self) -> Tensor:
        """Covariance of inputs and answers: (..., i, o)."""
        return self.products / self.count - (self.inputs.mT / self.count) @ (self.answers / self.count)


def halves(pairs: Iterable[tuple[Tensor, Tensor]]) -> tuple[Sums, Sums]:
    """The sums of every other chunk, and of those between."""
    sums = Sums(), Sums()
    for index, (inputs, answers) in enumerate(pairs):
        sums[index % 2].add(inputs, answers)
    return sums


def fitted(first: Tensor, sums: tuple[Sums, Sums]) -> tuple[Tensor, Tensor]:
    """W (..., i, o) near `first`, and b (..., 1, o). Source of the two halves: Stone, JRSS B 36 (1974)."""
    one, other = sums
    whole = one + other if other.count else one
    matrix = first
    if other.count:
        kept = _lost(first, one) + _lost(first, other)
        scores = {
            pull: _lost(_drawn(first, one, pull), other) + _lost(_drawn(first, other, pull), one) for pull in PULLS
        }
        best = min(scores, key=lambda pull: scores[pull])
        if scores[best] < kept:
            matrix = _drawn(first, whole, best)
    return matrix, (whole.answers - whole.inputs @ matrix) / whole.count


def _drawn(first: Tensor, sums: Sums, pull: float) -> Tensor:
    covariance = sums.covariance
    diagonal = covariance.diagonal(dim1=-2, dim2=-1)
    floor = 1e-6 * diagonal.mean(-1, keepdim=True) + 1e-12  # a channel that never changes has no variance
    system = covariance + torch.diag_embed(pull * diagonal + floor)
    return first + torch.linalg.solve(system, sums.cross - covariance @ first)


def _lost(matrix: Tensor, sums: Sums) -> float:
    """The variance that is not told, but for a constant."""
    return float((matrix * (sums.covariance @ matrix - 2 * sums.cross)).sum())
