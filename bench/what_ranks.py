"""What ranks networks that fill the same limits: does a rule by a shape's numbers do better than multiply-adds?

    python -m bench.what_ranks OUT cifar10 trashnet112 digits

For each data set the staged space under its limits is searched with what is maximised drawn at random: multiply-adds,
and weights on blocks, widths and size. So the shapes differ in depth, width and size, and all of them stand at their
walls. With joint, the staged network of the most multiply-adds, that of no more blocks than joint, and some of the most
log(multiply-adds) - c * log(blocks), they are trained for equal epochs and judged by their validation images. Printed
are Kendall's tau between accuracy and each number, then for each data set that is left out the rule that ranked the
others best. Killed, it goes on where it was.
"""

from __future__ import annotations

import argparse
import itertools
import math
import operator
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from scipy.stats import kendalltau

from bench.strategy_accuracy import described, limits_of
from budgetnet import Budget, adapt, cost, network, open_images, train
from budgetnet.budgets.joint import JointSpace
from budgetnet.budgets.staged import Shape, StagedSpace, Worth
from budgetnet.networks import Network

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0)
"""The weights c that a rule of two terms can have: log(multiply-adds) - c * log(another number)."""
FEWER_BLOCKS = (0.5, 0.75, 1.0, 1.5)
"""The weights of log(blocks) whose best shapes are trained, too."""
LEAST_SHARE = 0.95
"""A shape counts when it uses at least this share of one of its limits."""


@dataclass(frozen=True, slots=True)
class Case:
    """A data set with limits at which shapes are compared."""

    data: str
    limits: Budget
    base: str
    px: tuple[int, int]
    dropped_strides: int
    largest_px: int
    pretrained: str
    epochs: float


TINY = Budget(weight_bytes=60_000, peak_activation_bytes=40_000, dtype="int8")
"""Limits that an image of 8x8 px, seen at 16x16, can fill."""
CASES = {
    "cifar10": Case("cifar10", limits_of("100kB"), "mobilenet_v2", (32, 32), 2, 32, "none", 2),
    "trashnet112": Case("trashnet112", limits_of("100kB"), "tf_efficientnet_lite0", (84, 112), 0, 224, "lite0", 4),
    "cats-dogs": Case("cats-dogs", limits_of("100kB"), "tf_efficientnet_lite0", (112, 112), 0, 224, "lite0", 5),
    "digits": Case("digits", TINY, "mobilenet_v2", (16, 16), 2, 16, "none", 3),
}


def mean_log_width(shape: Shape) -> float:
    """Mean over blocks of the natural logarithm of their channels."""
    return sum(stage.repeats * math.log(stage.channels) for stage in shape.stages) / shape.blocks


def drawn_worth(random: Random) -> Worth:
    """Multiply-adds, and weights from -2 to 2 on blocks and widths, from -1 to 1 on size."""
    on_blocks, on_width, on_size = random.uniform(-2, 2), random.uniform(-2, 2), random.uniform(-1, 1)

    def worth(space: StagedSpace, shape: Shape) -> float:
        height, width = space.joint_dials.sizes[shape.size].value
        return (
            space.log_macs(shape)
            + on_blocks * math.log(shape.blocks)
            + on_width * mean_log_width(shape)
            + on_size * math.log(height * width)
        )

    return worth


def fewer_blocks(share: float) -> Worth:
    """The natural logarithm of multiply-adds / blocks ** share."""
    return lambda space, shape: space.log_macs(shape) - share * math.log(shape.blocks)


def no_deeper(space: StagedSpace, shape: Shape) -> float:
    """Multiply-adds, of shapes with no more blocks than the joint network."""
    return space.log_macs(shape) if shape.blocks <= space.start.blocks else -math.inf


def shapes_of(case: Case, base: Network, most: int, seed: int) -> dict[str, Network]:
    """The networks that are compared, by name."""
    joint = JointSpace(base, case.limits, largest_px=case.largest_px)
    space = StagedSpace(joint, StagedSpace.log_macs)
    found = {"joint": space.start, "macs": space.largest(), "no deeper": StagedSpace(joint, no_deeper).largest()}
    for share in FEWER_BLOCKS:
        shape = StagedSpace(joint, fewer_blocks(share)).largest()
        if shape not in found.values():
            found[f"blocks {share:g}"] = shape
    random = Random(seed)
    for index in itertools.count():
        if len(found) >= most:
            break
        shape = StagedSpace(joint, drawn_worth(random)).largest()
        full = max(row.share for row in case.limits.check(space.network(shape)).limits) >= LEAST_SHARE
        if full and shape not in found.values():
            found[f"drawn {index}"] = shape
    return {name: space.network(shape) for name, shape in found.items()}


def numbers(one: Network) -> dict[str, float]:
    """Natural logarithms of what a rule can see."""
    priced = cost(one)
    widths = [stage.channels for stage in one.stages for _ in range(stage.repeats)]
    return {
        "macs": math.log(priced.macs),
        "blocks": math.log(len(widths)),
        "width": statistics.mean(map(math.log, widths)),
        "narrowest": math.log(min(widths)),
        "last width": math.log(widths[-1]),
        "head": math.log(one.head.channels or widths[-1]),
        "activations": math.log(priced.activations),
        "px": math.log(one.resolution_px[0] * one.resolution_px[1]),
        "params": math.log(priced.params),
    }


@dataclass(frozen=True, slots=True, eq=False)
class Study:
    """What was trained of a data set: each network's name, its numbers and its accuracy."""

    name: str
    names: tuple[str, ...]
    rows: tuple[dict[str, float], ...]
    accuracies: tuple[float, ...]

    def tau(self, rule: Callable[[dict[str, float]], float]) -> float:
        """Kendall's tau (b) between what a rule says and the accuracies; 0 where the rule says one thing of all."""
        said = [round(rule(row), 9) for row in self.rows]
        result: Any = kendalltau(said, self.accuracies)
        return float(result.statistic) if len(set(said)) > 1 else 0.0

    def first(self, rule: Callable[[dict[str, float]], float]) -> int:
        """The index of what a rule ranks first."""
        return max(range(len(self.rows)), key=lambda index: rule(self.rows[index]))


def two_terms(name: str, share: float) -> Callable[[dict[str, float]], float]:
    """log(multiply-adds) - share * another number."""
    return lambda row: row["macs"] - share * row[name]


def study(case: Case, folder: Path, out: Path, most: int, seeds: Sequence[int]) -> Study:
    """Train the networks of a data set."""
    data = case.data if case.data == "digits" else str(folder / case.data)
    base = adapt(network(case.base, len(open_images(data, 0).classes)), case.px, case.dropped_strides)
    networks = shapes_of(case, base, most, seed=0)
    accuracies: list[float] = []
    for name, one in networks.items():
        scores: list[float] = []
        for seed in seeds:
            place = out / case.data / f"{name.replace(' ', '-')}-{seed}"
            made = train(data, one, place, epochs=case.epochs, seed=seed, pretrained=case.pretrained)
            scores.append(made.validation.top1)
        accuracies.append(statistics.mean(scores))
        priced = cost(one)
        blocks = sum(stage.repeats for stage in one.stages)
        print(
            f"{case.data}: {name}: {100 * accuracies[-1]:.1f} %, {priced.macs / 1e6:.2f} M, {blocks} blocks, "
            f"{priced.activations / 1e3:.0f} k activations, {priced.params / 1e3:.0f} k params; {described(one)}",
            flush=True,
        )
    return Study(case.data, tuple(networks), tuple(map(numbers, networks.values())), tuple(accuracies))


def main() -> None:
    """Train the shapes of every data set, then rank them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("data", nargs="+", choices=sorted(CASES))
    parser.add_argument("--folder", type=Path, default=Path("../shared/data"), help="where the images lie")
    parser.add_argument("--shapes", type=int, default=12)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    given = parser.parse_args()
    studies = [study(CASES[name], given.folder, given.out, given.shapes, given.seeds) for name in given.data]
    terms = [name for name in studies[0].rows[0] if name != "macs"]
    print("tau of each number alone:", ", ".join(one.name for one in studies))
    for name in ("macs", *terms):
        print(f"  {name}: {', '.join(f'{one.tau(operator.itemgetter(name)):+.2f}' for one in studies)}")
    print("tau of log(multiply-adds) - c * log(blocks):")
    for share in SHARES:
        rule = two_terms("blocks", share)
        print(f"  {share:g}: {', '.join(f'{one.tau(rule):+.2f}' for one in studies)}")
    rules = [("macs", 0.0), *itertools.product(terms, (sign * share for share in SHARES[1:] for sign in (1, -1)))]
    for left_out in studies if len(studies) > 1 else ():
        others = [one for one in studies if one is not left_out]
        best = max(rules, key=lambda rule: statistics.mean(one.tau(two_terms(*rule)) for one in others))
        of_blocks = [rule for rule in rules if rule[0] in ("macs", "blocks")]
        depth = max(of_blocks, key=lambda rule: statistics.mean(one.tau(two_terms(*rule)) for one in others))
        for title, (name, share) in (("multiply-adds", ("macs", 0.0)), ("with blocks", depth), ("best of two", best)):
            rule = two_terms(name, share)
            first = left_out.first(rule)
            print(
                f"{left_out.name} left out, {title} (- {share:g} {name}): tau {left_out.tau(rule):+.2f}, first "
                f"{left_out.names[first]} {100 * left_out.accuracies[first]:.1f} %"
            )


if __name__ == "__main__":
    main()
