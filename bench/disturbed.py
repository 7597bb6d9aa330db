"""How stable a network's time is beside other programs: `python -m bench.disturbed [--threads 1] [--repeats 3]`.

Networks from small to large are timed with no, one and two busy processes added, and with one that has to share its
core (where the system can pin processes). A row is a network and a load: "others" is the cores that all other programs
took, and each figure the mean over the repeats of one estimate of its time in milliseconds. The last row of a network
is the largest of all its estimates over the smallest: 1 is an estimate that no load moves.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np

from bench.table import processor
from bench.time_kept import burn
from budgetnet import network
from budgetnet.inspect.latency import timed_rounds
from budgetnet.inspect.turns import Rounds

NETWORKS = (("mobilenet_v3_small", 32), ("mobilenet_v2", 96), ("efficientnet_b0", 224), ("efficientnet_b3", 300))
LOADS = {"none added": 0, "one": 1, "two": 2}
SAME_CORE = "one, same core"
ESTIMATES: Mapping[str, tuple[str, float]] = {
    "wall 50": ("wall_ms", 50),
    "wall 25": ("wall_ms", 25),
    "wall 10": ("wall_ms", 10),
    "wall 0": ("wall_ms", 0),
    "own 50": ("own_ms", 50),
    "own 25": ("own_ms", 25),
    "own 10": ("own_ms", 10),
    "own 0": ("own_ms", 0),
}
"""A percentile of the runs by the clock on the wall, or by that of the computing thread."""
Timed = tuple[list[Rounds], float | None]


def main() -> None:
    """Time under every load in turns and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each network and load")
    parser.add_argument("--repeats", type=int, default=3)
    asked = parser.parse_args()
    rows = [network(name, resolution_px=side) for name, side in NETWORKS]

    def timed() -> Timed:
        return timed_rounds(rows, 1, asked.threads, asked.seconds, "cpu")

    found: dict[str, list[Timed]] = {}
    for _ in range(asked.repeats):
        for load, busy in LOADS.items():
            with beside(busy):
                found.setdefault(load, []).append(timed())
        if asked.threads == 1 and hasattr(os, "sched_setaffinity"):
            found.setdefault(SAME_CORE, []).append(on_one_core(timed))
    print(f"{processor()}, {os.cpu_count()} cores, threads: {asked.threads}")
    for index, row in enumerate(rows):
        print_network(f"{row.name}, {row.resolution_px[0]} px", index, found)


@contextmanager
def beside(busy: int) -> Iterator[None]:
    """With this many processes that compute without end."""
    others = [multiprocessing.Process(target=burn, daemon=True) for _ in range(busy)]
    for other in others:
        other.start()
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.join()


def on_one_core(timed: Callable[[], Timed]) -> Timed:
    """The work on one core together with a busy process, which inherits where it may run."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        with beside(1):
            return timed()
    finally:
        os.sched_setaffinity(0, allowed)


def print_network(name: str, index: int, found: Mapping[str, Sequence[Timed]]) -> None:
    """A row a load, then the range of each estimate; also the most that both halves of the rounds differ."""
    print(f"\n{name:<30}{'others':>8}" + "".join(f"{title:>9}" for title in ESTIMATES) + f"{'halves':>9}")
    every: list[list[float]] = []
    for load, timed in found.items():
        estimates = [[estimate(rounds[index], *what) for what in ESTIMATES.values()] for rounds, _ in timed]
        every += estimates
        others = [cores for _, cores in timed if cores is not None]
        halves = max(halves_ratio(rounds[index]) for rounds, _ in timed)
        means = "".join(f"{value:>9.2f}" for value in np.mean(estimates, axis=0))
        print(f"{load:<30}{np.mean(others) if others else np.nan:>8.2f}{means}{halves:>9.2f}")
    ratios = np.max(every, axis=0) / np.min(every, axis=0)
    print(f"{'largest over smallest':<38}" + "".join(f"{value:>9.2f}" for value in ratios))


def estimate(rounds: Rounds, clock: str, percent: float) -> float:
    """A percentile of all runs by one of the clocks."""
    return float(np.percentile([getattr(run, clock) for runs in rounds for run in runs], percent))


def halves_ratio(rounds: Rounds) -> float:
    """How far apart the odd and the even rounds' lower deciles are."""
    first, second = (estimate(rounds[start::2], "own_ms", 10) for start in (0, 1))
    return max(first, second) / min(first, second)


if __name__ == "__main__":
    main()
