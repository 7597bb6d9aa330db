"""The path of a base: the ordered list of the distinct integer networks that a strategy passes through.

Between two neighbours of the list no integer changes, so every search here ends at adjacent
floating-point numbers and never at a tolerance in phi.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from budgetnet.arguments import number, plain_numbers
from budgetnet.costs.network_cost import Cost, cost
from budgetnet.networks import Network, Stage, check_integer, network_of
from budgetnet.networks.scaling import (
    PAPER,
    Coefficients,
    Integers,
    Scaling,
    Strategy,
    beyond_bounds,
    factors,
    integers,
    rounding,
    scale,
)

LEAST_PHI = -10.0
MOST_PHI = 10.0


@dataclass(frozen=True, slots=True)
class Path:
    """The distinct networks of `base` under a strategy for phi from -10 to `last_phi`, each made when asked for.

    `last_phi` is 10, or 0 for tiny, which only shrinks; less where a network would be beyond the bounds of
    `networks.bounds`; with `largest_px` it is the last phi whose shorter side is not above that. A network
    stands for all phi from its `start` to before the next one's. No integer falls as phi grows. Raises
    `ValueError` where `factors` does, and where already the first network is above `largest_px`.
    """

    base: Network
    strategy: Strategy = "compound"
    coefficients: Coefficients = PAPER
    largest_px: int | None = None
    last_phi: float = field(init=False)

    def __post_init__(self) -> None:
        network_of("base", self.base)
        plain_numbers(self)
        factors(0.0, self.strategy, self.coefficients)
        last = self._last_allowed(0.0 if self.strategy == "tiny" else MOST_PHI)
        object.__setattr__(self, "last_phi", last if self.largest_px is None else self._last_within(last))

    def _last_allowed(self, last: float) -> float:
        """The last phi whose network is one at all: far above any published."""
        if beyond_bounds(self.integers(last)) is None:
            return last
        above = first_float(LEAST_PHI, last, lambda phi: beyond_bounds(self.integers(phi)) is not None)
        return math.nextafter(above, -math.inf)

    def _last_within(self, last: float) -> float:
        """The last phi whose shorter side is at most `largest_px`."""
        check_integer("largest_px", self.largest_px)
        largest = self.largest_px or 0
        least = min(self.integers(LEAST_PHI).resolution_px)
        if least > largest:
            raise ValueError(
                f"the {self.strategy} path of {self.base.name} starts at {least} px, above largest_px {largest}; "
                f"start from a base of at most {largest} px, as adapt({self.base.name}, {largest}) gives"
            )
        if min(self.integers(last).resolution_px) <= largest:
            return last
        above = first_float(LEAST_PHI, last, lambda phi: min(self.integers(phi).resolution_px) > largest)
        return math.nextafter(above, -math.inf)

    @property
    def end(self) -> str:
        """Why the path ends at its last network."""
        if self.last_phi == MOST_PHI:
            return f"the path ends at phi = {MOST_PHI:g}"
        if self.last_phi == 0.0 and self.strategy == "tiny":
            return f"the path ends at {self.base.name} itself: tiny only shrinks"
        if beyond := beyond_bounds(self.integers(math.nextafter(self.last_phi, math.inf))):
            return f"the path ends at phi = {self.last_phi:g}: the next network has {beyond}"
        return f"the next network's shorter side is above {self.largest_px} px, the largest allowed"

    def integers(self, phi: float) -> Integers:
        """All that tells the network at phi from its neighbours on the path; quicker than `at`."""
        scaling = factors(phi, self.strategy, self.coefficients)
        return integers(self.base, scaling, rounding(self.base, self.strategy))

    def at(self, phi: float) -> Network:
        """The network at phi. Raises `ValueError` outside of the path."""
        if not LEAST_PHI <= phi <= self.last_phi:
            raise ValueError(
                f"phi is {phi!r}; the path of {self.base.name} runs from {LEAST_PHI:g} to {self.last_phi:g}"
            )
        return scale(self.base, phi, self.strategy, self.coefficients)

    def start(self, phi: float) -> float:
        """The smallest phi of the network at phi."""
        here = self.integers(phi)
        if self.integers(LEAST_PHI) == here:
            return LEAST_PHI
        return first_float(LEAST_PHI, phi, lambda other: self.integers(other) == here)

    def after(self, phi: float) -> float | None:
        """The smallest phi of the next network; None at the last."""
        here = self.integers(phi)
        if self.integers(self.last_phi) == here:
            return None
        return first_float(phi, self.last_phi, lambda other: self.integers(other) != here)

    def before(self, phi: float) -> float | None:
        """The largest phi of the network before; None at the first."""
        start = self.start(phi)
        return None if start == LEAST_PHI else math.nextafter(start, -math.inf)

    def networks(self, phi: float = LEAST_PHI) -> Iterator[tuple[float, Network]]:
        """(smallest phi, network) of every network from the one at phi on."""
        at: float | None = self.start(phi)
        while at is not None:
            yield at, self.at(at)
            at = self.after(at)

    def first(self, holds: Callable[[Network], bool]) -> float | None:
        """The smallest phi whose network has a property that, once there, stays as phi grows; None: never.

        Asks once a distinct network, and goes outwards from the base: what is far from it can be vast.
        """
        known: dict[Integers, bool] = {}

        def holds_at(phi: float) -> bool:
            key = self.integers(phi)
            if key not in known:
                known[key] = holds(self.at(phi))
            return known[key]

        low, high = self._bracket(holds_at)
        if low is None or high is None:
            return high
        return first_float(low, high, holds_at)

    def _bracket(self, holds_at: Callable[[float], bool]) -> tuple[float | None, float | None]:
        """A phi where it does not hold (None: it always does), and a larger one where it does (None: never)."""
        here, step = min(0.0, self.last_phi), 1.0
        if holds_at(here):
            while here > LEAST_PHI:
                high, here, step = here, max(LEAST_PHI, here - step), 2 * step
                if not holds_at(here):
                    return here, high
            return None, LEAST_PHI
        while here < self.last_phi:
            low, here, step = here, min(self.last_phi, here + step), 2 * step
            if holds_at(here):
                return low, here
        return here, None


def first_float(low: float, high: float, holds: Callable[[float], bool]) -> float:
    """The smallest float above `low` where `holds`: false at `low`, and from some number on true up to `high`."""
    while low < (middle := low + (high - low) / 2) < high:
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high


@dataclass(frozen=True, slots=True)
class Step:
    """What one phi does to a base: the formula's factors, the rounded network, and its real cost.

    `ratio_to_base` is the network's MACs over the base's; `nominal_ratio` is 2**phi, what every
    strategy promises before anything is rounded.
    """

    phi: float
    scaling: Scaling
    network: Network
    cost: Cost
    ratio_to_base: float
    nominal_ratio: float

    @property
    def excess(self) -> float:
        """ratio_to_base / nominal_ratio - 1: B0's is 0.29 at phi = 1, 0.83 at phi = -2."""
        return self.ratio_to_base / self.nominal_ratio - 1.0


def step(base: Network, phi: float, strategy: Strategy = "compound", coefficients: Coefficients = PAPER) -> Step:
    """The base scaled by phi, explained. Raises as `factors` does, and for a phi beyond those of a path."""
    network_of("base", base)
    phi = number("phi", phi, least=LEAST_PHI, most=MOST_PHI)
    network = scale(base, phi, strategy, coefficients)
    price = cost(network)
    return Step(
        phi=phi,
        scaling=factors(phi, strategy, coefficients),
        network=network,
        cost=price,
        ratio_to_base=price.macs / cost(base).macs,
        nominal_ratio=2.0**phi,
    )


def without_skips(network: Network) -> Network:
    """The same network with no residual: what it holds in memory never falls along a path.

    A skip makes a block hold its input, and vanishes where two channel counts round apart. Without
    any, peaks are lower bounds of the network's own; MACs, params and weight bytes are the same.
    """
    return dataclasses.replace(network, stages=tuple(map(_without_skip, network.stages)))


@functools.lru_cache(maxsize=1 << 14)
def _without_skip(stage: Stage) -> Stage:
    return dataclasses.replace(stage, residual=False)
