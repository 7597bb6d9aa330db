"""A network as a format computes it: steps, each of which makes one tensor, run by torch as they are or rounded."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

Weights = Mapping[str, tuple[Tensor, Tensor]]
"""Each layer, by its name, has a kernel (o, i, k, k) or (o, i) and a bias (o,)."""
Kept = Callable[[str, Tensor], Tensor]
"""What is left of a tensor of this name once it is stored."""


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """What makes one tensor.

    Attributes:
        name: The tensor that it makes.
        reads: The tensors that it reads, without weights.
        run: What it makes of these, in their order; a layer is given kernel and bias behind them.
        layer: The convolution or linear layer whose weights it is given.
        by_channel: Whether the format has a scale for each channel of its kernel; else there is one.
    """

    name: str
    reads: tuple[str, ...]
    run: Callable[..., Any]
    layer: str | None = None
    by_channel: bool = True


class Maps:
    """The tensors that steps read, by their names; each is let go of behind the last step that reads it."""

    def __init__(self, steps: Sequence[Step], images: Tensor) -> None:
        self._last = {name: index for index, step in enumerate(steps) for name in step.reads}
        self._live: dict[str, Any] = {steps[0].reads[0]: images}
        self._done = 0

    def read(self, step: Step) -> list[Any]:
        """What a step reads."""
        return [self._live[name] for name in step.reads]

    def put(self, step: Step, value: Any) -> None:
        """What the next step made."""
        self._live[step.name] = value
        for name in step.reads:
            if self._last[name] == self._done:
                self._live.pop(name, None)
        self._done += 1


def as_it_is(name: str, value: Tensor) -> Tensor:
    """A tensor that is stored in float."""
    return value


def made(step: Step, reads: Sequence[Any], weights: Weights) -> Any:
    """What a step makes of what it reads."""
    return step.run(*reads, *(() if step.layer is None else weights[step.layer]))


def values(steps: Sequence[Step], weights: Weights, images: Tensor, kept: Kept = as_it_is) -> Iterator[tuple[str, Any]]:
    """(name, what it holds) of every tensor in the order in which they are made: maps are (n, c, h, w).

    Images are pixels, 0 to 255. Beside tensors some traces make numbers, such as the count of the images.
    """
    maps = Maps(steps, images)
    yield steps[0].reads[0], images
    for step in steps:
        value = kept(step.name, made(step, maps.read(step), weights))
        yield step.name, value
        maps.put(step, value)


def logits(steps: Sequence[Step], weights: Weights, images: Tensor, kept: Kept = as_it_is) -> Tensor:
    """What the last step makes: (n, classes)."""
    last = images
    for _, value in values(steps, weights, images, kept):
        last = value
    return last.flatten(1)
