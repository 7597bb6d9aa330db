"""A Ray cluster of two nodes on this machine, for tests, and jobs that say where and how often they ran."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

# Before a cluster starts: it would tell the internet; and its workers must find the tests' own modules.
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
HERE = str(Path(__file__).parents[1])

ABSENT = "Ray is not installed: pip install 'budgetnet[cluster]'"
STORE_BYTES = 80 * 1024**2


@dataclass
class TwoNodes:
    """The head, at which drivers are and no trial runs, and two nodes of one place each."""

    cluster: Any
    nodes: list[Any]

    @property
    def address(self) -> str:
        return self.cluster.address

    def lose(self) -> None:
        """Kill a node and what runs on it, without asking; another takes its place."""
        self.cluster.remove_node(self.nodes.pop(0), allow_graceful=False)
        self.nodes.append(self.cluster.add_node(num_cpus=1, object_store_memory=STORE_BYTES))


@contextlib.contextmanager
def two_nodes() -> Iterator[TwoNodes]:
    """Skips, with the reason, where Ray is not installed."""
    utilities = pytest.importorskip(
        "ray.cluster_utils", reason="Ray is not installed: pip install 'budgetnet[cluster]'"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", HERE, prepend=os.pathsep)
        yield from _started(utilities)


def _started(utilities: Any) -> Iterator[TwoNodes]:
    cluster = utilities.Cluster(
        initialize_head=True, head_node_args={"num_cpus": 0, "object_store_memory": STORE_BYTES}
    )
    try:
        nodes = [cluster.add_node(num_cpus=1, object_store_memory=STORE_BYTES) for _ in range(2)]
        yield TwoNodes(cluster, nodes)
    finally:
        cluster.shutdown()


@dataclass(frozen=True)
class Errand:
    """A number to be squared, and a file in which each start leaves a line."""

    number: int
    initial: str
    seconds: float = 0.0


def square(job: Errand) -> int:
    with Path(job.initial).open("a") as file:
        file.write(f"{job.number}\n")
    time.sleep(job.seconds)
    if job.number == 13:
        raise OverflowError("thirteen\nis too much")
    if job.number < 0:
        raise ValueError("a number below 0")
    return job.number**2


def initial(path: Path) -> list[int]:
    return [int(line) for line in path.read_text().split()] if path.exists() else []
