"""Where an experiment computes: the device and numbers of its trainings, and a cluster or an executor of one's own."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from dataclasses import dataclass

from budgetnet.cluster.executor import Executor, check_cluster, check_trials, executor_on
from budgetnet.cluster.ray_cluster import Cluster
from budgetnet.training.computing import check_computing


@dataclass(frozen=True, slots=True)
class Compute:
    """A device, the precision of its numbers, and where trainings run: on a Ray cluster, by another executor, or
    where none is given in processes of this machine."""

    device: str = "cpu"
    precision: str = "float32"
    cluster: Cluster | Executor | None = None

    def checked(self) -> Compute:
        """The same. Raises a one-line `ValueError` or `TypeError` for what cannot train here."""
        check_computing(self.device, self.precision)
        if not isinstance(self.cluster, Executor):
            check_cluster(self.cluster)
            check_trials(self.cluster, self.precision)
        return self

    @contextlib.contextmanager
    def open(self) -> Generator[Executor]:
        """The executor. Raises a one-line `ValueError` for a cluster that cannot be reached."""
        if isinstance(self.cluster, Executor):
            yield self.cluster
            return
        with executor_on(self.cluster, self.device) as executor:
            yield executor
