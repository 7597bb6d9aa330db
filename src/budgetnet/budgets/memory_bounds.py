"""Lower bounds of the memory that a network needs, added up from its parts: a search need not make it to know them."""

from __future__ import annotations

from collections.abc import Callable

from budgetnet.budgets.budget import Budget
from budgetnet.costs.blocks import distinct_blocks
from budgetnet.costs.planners import PartMemory, planner_of
from budgetnet.networks import Block, Network, Px


def have_room(memory: Callable[[], PartMemory], budget: Budget) -> bool:
    """Whether parts keep the limits on memory. What they need is asked for only where there are such limits."""
    most_file, most_arena, most = budget.weight_bytes, budget.peak_activation_bytes, budget.peak_bytes
    if most_file is most_arena is most is None:
        return True
    needs = memory()
    file, arena = needs.file_bytes, needs.arena_bytes
    limits = (most_file, file), (most_arena, arena), (most, file + arena)
    return all(limit is None or used <= limit for limit, used in limits)


def stem_memory(network: Network, budget: Budget) -> PartMemory:
    """What is needed before the first block."""
    return planner_of(budget.runtime).parts.stem(network, budget.batch, budget.dtype)


def block_memory(block: Block, in_px: Px, budget: Budget) -> PartMemory:
    """What a block needs that sees such a map."""
    return planner_of(budget.runtime).parts.block(block, in_px, budget.batch, budget.dtype)


def tail_memory(network: Network, budget: Budget) -> PartMemory:
    """What is needed behind the last block."""
    *_, last = distinct_blocks(network)
    px = last.block.out_px(last.px)
    return planner_of(budget.runtime).parts.tail(network, px, budget.batch, budget.dtype)
