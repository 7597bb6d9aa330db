"""What is counted, for Prometheus: requests and how long they took, batches, what waits, and what was turned away."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Literal, get_args

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from budgetnet.serve.batcher import Reason
from budgetnet.serve.limits import CONNECTIONS, Limits

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
IMAGES = (1, 2, 4, 8, 16, 32, 64, 128)
EndedBy = Literal["late", "no_http", "full", "unread"]
"""Why the server ended a connection: a request was not sent in time, or is no HTTP, too many clients are connected,
or one did not take its answer."""


class Metrics:
    """The counters of one server. Label values are its models and routes alone, so that no client can add any."""

    def __init__(self, models: Iterable[str], limits: Limits, threads: int) -> None:
        disable_created_metrics()  # when each counter began is no metric that anyone looks at
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._requests = Counter(
            "budgetnet_requests", "Requests that were answered.", ["route", "model", "status"], registry=self.registry
        )
        self._seconds = Histogram(
            "budgetnet_request_seconds",
            "From the head of a request to the end of its answer.",
            ["route", "model"],
            buckets=SECONDS,
            registry=self.registry,
        )
        self._shed = Counter(
            "budgetnet_shed", "Requests that were turned away.", ["model", "reason"], registry=self.registry
        )
        self._ended = Counter(
            "budgetnet_connections_ended",
            "Connections that the server ended, and no request's own line says why.",
            ["reason"],
            registry=self.registry,
        )
        self._batches = Histogram(
            "budgetnet_batch_images", "Images computed together.", ["model"], buckets=IMAGES, registry=self.registry
        )
        self._computing = Histogram(
            "budgetnet_compute_seconds", "A batch's computing.", ["model"], buckets=SECONDS, registry=self.registry
        )
        self._waiting = Gauge(
            "budgetnet_waiting_requests",
            "Requests that wait for a computing thread.",
            ["model"],
            registry=self.registry,
        )
        self._in_progress = Gauge(
            "budgetnet_requests_in_progress", "Requests that are being read or answered.", registry=self.registry
        )
        for name, (help_text, value) in _bounds(limits, threads).items():
            Gauge(f"budgetnet_{name}", help_text, registry=self.registry).set(value)
        for model in models:  # from the first look on there is a 0, and no gap
            for reason in get_args(Reason):
                self._shed.labels(model, reason)
        for reason in get_args(EndedBy):
            self._ended.labels(reason)

    def watch(self, waiting: Mapping[str, Callable[[], int]], in_progress: Callable[[], int]) -> None:
        """Ask these whenever somebody looks."""
        for model, count in waiting.items():
            self._waiting.labels(model).set_function(count)
        self._in_progress.set_function(in_progress)

    def shed(self, model: str, reason: Reason) -> None:
        """A request was turned away."""
        self._shed.labels(model, reason).inc()

    def ended(self, reason: EndedBy) -> None:
        """A connection was ended."""
        self._ended.labels(reason).inc()

    def computed(self, model: str, images: int, seconds: float) -> None:
        """A batch was computed."""
        self._batches.labels(model).observe(images)
        self._computing.labels(model).observe(seconds)

    def answered(self, route: str, model: str, status: int, seconds: float) -> None:
        """A request was answered."""
        self._requests.labels(route, model, str(status)).inc()
        self._seconds.labels(route, model).observe(seconds)

    def page(self) -> tuple[bytes, str]:
        """The page that Prometheus reads, and its type."""
        return generate_latest(self.registry), CONTENT_TYPE_LATEST


def _bounds(limits: Limits, threads: int) -> dict[str, tuple[str, float]]:
    """What the server was started with: by the names of metrics, what each is and its value."""
    return {
        "compute_threads": ("Computing threads.", threads),
        "limit_batch_images": ("Images that are computed together, at most (--batch).", limits.batch),
        "limit_batch_wait_seconds": (
            "A request waits so long for others to be computed with, at most (--batch-wait).",
            limits.batch_wait_seconds,
        ),
        "limit_waiting_requests": ("Requests that wait for a model, at most (--queue).", limits.queue),
        "limit_request_bytes": ("Bytes of a request's body, at most (--request-bytes).", limits.request_bytes),
        "limit_bodies_bytes": ("Bytes of all bodies together, at most.", limits.buffered_bytes),
        "limit_image_pixels": ("Pixels of an image file, at most (--image-pixels).", limits.image_pixels),
        "limit_client_seconds": (
            "A client has this time to send a request, and to take its answer (--client-time).",
            limits.client_seconds,
        ),
        "limit_stop_seconds": (
            "Asked to stop, the server answers what it has taken for so long, at most (--stop-time).",
            limits.stop_seconds,
        ),
        "limit_connections": ("Clients that are connected at a time, at most.", CONNECTIONS),
    }
