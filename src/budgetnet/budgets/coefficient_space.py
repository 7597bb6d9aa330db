"""The true space of coefficients: the distinct integer networks near a growth of a base's cost.

Rounding makes many (alpha, beta, gamma) one network. Each dimension's integers depend on its own factor alone and
change at single numbers, so all that give one network are a box: the product of three half-open intervals.
Source of the problem: Tan & Le, EfficientNet, arXiv:1905.11946, section 3.3, step 1.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, cast, get_args

from budgetnet.arguments import number, shown
from budgetnet.budgets.path import first_float, without_skips
from budgetnet.costs.network_cost import cost
from budgetnet.networks import KINDS, Network, check_integer, choose, network_of
from budgetnet.networks.scaling import Coefficients, Scaling, integers, resize, scale

Measure = Literal["macs", "activations", "peak_bytes"]
MEASURES: tuple[Measure, ...] = get_args(Measure)
NAMES: Mapping[Measure, str] = {"macs": "MACs", "activations": "activations", "peak_bytes": "peak bytes"}
"""People write these names for the measures of cost."""
Dimension = Literal["depth", "width", "resolution"]
DIMENSIONS: tuple[Dimension, ...] = get_args(Dimension)

MOST_FACTOR = 2.0**10
"""The factor at which paths end (phi = 10). A dimension that the cost does not follow ends here."""
NARROW = 1e-6
"""The width of an interval that counts as one number: `integers` reads factors to 8 digits."""
MOST_GROWTH = 16.0
"""The largest growth of one step: four octaves. The space grows with about its third power."""
WIDER = 3.0
"""A tolerance that leaves nothing is multiplied by this until there is a network to name."""
LEAST_WIDER = 0.001


@dataclass(frozen=True, slots=True)
class Interval:
    """All factors from `low` on and below `high`: the same integers of one dimension."""

    low: float
    high: float

    def to_json(self) -> str:
        """[low, high]."""
        return json.dumps([self.low, self.high])

    @staticmethod
    def from_json(text: str | bytes) -> Interval:
        """The interval of `to_json`. Raises a one-line `ValueError` for anything else."""
        row: object = json.loads(text)
        if not isinstance(row, list):
            raise ValueError(f"{shown(row)} is not an interval; it must be [low, high]")
        pair = cast("list[object]", row)
        if len(pair) != 2 or not all(type(end) in (int, float) for end in pair):
            raise ValueError(f"{shown(pair)} is not an interval; it must be [low, high]")
        return Interval(*cast("list[float]", pair))

    @property
    def last(self) -> float:
        """The largest number inside."""
        return math.nextafter(self.high, 0.0)

    @property
    def top(self) -> float:
        """The largest number inside that is worth writing: exactly 1 where just above it the integers are others."""
        return self.low if self.high - self.low < NARROW else self.last

    @property
    def middle(self) -> float:
        """The geometric middle, at most `top`."""
        return min(self.top, self.held(math.sqrt(self.low * self.high)))

    def held(self, value: float) -> float:
        """The number inside that is nearest to this one."""
        return min(max(value, self.low), self.last)

    def __contains__(self, value: float) -> bool:
        return self.low <= value < self.high


@dataclass(frozen=True, slots=True)
class Region:
    """A box of coefficients that all give one network: what no data can tell apart."""

    alpha: Interval
    beta: Interval
    gamma: Interval

    @property
    def sides(self) -> tuple[Interval, Interval, Interval]:
        """Of depth, width and resolution."""
        return self.alpha, self.beta, self.gamma

    def __contains__(self, coefficients: Coefficients) -> bool:
        values = (coefficients.alpha, coefficients.beta, coefficients.gamma)
        return all(value in side for value, side in zip(values, self.sides, strict=True))

    def nearest_to(self, growth: float) -> Coefficients:
        """The point whose alpha * beta**2 * gamma**2 is nearest to `growth`; of several the one towards the middle.

        On the straight line in logarithms from the geometric middle to the corner on the side of `growth`.
        """
        middle = tuple(side.middle for side in self.sides)
        here = _log_growth(middle)
        grows = math.log(growth) > here
        corner = tuple(side.top if grows else side.low for side in self.sides)
        whole = _log_growth(corner) - here
        share = min(1.0, max(0.0, (math.log(growth) - here) / whole)) if whole else 0.0
        point = [
            side.held(start * (end / start) ** share)
            for side, start, end in zip(self.sides, middle, corner, strict=True)
        ]
        return Coefficients(*point)


def _log_growth(point: tuple[float, ...]) -> float:
    depth, width, resolution = map(math.log, point)
    return depth + 2 * width + 2 * resolution


@dataclass(frozen=True, slots=True)
class Candidate:
    """A network, all coefficients that give it, one of them, and what it costs in the space's measure."""

    region: Region
    coefficients: Coefficients
    network: Network
    cost: int


@dataclass(frozen=True, slots=True)
class Space:
    """All networks whose cost is within `tolerance` of `growth` times the base's, in the order of their boxes."""

    base: Network
    base_cost: int
    measure: Measure
    growth: float
    tolerance: float
    candidates: tuple[Candidate, ...]


def price(network: Network, measure: Measure) -> int:
    """The cost in that measure; bytes are those of float32 and one image."""
    value = getattr(cost(network), measure)
    assert isinstance(value, int)
    return value


def space(
    base: Network,
    growth: float = 2.0,
    tolerance: float = 0.05,
    measure: Measure = "macs",
    largest_px: int | None = None,
) -> Space:
    """Every distinct network with growth * (1 - tolerance) <= cost / base's cost <= growth * (1 + tolerance).

    alpha, beta, gamma are at least 1 and one above; with `largest_px` the shorter side is at most that. The base
    itself is none of them. Raises a one-line `ValueError` for a growth that is not above 1 or above 16, a
    tolerance outside of (0, 1), and where no network is as near, with the nearest cost.
    """
    network_of("base", base)
    growth, tolerance = check_space(growth, tolerance, measure)
    if largest_px is not None:
        check_integer("largest_px", largest_px)
    base_cost = price(base, measure)
    low, high = growth * (1 - tolerance) * base_cost, growth * (1 + tolerance) * base_cost
    found = tuple(_within(base, low, high, measure, largest_px))
    if not found:
        raise ValueError(_nothing(base, base_cost, growth, tolerance, measure, largest_px))
    rows = (_candidate(base, region, growth, measure) for region in found)
    return Space(base, base_cost, measure, growth, tolerance, tuple(rows))


def check_space(growth: float, tolerance: float, measure: Measure) -> tuple[float, float]:
    """Growth and tolerance as numbers. Raises the one-line `ValueError`s of `space` for what they cannot be."""
    choose("measure", measure, MEASURES)
    growth, tolerance = number("growth", growth), number("tolerance", tolerance)
    if not 1.0 < growth <= MOST_GROWTH:
        raise ValueError(f"growth is {growth!r}; it must be above 1 and at most {MOST_GROWTH:g}")
    if not 0.0 < tolerance < 1.0:
        raise ValueError(f"tolerance is {tolerance!r}; it must be above 0 and below 1, as 0.05")
    return growth, tolerance


def _candidate(base: Network, region: Region, growth: float, measure: Measure) -> Candidate:
    chosen = region.nearest_to(growth)
    network = scale(base, 1.0, coefficients=chosen)
    return Candidate(region, chosen, network, price(network, measure))


def _within(base: Network, low: float, high: float, measure: Measure, largest_px: int | None) -> Iterator[Region]:
    """The boxes whose cost is from `low` to `high`.

    For each depth, as width grows, the sides that are too large only become more; from there down to the first
    network that is too small. Where cost can fall as a factor grows (peaks, with the skips that vanish), the bound
    above is that without skips, which never falls, and all below are asked.
    """
    depths, widths, sides = (_steps(base, dimension, high, measure, largest_px) for dimension in DIMENSIONS)
    falls = _can_fall(base, measure)
    for deep in depths:
        top = len(sides)
        for wide in widths:
            while top and _least(_at(base, deep, wide, sides[top - 1]), measure) > high:
                top -= 1
            for large in reversed(sides[:top]):
                value = price(_at(base, deep, wide, large), measure)
                if value < low and not falls:
                    break
                if low <= value <= high and max(deep.low, wide.low, large.low) > 1.0:
                    yield Region(deep, wide, large)


def _can_fall(base: Network, measure: Measure) -> bool:
    """Whether the cost can fall as a factor grows: with a skip that vanishes, or a shortcut's convolution."""
    return measure == "peak_bytes" or any(KINDS[stage.kind].shortcut for stage in base.stages)


def _least(network: Network, measure: Measure) -> int:
    """A bound from below that never falls as a factor grows."""
    return price(without_skips(network), measure)


def _at(base: Network, deep: Interval, wide: Interval, large: Interval) -> Network:
    return resize(base, Scaling(deep.low, wide.low, large.low))


def _steps(
    base: Network, dimension: Dimension, most: float, measure: Measure, largest_px: int | None
) -> tuple[Interval, ...]:
    """The intervals of one factor from 1 on, each with its own integers, up to where it alone costs more than that."""
    return tuple(_walk(lambda factor: _one(base, dimension, factor), most, measure, largest_px))


def _one(base: Network, dimension: Dimension, factor: float) -> tuple[Network, Scaling]:
    return base, dataclasses.replace(Scaling(), **{dimension: factor})


def _walk(
    scaled: Callable[[float], tuple[Network, Scaling]], most: float, measure: Measure, largest_px: int | None
) -> Iterator[Interval]:
    low = 1.0
    while low < MOST_FACTOR:
        here = integers(*scaled(low))
        too_large = largest_px is not None and min(here.resolution_px) > largest_px
        if low > 1.0 and (too_large or _least(resize(*scaled(low)), measure) > most):
            return
        high = _end(lambda factor, here=here: integers(*scaled(factor)) != here, low)
        yield Interval(low, high)
        low = high


def _end(differs: Callable[[float], bool], low: float) -> float:
    """The first number above `low` that gives other integers, to the last bit; 2**10 where there is none."""
    known, reach = low, 1e-6
    while (beyond := min(MOST_FACTOR, low * (1 + reach))) < MOST_FACTOR and not differs(beyond):
        known, reach = beyond, 2 * reach
    return first_float(known, beyond, differs) if differs(beyond) else MOST_FACTOR


def _nothing(
    base: Network, base_cost: int, growth: float, tolerance: float, measure: Measure, largest_px: int | None
) -> str:
    """The line for a tolerance that leaves no network: how far the nearest is."""
    wider, found = max(tolerance, LEAST_WIDER), list[int]()
    while not found and wider < 1.0:
        wider *= WIDER
        low, high = growth * max(0.0, 1 - wider) * base_cost, growth * (1 + wider) * base_cost
        found = [price(_at(base, *region.sides), measure) for region in _within(base, low, high, measure, largest_px)]
    target = f"{growth:g} times its {base_cost:,} {NAMES[measure]}"
    what = f"no network of {base.name} is within {100 * tolerance:g} % of {target}"
    if not found:
        return f"{what}, nor near it; give another growth, or a base that leaves it room"
    nearest = min(found, key=lambda value: abs(value / base_cost / growth - 1))
    needed = math.ceil(1000 * abs(nearest / base_cost / growth - 1) + 0.1) / 10
    return f"{what}: the nearest has {nearest:,}, {nearest / base_cost:.3f} times; give a tolerance of {needed:g}%"
