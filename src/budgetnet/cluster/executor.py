"""Where trainings run: in processes of this machine, or on a Ray cluster. All experiments ask either alike."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol, TypeVar, runtime_checkable

from budgetnet.arguments import of_kind
from budgetnet.cluster.ray_cluster import Cluster, connected
from budgetnet.cluster.ray_executor import RayExecutor
from budgetnet.data import ImageSet
from budgetnet.networks import Network
from budgetnet.parallel.progress import Progress
from budgetnet.parallel.workers import ProcessGroup, Workers, workers_for
from budgetnet.training.final import train_data_parallel
from budgetnet.training.job import Job, JobContext, TrainingJob
from budgetnet.training.memory import most_training_bytes, shared_batch, training_batch
from budgetnet.training.recipe import Recipe
from budgetnet.training.stopwatch import Clock, Stopwatch, Timings, timed
from budgetnet.training.trainer import TrainingSpec

JobType = TypeVar("JobType", bound=Job)
Result = TypeVar("Result")
ROUNDS = 3
"""Rounds of timing: whoever is timed alone and first is timed too slow, by a fifth."""


class Trials(Protocol[JobType, Result]):
    """Runs trials, as many at a time as it has slots."""

    def run(self, jobs: Sequence[JobType], on_result: Callable[[JobType, Result], None] | None = None) -> list[Result]:
        """Results in the order of the jobs; `on_result` is called with each as it comes in."""
        ...


@runtime_checkable
class Executor(Protocol):
    """Somewhere that trainings run: processes of this machine, a Ray cluster, or one of your own with these methods."""

    @property
    def device(self) -> str:
        """What a trial computes on."""
        ...

    def slots(self) -> int:
        """How many trials run at a time."""
        ...

    def room(self) -> int:
        """Bytes that one trial may take, while all slots have one."""
        ...

    def workers(
        self,
        function: Callable[[JobType], Result],
        context: JobContext,
        count: int,
        progress: Progress | None = None,
    ) -> AbstractContextManager[Trials[JobType, Result]]:
        """Workers that run a function of a module on jobs, at most `count` at a time.

        A job says which `files` of the run's folder it reads and leaves; `context` is where jobs find images.
        """
        ...

    def timed(
        self,
        clock: Clock,
        configs: Sequence[TrainingSpec],
        context: JobContext,
        progress: Progress | None = None,
        slots: int | None = None,
    ) -> Timings:
        """How fast each config trains in a trial, while `slots` of them run (all that there are, unless given).

        `clock` has the stopwatch of this machine.
        """
        ...

    def shared_batch(
        self,
        recipe: Recipe,
        images: ImageSet,
        networks: Sequence[Network] = (),
        most_bytes: int | None = None,
        single_process: bool = True,
    ) -> tuple[int, ProcessGroup]:
        """The batch of a training that has all that one training can have here, and the processes that share it.

        `single_process`: any of the networks can be trained with it in a trial, too.
        """
        ...

    def stopwatch(
        self, clock: Clock, group: ProcessGroup, progress: Progress | None = None
    ) -> AbstractContextManager[Stopwatch]:
        """Times configs as they train in a trial and in such a group; `clock` has the stopwatch of this machine."""
        ...

    def train(self, job: TrainingJob, group: ProcessGroup, progress: Progress) -> bool:
        """The job, by all of the group, unless it is done; False where the training diverged."""
        ...


def batch_for(
    executor: Executor, recipe: Recipe, train_images: int, networks: Sequence[Network], most_bytes: int | None = None
) -> int:
    """The recipe's batch, or less where a trial of any of the networks would take too much memory.

    Each takes at most `most_bytes`, if given. Raises as `training_batch` does.
    """
    return training_batch(recipe, train_images, networks, executor.device, most_bytes=most_bytes, room=executor.room())


@dataclass(frozen=True, slots=True)
class LocalExecutor:
    """This machine: a process a core, or one a GPU."""

    device: str = "cpu"

    def slots(self) -> int:
        """One a core, one a GPU."""
        return workers_for(self.device)

    def room(self) -> int:
        """A part of what is free on this machine."""
        return most_training_bytes(self.device)

    def workers(
        self,
        function: Callable[[JobType], Result],
        context: JobContext,
        count: int,
        progress: Progress | None = None,
    ) -> Workers[JobType, Result]:
        """Processes of this machine; they see the run's folder themselves."""
        return Workers(function, count, self.device, progress=progress)

    def timed(
        self,
        clock: Clock,
        configs: Sequence[TrainingSpec],
        context: JobContext,
        progress: Progress | None = None,
        slots: int | None = None,
    ) -> Timings:
        """All slots time the same config at once."""
        group = ProcessGroup(slots or self.slots(), 1)
        return timed(configs, context, group, progress, single_process=True, rounds=ROUNDS, clock=clock)

    def shared_batch(
        self,
        recipe: Recipe,
        images: ImageSet,
        networks: Sequence[Network] = (),
        most_bytes: int | None = None,
        single_process: bool = True,
    ) -> tuple[int, ProcessGroup]:
        """A process a core or GPU, each with an equal part of the batch."""
        return shared_batch(recipe, images, self.device, networks, most_bytes, single_process)

    def stopwatch(
        self, clock: Clock, group: ProcessGroup, progress: Progress | None = None
    ) -> AbstractContextManager[Stopwatch]:
        """The clock's: all processes of the group time the same config at once."""
        return clock.stopwatch(self.device, group, progress)

    def train(self, job: TrainingJob, group: ProcessGroup, progress: Progress) -> bool:
        """Data-parallel in all processes of the group."""
        return train_data_parallel(job, group, progress)


def check_cluster(cluster: object) -> None:
    """Raise a one-line `TypeError` for what is neither a cluster nor None."""
    if cluster is not None:
        of_kind("cluster", cluster, Cluster, "a Cluster, as budgetnet.cluster.ray_cluster.Cluster('local'), or None")


def check_trials(cluster: Cluster | None, precision: str) -> None:
    """Raise a one-line `ValueError` where a cluster's trials cannot compute in these numbers."""
    if cluster is not None and precision == "float16" and cluster.device == "cpu":
        raise ValueError("precision float16 needs GPUs; give gpus_per_trial, or choose float32 or bfloat16")


@contextlib.contextmanager
def executor_on(cluster: Cluster | None, device: str) -> Iterator[Executor]:
    """Where a search's trials run: on a cluster that is reached first, or on this machine's `device`.

    Raises a one-line `ValueError` for a cluster that cannot be reached.
    """
    if cluster is None:
        yield LocalExecutor(device)
        return
    with connected(cluster):
        yield RayExecutor(cluster)
