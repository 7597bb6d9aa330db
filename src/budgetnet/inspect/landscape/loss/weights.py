"""A trained model's weights, moved along random directions and put back, and the loss there."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

Direction = Mapping[str, Tensor]
"""Each parameter that moves has, by its name, how it moves in one step."""


@dataclass(frozen=True, slots=True, eq=False)
class Probe:
    """A model in evaluation mode, and the batches (inputs, labels) that its loss is of."""

    model: nn.Module
    batches: tuple[tuple[Tensor, Tensor], ...]

    @property
    def images(self) -> int:
        """Images in all batches."""
        return sum(len(labels) for _, labels in self.batches)

    @torch.no_grad()
    def loss_and_accuracy(self) -> tuple[float | None, float]:
        """Mean cross entropy of the images, None where it is not a finite number; share of right answers."""
        total, right = 0.0, 0
        for inputs, labels in self.batches:
            logits = self.model(inputs).float()
            total += float(functional.cross_entropy(logits, labels, reduction="sum"))
            right += int((logits.argmax(1) == labels).sum())
        return (total / self.images if math.isfinite(total) else None), right / self.images

    def loss(self) -> float | None:
        """Mean cross entropy of the images, None where it is not a finite number."""
        return self.loss_and_accuracy()[0]


def moving(model: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters that directions move: filters. Biases, BatchNorm's and a trained beta (below 2-D) stay."""
    return {name: one for name, one in model.named_parameters() if one.dim() > 1}


def direction(filters: Mapping[str, Tensor], seed: int, index: int) -> dict[str, Tensor]:
    """A random direction, filter by filter as long as the weights given: those of `moving`, or copies of them.

    d = g |w| / |g| for every filter w (an output channel of a convolution, a row of a linear layer), where g is
    drawn from N(0, 1); 0 for biases and BatchNorm. g is a function of (seed, index) and the filters' shapes
    alone: twins get the same. Source: Li et al., arXiv:1712.09913, section 4; "filter" with "biasbn" ignored
    in the authors' code.
    """
    draw, found = np.random.default_rng([seed, index]), dict[str, Tensor]()
    for name, weight in filters.items():
        normal = torch.from_numpy(draw.standard_normal(tuple(weight.shape), np.float32)).to(weight.device)
        found[name] = normal * (_filter_norms(weight.detach()) / _filter_norms(normal))
    return found


def _filter_norms(weight: Tensor) -> Tensor:
    """The norm of each filter, (filters, 1, ...)."""
    return weight.flatten(1).norm(dim=1).reshape(-1, *(1,) * (weight.dim() - 1))


class Moved:
    """A model's trained weights, and the model moved away from them; `kept` puts it back."""

    def __init__(self, probe: Probe) -> None:
        self.probe = probe
        self.parameters = moving(probe.model)
        self.trained = {name: one.detach().clone() for name, one in self.parameters.items()}

    def direction(self, seed: int, index: int) -> dict[str, Tensor]:
        """A random direction, filter by filter as long as the trained weights, wherever the model is."""
        return direction(self.trained, seed, index)

    @torch.no_grad()
    def loss_at(self, steps: Sequence[tuple[float, Direction]]) -> float | None:
        """The loss with the weights w + sum of step * direction; BatchNorm keeps its statistics."""
        for name, parameter in self.parameters.items():
            moved = self.trained[name]
            for step, along in steps:
                moved = moved.add(along[name], alpha=step)
            parameter.copy_(moved)
        return self.probe.loss()

    @torch.no_grad()
    def put_back(self) -> None:
        """The trained weights, bit for bit."""
        for name, parameter in self.parameters.items():
            parameter.copy_(self.trained[name])


@contextmanager
def kept(probe: Probe) -> Iterator[Moved]:
    """A model to move, which has its trained weights again at the end of the `with`."""
    moved = Moved(probe)
    try:
        yield moved
    finally:
        moved.put_back()


def fingerprint(model: nn.Module, description: str) -> str:
    """16 hex digits over a model's description and the names and values of its parameters and buffers.

    Weights alone do not say which activations they are used with.
    """
    digest = hashlib.sha256(description.encode())
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
