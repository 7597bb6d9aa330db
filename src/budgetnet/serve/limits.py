"""What a server takes at most: of a request, of all clients together, and how long anyone waits."""

from __future__ import annotations

from dataclasses import dataclass

from budgetnet.arguments import integer, seconds

MOST_REQUEST_BYTES = 16 << 20
MOST_IMAGE_PIXELS = 2**26
"""An image may have at most this many pixels, 67 million: with more, one is decoded at a time on the whole machine."""
BURST_SECONDS = 1.0
"""A burst of requests may wait this long for its turn, and the load is what arrived within it."""
BUFFERED_REQUESTS = 16
"""The bodies of all requests together may take as much memory as this many of the largest."""
CONNECTIONS = 1000
"""At most this many clients are connected at a time."""
RETRY_SECONDS = 1
"""A client that is turned away is told to come again after this time."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What is taken at most.

    Attributes:
        batch: Images that are computed together, and that a request of the protocol may have.
        batch_wait_seconds: A request waits at most this long for others to be computed with, and is computed at most
            this much longer because of them.
        queue: Requests that wait for a model, at most.
        request_bytes: Bytes of a request's body.
        image_pixels: Pixels of an image file, before it is scaled down.
        client_seconds: A client has this time to send a request, and to take the answer.
        stop_seconds: When it is asked to stop, requests that are being answered have this time.
    """

    batch: int = 8
    batch_wait_seconds: float = 0.002
    queue: int = 64
    request_bytes: int = MOST_REQUEST_BYTES
    image_pixels: int = MOST_IMAGE_PIXELS
    client_seconds: float = 10.0
    stop_seconds: float = 30.0

    def __post_init__(self) -> None:
        for name in ("batch", "queue", "request_bytes", "image_pixels"):
            integer(name, getattr(self, name))
        for name in ("client_seconds", "stop_seconds"):
            seconds(name, getattr(self, name))
        if self.batch_wait_seconds:
            seconds("batch_wait_seconds", self.batch_wait_seconds)

    @property
    def buffered_bytes(self) -> int:
        """The bodies of all requests together have at most this many bytes."""
        return BUFFERED_REQUESTS * self.request_bytes
