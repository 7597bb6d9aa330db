"""What torchrun, accelerate launch and MPI say to each of the processes that they start, in its environment."""

from __future__ import annotations

import os
from dataclasses import dataclass

from budgetnet.codec import NonNegativeInt, PositiveInt

SAID = {
    "RANK": ("RANK", "OMPI_COMM_WORLD_RANK", "PMI_RANK", "MV2_COMM_WORLD_RANK"),
    "LOCAL_RANK": ("LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID", "MV2_COMM_WORLD_LOCAL_RANK"),
    "WORLD_SIZE": ("WORLD_SIZE", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MV2_COMM_WORLD_SIZE"),
    "LOCAL_WORLD_SIZE": (
        "LOCAL_WORLD_SIZE",
        "OMPI_COMM_WORLD_LOCAL_SIZE",
        "MPI_LOCALNRANKS",
        "MV2_COMM_WORLD_LOCAL_SIZE",
    ),
}
"""torchrun's name for each number comes first, then Open MPI's, Intel MPI's and MVAPICH's, by which accelerate launch
starts processes that have no GPU."""
WHERE = ("MASTER_ADDR", "MASTER_PORT")
NAMES = (*(name for names in SAID.values() for name in names), *WHERE, "TORCHELASTIC_USE_AGENT_STORE")
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
    count = _said("WORLD_SIZE")
    if count is None or count == "1":
        return None
    numbers = {name: _said(name) for name in SAID}
    numbers["LOCAL_WORLD_SIZE"] = numbers["LOCAL_WORLD_SIZE"] or count
    wrong = [name for name, number in numbers.items() if not (number or "").isdecimal()]
    if wrong := wrong + [name for name in WHERE if not os.environ.get(name)]:
        what = f"a launcher started {count} processes, by the environment, and does not say {' and '.join(wrong)}"
        raise ValueError(f"{what}; start with torchrun or accelerate launch, or unset WORLD_SIZE")
    return Launch(*(int(number or 0) for number in numbers.values()))


def _said(number: str) -> str | None:
    return next((os.environ[name] for name in SAID[number] if os.environ.get(name)), None)


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
    return _said("WORLD_SIZE") in (None, "1") or _said("RANK") in (None, "0")


def speaks() -> bool:
    """Whether this process says how a command failed: of those that were joined the one that noticed first."""
    return leads() if _speaks is None else _speaks


def let_speak(first: bool) -> None:
    """From now on this process says how a command failed, or another does."""
    global _speaks
    _speaks = first
