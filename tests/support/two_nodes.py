"""A Ray cluster of two nodes on this machine, for tests, and jobs that say where and how often they ran."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from budgetnet.training.job import JobContext, JobFiles

# Before a cluster starts: it would tell the internet; and its workers must find the tests' own modules.
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
HERE = str(Path(__file__).parents[1])

ABSENT = "Ray is not installed: pip install 'budgetnet[cluster]'"
STORE_BYTES = 80 * 1024**2


@dataclass
class TwoNodes:
    """The head, at which drivers are and no trial runs, and two nodes of one slot each."""

    cluster: Any
    nodes: list[Any]

    @property
    def address(self) -> str:
        return self.cluster.address

    def lose(self) -> None:
        """Kill a node and what runs on it, without asking."""
        self.cluster.remove_node(self.nodes.pop(0), allow_graceful=False)

    def add(self) -> None:
        """Another node. Ray does this in a process's first thread alone."""
        self.nodes.append(self.cluster.add_node(num_cpus=1, object_store_memory=STORE_BYTES))

    def replace(self) -> None:
        """Lose a node; another takes its place."""
        self.lose()
        self.add()


@contextlib.contextmanager
def two_nodes() -> Iterator[TwoNodes]:
    """Skips, with the reason, where Ray is not installed."""
    utilities = pytest.importorskip("ray.cluster_utils", reason=ABSENT)
    with finding_tests():
        yield from _started(utilities)


@contextlib.contextmanager
def finding_tests() -> Iterator[None]:
    """Workers of a cluster that is started in here find the modules of the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", HERE, prepend=os.pathsep)
        yield


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
class Square:
    """A number to be squared in some seconds; each start leaves a line in the file `started`.

    In the middle it writes a checkpoint, and from one that it finds it goes on without the first half.
    """

    context: JobContext
    number: int
    started: str
    seconds: float = 0.0

    @property
    def phase(self) -> str:
        return f"square/{self.number}"

    @property
    def checkpoint(self) -> Path:
        return Path(self.context.folder) / f"{self.number}.half"

    @property
    def answer(self) -> Path:
        return Path(self.context.folder) / f"{self.number}.txt"

    @property
    def files(self) -> JobFiles:
        return JobFiles((), (self.checkpoint,), (self.answer,))

    def at(self, context: JobContext) -> Square:
        return dataclasses.replace(self, context=context)


def square(job: Square) -> int:
    if not job.checkpoint.exists():
        with Path(job.started).open("a") as file:
            file.write(f"{job.number}\n")
        time.sleep(job.seconds)
        job.checkpoint.write_text(str(os.getpid()))
        if job.context.on_checkpoint:
            job.context.on_checkpoint()
    if job.number == 13:
        raise OverflowError("thirteen\nis too much")
    if job.number < 0:
        raise ValueError("a number below 0")
    if job.number == 7 and job.checkpoint.read_text() == str(os.getpid()):
        os._exit(1)  # lost behind its checkpoint
    job.answer.write_text(str(job.number**2))
    return job.number**2


def started(path: Path) -> list[int]:
    return [int(line) for line in path.read_text().split()] if path.exists() else []
