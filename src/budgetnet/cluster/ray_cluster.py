"""A Ray cluster: its address, its storage, what a trial asks of it, and this process's connection to it.

Ray is imported where a cluster is asked for, and nowhere else.
"""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import math
import os
import socket
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from budgetnet.arguments import path
from budgetnet.cluster.storage import GIVE, Storage, check_storage
from budgetnet.data.store import cache_folder

CONNECT_SECONDS = 5.0
INSTALL = "pip install 'budgetnet[cluster]'"
LOCAL = "local"
"""The address of a cluster that this process starts on this machine, and that ends with it."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """A Ray cluster and what each trial on it gets.

    Trials compute on GPUs if they ask for any; parts of one share it.

    Attributes:
        address: HOST:PORT of the head, "auto" for the cluster that this machine is in, or "local" for one that is
            started on this machine.
        cpus_per_trial: CPUs that each trial gets.
        gpus_per_trial: GPUs that each trial gets, or a part of one.
        storage: A folder that every node sees, by its path or fsspec URL: Ray Train's `storage_path`. Only a "local"
            cluster can do without; then it is in the cache folder.

    Raises:
        ValueError: In one line, for what is not a cluster.

    Example:
        >>> from budgetnet.cluster.ray_cluster import Cluster
        >>> Cluster("10.0.0.1:6379", gpus_per_trial=0.5, storage="/mnt/shared").device
        'cuda'
    """

    address: str = LOCAL
    cpus_per_trial: float = 1.0
    gpus_per_trial: float = 0.0
    storage: str | Path | None = None

    def __post_init__(self) -> None:
        for name in ("cpus_per_trial", "gpus_per_trial"):
            value = getattr(self, name)
            if not math.isfinite(value) or value < 0.0:
                raise ValueError(f"{name} is {value!r}; it must be a number, 0 or more")
        if not self.cpus_per_trial and not self.gpus_per_trial:
            raise ValueError("a trial needs CPUs or GPUs; give cpus_per_trial, gpus_per_trial or both")
        if self.address not in ("auto", LOCAL) and _port_of(self.address) is None:
            where = "give local, auto, or the head's HOST:PORT as in 10.0.0.1:6379"
            raise ValueError(f"cluster is {self.address!r}; {where}")
        if self.storage is not None:
            object.__setattr__(self, "storage", path("storage", self.storage, GIVE.removeprefix("give ")))
            check_storage(str(self.storage))
        elif self.address != LOCAL:
            raise ValueError("a cluster needs a storage that every node sees; give --storage PATH or URL")

    @property
    def device(self) -> str:
        """What a trial computes on."""
        return "cuda" if self.gpus_per_trial else "cpu"

    @property
    def threads(self) -> int:
        """Computing threads of a trial: one for each whole CPU."""
        return max(1, int(self.cpus_per_trial))

    @property
    def shared(self) -> Storage:
        """The storage, opened."""
        return Storage.of(str(self.storage or cache_folder() / "cluster"))


def _port_of(address: str) -> int | None:
    host, _, port = address.rpartition(":")
    return int(port) if host and port.isdigit() and "/" not in host else None


def reach(cluster: Cluster) -> None:
    """Knock at the head's port, for Ray itself tries for minutes, in many lines; and write to the storage.

    Raises a one-line `ValueError` where nobody answers, Ray is not installed or the storage cannot be written to.
    "auto" is only known by connecting.
    """
    if importlib.util.find_spec("ray") is None:
        raise ValueError(f"--cluster needs Ray, which is not installed: {INSTALL}")
    port = _port_of(cluster.address)
    if port is not None:
        try:
            socket.create_connection((cluster.address.rpartition(":")[0].strip("[]"), port), CONNECT_SECONDS).close()
        except OSError as error:
            reason = error.strerror or str(error)
            raise ValueError(f"cannot reach the cluster {cluster.address}: {reason.lower()}") from error
    cluster.shared.check()


@contextlib.contextmanager
def connected(cluster: Cluster) -> Iterator[None]:
    """This process as a driver of the cluster.

    Raises a one-line `ValueError` where it cannot be reached (`reach`) or none of its nodes can run a trial.
    """
    reach(cluster)
    if cluster.address == LOCAL:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # the cluster that we start tells nobody
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
        if not slots_of(cluster):
            resources = f"{cluster.cpus_per_trial:g} CPUs and {cluster.gpus_per_trial:g} GPUs"
            raise ValueError(f"no node of the cluster {cluster.address} has {resources}, which a trial asks for")
        yield
    finally:
        ray.shutdown()


def line_of(error: BaseException) -> str:
    """The first line of what an error says."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


def slots_of(cluster: Cluster) -> int:
    """How many trials the nodes that are there now run at a time."""
    import ray

    return sum(_slots(node["Resources"], cluster) for node in ray.nodes() if node["Alive"])


def slot_bytes(cluster: Cluster) -> int:
    """Memory of a trial on the node that has the least, as the nodes told Ray when they started.

    Without a bound for trials on GPUs: Ray does not know their memory.
    """
    import ray

    if cluster.gpus_per_trial:
        return sys.maxsize
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"] and _slots(node["Resources"], cluster)]
    return min((int(row["memory"]) // _slots(row, cluster) for row in nodes if "memory" in row), default=sys.maxsize)


def _slots(resources: Mapping[str, float], cluster: Cluster) -> int:
    per_trial = {"CPU": cluster.cpus_per_trial, "GPU": cluster.gpus_per_trial}
    return min(int(resources.get(name, 0.0) / each + 1e-9) for name, each in per_trial.items() if each)
