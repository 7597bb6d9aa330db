"""From a budget to a network: the largest of a strategy that keeps every limit, and the reasons in numbers.

    maximise phi   subject to   used(N(phi), limit) <= limit   for every limit that is set

Source: Tan & Le, arXiv:1905.11946, section 3.1, equation 2, solved on the integer networks.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from budgetnet.arguments import listener
from budgetnet.budgets.budget import (
    LIMITS,
    Budget,
    Certificate,
    Fit,
    NextStep,
    beyond_hope,
    budget_of,
    limit_rows,
    nothing_fits,
    used_amount,
)
from budgetnet.budgets.joint import fit_joint
from budgetnet.budgets.path import LEAST_PHI, Path
from budgetnet.budgets.staged import fit_staged
from budgetnet.costs.network_cost import Cost
from budgetnet.networks import Network, network_of
from budgetnet.networks.scaling import PAPER, Coefficients, FitStrategy, fit_strategy_of


def fit(
    base: Network,
    budget: Budget,
    strategy: FitStrategy = "compound",
    coefficients: Coefficients = PAPER,
    largest_px: int | None = None,
    obstacles: Callable[[Network], tuple[str, ...]] | None = None,
) -> Fit:
    """The largest network that keeps every limit of the budget, with its certificate::

        maximise phi   subject to   used(N(phi), limit) <= limit   for every limit that is set

    The strategy "joint" has a dial for each of depth, width, resolution and head instead of phi, and fills several
    limits: the network of the most multiply-adds near the compound line (`budgets.joint`). "staged" goes on from there
    with dials of each stage, for what limits the first stages is seldom what limits the last, and looks for the most
    multiply-adds a block (`budgets.staged`).

    It counts the real networks with whole layers and channels. It bisects over the path with what never falls along it
    (MACs, params, weight bytes, and the peaks without skips and without copies for padding, which are lower bounds of
    the real ones), and walks down from there to the first network whose real cost keeps every limit.

    Source: Tan & Le, EfficientNet, arXiv:1905.11946, section 3.1, equation 2.

    Args:
        base: The network to scale.
        budget: The limits.
        strategy: How compute is shared among depth, width and resolution: one of `scale`, "joint" or
            "staged".
        coefficients: Alpha, beta and gamma of the compound strategy, and of the line that "joint" and "staged" stay
            near.
        largest_px: The path ends where a side would be longer than this. Unless given, at phi = 10.
        obstacles: A function from a network to the names of what else keeps it from being the answer, such as too
            little time to train it. Like limits, these must not disappear as networks grow.

    Returns:
        The network, its phi, its cost and the certificate.

    Raises:
        BudgetError: No network of the path keeps the budget.
        ValueError: Every network of the path keeps it, and `largest_px` is not given; the message names a limit that
            would bind.
        TypeError: An argument has another type.

    Example:
        >>> import budgetnet
        >>> base = budgetnet.network("efficientnet_b0", classes=10)
        >>> answer = budgetnet.fit(base, budgetnet.Budget(macs="60M"))
        >>> answer.cost.macs <= 60_000_000, answer.certificate.next.breaks
        (True, ('macs',))
    """
    network_of("base", base)
    budget_of("budget", budget)
    strategy = fit_strategy_of("strategy", strategy)
    listener("obstacles", obstacles)
    if strategy == "joint":
        return fit_joint(base, budget, coefficients, largest_px, obstacles)
    if strategy == "staged":
        return fit_staged(base, budget, coefficients, largest_px, obstacles)
    path = Path(base, strategy, coefficients, largest_px)

    def breaks(network: Network) -> tuple[str, ...]:
        return budget.check(network).breaks + (obstacles(network) if obstacles else ())

    broken = path.first(lambda network: beyond_hope(network, budget, obstacles))
    top = path.last_phi if broken is None else math.nextafter(broken, -math.inf)
    at = None if broken == LEAST_PHI else _down(path, breaks, top)
    if at is None:
        smallest = path.at(LEAST_PHI)
        raise nothing_fits(
            f"on the {path.strategy} path of {base.name}", f"phi = {LEAST_PHI:g}, ", smallest, budget, breaks(smallest)
        )
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
    rows = limit_rows(price, budget)
    following = path.after(phi)
    if following is not None:
        network = path.at(following)
        return Certificate(rows, NextStep(network, following, breaks(network)), runtime=budget.runtime)
    if path.largest_px is None:
        raise ValueError(_all_fits(path, budget))
    return Certificate(rows, end=path.end, runtime=budget.runtime)


def _all_fits(path: Path, budget: Budget) -> str:
    """The line for a budget that does not bind: which limit would."""
    first, last = (budget.price(path.at(phi)) for phi in (LEAST_PHI, path.last_phi))
    # The last network can have thousands of blocks: its training is priced only where that is limited.
    names = [name for name in LIMITS if name not in ("train_bytes", "latency_us") or name in budget.limits()]
    binding = [name for name in names if used_amount(last, name, budget) > used_amount(first, name, budget)]
    example = next((name for name in binding if name in budget.limits()), binding[0])
    message = (
        f"every network on the {path.strategy} path of {path.base.name} keeps {budget}, up to its last (phi = "
        f"{path.last_phi:g}); a limit that would bind is {example} below {used_amount(last, example, budget):,}"
    )
    others = [name for name in binding if name != example]
    message += f", or one on {', '.join(others)}" if others else ""
    return message + ("; or take another strategy, since tiny only shrinks" if path.strategy == "tiny" else "")
