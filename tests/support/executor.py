"""An executor in this process: jobs run one after another, on a machine of a speed that a test chooses."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from budgetnet.data import ImageSet
from budgetnet.networks import Network
from budgetnet.parallel.progress import Progress
from budgetnet.parallel.workers import ProcessGroup
from budgetnet.training.job import Job, JobContext, Timing, TrainingJob, run_job
from budgetnet.training.recipe import Recipe, guarded_batch
from budgetnet.training.speed import image_work
from budgetnet.training.stopwatch import Clock, Timings
from budgetnet.training.trainer import TrainingSpec
from support.simulated import SimulatedStopwatch

JobType = TypeVar("JobType", bound=Job)
Result = TypeVar("Result")


class StoppedError(Exception):
    """The executor was told to stop here."""


def raise_stopped() -> None:
    """End the run as an error in the process itself does."""
    raise StoppedError


def kill_this_process() -> None:
    """End the process as `kill -9` does: nothing of it runs any more."""
    os.kill(os.getpid(), signal.SIGKILL)


@dataclass
class InlineExecutor:
    """As `cluster.executor.Executor`; public functions take it as `cluster=`.

    `speed` is work a second of one process, by the estimate of training work, so that plans are the same on every
    machine. `started` has the phases of the jobs in their order. Once `stop_after` jobs are done, `stop` is called
    instead of the next one; it raises `StoppedError` unless given. A job whose phase is in `failing` raises
    `RuntimeError`, as where a worker dies.
    """

    speed: float = 8e9
    count: int = 1
    stop_after: int | None = None
    stop: Callable[[], None] = raise_stopped
    failing: frozenset[str] = frozenset()
    device: str = "cpu"
    started: list[str] = field(default_factory=list)

    def slots(self) -> int:
        """So many jobs a plan takes to run at a time."""
        return self.count

    def room(self) -> int:
        """More than any job takes."""
        return 10**15

    @contextlib.contextmanager
    def workers(
        self,
        function: Callable[[JobType], Result],
        context: JobContext,
        count: int,
        progress: Progress | None = None,
    ) -> Iterator[InlineTrials[JobType, Result]]:
        """One worker, this process."""
        yield InlineTrials(self, function)

    def timed(
        self,
        clock: Clock,
        configs: Sequence[TrainingSpec],
        context: JobContext,
        progress: Progress | None = None,
        slots: int | None = None,
    ) -> Timings:
        """Rates by the estimate of a training's work; workers start at once."""
        rates = [self.speed / image_work(config.network, config.batch) for config in configs]
        return Timings(tuple(Timing(rate, rate, 0.0) for rate in rates), 0.0)

    def shared_batch(
        self,
        recipe: Recipe,
        images: ImageSet,
        networks: Sequence[Network] = (),
        most_bytes: int | None = None,
        single_process: bool = True,
    ) -> tuple[int, ProcessGroup]:
        """The recipe's batch, all of it in this process."""
        return guarded_batch(recipe, len(images.indices("train"))), ProcessGroup(1, 1)

    @contextlib.contextmanager
    def stopwatch(
        self, clock: Clock, group: ProcessGroup, progress: Progress | None = None
    ) -> Iterator[SimulatedStopwatch]:
        """Rates by the estimate of a training's work."""
        yield SimulatedStopwatch(self.speed)

    def train(self, job: TrainingJob, group: ProcessGroup, progress: Progress) -> bool:
        """In this process."""
        if not job.scores.exists() and not job.diverged.exists():
            with self.workers(run_job, job.context, 1) as workers:
                workers.run([job])
        return job.scores.exists()

    def begin(self, job: Job) -> None:
        """Note the job, or stop before it."""
        if self.stop_after is not None and len(self.started) >= self.stop_after:
            self.stop()
        self.started.append(job.phase)
        if job.phase in self.failing:
            raise RuntimeError(f"{job.phase}: the worker died")


@dataclass
class InlineTrials(Generic[JobType, Result]):
    """Runs jobs in their order."""

    executor: InlineExecutor
    function: Callable[[JobType], Result]

    def run(self, jobs: Sequence[JobType], on_result: Callable[[JobType, Result], None] | None = None) -> list[Result]:
        """As `Trials.run`."""
        results: list[Result] = []
        for job in jobs:
            self.executor.begin(job)
            results.append(self.function(job))
            if on_result:
                on_result(job, results[-1])
        return results
