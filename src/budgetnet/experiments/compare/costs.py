"""The same comparison at several costs: shares of one budget, each a comparison of its own, and the curves over all."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from budgetnet.experiments.compare.result import Comparison

At = Callable[[float, Path | None], Comparison]
"""A comparison at a share of the budget, in that folder or where `compare` would put it."""


@dataclass(frozen=True, slots=True)
class AtCosts:
    """A comparison at each share of the budget, the smallest first, and the page that draws them together."""

    run: Path
    shares: tuple[float, ...]
    comparisons: tuple[Comparison, ...]
    report: Path


def at_costs(at: At, shares: Sequence[float], out: Path | None = None) -> AtCosts:
    """The comparison `at` every share of the budget, and a page over all of them.

    At each cost all networks are fitted anew, so that every point of a curve is matched with those of the others. In
    `out` each comparison has a folder of its own; without it they lie where `compare` puts them and the page beside the
    largest. The same call goes on where a killed one was, as each comparison does. Raises a one-line `ValueError` for
    shares that are not above 0 and at most 1, or for fewer than two different ones.
    """
    from budgetnet.experiments.compare.costs_page import write_costs_page

    ordered = tuple(sorted(set(shares)))
    if len(ordered) < 2 or not all(math.isfinite(share) and 0 < share <= 1 for share in ordered):
        given = ", ".join(f"{share:g}" for share in shares)
        raise ValueError(f"shares are {given}; give at least two different ones above 0 and at most 1")
    found = tuple(at(share, out and out / f"share-{share:g}") for share in ordered)
    largest = found[-1].run
    run = out or largest.with_name(f"{largest.name}-at-{'-'.join(f'{share:g}' for share in ordered)}")
    return AtCosts(run, ordered, found, write_costs_page(run, [row.run for row in found]))
