"""Jobs as tasks of a Ray cluster: what fails or is lost runs again, from its checkpoints in the storage."""

from __future__ import annotations

import contextlib
import importlib.metadata
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from budgetnet.cluster.attempt import attempt, offer_files, take_files
from budgetnet.cluster.ray_cluster import Cluster, line_of, slot_bytes, slots_of
from budgetnet.cluster.storage import Storage
from budgetnet.cluster.stored_images import StoredImages, write_images
from budgetnet.data import Data, ImageSet
from budgetnet.networks import Network
from budgetnet.parallel.progress import Progress, Update, silent
from budgetnet.parallel.workers import ProcessGroup, report_to
from budgetnet.training.job import (
    Job,
    JobContext,
    JobFiles,
    Timing,
    TrainingJob,
    opened,
    run_job,
    time_single_process,
)
from budgetnet.training.memory import process_room, training_batch
from budgetnet.training.recipe import Recipe, guarded_batch
from budgetnet.training.stopwatch import TIMING_SECONDS, Clock, Timings, median_timing
from budgetnet.training.trainer import TrainingSpec

JobType = TypeVar("JobType", bound=Job)
Result = TypeVar("Result")

ATTEMPTS = 5
"""How often a job is tried: a lost node counts for each job that ran on it, and what always fails ends."""
POLL_SECONDS = 0.5
"""How long to wait for a job's end before what jobs said is passed on."""
WAIT_SECONDS = 600.0
"""How long to wait for a node where none is left that can run a job."""
ROUNDS = 2
"""How often each config is timed on a cluster: the median counts, for nodes differ."""


class RayExecutor:
    """The slots of a Ray cluster to which this process is connected."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.device = cluster.device
        self.storage = cluster.shared
        self._images: dict[tuple[Data, int, int], StoredImages] = {}

    def slots(self) -> int:
        """How many trials the nodes that are there now run at a time."""
        return slots_of(self.cluster)

    def room(self) -> int:
        """A slot's part of the memory of the node that has the least."""
        return process_room(slot_bytes(self.cluster), self.device)

    @contextlib.contextmanager
    def workers(
        self,
        function: Callable[[JobType], Result],
        context: JobContext,
        count: int,
        progress: Progress | None = None,
    ) -> Iterator[_Tasks[JobType, Result]]:
        """As many jobs at a time as the nodes have slots, whatever `count` says: the plan may be of another cluster."""
        import ray
        from ray.util.queue import Queue
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        self.stored_images(context)
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        updates = Queue(actor_options={"num_cpus": 0, "scheduling_strategy": here})
        try:
            yield _Tasks(function, self, updates, progress or silent)
        finally:
            updates.shutdown(force=True)

    def timed(
        self,
        clock: Clock,
        configs: Sequence[TrainingSpec],
        context: JobContext,
        progress: Progress | None = None,
        slots: int | None = None,
    ) -> Timings:
        """Each config by itself on some node, as many at a time as there are slots."""
        self.stored_images(context)  # which no later start of workers does again
        stopwatch = _NodesStopwatch(self, progress or silent)
        found = stopwatch.time(list(configs) * ROUNDS, context, TIMING_SECONDS / ROUNDS)
        timings = tuple(median_timing(found[index :: len(configs)]) for index in range(len(configs)))
        return Timings(timings, stopwatch.startup_seconds)

    def shared_batch(
        self,
        recipe: Recipe,
        images: ImageSet,
        networks: Sequence[Network] = (),
        most_bytes: int | None = None,
        single_process: bool = True,
    ) -> tuple[int, ProcessGroup]:
        """A training has one slot, as a trial has: `cpus_per_trial` and `gpus_per_trial` say what that is."""
        count, group = len(images.indices("train")), ProcessGroup(1, self.cluster.threads)
        if not networks:
            return guarded_batch(recipe, count), group
        return training_batch(recipe, count, networks, self.device, most_bytes=most_bytes, room=self.room()), group

    @contextlib.contextmanager
    def stopwatch(
        self, clock: Clock, group: ProcessGroup, progress: Progress | None = None
    ) -> Iterator[_NodesStopwatch]:
        """Each config by itself on some node."""
        yield _NodesStopwatch(self, progress or silent)

    def train(self, job: TrainingJob, group: ProcessGroup, progress: Progress) -> bool:
        """As one job on some node, its steps as planned."""
        if not job.scores.exists() and not job.diverged.exists():
            with self.workers(run_job, job.context, 1, progress) as workers:
                workers.run([job])
        return job.scores.exists()

    def stored_images(self, context: JobContext) -> StoredImages:
        """The images of a context in the storage, written there if they are not."""
        key = context.data, context.split_seed, context.side_px
        if key not in self._images:
            self._images[key] = write_images(*opened(*key), self.storage)
        return self._images[key]


class _NodesStopwatch:
    """Times configs on the nodes of a cluster."""

    def __init__(self, executor: RayExecutor, progress: Progress) -> None:
        self.executor, self.progress = executor, progress
        self._waited = 0.0

    @property
    def startup_seconds(self) -> float:
        return self._waited

    def time(
        self, configs: Sequence[TrainingSpec], context: JobContext, seconds: float = TIMING_SECONDS
    ) -> tuple[Timing, ...]:
        executor, before = self.executor, time.monotonic()
        jobs = [_TimedConfig(config, context, seconds) for config in configs]
        with executor.workers(_time, context, len(jobs), self.progress) as workers:
            found = workers.run(jobs, lambda *_: self.progress(Update("timing", 0, len(jobs), "on the cluster")))
        worked = sum(timing.seconds for timing in found) / min(max(1, executor.slots()), len(jobs))
        # Not their sum: a process that Ray has started takes the next job, too.
        self._waited = max(self._waited, time.monotonic() - before - worked)
        return tuple(found)


class _Tasks(Generic[JobType, Result]):
    """Runs one function of a module on jobs."""

    def __init__(
        self, function: Callable[[JobType], Result], executor: RayExecutor, updates: Any, progress: Progress
    ) -> None:
        import ray

        self.function, self.executor, self.updates, self.progress = function, executor, updates, progress
        self._more = executor.device, executor.cluster.threads, _versions(), updates
        self._task = ray.remote(_run).options(
            num_cpus=executor.cluster.cpus_per_trial,
            num_gpus=executor.cluster.gpus_per_trial,
            max_retries=0,  # of its own retries Ray prints pages into standard output
            scheduling_strategy="SPREAD",
        )

    def run(self, jobs: Sequence[JobType], on_result: Callable[[JobType, Result], None] | None = None) -> list[Result]:
        """Results in the order of the jobs; a job's files are in the run's folder when `on_result` is called with it.

        A job that fails or is lost is tried five times in all. Then the other jobs still run to their end, and
        `RuntimeError` says which it was. A job's `ValueError` is raised at once, for that is bad input.
        """
        import ray
        from ray.exceptions import RayError, RayTaskError

        results: dict[int, Result] = {}
        tries = [0] * len(jobs)
        failure: RuntimeError | None = None
        images = [self.executor.stored_images(job.context) for job in jobs]
        stored = [offer_files(job, one, self.executor.storage) for job, one in zip(jobs, images, strict=True)]
        pending: dict[Any, int] = {}

        def launch(index: int) -> None:
            tries[index] += 1
            reference = self._task.remote(self.function, jobs[index], images[index], stored[index], *self._more)
            pending[reference] = index

        for index in range(len(jobs)):
            launch(index)
        alive = time.monotonic()
        try:
            while pending:
                ready, _ = ray.wait(list(pending), num_returns=1, timeout=POLL_SECONDS)
                self._listen()
                if ready or slots_of(self.executor.cluster):
                    alive = time.monotonic()
                elif time.monotonic() - alive > WAIT_SECONDS:
                    raise RuntimeError("the cluster has no node left that can run a trial; run the same command again")
                for reference in ready:
                    index = pending.pop(reference)
                    try:
                        results[index] = ray.get(reference)
                    except RayError as error:
                        cause = error.cause if isinstance(error, RayTaskError) else None
                        if isinstance(cause, ValueError):
                            raise cause from None
                        what = f"was lost ({type(error).__name__})"
                        if cause is not None:
                            what = f"failed ({type(cause).__name__}: {line_of(cause)})"
                        if tries[index] < ATTEMPTS:
                            text = f"job {index + 1} {what}; it runs again"
                            self.progress(Update("cluster", len(results), len(jobs), text))
                            launch(index)
                        elif failure is None:
                            text = f"job {index + 1} of {len(jobs)} {what} {ATTEMPTS} times; run the same command again"
                            failure = RuntimeError(text)
                        continue
                    if (folder := stored[index]) is not None:
                        take_files(jobs[index], folder)
                    if on_result:
                        on_result(jobs[index], results[index])
        finally:
            for reference in pending:
                ray.cancel(reference, force=True)
        self._listen()
        if failure is not None:
            raise failure
        return [results[index] for index in range(len(jobs))]

    def _listen(self) -> None:
        """Pass on what the jobs said until now."""
        for update in self.updates.get_nowait_batch(self.updates.qsize()):
            self.progress(update)


def _run(
    function: Callable[[JobType], Result],
    job: JobType,
    images: StoredImages,
    stored: Storage | None,
    device: str,
    threads: int,
    versions: Mapping[str, str],
    updates: Any,
) -> Result:
    """On a worker: one attempt at a job."""
    import torch

    for name, version in _versions().items():
        if version != versions[name]:
            what = f"a node of the cluster has {name} {version}, this machine {versions[name]}: make them equal"
            raise ValueError(what)
    report_to(updates)
    torch.set_num_threads(threads)
    return attempt(function, job, images, stored, device)


def _versions() -> dict[str, str]:
    """What must be the same on each node, or a score would not be a function of the plan."""
    return {name: importlib.metadata.version(name) for name in ("torch", "numpy", "pillow")}


@dataclass(frozen=True, slots=True)
class _TimedConfig:
    """A config to be timed for some seconds."""

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
