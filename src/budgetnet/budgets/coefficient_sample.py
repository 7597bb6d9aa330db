"""A few networks of a large space, spread over how compute is shared among depth, width and resolution.

A network's place is its share of the growth in each dimension,

    (log alpha, 2 log beta, 2 log gamma) / log(alpha * beta**2 * gamma**2)

which sums to 1: a point of a triangle whose corners are depth, width and resolution alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from budgetnet.budgets.coefficient_space import NAMES, Candidate, Region, Space
from budgetnet.networks.scaling import PAPER, Coefficients

Shares = tuple[float, float, float]
"""The shares of depth, width and resolution; they sum to 1."""

SEARCH_STEPS = 80
"""The steps of the golden section, which end far below the last bit of what it looks for."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Some candidates of a space, the one nearest to the paper's choice first, and how they were drawn, in words.

    `farthest` is the greatest distance on the triangle from a network of the space to the nearest drawn one.
    """

    candidates: tuple[Candidate, ...]
    of: int
    farthest: float
    how: str


def shares(coefficients: Coefficients) -> Shares:
    """How a step of phi is shared: the logarithms' parts of the nominal growth."""
    parts = (math.log(coefficients.alpha), 2 * math.log(coefficients.beta), 2 * math.log(coefficients.gamma))
    whole = sum(parts)
    depth, width, resolution = (part / whole for part in parts)
    return depth, width, resolution


def corners(region: Region) -> tuple[Shares, ...]:
    """Where the box's corners lie on the triangle: its extent is their convex hull.

    Dividing by the sum maps lines to lines, so the hull of the corners holds the image of every point of the box.
    """
    points = [
        (math.log(deep), 2 * math.log(wide), 2 * math.log(large))
        for deep in (region.alpha.low, region.alpha.top)
        for wide in (region.beta.low, region.beta.top)
        for large in (region.gamma.low, region.gamma.top)
    ]
    return tuple(
        (deep / whole, wide / whole, large / whole) for deep, wide, large in points if (whole := deep + wide + large)
    )


def draw(found: Space, most: int = 24, paper: Coefficients = PAPER) -> Sample:
    """At most `most` candidates: all, or the one nearest to `paper` and then always the one farthest from all drawn.

    So every network of the space is at most twice as far from a drawn one as with the best choice of so many. Equal
    distances go to the cost nearer to the growth asked for, then to the order of the space: no chance is in it.
    Raises a one-line `ValueError` for fewer than 2.
    Source: Gonzalez, Clustering to minimize the maximum intercluster distance, Theoretical Computer Science 38 (1985).
    """
    if most < 2:
        raise ValueError(f"candidates is {most}; a race needs at least 2")
    rows = found.candidates
    places = [shares(row.coefficients) for row in rows]
    off = [abs(math.log(row.cost / found.base_cost / found.growth)) for row in rows]
    first = nearest(rows, off, paper)
    chosen, away = [first], [math.dist(place, places[first]) for place in places]
    while len(chosen) < min(most, len(rows)):
        new = min((index for index in range(len(rows)) if index not in chosen), key=lambda at: (-away[at], off[at], at))
        chosen.append(new)
        away = [min(old, math.dist(place, places[new])) for old, place in zip(away, places, strict=True)]
    farthest = max(away)
    return Sample(tuple(rows[index] for index in chosen), len(rows), farthest, _words(found, len(chosen), farthest))


def nearest(rows: Sequence[Candidate], off: Sequence[float], paper: Coefficients) -> int:
    """The index of the candidate whose box the paper's ray alpha**t, beta**t, gamma**t comes nearest to, t >= 0.

    In logarithms of depth, width**2 and resolution**2; of several that it meets, the cost that is off the least.
    """
    return min(range(len(rows)), key=lambda at: (round(_distance(rows[at].region, paper), 9), off[at], at))


def _distance(region: Region, paper: Coefficients) -> float:
    """From the ray to the box: convex in t, so a golden section finds it."""

    def at(power: float) -> float:
        gaps: list[float] = []
        for base, side, weight in zip((paper.alpha, paper.beta, paper.gamma), region.sides, (1, 2, 2), strict=True):
            place = power * math.log(base)
            gaps.append(weight * max(math.log(side.low) - place, 0.0, place - math.log(side.last)))
        return math.hypot(*gaps)

    low, high = 0.0, max(math.log(side.high) for side in region.sides) * 5 / math.log(paper.growth) + 1.0
    golden = (math.sqrt(5) - 1) / 2
    for _ in range(SEARCH_STEPS):
        left, right = high - golden * (high - low), low + golden * (high - low)
        low, high = (low, right) if at(left) <= at(right) else (left, high)
    return at((low + high) / 2)


def _words(found: Space, count: int, farthest: float) -> str:
    of = len(found.candidates)
    what = f"within {100 * found.tolerance:g} % of {found.growth:g} times the base's {NAMES[found.measure]}"
    if count == of:
        return f"All {of} networks {what}."
    return (
        f"{count} of the {of} networks {what}: first the one nearest to the paper's choice, then always the one whose "
        "shares of depth, width and resolution are farthest from all that were drawn. No network of the space is "
        f"farther than {farthest:.2f} from one of these, where a whole side of the triangle is {math.sqrt(2):.2f}."
    )
