"""From a budget to a network: the largest of a path that keeps every limit, and the reasons in numbers.

    maximise phi   subject to   used(N(phi), limit) <= limit   for every limit that is set

Source: Tan & Le, arXiv:1905.11946, section 3.1, equation 2, solved on the integer networks.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from budgetnet.amounts import count, size_bytes
from budgetnet.arguments import integer, listener, number, of_kind
from budgetnet.budgets.path import LEAST_PHI, Path, without_skips
from budgetnet.codec import as_object, from_plain, to_plain
from budgetnet.costs.network_cost import Cost, DType, cost
from budgetnet.networks import Network, choose, network_of
from budgetnet.networks.scaling import PAPER, Coefficients, Strategy

LIMITS = ("macs", "params", "weight_bytes", "peak_activation_bytes", "peak_bytes", "train_bytes")
"""The fields of a budget that are limits."""
TIME, MEMORY = "time", "memory"
"""What a certificate names beside the limits: a network for whose training there is not enough of either."""


@dataclass(frozen=True, slots=True)
class Budget:
    """Limits on a network; a field that is not None is one.

    `dtype` and `batch` are those that the bytes are counted for; `macs` is for one image.
    `train_bytes` is for training in float32 with AdamW and a moving average of the weights, the
    most that a recipe here needs. A limit is a positive integer in whatever form: 60_000_000, 60e6,
    numpy's, or text as people write it, "60M" and "4MiB". Raises `ValueError` without a limit, or for a
    limit that is none.
    """

    macs: int | None = None
    params: int | None = None
    weight_bytes: int | None = None
    peak_activation_bytes: int | None = None
    peak_bytes: int | None = None
    train_bytes: int | None = None
    dtype: DType = "float32"
    batch: int = 1

    def __post_init__(self) -> None:
        if not self.limits():
            raise ValueError(f"a budget needs at least one limit: {', '.join(LIMITS)}")
        for name, limit in self.limits().items():
            written = size_bytes if name.endswith("bytes") else count
            object.__setattr__(self, name, integer(name, limit, written=written))
        choose("dtype", self.dtype, get_args(DType))
        object.__setattr__(self, "batch", integer("batch", self.batch))

    def limits(self) -> dict[str, int]:
        """Name and value of every limit that is set."""
        return {name: limit for name in LIMITS if (limit := getattr(self, name)) is not None}

    def times(self, share: float) -> Budget:
        """The budget with every limit times the share, rounded down. Raises `ValueError` where one falls to 0."""
        share = number("share", share, above=0.0)
        return dataclasses.replace(self, **{name: int(limit * share) for name, limit in self.limits().items()})

    def price(self, network: Network) -> Cost:
        """The network's cost at this budget's batch and dtype."""
        return cost(network, self.batch, self.dtype)

    def check(self, network: Network) -> Certificate:
        """Every limit with what the network uses and leaves; a network by itself has no next one."""
        return Certificate(_rows(self.price(network), self))

    def to_dict(self) -> dict[str, Any]:
        """The limits that are set, dtype and batch, as JSON's types."""
        return {**self.limits(), "dtype": self.dtype, "batch": self.batch}

    @staticmethod
    def from_dict(row: dict[str, Any]) -> Budget:
        """The budget of `to_dict`. Raises `ValueError` for an unknown name."""
        known = [field.name for field in dataclasses.fields(Budget)]
        if unknown := sorted(set(row) - set(known)):
            raise ValueError(f"a budget has no {', '.join(unknown)}; it has {', '.join(known)}")
        return Budget(**row)

    def __str__(self) -> str:
        return " and ".join(f"{name} <= {limit:,}" for name, limit in self.limits().items())


def budget_of(what: str, value: object) -> Budget:
    """The value, if it is a budget. Raises a one-line `TypeError` that says how one is given."""
    return of_kind(what, value, Budget, "a Budget, as budgetnet.Budget(macs=60_000_000)")


@dataclass(frozen=True, slots=True)
class LimitRow:
    """A limit, what the network uses of it, and what it leaves: below 0 where it is broken."""

    name: str
    limit: int
    used: int
    left: int

    @property
    def share(self) -> float:
        """used / limit: above 1 where the limit is broken."""
        return self.used / self.limit


@dataclass(frozen=True, slots=True)
class NextStep:
    """The next larger network of the path, its smallest phi, and the limits that it breaks.

    Among them TIME and MEMORY, where there is too little for its training.
    """

    network: Network
    phi: float
    breaks: tuple[str, ...]

    @property
    def broken_limits(self) -> tuple[str, ...]:
        """The limits of the budget that it breaks."""
        return tuple(name for name in self.breaks if name not in (TIME, MEMORY))

    @property
    def lacks(self) -> tuple[str, ...]:
        """What there is too little of to train it: TIME, MEMORY, both or nothing."""
        return tuple(name for name in self.breaks if name in (TIME, MEMORY))


@dataclass(frozen=True, slots=True)
class Certificate:
    """Why a network is the answer: its limits, and why nothing larger on its path is.

    Where the path ends while it still fits, `next` is None and `end` says why it ends.
    """

    limits: tuple[LimitRow, ...]
    next: NextStep | None = None
    end: str | None = None

    def __post_init__(self) -> None:
        if not self.limits:
            raise ValueError("a certificate needs at least one limit")

    @property
    def fits(self) -> bool:
        """Whether every limit is kept."""
        return not self.breaks

    @property
    def breaks(self) -> tuple[str, ...]:
        """Names of the limits that are not kept."""
        return tuple(row.name for row in self.limits if row.left < 0)

    @property
    def binding(self) -> LimitRow:
        """The limit of which the largest share is used."""
        return max(self.limits, key=lambda row: row.share)

    def to_dict(self) -> dict[str, Any]:
        """JSON's types; `from_dict` gives an equal certificate back."""
        return to_plain(self)

    @staticmethod
    def from_dict(row: dict[str, Any]) -> Certificate:
        """The certificate of `to_dict`, or of certificate.json, which names the network as well.

        Raises a one-line `ValueError` for anything else.
        """
        limits = {name: value for name, value in as_object(row, "the certificate").items() if name != "network"}
        return from_plain(Certificate, limits, "the certificate")


@dataclass(frozen=True, slots=True)
class Fit:
    """The largest network of a path within a budget; `phi` is the smallest that gives it."""

    network: Network
    phi: float
    cost: Cost
    certificate: Certificate
    strategy: Strategy


class BudgetError(ValueError):
    """Nothing on the path keeps the budget.

    `limit` is the name of the limit that is missed by the largest factor, `smallest` the path's
    first network, `excess` how much more than the limit it uses, in the limit's unit.
    """

    def __init__(self, message: str, limit: str, smallest: Network, excess: int) -> None:
        super().__init__(message)
        self.limit = limit
        self.smallest = smallest
        self.excess = excess


def nearest_miss(errors: Iterable[BudgetError], budget: Budget) -> BudgetError:
    """Of the errors of several paths the one whose limit is missed by the smallest factor."""
    return min(errors, key=lambda error: error.excess / getattr(budget, error.limit))


def used(price: Cost, budget: Budget) -> dict[str, int]:
    """Name and amount of everything that the budget limits."""
    return {name: _amount(price, name, budget) for name in budget.limits()}


def _amount(price: Cost, name: str, budget: Budget) -> int:
    if name == "train_bytes":
        return price.train_bytes(budget.batch, "adamw", ema=True)
    return getattr(price, name)


def _rows(price: Cost, budget: Budget) -> tuple[LimitRow, ...]:
    limits = budget.limits()
    return tuple(
        LimitRow(name, limits[name], value, limits[name] - value) for name, value in used(price, budget).items()
    )


def fit(
    base: Network,
    budget: Budget,
    strategy: Strategy = "compound",
    coefficients: Coefficients = PAPER,
    largest_px: int | None = None,
    obstacles: Callable[[Network], tuple[str, ...]] | None = None,
) -> Fit:
    """The largest network of the base's path that keeps every limit of the budget, certified.

    Bisects over the path with what never falls along it: MACs, params, weight bytes, and the peaks
    without skips, which are lower bounds of the real ones. From there it walks down to the first
    network whose real cost keeps every limit. `largest_px` ends the path there. `obstacles` names
    what else keeps a network from being the answer, as too little time to train it; like a limit's, its names must
    not vanish along the path, skips left out. Raises `BudgetError`
    if nothing on the path keeps the budget, and `ValueError` if all of it does and `largest_px` is
    not given.
    """
    network_of("base", base)
    budget_of("budget", budget)
    path = Path(base, strategy, coefficients, largest_px)
    listener("obstacles", obstacles)

    def breaks(network: Network) -> tuple[str, ...]:
        return budget.check(network).breaks + (obstacles(network) if obstacles else ())

    broken = path.first(lambda network: bool(breaks(without_skips(network))))
    top = path.last_phi if broken is None else math.nextafter(broken, -math.inf)
    at = None if broken == LEAST_PHI else _down(path, breaks, top)
    if at is None:
        raise _nothing_fits(path, budget, breaks(path.at(LEAST_PHI)))
    phi = path.start(at)
    network = path.at(phi)
    price = budget.price(network)
    return Fit(network, phi, price, _certificate(path, budget, phi, price, breaks), strategy)


def _down(path: Path, breaks: Callable[[Network], tuple[str, ...]], phi: float) -> float | None:
    """The largest phi up to this one whose network really keeps every limit."""
    at: float | None = phi
    while at is not None and breaks(path.at(at)):
        at = path.before(at)
    return at


def _certificate(
    path: Path, budget: Budget, phi: float, price: Cost, breaks: Callable[[Network], tuple[str, ...]]
) -> Certificate:
    rows = _rows(price, budget)
    following = path.after(phi)
    if following is not None:
        network = path.at(following)
        return Certificate(rows, NextStep(network, following, breaks(network)))
    if path.largest_px is None:
        raise ValueError(_all_fits(path, budget))
    return Certificate(rows, end=path.end)


def _nothing_fits(path: Path, budget: Budget, breaks: Sequence[str]) -> BudgetError:
    smallest = path.at(LEAST_PHI)
    worst = budget.check(smallest).binding
    if worst.left >= 0:
        what = " and ".join(breaks)
        message = f"there is not enough {what} to train any network on the {path.strategy} path of {path.base.name}"
        return BudgetError(message, breaks[0], smallest, 0)
    height, width = smallest.resolution_px
    message = (
        f"no network on the {path.strategy} path of {path.base.name} keeps {budget}: the smallest "
        f"(phi = {LEAST_PHI:g}, {height}x{width} px, {smallest.depth} blocks) has {worst.name} {worst.used:,}, "
        f"{_times(worst.share)} the limit; raise it, or take a smaller base, fewer classes or another strategy"
    )
    return BudgetError(message, worst.name, smallest, -worst.left)


def _times(share: float) -> str:
    return f"{share:,.0f} times" if share >= 100 else f"{share:.3g} times"


def _all_fits(path: Path, budget: Budget) -> str:
    """The line for a budget that does not bind: which limit would."""
    first, last = (budget.price(path.at(phi)) for phi in (LEAST_PHI, path.last_phi))
    # The last network can have thousands of blocks: its training is priced only where that is limited.
    names = [name for name in LIMITS if name != "train_bytes" or name in budget.limits()]
    binding = [name for name in names if _amount(last, name, budget) > _amount(first, name, budget)]
    example = next((name for name in binding if name in budget.limits()), binding[0])
    message = (
        f"every network on the {path.strategy} path of {path.base.name} keeps {budget}, up to its last (phi = "
        f"{path.last_phi:g}); a limit that would bind is {example} below {_amount(last, example, budget):,}"
    )
    others = [name for name in binding if name != example]
    message += f", or one on {', '.join(others)}" if others else ""
    return message + ("; or take another strategy, since tiny only shrinks" if path.strategy == "tiny" else "")
