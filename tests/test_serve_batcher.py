"""Micro-batches and who is turned away, with models that wait for the test and a clock that it sets."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from budgetnet.serve.batcher import (
    Answer,
    Batcher,
    ComputingError,
    Reason,
    Shed,
    expected_wait_seconds,
    images_together,
)
from budgetnet.serve.limits import Limits

WAIT = 20.0  # seconds until a test that hangs fails; none waits for so long


@dataclass(frozen=True, eq=False)
class Pixels:
    images: NDArray[np.uint8]


def pixels(value: int, count: int = 1) -> Pixels:
    return Pixels(np.full((count, 2, 2, 1), value, np.uint8))


@dataclass
class Gate:
    """A model that says which batch it begins, and computes when it is let."""

    begun: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    open: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    stuck: bool = False
    batches: list[list[int]] = field(default_factory=lambda: list[list[int]]())

    def compute(self, thread: int, images: NDArray[np.uint8]) -> tuple[Any, Any]:
        self.batches.append(images[:, 0, 0, 0].tolist())
        self.begun.release()
        self.stuck = self.stuck or not self.open.acquire(timeout=WAIT)  # a test that failed must end
        return images[:, 0, 0].astype(np.float32), images[:, 0, 0].astype(np.float32) / 255

    def let(self, batches: int = 1) -> None:
        self.open.release(batches)


@dataclass
class Counted:
    turned_away: Counter[Reason] = field(default_factory=lambda: Counter[Reason]())
    images: list[int] = field(default_factory=lambda: list[int]())

    def shed(self, model: str, reason: Reason) -> None:
        self.turned_away[reason] += 1

    def computed(self, model: str, images: int, seconds: float) -> None:
        self.images.append(images)


class Clock:
    """A time that stands still unless the test moves it."""

    def __init__(self) -> None:
        self.time = 1000.0

    def __call__(self) -> float:
        return self.time


def started(gate: Gate, clock: Clock, limits: Limits, seen: Counted | None = None) -> Batcher:
    return Batcher({"cats": gate.compute}, 1, limits, seen or Counted(), clock)


def value(future: Future[Answer[Pixels]]) -> float:
    return float(future.result(WAIT).logits[0, 0])


def test_what_waits_while_a_batch_is_computed_is_the_next_batch() -> None:
    gate, seen = Gate(), Counted()
    with started(gate, Clock(), Limits(batch=3, batch_wait_seconds=0.0), seen) as batcher:
        futures = [batcher.submit("cats", lambda: pixels(0))]
        assert gate.begun.acquire(timeout=WAIT)
        futures += [batcher.submit("cats", lambda value=value: pixels(value)) for value in (1, 2, 3, 4)]
        assert batcher.waiting("cats") == 4
        gate.let(3)
        assert [value(one) for one in futures] == [0, 1, 2, 3, 4]
        assert [one.result().batch for one in futures] == [1, 3, 3, 3, 1]
    assert gate.batches == [[0], [1, 2, 3], [4]] and seen.images == [1, 3, 1]


def test_a_request_of_several_images_keeps_them_together() -> None:
    gate = Gate()
    with started(gate, Clock(), Limits(batch=4, batch_wait_seconds=0.0)) as batcher:
        first = batcher.submit("cats", lambda: pixels(0))
        assert gate.begun.acquire(timeout=WAIT)
        three, two = batcher.submit("cats", lambda: pixels(3, 3)), batcher.submit("cats", lambda: pixels(2, 2))
        gate.let(3)
        assert value(first) == 0
        assert three.result(WAIT).logits[:, 0].tolist() == [3, 3, 3] and two.result(WAIT).logits[:, 0].tolist() == [
            2,
            2,
        ]


def test_a_body_that_cannot_be_read_is_the_matter_of_its_request_alone() -> None:
    gate = Gate()

    def broken() -> Pixels:
        raise ValueError("not an image")

    with started(gate, Clock(), Limits(batch_wait_seconds=0.0)) as batcher:
        first = batcher.submit("cats", lambda: pixels(0))
        assert gate.begun.acquire(timeout=WAIT)
        bad, good = batcher.submit("cats", broken), batcher.submit("cats", lambda: pixels(7))
        gate.let(2)
        assert value(first) == 0 and value(good) == 7
        with pytest.raises(ValueError, match="not an image"):
            bad.result(WAIT)
        alone = batcher.submit("cats", broken)
        with pytest.raises(ValueError, match="not an image"):
            alone.result(WAIT)


def test_a_runtime_that_fails_does_not_end_the_thread() -> None:
    def compute(thread: int, images: NDArray[np.uint8]) -> tuple[Any, Any]:
        if images.max() == 13:
            raise ValueError("no memory")
        return images[:, 0, 0].astype(np.float32), images[:, 0, 0].astype(np.float32)

    with Batcher({"cats": compute}, 1, Limits(batch_wait_seconds=0.0), Counted(), Clock()) as batcher:
        with pytest.raises(ComputingError, match="cats: ValueError: no memory"):
            batcher.submit("cats", lambda: pixels(13)).result(WAIT)
        assert value(batcher.submit("cats", lambda: pixels(5))) == 5


def test_a_full_line_turns_away_at_once_and_never_hangs() -> None:
    gate, seen = Gate(), Counted()
    with started(gate, Clock(), Limits(queue=3, batch_wait_seconds=0.0), seen) as batcher:
        futures = [batcher.submit("cats", lambda: pixels(0))]
        assert gate.begun.acquire(timeout=WAIT)
        futures += [batcher.submit("cats", lambda: pixels(1)) for _ in range(3)]
        for _ in range(5):
            with pytest.raises(Shed) as caught:
                batcher.submit("cats", lambda: pixels(1))
            assert caught.value.reason == "full"
        with pytest.raises(Shed):
            batcher.check_room("cats")
        gate.let(9)
        assert [value(one) for one in futures] == [0, 1, 1, 1]
        assert value(batcher.submit("cats", lambda: pixels(4))) == 4, "there is room again"
    assert seen.turned_away == {"full": 6}


def learned(batcher: Batcher, gate: Gate, clock: Clock, seconds: float) -> None:
    """Let it see that a computation takes this long, in a second in which nothing else came."""
    future = batcher.submit("cats", lambda: pixels(0))
    assert gate.begun.acquire(timeout=WAIT)
    clock.time += seconds
    gate.let()
    future.result(WAIT)
    clock.time += 10.0


def test_a_burst_waits_for_a_second_and_no_longer() -> None:
    gate, clock, seen = Gate(), Clock(), Counted()
    with started(gate, clock, Limits(batch=1, batch_wait_seconds=0.0), seen) as batcher:
        learned(batcher, gate, clock, 0.1)
        futures = [batcher.submit("cats", lambda: pixels(1)) for _ in range(3)]
        assert gate.begun.acquire(timeout=WAIT)
        clock.time += 0.9
        gate.let()
        assert gate.begun.acquire(timeout=WAIT), "the second has waited for 0.9 s"
        clock.time += 0.2
        gate.let()
        assert [value(one) for one in futures[:2]] == [1, 1]
        with pytest.raises(Shed) as caught:
            futures[2].result(WAIT)
        assert caught.value.reason == "late"
    assert seen.turned_away == {"late": 1}


def test_under_too_much_load_only_who_need_not_wait_is_let_in() -> None:
    gate, clock, seen = Gate(), Clock(), Counted()
    with started(gate, clock, Limits(batch=1, batch_wait_seconds=0.0), seen) as batcher:
        learned(batcher, gate, clock, 0.125)
        futures = [batcher.submit("cats", lambda: pixels(1))]
        assert gate.begun.acquire(timeout=WAIT)
        while batcher.load() <= 1.0:  # eight a second can be computed
            futures.append(batcher.submit("cats", lambda: pixels(1)))
        assert len(futures) == 9
        for _ in range(23):
            with pytest.raises(Shed):
                batcher.check_room("cats")
        assert batcher.load() == pytest.approx(4.0)
        clock.time += 0.25  # what waits by now has waited for longer than a computation takes
        gate.let()
        assert value(futures[0]) == 1
        for late in futures[1:]:
            with pytest.raises(Shed):
                late.result(WAIT)
        futures = [batcher.submit("cats", lambda: pixels(2))]
        assert gate.begun.acquire(timeout=WAIT)
        with pytest.raises(Shed):
            batcher.submit("cats", lambda: pixels(3))
        clock.time += 0.1  # now it will soon be its turn
        futures.append(batcher.submit("cats", lambda: pixels(3)))
        with pytest.raises(Shed):
            batcher.submit("cats", lambda: pixels(4))
        gate.let(2)
        assert [value(one) for one in futures] == [2, 3]
        clock.time += 1.0
        assert batcher.load() == 0.0, "what came more than a second ago counts no more"
    assert seen.turned_away == {"full": 25, "late": 8}


def test_who_left_is_not_computed() -> None:
    gate = Gate()
    with started(gate, Clock(), Limits(batch=1, batch_wait_seconds=0.0)) as batcher:
        first = batcher.submit("cats", lambda: pixels(0))
        assert gate.begun.acquire(timeout=WAIT)
        left, last = batcher.submit("cats", lambda: pixels(1)), batcher.submit("cats", lambda: pixels(2))
        assert left.cancel()
        gate.let(2)
        assert [value(one) for one in (first, last)] == [0, 2]
    assert gate.batches == [[0], [2]]


def test_at_the_end_all_that_waits_is_answered() -> None:
    gate = Gate()
    with started(gate, Clock(), Limits(batch=2, batch_wait_seconds=0.0)) as batcher:
        futures = [batcher.submit("cats", lambda: pixels(0))]
        assert gate.begun.acquire(timeout=WAIT)
        futures += [batcher.submit("cats", lambda: pixels(1)) for _ in range(5)]
        gate.let(9)
    assert all(one.done() for one in futures)
    with pytest.raises(Shed) as caught:
        batcher.submit("cats", lambda: pixels(1))
    assert caught.value.reason == "stopping"


def test_models_share_the_threads_in_the_order_of_arrival() -> None:
    cats, dogs = Gate(), Gate()
    models = {"cats": cats.compute, "dogs": dogs.compute}
    with Batcher(models, 1, Limits(batch=8, batch_wait_seconds=0.0), Counted(), Clock()) as batcher:
        batcher.submit("cats", lambda: pixels(0))
        assert cats.begun.acquire(timeout=WAIT)
        dog = batcher.submit("dogs", lambda: pixels(1))
        cat = batcher.submit("cats", lambda: pixels(2))
        dogs.let()
        cats.let(2)
        assert value(dog) == 1 and value(cat) == 2
    assert cats.batches == [[0], [2]] and dogs.batches == [[1]]


@pytest.mark.parametrize("seconds", [0.0, 1e-9, 0.0005, 0.002, 0.5])
@pytest.mark.parametrize("batch", [1, 8])
def test_a_batch_has_an_image_at_least_and_no_more_than_it_may(seconds: float, batch: int) -> None:
    assert 1 <= images_together(seconds, 0.002, batch) <= batch
    assert expected_wait_seconds([5.0, 7.0], 5.5, seconds) == seconds / 2
