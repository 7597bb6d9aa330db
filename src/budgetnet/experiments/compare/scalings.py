"""One base scaled in several ways, and the network that all of them grow from."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence

from budgetnet.budgets.budget import Budget, BudgetError
from budgetnet.budgets.fit import fit
from budgetnet.budgets.path import Path
from budgetnet.data import ImageSet
from budgetnet.draw.wording import sides
from budgetnet.experiments.bases import LEAST_LAST_PX, AdaptedBase, adapted_bases, largest_px, last_px
from budgetnet.experiments.compare.entrants import BASE, Entered, Entrant, Fitted, LeftOut, entered, families, fitted
from budgetnet.networks import Network
from budgetnet.networks.scaling import PAPER, Coefficients, Strategy

SCALINGS: tuple[Strategy, ...] = ("compound", "dWr", "width", "depth", "resolution")
"""The strategies that share compute in another way; tiny only shrinks."""
START_SHARE = 0.5
"""A start may use this share of the budget, and it uses half of that at least. So every dimension alone has room to
grow, and not very far to go."""
_POWER = math.log(2.0) / math.log(PAPER.alpha * PAPER.beta**2)
OWN_SIZE = Coefficients(PAPER.alpha**_POWER, PAPER.beta**_POWER, 1.0)
"""Depth and width in the paper's proportion, and the resolution as it is."""


def scalings(
    images: ImageSet,
    budget: Budget,
    base: str | Network = BASE,
    inherited: bool = False,
    start_share: float = START_SHARE,
    coefficients: Coefficients = PAPER,
) -> Entered:
    """One base scaled to the budget by every strategy, from the same size and with the same strides.

    All grow from one network of at most `start_share` of the budget: the base, or where that is larger, a smaller one
    (`grown_from`). Raises as `families` does, and `ValueError` for a share that is not above 0 and at most 0.5.
    """
    if not 0 < start_share <= START_SHARE:
        raise ValueError(f"start share is {start_share:g}; it must be above 0 and at most {START_SHARE:g}")
    # Raises where nothing of the base keeps the budget.
    families(images, budget, [base], "compound", inherited, coefficients)
    start = grown_from(images, budget.times(start_share / START_SHARE), base, inherited)
    fits: dict[Strategy, Fitted] = {name: fitted([start], images, budget, name, coefficients) for name in SCALINGS}
    entrants, left_out = entered([(name, name, start[2].name, name, found) for name, found in fits.items()], budget)
    # One dimension alone shrinks a network little: where none is half as large, such strategies keep no small budget.
    reason = "{}; a smaller base leaves it room"
    too_large = tuple(dataclasses.replace(row, reason=reason.format(row.reason)) for row in left_out)
    different, same = _different(entrants)
    return different, (*too_large, *same)


def _different(entrants: Sequence[Entrant]) -> Entered:
    """Each network once: two strategies may come to the same, which it would be a waste to train twice."""
    first: dict[Network, Entrant] = {}
    same: list[LeftOut] = []
    for row in entrants:
        key = dataclasses.replace(row.network, name="-", rounding=entrants[0].network.rounding)
        if (found := first.setdefault(key, row)) is not row:
            same.append(LeftOut(row.label, f"within this budget it gives the same network as {found.label}"))
    return tuple(first.values()), tuple(same)


def grown_from(images: ImageSet, budget: Budget, base: str | Network = BASE, inherited: bool = False) -> AdaptedBase:
    """The network that every strategy grows from: it uses at most half of the budget.

    First those with a last map of 4 px count, of these the base in the images' size, then its compound path, then its
    path of depth and width alone in the images' size; then the fewest dropped strides. Of several on a path it is the
    one from which the strategy that comes least near to the budget comes nearest: what is compared costs the same.
    Where all are larger, it is the smallest.
    """
    rows = list(_shrunk(images, budget, base, inherited))
    if not rows:
        return min(_first(images, base, inherited), key=lambda row: budget.check(row[2]).binding.share)
    first = max(key for key, _ in rows)
    return max((row for key, row in rows if key == first), key=lambda row: _matched(row[2], images, budget))


_Preference = tuple[int, int, int]
"""The three are the pixels of the last map up to 4; 0 for the base, -1 and -2 for its two paths; and minus the dropped
strides."""


def _shrunk(
    images: ImageSet, budget: Budget, base: str | Network, inherited: bool
) -> Iterator[tuple[_Preference, AdaptedBase]]:
    """What could be grown from, with how much it is preferred."""
    for name, dropped, whole in adapted_bases(images, [base], inherited):
        if budget.check(whole).binding.share <= START_SHARE:
            yield (min(last_px(whole), LEAST_LAST_PX), 0, -dropped), (name, dropped, whole)
            continue
        for number, coefficients in enumerate((PAPER, OWN_SIZE), start=1):
            for network in _smaller(Path(whole, "compound", coefficients, largest_px(images)), budget):
                named = f"{name} of {network.depth} blocks at {sides(network.resolution_px)} px"
                row = name, dropped, dataclasses.replace(network, name=named)
                yield (min(last_px(network), LEAST_LAST_PX), -number, -dropped), row


def _first(images: ImageSet, base: str | Network, inherited: bool) -> Iterator[AdaptedBase]:
    """The smallest networks of the compound paths."""
    for name, dropped, whole in adapted_bases(images, [base], inherited):
        _, network = next(Path(whole, largest_px=largest_px(images)).networks())
        yield name, dropped, network


def _smaller(path: Path, budget: Budget) -> Iterator[Network]:
    """The networks of a path that use a quarter to a half of the budget, the largest first."""
    half = budget.times(START_SHARE)
    try:
        phi: float | None = fit(path.base, half, "compound", path.coefficients, path.largest_px).phi
    except BudgetError:
        return
    while phi is not None:
        network = path.at(phi)
        if budget.check(network).binding.share < START_SHARE / 2:
            return
        yield network
        phi = path.before(phi)


def _matched(network: Network, images: ImageSet, budget: Budget) -> float:
    """The least share of the budget that a strategy uses, grown from the network; 0 where one cannot keep it."""
    shares: list[float] = []
    for strategy in SCALINGS:
        try:
            shares.append(fit(network, budget, strategy, largest_px=largest_px(images)).certificate.binding.share)
        except BudgetError:
            return 0.0
    return min(shares)
