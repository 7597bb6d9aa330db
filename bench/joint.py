"""What several limits at once leave of a budget: one dial, four, and those of each stage.

    python -m bench.joint [--brute]

Each row is a base under limits: the best single dial, the joint and the staged network, each with the shares of the
limits that it uses and the processor's seconds that it took to find. `--brute` prices every network of a small space,
for the ratio of times.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import time

from budgetnet import Budget, BudgetError, adapt, fit, frontier, network
from budgetnet.budgets.budget import Fit
from budgetnet.budgets.dials import DIALS, Position
from budgetnet.budgets.joint import JointSpace, joint_space
from budgetnet.costs.network_cost import cost
from budgetnet.networks import Network
from budgetnet.networks.scaling import SEVERAL_DIALS, STRATEGIES

BASES = ("efficientnet_b0", "efficientnet_lite0", "mobilenet_v1", "mobilenet_v2", "mobilenet_v3_small")
WAKE_WORDS = Budget(macs=60_000_000, weight_bytes=250_000, peak_activation_bytes=250_000, dtype="int8")
MCUNET = Budget(macs=10**9, weight_bytes=897 * 1024, peak_activation_bytes=293 * 1024, dtype="int8")
"""The limits of MCUNet (arXiv:2007.10319), which has 81.8 M multiply-adds there."""
CASES = (
    ("visual_wake_words, 84x112 px, 6 classes", WAKE_WORDS, (84, 112), 6),
    ("visual_wake_words, 224 px, 6 classes", WAKE_WORDS, (224, 224), 6),
    ("293 KiB and 897 KiB, 224 px, 1,000 classes", MCUNET, (224, 224), 1000),
)


def single(base: Network, budget: Budget, largest_px: int) -> Fit | None:
    """The most multiply-adds that one dial gives."""
    found: list[Fit] = []
    for strategy in STRATEGIES:
        try:
            found.append(fit(base, budget, strategy, largest_px=largest_px))
        except BudgetError:
            continue
    return max(found, key=lambda one: one.cost.macs, default=None)


def rows() -> None:
    """Every base under every case's limits."""
    for title, budget, px, classes in CASES:
        print(title)
        for name in BASES:
            base = adapt(network(name, classes), px)
            one = single(base, budget, 2 * min(px))
            alone = "none" if one is None else f"{one.strategy} {one.cost.macs / 1e6:.1f} M"
            print(f"  {name}: {alone}; {several(base, budget, 2 * min(px))}")


def several(base: Network, budget: Budget, largest_px: int) -> str:
    """The networks of several dials, in a line."""
    found: list[str] = []
    for strategy in SEVERAL_DIALS:
        joint_space.cache_clear()  # a staged fit begins with a joint one, which is in its time
        before = time.process_time()
        try:
            fitted = fit(base, budget, strategy, largest_px=largest_px)
        except BudgetError as error:
            return str(error)
        seconds = time.process_time() - before
        shares = ", ".join(f"{row.name} {100 * row.share:.0f} %" for row in fitted.certificate.limits)
        found.append(f"{strategy} {fitted.cost.macs / 1e6:.1f} M ({shares}; {seconds:.2f} s)")
    return "; ".join(found)


def frontiers() -> None:
    """How long the whole frontier takes."""
    base = network("efficientnet_b0", 6)
    before = time.process_time()
    found = frontier(base, WAKE_WORDS, largest_px=448)
    print(f"frontier of efficientnet_b0: {len(found)} networks, {time.process_time() - before:.2f} s")


def brute() -> None:
    """The ratio of times on a space that is small enough to price whole."""
    base = dataclasses.replace(adapt(network("mobilenet_v3_small", 6), 48), name="small")
    budget = Budget(macs=400_000, weight_bytes=30_000, peak_activation_bytes=20_000, dtype="int8")
    before = time.process_time()
    space = JointSpace(base, budget, largest_px=48)
    found = space.largest
    joint = time.process_time() - before
    before, best, count = time.process_time(), 0, 0
    for indices in itertools.product(*(range(space.dials.count(dial)) for dial in DIALS)):
        at, count = Position(*indices), count + 1
        one = space.dials.network(at)
        if at.head >= space.least_heads[at.width] and space.in_band(at) and budget.check(one).fits:
            best = max(best, cost(one).macs)
    whole = time.process_time() - before
    same = found is not None and space.macs(found) == best
    print(
        f"{count:,} networks: joint {joint:.2f} s, all of them {whole:.1f} s, {whole / joint:.0f} times; equal: {same}"
    )


def main() -> None:
    """The table, or the ratio to brute force."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--brute", action="store_true")
    if parser.parse_args().brute:
        brute()
        return
    rows()
    frontiers()


if __name__ == "__main__":
    main()
