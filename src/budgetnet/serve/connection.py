"""A client's connection in uvicorn, with what uvicorn lacks: a time to send a request and to take its answer, a largest
count of connections, and faults in the protocol's form.

Who is turned away here is counted and logged: a request that has begun by its own line, by the fault in its scope, and
all others as connections.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, cast

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from budgetnet.serve.limits import CONNECTIONS, RETRY_SECONDS
from budgetnet.serve.metrics import EndedBy
from budgetnet.serve.protocol import json_bytes
from budgetnet.serve.service import Service

ENDED = "budgetnet.ended"
"""A request whose connection ends before it is there as a whole has the `Ended` here in its scope."""


@dataclass(frozen=True, slots=True)
class Ended:
    """What the client of a connection that ends was told.

    Attributes:
        status: The status that it was sent.
        fault: The fault that it was sent.
    """

    status: int
    fault: str


def last_answer(ended: Ended) -> bytes:
    """A whole answer behind which the connection ends."""
    body = json_bytes({"error": ended.fault})
    again = f"Retry-After: {RETRY_SECONDS}\r\n" if ended.status == HTTPStatus.SERVICE_UNAVAILABLE else ""
    head = (
        f"HTTP/1.1 {ended.status} {HTTPStatus(ended.status).phrase}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n{again}Connection: close\r\n\r\n"
    )
    return head.encode() + body


def connection_of(service: Service) -> type[H11Protocol]:
    """The class of a service's connections."""
    client_seconds = service.limits.client_seconds

    class Connection(H11Protocol):
        """A connection. Time runs from its first moment, and from the first byte of each request that follows, until
        the request is there as a whole."""

        _timer: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            if len(self.connections) > CONNECTIONS:
                self._refuse("full", 503, f"{CONNECTIONS:,} clients are connected; come again later")
            self._begin()

        def data_received(self, data: bytes) -> None:
            if self._timer is None:
                self._begin()
            if not self.transport.is_closing():
                super().data_received(data)

        def handle_events(self) -> None:
            super().handle_events()
            if self._expects_nothing() and not self.flow.write_paused:
                self._end()
            elif self._timer is None:
                self._begin()

        def connection_lost(self, exc: Exception | None) -> None:
            self._end()
            super().connection_lost(exc)

        def pause_writing(self) -> None:
            super().pause_writing()
            self._begin()

        def resume_writing(self) -> None:
            super().resume_writing()
            if self._expects_nothing():
                self._end()

        def send_400_response(self, msg: str) -> None:
            self._refuse("no_http", 400, "this is no HTTP request, or its head is too long")

        def timeout_keep_alive_handler(self) -> None:
            super().timeout_keep_alive_handler()
            if self.transport.get_write_buffer_size():  # a client that does not read would keep it open
                self._cut_off()

        def _expects_nothing(self) -> bool:
            """Whether no more of a request is waited for: it is here, it never will be, or uvicorn's time between two
            requests runs."""
            if self.conn.their_state in (h11.DONE, h11.MUST_CLOSE, h11.CLOSED, h11.ERROR):
                return True
            return self.conn.their_state is h11.IDLE and not self.conn.trailing_data[0] and self.cycle is not None

        def _begin(self) -> None:
            self._end()
            self._timer = self.loop.call_later(client_seconds, self._late)

        def _end(self) -> None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

        def _late(self) -> None:
            self._timer = None
            if self.transport.get_write_buffer_size():
                self._cut_off()
            elif self.conn.their_state is not h11.IDLE and self.cycle.response_started:
                self.transport.abort()  # it has its answer, and sends on
            else:
                self._refuse("late", 408, f"a request must be sent within {client_seconds:g} s")

        def _refuse(self, reason: EndedBy, status: int, fault: str) -> None:
            """Say why the connection ends."""
            ended = Ended(status, fault)
            self.transport.write(last_answer(ended))
            self.transport.close()
            if self.cycle is not None and not self.cycle.response_complete:
                cast("dict[str, Any]", self.cycle.scope)[ENDED] = ended
            else:
                service.ended(reason, status, fault, self._host)

        def _cut_off(self) -> None:
            """A client does not take its answer: nothing more can be said to it."""
            self.transport.abort()
            service.ended("unread", None, "the client did not take its answer in time", self._host)

        @property
        def _host(self) -> str | None:
            return self.client[0] if self.client else None

    return Connection
