"""The cost of one network, and a fit, inside a running process.

Costs are kept for every distinct block, so each repeat asks about another resolution: nothing that it
prices has been priced before.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import budgetnet
from bench.table import Measurement, median_ms
from budgetnet import Budget

COST_LIMIT_MS = 5.0
FIT_LIMIT_MS = 100.0
REPEATS = 31
MACS = Budget(macs=60_000_000)
MACS_AND_PEAK = Budget(macs=60_000_000, peak_bytes=8 * 2**20)


def price(name: str, sizes_px: Iterator[int]) -> int:
    """Every sum that the cost of a network tells, at the next size."""
    cost = budgetnet.cost(budgetnet.network(name, resolution_px=next(sizes_px)))
    return cost.macs + cost.params + cost.activations + cost.peak_bytes


def fit_b0(budget: Budget, sizes_px: Iterator[int]) -> object:
    """B0 of the next size, fitted."""
    return budgetnet.fit(budgetnet.network("efficientnet_b0", resolution_px=next(sizes_px)), budget)


def measure() -> list[Measurement]:
    """Medians after a first call, which is not counted."""
    sizes_px = count(225)
    large_px = count(600)
    b7_ms = median_ms(lambda: price("efficientnet_b7", large_px), REPEATS)
    macs_ms = median_ms(lambda: fit_b0(MACS, sizes_px), REPEATS)
    both_ms = median_ms(lambda: fit_b0(MACS_AND_PEAK, sizes_px), REPEATS)
    return [
        Measurement("cost of efficientnet_b7", b7_ms, COST_LIMIT_MS, REPEATS),
        Measurement("fit of efficientnet_b0 to MACs", macs_ms, FIT_LIMIT_MS, REPEATS),
        Measurement("fit of efficientnet_b0 to MACs and peak bytes", both_ms, FIT_LIMIT_MS, REPEATS),
    ]
