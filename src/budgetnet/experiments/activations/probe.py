"""How far a gradient can be trusted: the loss and the gradient along it, from where the weights are now."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from budgetnet.data.batches import Batch
from budgetnet.model.build import Model
from budgetnet.training.trainer import loss_of

LENGTHS = (0.0001, 0.0003, 0.001, 0.003, 0.01)
"""How far the weights are moved, as shares of their own length: up to about what a step of AdamW moves them."""


@dataclass(frozen=True, slots=True)
class Probe:
    """What one gradient promises and what moving along it brings.

    g is the gradient of the loss L at the weights w, all of them as one vector; for each of `lengths`, t, the weights
    go to w_t = w - t |w| g / |g|, where the loss is `losses` and the gradient g_t.
    `gradient_changes` are |g_t - g| / |g|. Where g is 0 or the loss has run away there is no number, but NaN.
    Source: Santurkar et al., arXiv:1805.11604, section 3.1 and figure 4; the lengths are ours.
    """

    lengths: tuple[float, ...]
    loss: float
    gradient_norm: float
    weight_norm: float
    losses: tuple[float, ...]
    gradient_changes: tuple[float, ...]

    @property
    def loss_range(self) -> float:
        """max - min of the loss over w and all w_t: how much it varies along the gradient."""
        values = (self.loss, *self.losses)
        return math.nan if any(map(math.isnan, values)) else max(values) - min(values)

    @property
    def gradient_change(self) -> float:
        """Mean over the lengths of |g_t - g| / |g|: 0 where the gradient here is the gradient there."""
        return sum(self.gradient_changes) / len(self.gradient_changes)

    @property
    def first_order_errors(self) -> tuple[float, ...]:
        """|L(w_t) - (L(w) - t |w| |g|)| / (t |w| |g|) of each length: 1 is as wrong as no change at all."""
        promised = [length * self.weight_norm * self.gradient_norm for length in self.lengths]
        return tuple(
            abs(there - (self.loss - drop)) / drop if drop > 0 else math.nan
            for there, drop in zip(self.losses, promised, strict=True)
        )

    @property
    def first_order_error(self) -> float:
        """Mean over the lengths of `first_order_errors`."""
        return sum(self.first_order_errors) / len(self.lengths)

    @property
    def smoothness(self) -> float:
        """max over the lengths of |g_t - g| / |w_t - w|: the "effective" beta-smoothness, in loss / weight**2."""
        return self.relative_smoothness * self.gradient_norm / self.weight_norm if self.weight_norm else math.nan

    @property
    def relative_smoothness(self) -> float:
        """max over the lengths of (|g_t - g| / |g|) / (|w_t - w| / |w|): the same, free of units."""
        ratios = [change / length for change, length in zip(self.gradient_changes, self.lengths, strict=True)]
        return math.nan if any(map(math.isnan, ratios)) else max(ratios)

    def values(self) -> ProbeValues:
        """All of it as a file holds it."""
        return ProbeValues(
            loss=finite(self.loss),
            gradient_norm=finite(self.gradient_norm),
            weight_norm=finite(self.weight_norm),
            smoothness=finite(self.smoothness),
            loss_range=finite(self.loss_range),
            gradient_change=finite(self.gradient_change),
            first_order_error=finite(self.first_order_error),
            relative_smoothness=finite(self.relative_smoothness),
            losses=tuple(map(finite, self.losses)),
            gradient_changes=tuple(map(finite, self.gradient_changes)),
            first_order_errors=tuple(map(finite, self.first_order_errors)),
        )


@dataclass(frozen=True, slots=True)
class ProbeValues:
    """What a probe found, each as in `Probe`; None for what is not a finite number."""

    loss: float | None
    gradient_norm: float | None
    weight_norm: float | None
    smoothness: float | None
    loss_range: float | None
    gradient_change: float | None
    first_order_error: float | None
    relative_smoothness: float | None
    losses: tuple[float | None, ...]
    gradient_changes: tuple[float | None, ...]
    first_order_errors: tuple[float | None, ...]


def finite(value: float) -> float | None:
    """The number, or None where it is not a finite one."""
    return value if math.isfinite(value) else None


def probe(loss: Callable[[], Tensor], weights: Sequence[Tensor], lengths: Sequence[float] = LENGTHS) -> Probe:
    """Move `weights` along the gradient of `loss()`, by shares `lengths` of their length, and back.

    `loss` is a scalar function of the weights, which are moved in place and end as they began.
    """
    start = [weight.detach().clone() for weight in weights]
    value, gradient = _with_gradient(loss, weights)
    size, length_of_all = _norm(gradient), _norm(start)
    losses: list[float] = []
    changes: list[float] = []
    for length in lengths:
        if not (math.isfinite(size) and size > 0):
            losses.append(math.nan)
            changes.append(math.nan)
            continue
        _place(weights, start, gradient, -length * length_of_all / size)
        there, other = _with_gradient(loss, weights)
        losses.append(there)
        changes.append(_norm([a - b for a, b in zip(other, gradient, strict=True)]) / size)
    _place(weights, start, gradient, 0.0)
    return Probe(tuple(lengths), value, size, length_of_all, tuple(losses), tuple(changes))


def _with_gradient(loss: Callable[[], Tensor], weights: Sequence[Tensor]) -> tuple[float, list[Tensor]]:
    with torch.enable_grad():
        value = loss()
        return float(value.detach()), list(torch.autograd.grad(value, weights))


def _norm(parts: Sequence[Tensor]) -> float:
    """The length of all parts as one vector, summed in float64."""
    return math.sqrt(sum(float(part.double().square().sum()) for part in parts))


@torch.no_grad()
def _place(weights: Sequence[Tensor], start: Sequence[Tensor], gradient: Sequence[Tensor], factor: float) -> None:
    for weight, here, part in zip(weights, start, gradient, strict=True):
        weight.copy_(here + factor * part if factor else here)


class ModelProbe:
    """Probes of a model in training, on one batch. The model itself is never touched: a copy is moved.

    The loss is the one that is trained (label smoothing too), BatchNorm reads the batch as in a training step;
    dropout and stochastic depth are off, so that the loss is a function of the weights alone.
    """

    def __init__(self, model: Model, batch: Batch, label_smoothing: float) -> None:
        self.copy = copy.deepcopy(model).eval()
        for module in self.copy.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.train()
        self.weights = [weight for weight in self.copy.parameters() if weight.requires_grad]
        self.batch, self.label_smoothing = batch, label_smoothing

    def at(self, model: Model, lengths: Sequence[float] = LENGTHS) -> Probe:
        """The probe of the model's weights as they are now."""
        self.copy.load_state_dict(model.state_dict())
        return probe(self._loss, self.weights, lengths)

    def _loss(self) -> Tensor:
        return loss_of(self.copy(self.batch.inputs), self.batch, self.label_smoothing)
