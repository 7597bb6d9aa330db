"""A search on a cluster, played on a clock that costs nothing: which of its parts holds the others up.

    python -m bench.simulate

A queue of events: trials that end or fail, nodes that are lost and come back. The rules are those of the executor
(`budgetnet.cluster.ray_executor`): the driver proposes a batch, one trial after another; all of it is launched; a place
takes the next trial as soon as it is free; each score is written, one after another; the next batch begins
when the last is in. What is lost or fails starts again, from its last checkpoint in the storage. Trial times come in,
measured or computed.

It holds itself against reality: jobs of known lengths on two real nodes of this machine. What follows is in
docs/scale.md.
"""

from __future__ import annotations

import argparse
import heapq
import random
import tempfile
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from budgetnet.training.job import JobContext, JobFiles

STORE_BYTES = 80 * 1024**2


@dataclass(frozen=True, slots=True)
class Site:
    """The cluster, and what goes wrong on it.

    A node's first trial waits `send_seconds` for the images, and a place's first `start_seconds` for its process. A
    node lives `node_hours` on average (exponentially), and is back after `back_seconds` without its images. A trial is
    `slow_times` as long with probability `slow_share`, and fails somewhere on its way with `failed_share`.
    """

    nodes: int
    places_each: int
    send_seconds: float = 0.0
    start_seconds: float = 0.0
    node_hours: float = float("inf")
    back_seconds: float = 600.0
    slow_share: float = 0.0
    slow_times: float = 1.0
    failed_share: float = 0.0
    seed: int = 0

    @property
    def places(self) -> int:
        """Of all nodes."""
        return self.nodes * self.places_each


@dataclass(frozen=True, slots=True)
class Load:
    """Seconds of the trials of each batch, and what the driver does alone: to propose the n-th trial, to write one.

    A checkpoint comes back every `keep_seconds` of a trial's work, or never.
    """

    batches: Sequence[Sequence[float]]
    propose_seconds: Callable[[int], float] = lambda trial: 0.0
    write_seconds: float = 0.0
    keep_seconds: float = float("inf")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of it, in seconds: on the wall; on places, of trials that count and of those that were lost or slow;
    of the driver alone, while every place waits for it."""

    wall: float
    useful: float
    lost: float
    driver: float
    trials: int
    attempts: int
    nodes_lost: int

    def use(self, site: Site) -> float:
        """The share of all places' time that went into trials that count."""
        return self.useful / (site.places * self.wall)


@dataclass(frozen=True, slots=True)
class _Flight:
    """A trial on a place: its seconds of work from here on, when it was given the place, when it began, how fast."""

    seconds: float
    taken: float
    began: float
    speed: float

    def kept(self, now: float, keep_seconds: float) -> float:
        """Seconds of its work that are not lost with it."""
        worked = max(0.0, now - self.began) * self.speed
        return min(self.seconds, worked // keep_seconds * keep_seconds) if keep_seconds < float("inf") else 0.0


@dataclass(slots=True, eq=False)
class _Node:
    """A node in one of its lives, and what runs on it."""

    alive: bool = True
    has_images: bool = False
    started: int = 0
    running: dict[int, _Flight] = field(default_factory=dict[int, _Flight])


class Simulation:
    """One load on one site."""

    def __init__(self, site: Site, load: Load) -> None:
        self.site, self.load = site, load
        self.random = random.Random(site.seed)
        self.events: list[tuple[float, int, Callable[[], None]]] = []
        self.nodes = [_Node() for _ in range(site.nodes)]
        self.waiting: deque[tuple[int, float]] = deque()
        self.now = self.written_by = self.useful = self.lost = self.driver = 0.0
        self.order = self.done = self.attempts = self.nodes_lost = 0

    def run(self) -> Outcome:
        """Play it to its end."""
        for index in range(self.site.nodes):
            self._live(index)
        for batch in self.load.batches:
            proposed = sum(self.load.propose_seconds(self.done + index) for index in range(len(batch)))
            self.driver += proposed
            self._wait(self.now + proposed)
            self.waiting.extend((self.done + index, seconds) for index, seconds in enumerate(batch))
            until = self.done + len(batch)
            self._fill()
            while self.done < until:
                self._step()
            self.driver += max(0.0, self.written_by - self.now)
            self._wait(self.written_by)
        return Outcome(self.now, self.useful, self.lost, self.driver, self.done, self.attempts, self.nodes_lost)

    def _at(self, seconds: float, what: Callable[[], None]) -> None:
        self.order += 1  # of two events at one time the older comes first
        heapq.heappush(self.events, (self.now + seconds, self.order, what))

    def _step(self) -> None:
        self.now, _, what = heapq.heappop(self.events)
        what()

    def _wait(self, until: float) -> None:
        """Nodes come and go while the driver works alone."""
        while self.events and self.events[0][0] <= until:
            self._step()
        self.now = max(self.now, until)

    def _live(self, index: int) -> None:
        if self.site.node_hours < float("inf"):
            self._at(self.random.expovariate(1 / (3600 * self.site.node_hours)), lambda: self._lose(index))

    def _lose(self, index: int) -> None:
        self.nodes_lost += 1
        for trial, flight in self.nodes[index].running.items():
            self._again(trial, flight)
        self.nodes[index] = _Node(alive=False)
        self._at(self.site.back_seconds, lambda: self._return(index))
        self._fill()

    def _return(self, index: int) -> None:
        self.nodes[index].alive = True
        self._live(index)
        self._fill()

    def _fill(self) -> None:
        """Give the free places trials, the emptiest node first, as Ray spreads them."""
        while self.waiting:
            free = [node for node in self.nodes if node.alive and len(node.running) < self.site.places_each]
            if not free:
                return
            self._begin(min(free, key=lambda node: len(node.running)), *self.waiting.popleft())

    def _begin(self, node: _Node, trial: int, seconds: float) -> None:
        site, extra = self.site, 0.0
        self.attempts += 1
        if node.started < site.places_each:
            node.started += 1
            extra = site.start_seconds + (0.0 if node.has_images else site.send_seconds)
        real = seconds * (site.slow_times if self.random.random() < site.slow_share else 1.0)
        failed = self.random.random() < site.failed_share
        node.running[trial] = _Flight(seconds, self.now, self.now + extra, seconds / real)
        self._at(extra + real * (self.random.random() if failed else 1.0), lambda: self._end(node, trial, failed))

    def _end(self, node: _Node, trial: int, failed: bool) -> None:
        if node not in self.nodes:  # of a life that is over
            return
        flight = node.running.pop(trial)
        node.has_images = True
        if failed:
            self._again(trial, flight)
        else:
            self.useful += flight.seconds
            self.lost += self.now - flight.taken - flight.seconds
            self.done += 1
            self.written_by = max(self.written_by, self.now) + self.load.write_seconds
        self._fill()

    def _again(self, trial: int, flight: _Flight) -> None:
        """What is left of a trial waits for a place."""
        kept = flight.kept(self.now, self.load.keep_seconds)
        self.useful += kept
        self.lost += self.now - flight.taken - kept
        self.waiting.append((trial, flight.seconds - kept))


def simulated(site: Site, load: Load) -> Outcome:
    """What becomes of a load on a site."""
    return Simulation(site, load).run()


@dataclass(frozen=True)
class Pause:
    """A job of a known length, without files."""

    context: JobContext
    seconds: float
    phase: str = "pause"
    files: JobFiles = field(default_factory=JobFiles)

    def at(self, context: JobContext) -> Pause:
        """The same job at another place."""
        return replace(self, context=context)


def pause(job: Pause) -> float:
    """Do nothing for as long."""
    time.sleep(job.seconds)
    return job.seconds


def against_reality(lengths: Sequence[float], at_once: int) -> tuple[float, float]:
    """Wall seconds of these jobs in batches on two real nodes of one place each, and as simulated."""
    from ray.cluster_utils import Cluster as Local

    from budgetnet.cluster.ray_cluster import Cluster, connected
    from budgetnet.cluster.ray_executor import RayExecutor

    local = Local(initialize_head=True, head_node_args={"num_cpus": 0, "object_store_memory": STORE_BYTES})
    try:
        for _ in range(2):
            local.add_node(num_cpus=1, object_store_memory=STORE_BYTES)
        batches = [lengths[start : start + at_once] for start in range(0, len(lengths), at_once)]
        with tempfile.TemporaryDirectory() as folder:
            asked = Cluster(str(local.address), storage=folder)
            context = JobContext("digits", 0, 8, f"{folder}/run/jobs")
            with connected(asked), RayExecutor(asked).workers(pause, context, 2) as workers:
                workers.run([Pause(context, 0.0)] * 4)  # its processes start
                before = time.monotonic()
                for batch in batches:
                    workers.run([Pause(context, seconds) for seconds in batch])
                real = time.monotonic() - before
    finally:
        local.shutdown()
    return real, simulated(Site(2, 1), Load(batches)).wall


def main() -> None:
    """Simulated against real."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    draws = random.Random(0)
    for at_once in (2, 4, 8):
        lengths = [0.2 + draws.expovariate(1 / 0.4) for _ in range(24)]
        real, played = against_reality(lengths, at_once)
        print(f"24 jobs, {at_once} at once, two places: {real:.2f} s real, {played:.2f} s simulated")


if __name__ == "__main__":
    main()
