"""Where the trials of a search run: in processes of this machine, or on a Ray cluster. One search code asks either."""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Generic, Protocol, Self, TypeVar, runtime_checkable

from budgetnet.arguments import of_kind
from budgetnet.cluster.parcel import (
    Images,
    Kept,
    Parcel,
    Reply,
    accept,
    carry_out,
    parcel_of,
    run_of,
    stamp_of,
    write_whole,
)
from budgetnet.cluster.pool import Pool, fetched, say
from budgetnet.cluster.ray_cluster import Cluster, connected, place_bytes, places_of
from budgetnet.data import Data
from budgetnet.data.packed import packed_of, pieces
from budgetnet.networks import Network
from budgetnet.parallel.progress import Progress, Update, silent
from budgetnet.parallel.workers import ProcessGroup, Workers, workers_for
from budgetnet.training.job import Job, JobContext, JobFiles, Timing, opened, time_single_process
from budgetnet.training.memory import most_training_bytes, process_room, training_batch
from budgetnet.training.recipe import Recipe
from budgetnet.training.stopwatch import TIMING_SECONDS
from budgetnet.training.train import Timings, timed
from budgetnet.training.trainer import TrainingSpec

JobType = TypeVar("JobType", bound=Job)
Result = TypeVar("Result")
ROUNDS, LOCAL_ROUNDS = 2, 3
"""In which the configs are timed on a cluster: the median counts, for nodes differ."""


class Trials(Protocol[JobType, Result]):
    """Runs trials, as many at a time as it has places."""

    def run(self, jobs: Sequence[JobType], done: Callable[[JobType, Result], None] | None = None) -> list[Result]:
        """Results in the order of the jobs; `done` is told each as it comes in."""
        ...


@runtime_checkable
class Executor(Protocol):
    """Somewhere that trials run."""

    @property
    def device(self) -> str:
        """What a trial computes on."""
        ...

    def slots(self) -> int:
        """How many run at a time."""
        ...

    def room(self) -> int:
        """Bytes that one trial may take, while all places have one."""
        ...

    def workers(
        self,
        function: Callable[[JobType], Result],
        context: JobContext,
        count: int,
        progress: Progress | None = None,
    ) -> AbstractContextManager[Trials[JobType, Result]]:
        """Workers that run `function` on jobs; each says which `files` it needs and leaves."""
        ...

    def timed(
        self,
        configs: Sequence[TrainingSpec],
        context: JobContext,
        progress: Progress | None = None,
        slots: int | None = None,
    ) -> Timings:
        """How fast each config trains in a trial, while `slots` of them run (all that there are, unless given)."""
        ...


def batch_for(
    executor: Executor, recipe: Recipe, train_images: int, networks: Sequence[Network], most_bytes: int | None = None
) -> int:
    """The recipe's batch for so many images, or less where a trial of any of the networks would take too much memory.

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
        """They see the run's folder themselves."""
        return Workers(function, count, self.device, progress=progress)

    def timed(
        self,
        configs: Sequence[TrainingSpec],
        context: JobContext,
        progress: Progress | None = None,
        slots: int | None = None,
    ) -> Timings:
        """All of them time the same config at once, in rounds: one that is timed alone and first is timed too slow."""
        group = ProcessGroup(slots or self.slots(), 1)
        return timed(configs, context, group, progress, single_process=True, rounds=LOCAL_ROUNDS)


class RayExecutor:
    """A Ray cluster to which this process is connected. Images are sent once, whatever is then asked of them."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.device = cluster.device
        self._sent: dict[tuple[Data, int, int], Images] = {}

    def slots(self) -> int:
        """Of the nodes that are there now."""
        return places_of(self.cluster)

    def room(self) -> int:
        """A place's part of the node that has the least."""
        return process_room(place_bytes(self.cluster), self.device)

    def workers(
        self,
        function: Callable[[JobType], Result],
        context: JobContext,
        count: int,
        progress: Progress | None = None,
    ) -> _Couriers[JobType, Result]:
        """As many at a time as the nodes have places, whatever `count` says: a plan may be made on another cluster."""
        couriers = _Couriers(function, self.cluster, progress)
        couriers.images = self._images(couriers.pool, context)
        return couriers

    def timed(
        self,
        configs: Sequence[TrainingSpec],
        context: JobContext,
        progress: Progress | None = None,
        slots: int | None = None,
    ) -> Timings:
        """Each course by itself on some node, as many at a time as there are places."""
        jobs = [_TimedConfig(config, context, TIMING_SECONDS / ROUNDS) for config in configs] * ROUNDS
        count, before = self.slots(), time.monotonic()
        told = progress or silent
        with self.workers(_time, context, count, progress) as workers:
            found = workers.run(jobs, lambda *_: told(Update("timing", 0, len(jobs), "on the cluster")))
        worked = sum(timing.seconds for timing in found) / min(count, len(jobs))
        rates = [
            statistics.median(row.single_process for row in found[at :: len(configs)]) for at in range(len(configs))
        ]
        startup = max(0.0, time.monotonic() - before - worked)
        return Timings(tuple(Timing(rate, rate, 0.0) for rate in rates), startup)

    def _images(self, pool: Pool[Any, Any], context: JobContext) -> Images:
        key = context.data, context.split_seed, context.side_px
        if key not in self._sent:
            images, pixels = opened(*key)
            if pixels.source == "decoded":
                raise ValueError("the decoded images are more than a cluster's nodes are sent; take fewer or smaller")
            references: list[Any] = []

            def put() -> Iterator[Any]:
                for piece in pieces(pixels):
                    references.append(pool.put(piece))
                    yield piece

            packed = packed_of(pixels, put())
            self._sent[key] = Images(images.fingerprint, packed, pool.put(images), tuple(references))
        return self._sent[key]


class _Couriers(Generic[JobType, Result]):
    """Workers elsewhere: every job goes out as a parcel, and what comes back is written here."""

    images: Images

    def __init__(
        self,
        function: Callable[[JobType], Result],
        cluster: Cluster,
        progress: Progress | None,
    ) -> None:
        self.cluster = cluster
        self.pool: Pool[Parcel[JobType], Reply[Result]] = Pool(
            partial(carry_out, function, fetched, say), cluster, progress, self._keep
        )
        self._put: dict[str, Any] = {}
        self._under_way: dict[str, Path] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.pool.__exit__()

    def run(self, jobs: Sequence[JobType], done: Callable[[JobType, Result], None] | None = None) -> list[Result]:
        """As `Pool.run`; a job's files are in the run's folder when `done` hears of it."""
        parcels = [self._parcel(job) for job in jobs]
        wanted = {stamp for parcel in parcels for stamp, _ in parcel.files.values()}
        self._put = {stamp: reference for stamp, reference in self._put.items() if stamp in wanted}
        self._under_way = {name: run_of(parcel.job) / name for parcel in parcels for name in parcel.keeps}
        results: dict[int, Result] = {}
        for at, reply in self.pool.landing(parcels, lambda parcel: self._parcel(parcel.job)):
            for name in parcels[at].keeps:
                self._under_way.pop(name)
            results[at] = accept(jobs[at], reply)
            if done:
                done(jobs[at], results[at])
        return [results[at] for at in range(len(jobs))]

    def _parcel(self, job: JobType) -> Parcel[JobType]:
        """With the files as they now are: checkpoints of an attempt that was lost among them."""
        return parcel_of(job, self.images, self._refer, self.cluster.device, self.cluster.threads)

    def _keep(self, kept: Kept) -> None:
        """A checkpoint of a job at work; one that comes behind its job's end is of no use."""
        if kept.name in self._under_way:
            write_whole(self._under_way[kept.name], kept.content)

    def _refer(self, path: Path) -> tuple[str, Any]:
        """A file is put once, so that it goes to each node once, until it changes."""
        stamp = stamp_of(path)
        if stamp not in self._put:
            self._put[stamp] = self.pool.put(path.read_bytes())
        return stamp, self._put[stamp]


@dataclass(frozen=True, slots=True)
class _TimedConfig:
    """A config to be timed over so many seconds."""

    config: TrainingSpec
    context: JobContext
    seconds: float

    @property
    def phase(self) -> str:
        return "timing"

    @property
    def files(self) -> JobFiles:
        return JobFiles()

    def at(self, context: JobContext) -> _TimedConfig:
        return replace(self, context=context)


def _time(job: _TimedConfig) -> Timing:
    found = time_single_process((job.config, job.context, job.seconds))
    assert found is not None, "a trial is one process"
    return found


def check_cluster(cluster: object) -> None:
    """Raise a one-line `TypeError` for what is neither a cluster nor None."""
    if cluster is not None:
        of_kind("cluster", cluster, Cluster, "a Cluster, as budgetnet.cluster.ray_cluster.Cluster('auto'), or None")


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
