"""From networks that were measured to how long any takes there: coefficients that are never negative, and their error.

    minimise  sum over networks of (predicted / measured - 1)^2,    every coefficient >= 0

Source: Lawson and Hanson, Solving Least Squares Problems, chapter 23; what a term is: `costs.latency`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from budgetnet.costs.latency import TERMS, Coefficient, DeviceTiming, Terms, TimedBy, TimedDType, amounts

LEAST_NETWORKS = 8
"""An error cannot be told from fewer networks by leaving one out."""
NEAR_WEIGHTS = (250_000, 500_000, 1_000_000, 2_000_000, 3_000_000, 4_000_000, 6_000_000, 8_000_000, 16_000_000)
"""How many weights may stay in the cache: the number with the least error, each network left out in turn, is taken."""
COVERED = 0.9
"""The margin is what so many of the networks left out keep."""


class Fitted(NamedTuple):
    """A timing, and what it predicts in microseconds of each network when it is fitted to all others."""

    timing: DeviceTiming
    left_out_us: NDArray[np.float64]


def fitted_timing(
    terms: Sequence[Terms],
    measured_us: Sequence[float],
    device: str,
    runtime: TimedBy,
    dtype: TimedDType,
    threads: int,
    chosen: int = 0,
) -> Fitted:
    """The timing of a device from the terms of networks and their times. Raises a one-line `ValueError` for too few.

    The last `chosen` networks are those that a search picked: it picks what a prediction flatters, so that the margin
    is theirs where that is larger.
    """
    count = len(measured_us)
    if count < LEAST_NETWORKS:
        raise ValueError(f"{count} networks were timed; how long others take needs at least {LEAST_NETWORKS}")
    measured = np.array(measured_us)

    def left_out(near: int) -> NDArray[np.float64]:
        rows = np.array([amounts(row, near) for row in terms])
        others = [np.arange(count) != index for index in range(count)]
        return np.array([row @ _solved(rows[some], measured[some]) for row, some in zip(rows, others, strict=True)])

    found = {near: left_out(near) for near in NEAR_WEIGHTS}
    near = min(found, key=lambda one: float(np.mean(np.abs(np.log(found[one] / measured)))))
    solution = _solved(np.array([amounts(row, near) for row in terms]), measured)
    errors = np.abs(found[near] / measured - 1)
    values = zip(TERMS, solution.tolist(), strict=True)
    ratios = measured / found[near]
    timing = DeviceTiming(
        device=device,
        runtime=runtime,
        dtype=dtype,
        threads=threads,
        coefficients=tuple(Coefficient(name, 1000 * value) for name, value in values),
        near_weights=near,
        margin=max(0.0, *(_covering(some) - 1.0 for some in (ratios, ratios[count - chosen :]) if len(some))),
        median_error=float(np.median(errors)),
        ninety_error=float(np.quantile(errors, COVERED)),
        networks=count,
    )
    return Fitted(timing, found[near])


def _solved(rows: NDArray[np.float64], measured: NDArray[np.float64]) -> NDArray[np.float64]:
    """The coefficients, in microseconds a unit. Each column is scaled to 1, or the solver's tolerance would decide."""
    relative = rows / measured[:, None]
    scale = relative.max(axis=0)
    scale[scale == 0.0] = 1.0
    found, _ = nnls(relative / scale, np.ones(len(measured)))
    return found / scale


def _covering(ratios: NDArray[np.float64]) -> float:
    """What the ratio of another network is below with the probability of `COVERED`, when all are drawn alike.

    The smallest ratio of rank ceil((n + 1) * 0.9). Source: Vovk et al., Algorithmic Learning in a Random World,
    section 2.2 (conformal prediction).
    """
    rank = min(len(ratios), math.ceil((len(ratios) + 1) * COVERED))
    return float(np.sort(ratios)[rank - 1])
