"""Whether the multiply-adds that several dials find are worth something: trainings of equal epochs from one parent.

    python -m bench.strategy_accuracy DATA --limits visual_wake_words --pretrained lite0 --px 84x112 --out FOLDER

The best single dial (the most multiply-adds) against the joint and the staged network under the same limits, by
validation accuracy; the differences are paired over seeds, with their 95 % intervals (t). Killed, it goes on where it
was. `--only joint staged` leaves out the rest, `--seeds 1 2` trains these alone; what lies in FOLDER is counted.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.joint import single
from budgetnet import Budget, BudgetError, adapt, cost, fit, network, open_images, train
from budgetnet.budgets.budget import Fit
from budgetnet.budgets.devices import budget_for
from budgetnet.networks import Network
from budgetnet.networks.scaling import SEVERAL_DIALS
from budgetnet.statistics import from_seeds, mean_interval

OWN_LIMITS = {
    "100kB": Budget(weight_bytes=100_000, peak_activation_bytes=100_000, dtype="int8"),
    "visual_wake_words": Budget(macs=60_000_000, weight_bytes=250_000, peak_activation_bytes=250_000, dtype="int8"),
}
"""Limits that are no device's, by their names here. Those of the challenge count weights and activations alone."""


def limits_of(name: str) -> Budget:
    """The limits of a device, or one of ours."""
    return OWN_LIMITS[name] if name in OWN_LIMITS else budget_for(name)


def found(base: Network, budget: Budget, largest_px: int) -> dict[str, Fit]:
    """The answers by what made them; none where nothing keeps the limits."""
    rows: dict[str, Fit] = {}
    alone = single(base, budget, largest_px)
    if alone is not None:
        rows["single"] = alone
    for strategy in SEVERAL_DIALS:
        try:
            rows[strategy] = fit(base, budget, strategy, largest_px=largest_px)
        except BudgetError as error:
            print(f"{strategy}: {error}")
    return rows


def described(network: Network) -> str:
    """A network in one line: size, stem, each stage's channels x blocks, expansion and kernel, head."""
    stages = (f"{one.channels}x{one.repeats}e{one.expansion:g}k{one.kernel}" for one in network.stages)
    height, width = network.resolution_px
    return f"{height}x{width} px, {network.stem.channels} | {' '.join(stages)} | {network.head.channels}"


def differences(accuracies: dict[str, dict[int, float]]) -> None:
    """Of each two strategies the mean difference over the seeds that both have."""
    names = list(accuracies)
    for before, behind in itertools.combinations(names, 2):
        seeds = sorted(accuracies[before].keys() & accuracies[behind].keys())
        pairs = [100 * (accuracies[behind][seed] - accuracies[before][seed]) for seed in seeds]
        if len(pairs) > 1:
            low, high = mean_interval(from_seeds(pairs))
            mean = sum(pairs) / len(pairs)
            print(f"  {behind} - {before}: {mean:+.1f} ({low:+.1f} to {high:+.1f}), {len(pairs)} seeds")


def compared(
    data: str, networks: Mapping[str, tuple[Network, str]], epochs: float, seeds: Sequence[int], out: Path
) -> None:
    """Train each network from its pretrained weights, seed by seed, and print the differences."""
    validation: dict[str, dict[int, float]] = {name: {} for name in networks}
    test: dict[str, dict[int, float]] = {name: {} for name in networks}
    for seed in seeds:
        for name, (one, pretrained) in networks.items():
            made = train(data, one, out / f"{name}-{seed}", epochs=epochs, seed=seed, pretrained=pretrained)
            validation[name][seed], test[name][seed] = made.validation.top1, made.test.top1
            print(f"seed {seed}, {name}: validation {made.validation.top1:.4f}, test {made.test.top1:.4f}", flush=True)
    for title, accuracies in (("validation", validation), ("test", test)):
        print(title)
        differences(accuracies)


def main() -> None:
    """Train each, seed by seed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--limits", default="visual_wake_words")
    parser.add_argument("--base", default="tf_efficientnet_lite0")
    parser.add_argument("--pretrained", default="none")
    parser.add_argument("--px", default="84x112")
    parser.add_argument("--dropped-strides", type=int, default=0)
    parser.add_argument("--largest-px", type=int, default=None)
    parser.add_argument("--epochs", type=float, default=6.0)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--only", nargs="+", default=None)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    height, width = map(int, given.px.split("x"))
    classes = len(open_images(given.data, 0).classes)
    base = adapt(network(given.base, classes), (height, width), given.dropped_strides)
    rows = found(base, limits_of(given.limits), given.largest_px or 2 * max(height, width))
    for name, one in rows.items():
        shares = ", ".join(f"{row.name} {100 * row.share:.0f} %" for row in one.certificate.limits)
        print(f"{name} ({one.strategy}): {cost(one.network).macs / 1e6:.1f} M ({shares}); {described(one.network)}")
    wanted = {
        name: (one.network, given.pretrained) for name, one in rows.items() if not given.only or name in given.only
    }
    compared(given.data, wanted, given.epochs, given.seeds, given.out)


if __name__ == "__main__":
    main()
