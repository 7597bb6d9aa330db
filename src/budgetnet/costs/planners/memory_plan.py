"""What a runtime needs of memory for a network: a plan, and the row that every runtime has."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal, NamedTuple

from budgetnet.costs.number_types import DType
from budgetnet.networks import Block, Network, Px

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


class PartMemory(NamedTuple):
    """What a part of a network needs, or several: together lower bounds of a plan, for which nothing is placed.

    `live_bytes` are the most that live at once while a part runs. What the runtime takes to plan it
    (`planning_bytes`), what it keeps (`tail_bytes`) and the file add up.
    """

    live_bytes: int
    planning_bytes: int
    tail_bytes: int
    file_bytes: int

    @property
    def arena_bytes(self) -> int:
        """The least that the RAM can be."""
        return max(self.live_bytes, self.planning_bytes) + self.tail_bytes

    @staticmethod
    def of(parts: Iterable[tuple[PartMemory, int]]) -> PartMemory:
        """Parts, each so many times."""
        live = planning = tail = file = 0
        for part, times in parts:
            live = max(live, part.live_bytes)
            planning += times * part.planning_bytes
            tail += times * part.tail_bytes
            file += times * part.file_bytes
        return PartMemory(live, planning, tail, file)


Planning = Callable[[Network, int, DType], MemoryPlan]
"""A runtime's memory plan is made of a network, a batch and a number type by such a function."""


class PartPlanning(NamedTuple):
    """What parts of a network need by themselves: its stem, a block that sees such a map, all behind the last block."""

    stem: Callable[[Network, int, DType], PartMemory]
    block: Callable[[Block, Px, int, DType], PartMemory]
    tail: Callable[[Network, Px, int, DType], PartMemory]


@dataclass(frozen=True, slots=True)
class Planner:
    """How a runtime plans its memory: a row of `PLANNERS`.

    Attributes:
        title: The runtime's name for people.
        plan: What it needs for a network.
        parts: What the parts of a network need, from which a search bounds the plan without making the network.
        floor: A lower bound of that which never falls as a network without skips grows.
        dtypes: The number types that it has.
        largest_batch: The most images at once; None where there is no bound.
        source: What the plan is held against.
    """

    title: str
    plan: Planning
    parts: PartPlanning
    floor: Planning
    dtypes: tuple[DType, ...]
    largest_batch: int | None
    source: str
