"""The cost of one network, and a fit, inside a running process."""

from __future__ import annotations

import budgetnet
from bench.table import Measurement, median_ms

COST_LIMIT_MS = 5.0
FIT_LIMIT_MS = 100.0
REPEATS = 31


def price_b7() -> int:
    """Everything that the cost of B7 tells, from a description made anew."""
    cost = budgetnet.cost(budgetnet.network("efficientnet_b7"))
    return cost.macs + cost.params + cost.activations + cost.peak_bytes


def fit_b0() -> object:
    """B0 fitted to 60 M multiply-adds."""
    return budgetnet.fit("efficientnet_b0", budgetnet.Budget(macs=60_000_000))


def fit_b0_to_memory() -> object:
    """B0 fitted to two limits, one of which is not monotone along the path."""
    return budgetnet.fit("efficientnet_b0", budgetnet.Budget(macs=60_000_000, peak_bytes=8 * 2**20))


def measure() -> list[Measurement]:
    """Medians after a first call, which is not counted."""
    return [
        Measurement("cost of efficientnet_b7", median_ms(price_b7, REPEATS), COST_LIMIT_MS, REPEATS),
        Measurement("fit of efficientnet_b0 to MACs", median_ms(fit_b0, REPEATS), FIT_LIMIT_MS, REPEATS),
        Measurement(
            "fit of efficientnet_b0 to MACs and peak bytes", median_ms(fit_b0_to_memory, REPEATS), FIT_LIMIT_MS, REPEATS
        ),
    ]
