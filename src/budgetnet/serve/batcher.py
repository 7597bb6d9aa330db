"""Requests to answers on a few computing threads: a line for each model, micro-batches, and who is turned away.

Threads take what waits, in the order of arrival, and turn bodies into pixels themselves, so that whoever is turned away
has cost nothing but the reading of it. A batch is filled until it is full or its first request has waited for
`batch_wait_seconds`, and only with as many images as are computed in that time: where an image takes longer, company
would cost more than it saves.

Who is turned away is decided in the way of Facebook's controlled delay (Maurer, Fail at Scale, ACM Queue 13, 2015): a
burst may wait for `BURST_SECONDS`. While more arrives than can be computed, only who is expected to wait for less than
half a computation is let in, before the body is read, so that what is answered at all is answered in time.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from budgetnet.serve.limits import BURST_SECONDS, Limits

Reason = Literal["full", "late", "stopping", "memory"]
"""Why a request was turned away: the line was full, it waited for too long, the server is about to stop, or the bodies
of all requests together had no room for its own."""
Numbers = NDArray[np.float32]
Compute = Callable[[int, NDArray[np.uint8]], tuple[Numbers, Numbers]]
"""It takes the number of a computing thread and pixels (n, height, width, c), and makes logits and probabilities."""
SMOOTHING = 0.1
"""A new time has this weight in a mean of times, in which older ones count less and less."""


class HasImages(Protocol):
    """What a body is read to."""

    @property
    def images(self) -> NDArray[np.uint8]:
        """Pixels, (n, height, width, channels)."""
        ...


Prepared = TypeVar("Prepared", bound=HasImages)


class Shed(Exception):
    """A request is turned away; it may come again."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason: Reason = reason


class ComputingError(RuntimeError):
    """A runtime failed at pixels that are as they must be."""


@dataclass(frozen=True, slots=True, eq=False)
class Answer(Generic[Prepared]):
    """What a request is answered.

    Attributes:
        prepared: What its body was read to.
        logits: (n, classes).
        probabilities: (n, classes).
        batch: The images that were computed together.
        waited_seconds: How long it waited for its turn.
    """

    prepared: Prepared
    logits: Numbers
    probabilities: Numbers
    batch: int
    waited_seconds: float


class Observer(Protocol):
    """Who is told what happens, from any thread."""

    def shed(self, model: str, reason: Reason) -> None:
        """A request was turned away."""
        ...

    def computed(self, model: str, images: int, seconds: float) -> None:
        """A batch was computed."""
        ...


@dataclass(slots=True, eq=False)
class _Job:
    """A request that waits: how its body is read, and who is told."""

    prepare: Callable[[], HasImages]
    future: Future[Answer[Any]]
    arrived: float


@dataclass(slots=True, eq=False)
class _Line:
    """The requests that wait for a model, and how long it takes: seconds of an image, of a request, of a batch."""

    name: str
    compute: Compute
    waiting: deque[_Job] = field(default_factory=lambda: deque[_Job]())
    arrivals: deque[float] = field(default_factory=lambda: deque[float]())
    image_seconds: float = 0.0
    request_seconds: float = 0.0
    batch_seconds: float = 0.0

    def arrived_since(self, then: float) -> int:
        """How many requests came after that time."""
        while self.arrivals and self.arrivals[0] <= then:
            self.arrivals.popleft()
        return len(self.arrivals)


def patience_seconds(load: float, batch_seconds: float, batch_wait_seconds: float) -> float:
    """How long a request may have to wait for its turn.

    `load` is what arrives over what can be computed, `batch_seconds` how long a computation takes. Under too much load
    that is half of one: many come in that time, so no thread is idle for long.

    >>> [patience_seconds(load, batch_seconds=0.02, batch_wait_seconds=0.002) for load in (0.9, 4.0)]
    [1.0, 0.01]
    """
    return BURST_SECONDS if load <= 1.0 else min(BURST_SECONDS, max(batch_seconds / 2, batch_wait_seconds))


def expected_wait_seconds(ends: Sequence[float], now: float, waiting_seconds: float) -> float:
    """How long it will take until a thread is free for one more request.

    `ends` are the times at which the threads' computations will end, `waiting_seconds` is what those that wait take.

    >>> round(expected_wait_seconds([10.03, 10.01], now=10.0, waiting_seconds=0.02), 6)
    0.02
    """
    return max(0.0, min(ends) - now) + waiting_seconds / len(ends)


def images_together(image_seconds: float, batch_wait_seconds: float, batch: int) -> int:
    """How many images are computed together: one, and those that are computed within the wait.

    >>> [images_together(seconds, 0.002, 8) for seconds in (0.02, 0.0005, 0.0)]
    [1, 5, 8]
    """
    if image_seconds <= 0:
        return batch
    return min(batch, 1 + int(batch_wait_seconds / image_seconds))


class Batcher:
    """Computing threads, and the requests that wait for them. Use in a with statement: at its end all that waits is
    answered."""

    def __init__(
        self,
        models: Mapping[str, Compute],
        threads: int,
        limits: Limits,
        observer: Observer,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.limits, self.observer, self.now = limits, observer, now
        self._lines = {name: _Line(name, compute) for name, compute in models.items()}
        self._changed = threading.Condition()
        self._stopped = False
        self._ends = [self.now()] * threads
        self._threads = [
            threading.Thread(target=self._work, args=(index,), name=f"compute-{index}", daemon=True)
            for index in range(threads)
        ]

    def __enter__(self) -> Batcher:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def waiting(self, model: str) -> int:
        """How many requests wait for a model."""
        return len(self._lines[model].waiting)

    def check_room(self, model: str) -> None:
        """Raise `Shed` where one more request would be turned away at once. It counts as one that came."""
        line = self._lines[model]
        with self._changed:
            patience = patience_seconds(self.load(), line.batch_seconds, self.limits.batch_wait_seconds)
            if len(line.waiting) >= self.limits.queue or self._expected_wait() > patience:
                line.arrivals.append(self.now())
                reason: Reason = "full"
            elif self._stopped:
                reason = "stopping"
            else:
                return
        self.observer.shed(model, reason)
        raise Shed(reason)

    def submit(self, model: str, prepare: Callable[[], Prepared]) -> Future[Answer[Prepared]]:
        """The answer to come. `prepare` is called by a computing thread; what it raises, the future raises.

        The future raises `Shed` where the request is turned away, and this does where it is at once.
        """
        self.check_room(model)
        line, future = self._lines[model], Future[Answer[Prepared]]()
        with self._changed:
            job = _Job(prepare, future, self.now())
            line.waiting.append(job)
            line.arrivals.append(job.arrived)
            self._changed.notify()
        return future

    def load(self) -> float:
        """What arrived lately over what can be computed in that time, of all models together."""
        then = self.now() - BURST_SECONDS
        busy = sum(line.arrived_since(then) * line.request_seconds for line in self._lines.values())
        return busy / (BURST_SECONDS * len(self._threads))

    def _expected_wait(self) -> float:
        waiting = sum(len(line.waiting) * line.request_seconds for line in self._lines.values())
        return expected_wait_seconds(self._ends, self.now(), waiting)

    def _work(self, thread: int) -> None:
        while (taken := self._first()) is not None:
            line, job = taken
            self._ends[thread] = self.now() + line.batch_seconds
            self._answer(thread, line, job)
            self._ends[thread] = self.now()

    def _first(self) -> tuple[_Line, _Job] | None:
        """The request that came first, of any line, when there is one; None at the end."""
        with self._changed:
            while True:
                lines = [line for line in self._lines.values() if line.waiting]
                if lines:
                    line = min(lines, key=lambda one: one.waiting[0].arrived)
                    job = self._taken(line)
                    if job is not None:
                        return line, job
                elif self._stopped:
                    return None
                else:
                    self._changed.wait()

    def _company(self, line: _Line, until: float) -> _Job | None:
        """The next request of the same line, if one comes in time."""
        with self._changed:
            while True:
                while line.waiting:
                    if (job := self._taken(line)) is not None:
                        return job
                left = until - self.now()
                if left <= 0 or self._stopped:
                    return None
                self._changed.wait(left)

    def _taken(self, line: _Line) -> _Job | None:
        """The first that waits; None where it waited for too long, or nobody waits for its answer any more."""
        job = line.waiting.popleft()
        if not job.future.set_running_or_notify_cancel():
            return None
        patience = patience_seconds(self.load(), line.batch_seconds, self.limits.batch_wait_seconds)
        if self.now() - job.arrived <= patience:
            return job
        self.observer.shed(line.name, "late")
        job.future.set_exception(Shed("late"))
        return None

    def _answer(self, thread: int, line: _Line, first: _Job) -> None:
        """Compute a batch that begins with this request, and tell who waits for it."""
        most = images_together(line.image_seconds, self.limits.batch_wait_seconds, self.limits.batch)
        until = first.arrived + (self.limits.batch_wait_seconds if most > 1 else 0.0)
        jobs: list[tuple[_Job, HasImages, float]] = []
        preparing, images = 0.0, 0
        job: _Job | None = first
        while job is not None:
            taken = self.now()
            try:
                prepared = job.prepare()
            except Exception as error:  # whatever is wrong with a body is the matter of its request alone
                job.future.set_exception(error)
            else:
                jobs.append((job, prepared, taken - job.arrived))
                images += len(prepared.images)
            preparing += self.now() - taken
            job = self._company(line, until) if images < most else None
        if not jobs:
            return
        started, together = self.now(), [prepared.images for _, prepared, _ in jobs]
        try:
            logits, shares = line.compute(thread, together[0] if len(together) == 1 else np.concatenate(together))
        except Exception as error:  # the runtimes' own kinds have no common one
            for job, _, _ in jobs:
                job.future.set_exception(ComputingError(f"{line.name}: {type(error).__name__}: {error}"))
            return
        computing = self.now() - started
        self._note(line, images, len(jobs), preparing, computing)
        self.observer.computed(line.name, images, computing)
        self._give(jobs, logits, shares, images)

    def _note(self, line: _Line, images: int, requests: int, preparing: float, computing: float) -> None:
        whole = preparing + computing
        with self._changed:
            line.image_seconds = _mean(line.image_seconds, computing / images)
            line.request_seconds = _mean(line.request_seconds, whole / requests)
            line.batch_seconds = _mean(line.batch_seconds, whole)

    @staticmethod
    def _give(jobs: Sequence[tuple[_Job, HasImages, float]], logits: Numbers, shares: Numbers, images: int) -> None:
        start = 0
        for job, prepared, waited in jobs:
            part = slice(start, start + len(prepared.images))
            job.future.set_result(Answer(prepared, logits[part], shares[part], images, waited))
            start = part.stop


def _mean(before: float, new: float) -> float:
    return new if before == 0.0 else before + SMOOTHING * (new - before)
