"""A limit on latency, asked of terms that were added up from parts: a search need not make a network to know it."""

from __future__ import annotations

from collections.abc import Callable

from budgetnet.budgets.budget import Budget
from budgetnet.costs.latency import Terms


def in_time(terms: Callable[[], Terms], budget: Budget) -> bool:
    """Whether parts keep the limit on latency. Their terms are asked for only where there is one."""
    if budget.timing is None or budget.latency_us is None:
        return True
    return budget.timing.bound_of(terms()) <= budget.latency_us
