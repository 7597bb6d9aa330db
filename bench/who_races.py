"""Who should race: is there a rule by a candidate's numbers that picks better networks than the diverse choice does?

    python -m bench.who_races OUT digits:500K ../shared/data/cifar10:2M ../shared/data/trashnet112:2M ...

For each data set with its multiply-adds a pool of candidates of `solve`, drawn evenly from all of them, is trained from
nothing until as many images were seen. Then each data set is left out in turn: a ridge regression learns from the
others which validation accuracy a network has (in deviations from its pool's mean) by its family and the logarithms of
its multiply-adds, parameters, activations, image size, last map and depth. Of the pool that was left out its best two
are taken, beside the two of today's rule, and all pairs for chance. What a pair is worth is the better accuracy of its
two, for the race finds that one. A network that is not shown to have learned counts as chance. Killed, it goes on where
it was; `--pool`, `--images`, `--seed` say how much.
"""

from __future__ import annotations

import argparse
import itertools
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from budgetnet import Budget, open_images, train
from budgetnet.amounts import count
from budgetnet.experiments.bases import last_px
from budgetnet.experiments.solve.candidates import BASES, Contender, candidates, chosen
from budgetnet.statistics import from_seeds, mean_interval

ENTRANTS = 2
PENALTY = 3.0
"""Of the ridge regression, for inputs of deviation 1."""
UNANSWERED = re.compile(r"learned (nothing|anything)|diverged")
"""What `train` says of a training that is not shown to have learned, and gives no accuracy for."""


@dataclass(frozen=True, slots=True, eq=False)
class Pool:
    """The candidates of a data set, and how many each gets right of its validation images."""

    name: str
    rows: tuple[Contender, ...]
    accuracies: NDArray[np.float64]

    def worth(self, ids: Sequence[str]) -> float:
        """The best accuracy of these."""
        return max(float(self.accuracies[index]) for index, row in enumerate(self.rows) if row.id in ids)


def features(row: Contender) -> list[float]:
    """What the rule sees of a network."""
    network, cost = row.network, row.fit.cost
    sizes = cost.macs, cost.params, cost.activations, network.resolution_px[0], last_px(network), network.depth
    return [float(row.base == base) for base in BASES] + [math.log2(size) for size in sizes]


def pool_of(data: str, macs: str, most: int, shown: int, seed: int, out: Path) -> Pool:
    """Train `most` of the candidates, each until `shown` images were seen."""
    images = open_images(data, 0)
    found = [row for row in candidates(images, Budget(macs=count(macs)), ENTRANTS) if row.at_its_limit]
    drawn = np.sort(np.random.default_rng(seed).permutation(len(found))[:most])
    rows = tuple(found[index] for index in drawn)
    epochs = shown / len(images.indices("train"))
    accuracies: list[float] = []
    for row in rows:
        folder = out / f"{images.name}-{macs}" / row.id
        said = ""
        try:
            accuracies.append(train(data, row.network, folder, epochs=epochs, seed=seed).validation.top1)
        except ValueError as error:
            if not UNANSWERED.search(str(error)):
                raise
            accuracies.append(1 / len(images.classes))
            said = ", which is chance: its training is no answer"
        print(
            f"{images.name}: {row.id} {row.fit.cost.macs / 1e6:.2f} M, {100 * accuracies[-1]:.1f} %{said}", flush=True
        )
    return Pool(f"{images.name} {macs}", rows, np.array(accuracies))


def learned(pools: Sequence[Pool]) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Coefficients of a ridge regression over these pools, and the mean and deviation of its inputs."""
    inputs = np.array([features(row) for pool in pools for row in pool.rows])
    wanted = np.concatenate([(one.accuracies - one.accuracies.mean()) / (one.accuracies.std() + 1e-9) for one in pools])
    mean, spread = inputs.mean(0), inputs.std(0) + 1e-9
    scaled = (inputs - mean) / spread
    return np.linalg.solve(scaled.T @ scaled + PENALTY * np.eye(scaled.shape[1]), scaled.T @ wanted), mean, spread


def main() -> None:
    """Train the pools, then leave each out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("data", nargs="+", help="DATA:MACS")
    parser.add_argument("--pool", type=int, default=12)
    parser.add_argument("--images", type=int, default=12_800)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    pools: list[Pool] = []
    for one in given.data:
        data, _, macs = one.rpartition(":")
        pools.append(pool_of(data, macs, given.pool, given.images, given.seed, given.out))
    gains: dict[str, list[float]] = {"today": [], "learned": []}
    for pool in pools:
        coefficients, mean, spread = learned([other for other in pools if other is not pool])
        scores = (np.array([features(row) for row in pool.rows]) - mean) / spread @ coefficients
        best = [pool.rows[index].id for index in np.argsort(-scores, kind="stable")[:ENTRANTS]]
        today = [row.id for row in chosen(pool.rows, ENTRANTS, inherited=False, training=None) if row.raced]
        chance = float(np.mean([pool.worth(pair) for pair in itertools.combinations([r.id for r in pool.rows], 2)]))
        found = {"today": pool.worth(today), "learned": pool.worth(best)}
        print(
            f"{pool.name}: best of the pool {100 * pool.accuracies.max():.1f}, two by chance {100 * chance:.1f}, "
            f"today's two {100 * found['today']:.1f} ({', '.join(today)}), "
            f"learned from the others {100 * found['learned']:.1f} ({', '.join(best)})"
        )
        for name, worth in found.items():
            gains[name].append(100 * (worth - chance))
    differences = [one - other for one, other in zip(gains["learned"], gains["today"], strict=True)]
    low, high = mean_interval(from_seeds(differences))
    print(f"learned - today: {np.mean(differences):+.1f} points ({low:+.1f} to {high:+.1f}), {len(pools)} data sets")


if __name__ == "__main__":
    main()
