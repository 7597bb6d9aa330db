"""What a runtime needs of memory for a network: a plan, and the row that every runtime has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from budgetnet.costs.number_types import DType
from budgetnet.networks import Network

Runtime = Literal["deployed", "tflite_micro"]


@dataclass(frozen=True, slots=True)
class LiveTensor:
    """One tensor of a plan's fullest moment.

    Attributes:
        name: The op that makes it, or "input" of a block or of the network.
        size_bytes: Its bytes.
    """

    name: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """The memory that a network needs where a runtime runs it, and where it needs the most.

    Attributes:
        head_bytes: The largest sum of tensors that live at once.
        tail_bytes: What the runtime keeps beside them from the start to the end.
        file_bytes: The weights, with all that the runtime's file has around them.
        op: The op at which the most tensors live.
        tensors: Those that live there, in the order in which they were made.
    """

    head_bytes: int
    tail_bytes: int
    file_bytes: int
    op: str
    tensors: tuple[LiveTensor, ...]

    @property
    def arena_bytes(self) -> int:
        """head_bytes + tail_bytes: the RAM."""
        return self.head_bytes + self.tail_bytes


Planning = Callable[[Network, int, DType], MemoryPlan]
"""A runtime's memory plan is made of a network, a batch and a number type by such a function."""


@dataclass(frozen=True, slots=True)
class Planner:
    """How a runtime plans its memory: a row of `PLANNERS`.

    Attributes:
        title: The runtime's name for people.
        plan: What it needs for a network.
        floor: A lower bound of that which never falls as a network without skips grows.
        dtypes: The number types that it has.
        largest_batch: The most images at once; None where there is no bound.
        source: What the plan is held against.
    """

    title: str
    plan: Planning
    floor: Planning
    dtypes: tuple[DType, ...]
    largest_batch: int | None
    source: str
