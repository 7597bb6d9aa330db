"""How much memory a network needs is a property of what runs it: one row a runtime."""

from __future__ import annotations

from collections.abc import Mapping
from typing import get_args

from budgetnet.costs.number_types import DType
from budgetnet.costs.planners import deployed, tflite_micro
from budgetnet.costs.planners.memory_plan import (
    LiveTensor,
    MemoryPlan,
    PartMemory,
    PartPlanning,
    Planner,
    Planning,
    Runtime,
)
from budgetnet.networks import choose

__all__ = ["PLANNERS", "LiveTensor", "MemoryPlan", "PartMemory", "Planner", "Planning", "Runtime", "planner_of"]

PLANNERS: Mapping[Runtime, Planner] = {
    "deployed": Planner(
        title="the deployed form, in place",
        plan=deployed.plan,
        parts=PartPlanning(deployed.stem_memory, deployed.block_memory, deployed.tail_memory),
        floor=deployed.plan,
        dtypes=get_args(DType),
        largest_batch=None,
        source="tests/test_memory.py: the live storages of folded models that run in place, to the byte",
    ),
    "tflite_micro": Planner(
        title="TensorFlow Lite Micro",
        plan=tflite_micro.plan,
        parts=PartPlanning(tflite_micro.stem_memory, tflite_micro.block_memory, tflite_micro.tail_memory),
        floor=tflite_micro.floor,
        dtypes=("int8",),
        largest_batch=1,
        source="tests/goldens/planners: arenas that the interpreter itself told, and sizes of files",
    ),
}
"""Each runtime: the lower bound that all can reach, and those whose interpreters were measured."""


def planner_of(runtime: Runtime, batch: int = 1, dtype: DType | None = None) -> Planner:
    """The runtime's row. Raises a one-line `ValueError` for an unknown one, or a batch or dtype that it has not."""
    choose("runtime", runtime, get_args(Runtime))
    row = PLANNERS[runtime]
    if dtype is not None and dtype not in row.dtypes:
        raise ValueError(f"dtype is {dtype!r}; the runtime {runtime} has {' and '.join(row.dtypes)} alone")
    if row.largest_batch is not None and batch > row.largest_batch:
        raise ValueError(f"batch is {batch:,}; the runtime {runtime} takes at most {row.largest_batch}")
    return row
