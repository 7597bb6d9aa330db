"""A client's connection in uvicorn, with what uvicorn lacks: a time to send a request and to take its answer, a largest
count of connections, and faults in the protocol's form."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from budgetnet.serve.limits import CONNECTIONS, RETRY_SECONDS
from budgetnet.serve.protocol import json_bytes


def last_answer(status: int, message: str) -> bytes:
    """A whole answer behind which the connection ends."""
    body = json_bytes({"error": message})
    again = f"Retry-After: {RETRY_SECONDS}\r\n" if status == HTTPStatus.SERVICE_UNAVAILABLE else ""
    head = (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n{again}Connection: close\r\n\r\n"
    )
    return head.encode() + body


def timed(client_seconds: float) -> type[H11Protocol]:
    """The class of connections whose clients have this time."""

    class Connection(H11Protocol):
        """A connection. Time runs from its first moment, and from the first byte of each request that follows, until
        the request is there as a whole."""

        _timer: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            if len(self.connections) > CONNECTIONS:
                transport.write(last_answer(503, f"{CONNECTIONS:,} clients are connected; come again later"))
                transport.close()
            self._begin()

        def data_received(self, data: bytes) -> None:
            if self._timer is None:
                self._begin()
            if not self.transport.is_closing():
                super().data_received(data)

        def handle_events(self) -> None:
            super().handle_events()
            if self.conn.their_state in (h11.DONE, h11.MUST_CLOSE, h11.CLOSED, h11.ERROR) or self._idle():
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
            if self.conn.their_state is h11.DONE:
                self._end()

        def send_400_response(self, msg: str) -> None:
            self.transport.write(last_answer(400, "this is no HTTP request, or its head is too long"))
            self.transport.close()

        def timeout_keep_alive_handler(self) -> None:
            super().timeout_keep_alive_handler()
            if self.transport.get_write_buffer_size():  # a client that does not read would keep it open
                self.transport.abort()

        def _idle(self) -> bool:
            """Between two requests: uvicorn's own time runs."""
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
            answered = self.conn.their_state is not h11.IDLE and self.cycle.response_started
            if answered or self.transport.get_write_buffer_size():
                self.transport.abort()
            else:
                self.transport.write(last_answer(408, f"a request must be sent within {client_seconds:g} s"))
                self.transport.close()

    return Connection
