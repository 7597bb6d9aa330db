"""Where an experiment computes: the device and numbers of its trainings, and a cluster or an executor of one's own."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Generator
from dataclasses import dataclass

from budgetnet.cluster.executor import Executor, check_cluster, check_trials, executor_on
from budgetnet.cluster.ray_cluster import Cluster
from budgetnet.parallel.launcher import refuse_launch
from budgetnet.training.computing import checked_computing


@dataclass(frozen=True, slots=True)
class Compute:
    """A device, the precision of its numbers, and where trainings run: on a Ray cluster, by another executor, or
    where none is given in processes of this machine. "auto" of the first two is for `checked` to decide."""

    device: str = "cpu"
    precision: str = "float32"
    cluster: Cluster | Executor | None = None

    def checked(self, by_ranks: bool = False) -> Compute:
        """The same, with nothing left to decide. Raises a one-line `ValueError` or `TypeError` for what cannot train
        here.

        `by_ranks`: the processes of a launcher can share the work; else they are refused.
        """
        device, precision = checked_computing(self.device, self.precision, here=self.cluster is None)
        if not by_ranks:
            refuse_launch()
        elif self.cluster is not None:
            refuse_launch("a cluster has processes of its own")
        elif device == "mps":
            refuse_launch("a Mac has one GPU")
        if not isinstance(self.cluster, Executor):
            check_cluster(self.cluster)
            check_trials(self.cluster, precision)
        return dataclasses.replace(self, device=device, precision=precision)

    @contextlib.contextmanager
    def open(self) -> Generator[Executor]:
        """The executor. Raises a one-line `ValueError` for a cluster that cannot be reached."""
        if isinstance(self.cluster, Executor):
            yield self.cluster
            return
        with executor_on(self.cluster, self.device) as executor:
            yield executor
