"""Jobs on a Ray cluster: what `parallel.workers.Workers` is to this machine's cores, `Pool` is to a cluster's nodes.

A job's function is pure, so a job that is lost with its node is run again somewhere else, a bounded number of times.
Only this process, the driver, keeps anything. Ray is imported where a cluster is asked for, and nowhere else.
"""

from __future__ import annotations

import importlib.metadata
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Generic, Self, TypeVar

from budgetnet.cluster.ray_cluster import Cluster, line_of, places_of
from budgetnet.parallel.progress import Progress, Update, silent
from budgetnet.parallel.workers import report_to

Job = TypeVar("Job")
Result = TypeVar("Result")

ATTEMPTS = 5
"""Of each job. A node that is lost strikes whatever it ran; what fails so often fails by itself."""
POLL_SECONDS = 0.5
NODES_SECONDS = 5.0
"""Between two looks at whether any node is left."""
WAIT_SECONDS = 600.0
"""For a node, where none is left that can run a job."""


def fetched(reference: Any) -> Any:
    """On a worker: what a reference of `Pool.put` stands for. It comes to a node once, for all of its workers."""
    import ray

    return ray.get(reference)


def versions() -> dict[str, str]:
    """What must be the same on each node, or a score would not be a function of the plan."""
    return {name: importlib.metadata.version(name) for name in ("torch", "numpy", "pillow")}


class _Hub:
    """Beside the driver: what workers say, until the driver asks for it."""

    def __init__(self) -> None:
        self.words: list[object] = []

    def put(self, word: object) -> None:
        self.words.append(word)

    def drain(self) -> list[object]:
        drained, self.words = self.words, []
        return drained


class _Line:
    """A worker's end of the hub, as `parallel.workers.report` uses it."""

    def __init__(self, hub: Any) -> None:
        self.hub = hub

    def put(self, word: object) -> None:
        self.hub.put.remote(word)


_driver: _Line | None = None


def say(word: object) -> None:
    """On a worker: tell the driver what is no progress; its pool's `heard` gets it."""
    if _driver is not None:
        _driver.put(word)


def _work(function: Callable[[Job], Result], job: Job, ours: Mapping[str, str], hub: Any) -> Result:
    """On a worker: one job."""
    global _driver
    theirs = versions()
    for name, version in ours.items():
        if theirs[name] != version:
            raise ValueError(
                f"a node of the cluster has {name} {theirs[name]}, this machine {version}: make them equal"
            )
    _driver = _Line(hub)
    report_to(_driver)
    return function(job)


class Pool(Generic[Job, Result]):
    """Runs one module-level function on jobs, on a cluster to which this process is `connected`.

    `heard` is told in this thread what jobs `say`.
    """

    def __init__(
        self,
        function: Callable[[Job], Result],
        cluster: Cluster,
        progress: Progress | None = None,
        heard: Callable[[Any], None] | None = None,
    ) -> None:
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        self.function, self.cluster, self.progress, self.heard = function, cluster, progress or silent, heard
        self._ours = versions()
        self._task = ray.remote(_work).options(
            num_cpus=cluster.cpus_per_trial,
            num_gpus=cluster.gpus_per_trial,
            max_retries=0,  # ours are told, counted, and end in one line
            scheduling_strategy="SPREAD",
        )
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        self._hub: Any = ray.remote(_Hub).options(num_cpus=0, scheduling_strategy=here).remote()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        import ray

        ray.kill(self._hub)

    def put(self, value: Any) -> Any:
        """A reference to a large value, which goes to a node once when a job there first asks for it."""
        import ray

        return ray.put(value)

    def run(self, jobs: Sequence[Job], done: Callable[[Job, Result], None] | None = None) -> list[Result]:
        """Results in the order of the jobs; `done` is called in this thread as each comes in.

        What fails or is lost is run again, five times in all. Then the other jobs are still run to their end, and
        `RuntimeError` says which it was. Raises a job's `ValueError` at once: that is bad input.
        """
        results: dict[int, Result] = {}
        for place, result in self.landing(jobs):
            results[place] = result
            if done:
                done(jobs[place], result)
        return [results[place] for place in range(len(jobs))]

    def landing(self, jobs: Sequence[Job], anew: Callable[[Job], Job] | None = None) -> Iterator[tuple[int, Result]]:
        """The same, one by one as they come in, each with its job's place: what is large need not be kept.

        `anew` gives the job as it is to be run again, where more is known by then.
        """
        flights = _Flights(self, jobs, anew or (lambda job: job))
        try:
            while flights.pending:
                yield from flights.landed()
                self.listen()
        finally:
            flights.cancel()
        self.listen()
        if flights.failure is not None:
            raise flights.failure

    def launch(self, job: Job) -> Any:
        """A reference to the job's result to come."""
        return self._task.remote(self.function, job, self._ours, self._hub)

    def listen(self) -> None:
        """Hear all that was said until now."""
        import ray

        for word in ray.get(self._hub.drain.remote()):
            if isinstance(word, Update):
                self.progress(word)
            elif self.heard:
                self.heard(word)


class _Flights(Generic[Job, Result]):
    """The jobs of one `run` that are under way, how often each was tried, what came of them."""

    def __init__(self, pool: Pool[Job, Result], jobs: Sequence[Job], anew: Callable[[Job], Job]) -> None:
        self.pool, self.jobs, self.anew = pool, jobs, anew
        self.done = 0
        self.failure: RuntimeError | None = None
        self.tries = [1] * len(jobs)
        self.pending: dict[Any, int] = {pool.launch(job): place for place, job in enumerate(jobs)}
        self.looked = self.alive = time.monotonic()

    def landed(self) -> Iterator[tuple[int, Result]]:
        """What is done by now, with its job's place; what was lost or failed is under way again."""
        import ray
        from ray.exceptions import RayError, RayTaskError

        self._look()
        ready, _ = ray.wait(list(self.pending), num_returns=1, timeout=POLL_SECONDS)
        for reference in ready:
            place = self.pending.pop(reference)
            try:
                result = ray.get(reference)
            except RayTaskError as error:
                if isinstance(error.cause, ValueError):
                    raise error.cause from None
                self._again(place, f"failed ({type(error.cause).__name__}: {line_of(error.cause)})")
            except RayError as error:
                self._again(place, f"was lost ({type(error).__name__})")
            else:
                self.done += 1
                yield place, result

    def _again(self, place: int, what: str) -> None:
        if self.tries[place] == ATTEMPTS:
            text = f"job {place + 1} of {len(self.jobs)} {what} {ATTEMPTS} times; run the same command again"
            self.failure = self.failure or RuntimeError(text)
            return
        self.tries[place] += 1
        text = f"job {place + 1} {what}; it runs again"
        self.pool.progress(Update("cluster", self.done, len(self.jobs), text))
        self.pool.listen()  # what the job said before it was lost
        self.pending[self.pool.launch(self.anew(self.jobs[place]))] = place

    def _look(self) -> None:
        """Raise `RuntimeError` where no node that can run a job has been there for ten minutes."""
        now = time.monotonic()
        if now - self.looked < NODES_SECONDS:
            return
        self.looked = now
        if places_of(self.pool.cluster):
            self.alive = now
        elif now - self.alive > WAIT_SECONDS:
            raise RuntimeError("the cluster has no node left that can run a trial; run the same command again")
        else:
            text = "no node is left that can run a trial; waiting for one"
            self.pool.progress(Update("cluster", self.done, len(self.jobs), text))

    def cancel(self) -> None:
        """End what is still under way: nobody waits for it any more."""
        import ray

        for reference in self.pending:
            ray.cancel(reference, force=True)
