"""Who races: the base in the images' size, networks drawn from the true space, and each at phi = 2 for the check."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

from budgetnet.budgets.coefficient_sample import Sample, draw
from budgetnet.budgets.coefficient_space import NAMES, Candidate, Measure, Space, price, space
from budgetnet.budgets.path import LEAST_PHI, Path, without_skips
from budgetnet.data import ImageSet
from budgetnet.experiments.bases import LEAST_LAST_PX, adapted_bases, largest_px, last_px
from budgetnet.networks import Network
from budgetnet.networks.scaling import PAPER, Coefficients

CORE_SECONDS_AN_ENTRANT = 80.0
"""A race that has fewer core-seconds for each entrant tells nothing."""
CHECK_PHI = 2
"""What was found at phi = 1 must prove itself at this phi."""


@dataclass(frozen=True, slots=True)
class Matched:
    """The network of a path whose cost is nearest to one asked for, and the smallest phi that gives it."""

    network: Network
    phi: float
    cost: int


@dataclass(frozen=True, slots=True)
class Entrant:
    """A drawn candidate, and its coefficients' network at phi = 2, for the check."""

    id: str
    candidate: Candidate
    check: Matched


@dataclass(frozen=True, slots=True)
class Entrants:
    """The space, what was drawn from it, and who races; `paper` is the paper's network of the check."""

    space: Space
    sample: Sample
    rows: tuple[Entrant, ...]
    paper: Matched

    @property
    def networks(self) -> tuple[Network, ...]:
        """All that may be trained, each once: the candidates, then those of the check."""
        checks = (self.paper, *(row.check for row in self.rows))
        return tuple(dict.fromkeys([*(row.candidate.network for row in self.rows), *(row.network for row in checks)]))


def base_of(images: ImageSet, base: str | Network) -> Network:
    """A zoo's base in the images' own size, a network's own size kept; classes and channels are the images'.

    Of a zoo's base as few strides are dropped as leave a last map of 4 px, as `compare` does.
    """
    if isinstance(base, Network):
        return dataclasses.replace(base, classes=len(images.classes), in_channels=images.in_channels)
    rows = adapted_bases(images, [base])
    _, _, network = min(rows, key=lambda row: (-min(last_px(row[2]), LEAST_LAST_PX), row[1]))
    return network


def entrants_for(candidates: int, time_seconds: float, slots: int) -> int:
    """How many candidates the time can tell apart: core-seconds / 80, at least 2, at most those asked for."""
    return min(candidates, max(2, int(time_seconds * slots / CORE_SECONDS_AN_ENTRANT)))


def space_of(images: ImageSet, base: Network, growth: float, tolerance: float, measure: Measure) -> Space:
    """The space of a base on these images: none of its networks is above twice the images' own size, as everywhere.

    Raises as `budgets.coefficient_space.space` does.
    """
    return space(base, growth, tolerance, measure, max(largest_px(images), min(base.resolution_px)))


def entrants_of(
    images: ImageSet, base: Network, growth: float, tolerance: float, measure: Measure, most: int
) -> Entrants:
    """The candidates, the paper's nearest first. Raises a one-line `ValueError` for a space of less than two."""
    found = space_of(images, base, growth, tolerance, measure)
    if len(found.candidates) < 2:
        raise ValueError(
            f"one network alone of {base.name} is within {100 * tolerance:g} % of {growth:g} times its "
            f"{NAMES[measure]}: there is nothing to compare it with; give a larger --tolerance"
        )
    sample = draw(found, most)
    target = growth**CHECK_PHI * found.base_cost
    paper = matched(base, PAPER, measure, target)
    rows = [
        Entrant(f"n{number:02d}", row, matched(base, row.coefficients, measure, paper.cost))
        for number, row in enumerate(sample.candidates, start=1)
    ]
    return Entrants(found, sample, tuple(rows), paper)


def first_of(entrants: Entrants, count: int) -> Entrants:
    """The first of them: as if no more had been drawn, for what is drawn depends on what was drawn before alone."""
    return dataclasses.replace(entrants, sample=draw(entrants.space, count), rows=entrants.rows[:count])


def drawn_words(entrants: Entrants, candidates: int) -> str:
    """How they were drawn, and that the time allowed no more where it did not."""
    many = len(entrants.rows)
    short = many < min(candidates, len(entrants.space.candidates))
    return entrants.sample.how + (f" The time allows {many} of the {candidates} asked for." if short else "")


def matched(base: Network, coefficients: Coefficients, measure: Measure, target: float) -> Matched:
    """The network of the compound path whose real cost is nearest to `target`, by its ratio.

    However large its images become: coefficients promise what they give at phi = 2, and are held to it.
    """
    path = Path(base, "compound", coefficients)
    above = path.first(lambda network: price(without_skips(network), measure) >= target)
    near = [path.start(path.last_phi)] if above is None else [above]
    before = None if near[0] == LEAST_PHI else path.before(near[0])
    near += [] if before is None else [path.start(before)]
    rows = [Matched(path.at(phi), phi, price(path.at(phi), measure)) for phi in near]
    return min(rows, key=lambda row: abs(math.log(row.cost / target)))


def same_network(one: Network, other: Network) -> bool:
    """Whether two networks of one base are the same but for what they are called."""
    return dataclasses.replace(one, name=other.name) == other
