"""Which tensors live at once while ops run one after another, each freed behind the last op that reads it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple


class Tensor(NamedTuple):
    """What an op makes, named after that op, or what the ops are given; one image's elements."""

    name: str
    elements: int


class Step(NamedTuple):
    """One op: the tensors that it reads, and the one that it makes; None where it writes into one that it reads.

    `scratch` is what it needs for itself alone.
    """

    op: str
    reads: tuple[Tensor, ...]
    makes: Tensor | None
    scratch: tuple[Tensor, ...] = ()


class Moment(NamedTuple):
    """An op and what lives while it runs; `size` is the sum."""

    op: str
    tensors: tuple[Tensor, ...]
    size: int

    def under(self, name: str) -> Moment:
        """The same with the names of a part of the network: `name` stands before them."""
        return Moment(f"{name}.{self.op}", tuple(Tensor(f"{name}.{at}", size) for at, size in self.tensors), self.size)


def last_reads(steps: Sequence[Step]) -> dict[str, int]:
    """The last op that reads a tensor, by the tensor's name."""
    return {tensor.name: index for index, step in enumerate(steps) for tensor in step.reads}


def fullest(steps: Sequence[Step], size: Callable[[Tensor], int]) -> Moment:
    """The first op with the largest sum of sizes among what it reads, what it makes and what a later op reads."""
    last = last_reads(steps)
    made = {step.makes.name for step in steps if step.makes is not None}
    live = {tensor.name: tensor for step in steps for tensor in step.reads if tensor.name not in made}
    total = sum(map(size, live.values()))
    peak = Moment("", (), -1)
    for index, step in enumerate(steps):
        if step.makes is not None:
            live[step.makes.name] = step.makes
            total += size(step.makes)
        there = total + sum(map(size, step.scratch))
        if there > peak.size:
            peak = Moment(step.op, (*live.values(), *step.scratch), there)
        for tensor in step.reads:
            if last[tensor.name] == index and live.pop(tensor.name, None) is not None:
                total -= size(tensor)
    return peak
