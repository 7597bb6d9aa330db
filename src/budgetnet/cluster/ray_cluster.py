"""A Ray cluster: its address, what a trial asks of it, and this process's connection to it.

Ray is imported where a cluster is asked for, and nowhere else.
"""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import math
import socket
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

CONNECT_SECONDS = 5.0
INSTALL = "pip install 'budgetnet[cluster]'"


@dataclass(frozen=True, slots=True)
class Cluster:
    """A Ray cluster by its address, as HOST:PORT or "auto" for the one that this machine is in, and what a trial asks.

    Trials compute on GPUs if they ask for any; parts of one share it. Raises a one-line `ValueError` for what no
    cluster is.
    """

    address: str = "auto"
    cpus_per_trial: float = 1.0
    gpus_per_trial: float = 0.0

    def __post_init__(self) -> None:
        for name, least in (("cpus_per_trial", 0.0), ("gpus_per_trial", 0.0)):
            value = getattr(self, name)
            if not math.isfinite(value) or value < least:
                raise ValueError(f"{name} is {value!r}; it must be a number, 0 or more")
        if not self.cpus_per_trial and not self.gpus_per_trial:
            raise ValueError("a trial needs CPUs or GPUs; give cpus_per_trial, gpus_per_trial or both")
        if self.address != "auto" and _port_of(self.address) is None:
            raise ValueError(f"cluster is {self.address!r}; give auto, or the head's HOST:PORT as in 10.0.0.1:6379")

    @property
    def device(self) -> str:
        """What a trial computes on."""
        return "cuda" if self.gpus_per_trial else "cpu"

    @property
    def threads(self) -> int:
        """Of a trial: one a whole CPU."""
        return max(1, int(self.cpus_per_trial))


def _port_of(address: str) -> int | None:
    host, _, port = address.rpartition(":")
    return int(port) if host and port.isdigit() and "/" not in host else None


def reach(cluster: Cluster) -> None:
    """Knock at the head's port: Ray itself tries for minutes, in many lines.

    Raises a one-line `ValueError` where nobody answers or Ray is not installed. "auto" is only known by connecting.
    """
    if importlib.util.find_spec("ray") is None:
        raise ValueError(f"--cluster needs Ray, which is not installed: {INSTALL}")
    port = _port_of(cluster.address)
    if port is None:
        return
    try:
        socket.create_connection((cluster.address.rpartition(":")[0].strip("[]"), port), CONNECT_SECONDS).close()
    except OSError as error:
        reason = error.strerror or str(error)
        raise ValueError(f"cannot reach the cluster {cluster.address}: {reason.lower()}") from error


@contextlib.contextmanager
def connected(cluster: Cluster) -> Iterator[None]:
    """This process as a driver of the cluster.

    Raises a one-line `ValueError` where it cannot be reached (`reach`) or none of its nodes can run a trial.
    """
    reach(cluster)
    import ray

    try:
        ray.init(
            address=cluster.address,
            runtime_env={"py_modules": [str(Path(__file__).parents[1])]},  # our code, whatever a node has installed
            log_to_driver=False,
            logging_level=logging.ERROR,
            configure_logging=False,
        )
    except (RuntimeError, ValueError, OSError) as error:
        if cluster.address == "auto" and isinstance(error, ConnectionError):
            what = "this machine is in no Ray cluster; start one with `ray start --head`, or give its HOST:PORT"
            raise ValueError(what) from error
        raise ValueError(f"cannot reach the cluster {cluster.address}: {line_of(error)}") from error
    try:
        if not places_of(cluster):
            asked = f"{cluster.cpus_per_trial:g} CPUs and {cluster.gpus_per_trial:g} GPUs"
            raise ValueError(f"no node of the cluster {cluster.address} has {asked}, which a trial asks for")
        yield
    finally:
        ray.shutdown()


def line_of(error: BaseException) -> str:
    """The first line of what an error says."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


def places_of(cluster: Cluster) -> int:
    """How many trials the nodes that are there now run at a time."""
    import ray

    return sum(_places(node["Resources"], cluster) for node in ray.nodes() if node["Alive"])


def place_bytes(cluster: Cluster) -> int:
    """Memory of a trial's place on the node that has the least, as the nodes told Ray when they started.

    Without a bound for trials on GPUs: Ray does not know their memory.
    """
    import ray

    if cluster.gpus_per_trial:
        return sys.maxsize
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"] and _places(node["Resources"], cluster)]
    return min((int(row["memory"]) // _places(row, cluster) for row in nodes if "memory" in row), default=sys.maxsize)


def _places(resources: Mapping[str, float], cluster: Cluster) -> int:
    asked = {"CPU": cluster.cpus_per_trial, "GPU": cluster.gpus_per_trial}
    return min(int(resources.get(name, 0.0) / each + 1e-9) for name, each in asked.items() if each)
