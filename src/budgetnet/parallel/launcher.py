"""What torchrun and the like say to each of the processes that they start, in its environment."""

from __future__ import annotations

import os
from dataclasses import dataclass

from budgetnet.codec import NonNegativeInt, PositiveInt

NEEDED = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
NAMES = (*NEEDED, "LOCAL_WORLD_SIZE", "TORCHELASTIC_USE_AGENT_STORE")
"""What a launcher sets: a worker of ours is told by its parent alone."""

_speaks: bool | None = None


@dataclass(frozen=True, slots=True)
class Launch:
    """This process among those that a launcher started; `local_` is among those on this machine."""

    rank: NonNegativeInt
    local_rank: NonNegativeInt
    processes: PositiveInt
    local_processes: PositiveInt


def launch() -> Launch | None:
    """What the launcher says; None for a process that is the only one.

    Raises a one-line `ValueError` where the environment has a part of it.
    """
    count = os.environ.get("WORLD_SIZE", "1")
    if count == "1":
        return None
    if missing := [name for name in NEEDED if not os.environ.get(name)]:
        what = f"WORLD_SIZE is {count!r} in the environment, and {' and '.join(missing)} missing"
        raise ValueError(f"{what}; start with torchrun or accelerate launch, or unset WORLD_SIZE")
    numbers = {name: os.environ.get(name, count) for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE")}
    for name, value in numbers.items():
        if not value.isdecimal():
            raise ValueError(f"{name} is {value!r} in the environment; start with torchrun or accelerate launch")
    return Launch(*map(int, numbers.values()))


def refuse_launch(why: str = "only train and solve share one training among them") -> None:
    """Raise a one-line `ValueError` in the processes of a launcher, each of which would start a run of its own."""
    here = launch()
    if here is not None:
        raise ValueError(
            f"a launcher started {here.processes} processes, and {why}; start this once, without torchrun: it starts a "
            "process for each core or GPU itself (several machines: docs/scale.md)"
        )


def leads() -> bool:
    """Whether this is the first process of a launcher, or the only one: it alone writes to standard output."""
    return os.environ.get("WORLD_SIZE", "1") == "1" or os.environ.get("RANK", "0") == "0"


def speaks() -> bool:
    """Whether this process says how a command failed: of those that were joined the one that noticed first."""
    return leads() if _speaks is None else _speaks


def let_speak(first: bool) -> None:
    """From now on this process says how a command failed, or another does."""
    global _speaks
    _speaks = first
