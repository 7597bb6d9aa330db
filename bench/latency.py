"""Whether a device file tells how long other networks take, and whether what `fit` finds under a latency keeps it.

    python -m bench.latency DEVICE_FILE [--fits 20] [--others 30] [--skip 100] [--limits 400us ...] [--bases NAME ...]

The device file is one that `budgetnet profile` wrote on this machine. First: networks that it was not fitted to (of
those that it would have drawn, the ones behind the first `--skip`), predicted and measured. Then: `fit` under limits on
latency for several bases and strategies; each network is built untrained, and measured in the runtime. Run it with
nothing beside it, and with networks and limits by which nothing was chosen.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from budgetnet import Budget, BudgetError, adapt, fit, network, read_device
from budgetnet.amounts import microseconds
from budgetnet.answers.profile import BASES, CLASSES, NETWORKS, SECONDS, drawn
from budgetnet.costs.latency import DeviceTiming
from budgetnet.inspect.turns import image_measurements
from budgetnet.networks import Network
from budgetnet.ship.untrained import timed_network

LIMITS = ("400us", "800us", "1500us", "3ms")
STRATEGIES = ("compound", "joint", "staged", "width", "resolution")
NEAR = 0.1


def measured_us(networks: Sequence[Network], timing: DeviceTiming) -> list[float]:
    """Microseconds of each, in turns."""
    with contextlib.ExitStack() as stack:
        subjects = [timed_network(one, timing.runtime, timing.dtype, stack) for one in networks]
        found = image_measurements(subjects, SECONDS)
    print(f"others took {found[0].others_cores:.2f} cores")
    return [1000 * row.latency_ms if row.latency_ms is not None else float("nan") for row in found]


def found_under_limits(
    timing: DeviceTiming, count: int, bases: Sequence[str], limits: Sequence[str]
) -> list[tuple[str, int, Network]]:
    """What `fit` finds, with its limit in microseconds."""
    rows: list[tuple[str, int, Network]] = []
    for index, (base, limit) in enumerate(itertools.product(bases, map(microseconds, limits))):
        strategy = STRATEGIES[index % len(STRATEGIES)]
        budget = Budget(latency_us=limit, timing=timing, params=4_000_000)
        try:
            found = fit(adapt(network(base, CLASSES), 112), budget, strategy, largest_px=224)  # pyright: ignore[reportArgumentType]
        except (BudgetError, ValueError) as error:
            print(f"{base}, {strategy}, {limit} us: {error}")
            continue
        rows.append((f"{base} {strategy}", limit, found.network))
    return rows[:count]


def main() -> None:
    """Print both tables and their summaries."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("device", type=Path)
    parser.add_argument("--fits", type=int, default=20)
    parser.add_argument("--others", type=int, default=30)
    parser.add_argument("--skip", type=int, default=2 * NETWORKS)
    parser.add_argument("--limits", nargs="+", default=LIMITS)
    parser.add_argument("--bases", nargs="+", default=BASES[:6])
    given = parser.parse_args()
    timing = read_device(given.device)
    print(
        f"{timing.device}, {timing.runtime}, {timing.dtype}: left out, median {100 * timing.median_error:.1f} %, ",
        end="",
    )
    print(f"nine in ten {timing.ninety_error:.1%}, margin {timing.margin:.0%}")

    first, last = given.skip, given.skip + given.others
    others = list(itertools.islice(drawn([network(base) for base in BASES]), first, last))
    times = np.array(measured_us(others, timing))
    predicted = np.array([timing.predicted_us(one) for one in others])
    for one, said, took in zip(others, predicted, times, strict=True):
        name = f"{one.name[:40]:40} {one.resolution_px[0]:4} px"
        print(f"  {name} {said / 1000:7.2f} {took / 1000:7.2f} ms {said / took - 1:+.1%}")
    errors, within = np.abs(predicted / times - 1), times <= predicted * (1 + timing.margin)
    print(f"{len(others)} others: median {np.median(errors):.1%}, nine in ten within {np.quantile(errors, 0.9):.1%}")
    print(f"{np.mean(errors <= NEAR):.0%} within {NEAR:.0%}; {np.mean(within):.0%} within the margin")

    fits = found_under_limits(timing, given.fits, given.bases, given.limits)
    times = np.array(measured_us([one for _, _, one in fits], timing))
    shares = times / np.array([limit for _, limit, _ in fits])
    for (name, limit, one), share in zip(fits, shares, strict=True):
        print(f"  {name:32} {one.resolution_px[0]:4} px, {limit:5} us: {share:.1%}")
    print(f"{len(fits)} fits: median {np.median(shares):.1%} of the limit, nine in ten at most ", end="")
    print(f"{np.quantile(shares, 0.9):.1%}; {np.mean(shares <= 1):.0%} keep it")


if __name__ == "__main__":
    main()
