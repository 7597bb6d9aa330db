"""Candidates under a limit on latency are measured before they race: where one misses, the next smaller ones do.

A prediction has an error, and a race is long. What an inference takes does not depend on the weights, so that a network
is measured as soon as it is chosen: as a file with drawn weights, in the runtime of the device file.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from budgetnet.budgets.budget import Budget
from budgetnet.codec import PositiveFloat, PositiveInt
from budgetnet.costs.latency import DeviceTiming, TimedBy
from budgetnet.experiments.solve.candidates import Contender, Obstacles
from budgetnet.inspect.turns import image_measurements
from budgetnet.networks import Network
from budgetnet.parallel.progress import Progress, Update, silent
from budgetnet.ship.untrained import check_runtime, is_of_this_machine, timed_network

ROUNDS = 3
"""Smaller candidates are looked for at most so often."""
SECONDS = 0.5
"""A candidate is timed for so long."""


@dataclass(frozen=True, slots=True)
class MeasuredLatency:
    """A candidate that was measured, with drawn weights.

    Attributes:
        id: The candidate's id.
        runtime: What ran it.
        predicted_us: Microseconds that the device file predicts, with its margin.
        measured_ms: Milliseconds of one image on one thread.
    """

    id: str
    runtime: TimedBy
    predicted_us: PositiveInt
    measured_ms: PositiveFloat


class LatencyCheck:
    """What was measured of a solve's candidates, and the bound that it leaves to others."""

    def __init__(self, timing: DeviceTiming, limit_us: int, progress: Progress | None) -> None:
        self._timing, self._limit_us = timing, limit_us
        self._progress = progress or silent
        self._most_us = limit_us
        self._known: dict[Network, float | None] = {}

    def found(self, find: Callable[[Obstacles | None], tuple[Contender, ...]]) -> tuple[Contender, ...]:
        """Candidates of which those that race keep the limit as they are measured.

        Where networks of the bound that is left still miss it after some rounds, they race, and the report says so.
        """
        rows = find(self._obstacle)
        for _ in range(ROUNDS):
            times = [(row.network, self._measured_us(row.network)) for row in rows if row.raced]
            slow = [(one, us) for one, us in times if us is not None and us > self._limit_us]
            if not slow:
                break
            # What is measured is some times what is predicted: as many times as much has to be left.
            left = (self._timing.bound_us(one) * self._limit_us / us for one, us in slow)
            self._most_us = max(1, min(self._most_us - 1, int(min(left))))
            rows = find(self._obstacle)
        return rows

    def rows(self, networks: Mapping[str, Network]) -> tuple[MeasuredLatency, ...]:
        """What was measured of these, by their ids; nothing of one whose runs differ too much to have a time."""
        times = {name: self._measured_us(one) for name, one in networks.items()}
        return tuple(
            MeasuredLatency(name, self._timing.runtime, self._timing.bound_us(networks[name]), us / 1000)
            for name, us in times.items()
            if us is not None
        )

    def _obstacle(self, network: Network) -> tuple[str, ...]:
        """The limit, for a network that keeps it by the prediction alone."""
        return ("latency_us",) if self._most_us < self._timing.bound_us(network) <= self._limit_us else ()

    def _measured_us(self, network: Network) -> float | None:
        if network not in self._known:
            self._progress(Update("measuring", len(self._known) + 1, len(self._known) + 1, network.name))
            with contextlib.ExitStack() as stack:
                timed = timed_network(network, self._timing.runtime, self._timing.dtype, stack)
                (found,) = image_measurements([timed], SECONDS)
            self._known[network] = None if found.latency_ms is None else 1000 * found.latency_ms
        return self._known[network]


def check_for(budget: Budget, progress: Progress | None) -> LatencyCheck | None:
    """What measures candidates; None where there is no limit on latency, or the device is another machine than this.

    Raises a one-line `ValueError` where the runtime of this machine's device file is not installed.
    """
    timing, limit_us = budget.timing, budget.latency_us
    if timing is None or limit_us is None or not is_of_this_machine(timing):
        return None
    check_runtime(timing.runtime, timing.dtype)
    return LatencyCheck(timing, limit_us, progress)
