"""A server at work: it opens what it serves, listens, and ends gracefully when it is asked to."""

from __future__ import annotations

import asyncio
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import numpy as np
from uvicorn import Config, Server

from budgetnet.parallel.workers import cores
from budgetnet.serve.app import app_of
from budgetnet.serve.batcher import Batcher
from budgetnet.serve.connection import connection_of
from budgetnet.serve.limits import Limits
from budgetnet.serve.logs import Log
from budgetnet.serve.metrics import Metrics
from budgetnet.serve.models import Served, Source, opened
from budgetnet.serve.service import Service, by_name

SWITCH_SECONDS = 0.0005
"""Python's threads take turns after this time: a computing thread that is done must not wait for 5 ms, as it would by
itself, while requests are read."""
KEPT_ALIVE_SECONDS = 5
WARM_UPS = 3
"""A model answers this many times before it is asked, for the first answer takes longer than others."""


@dataclass(frozen=True, slots=True)
class Listening:
    """A server that can be asked.

    Attributes:
        address: Its address, as http://127.0.0.1:8000.
        models: What it serves.
        threads: How many threads compute.
    """

    address: str
    models: tuple[Served, ...]
    threads: int


def threads_of(asked: int | None) -> int:
    """How many threads compute: as asked for, else one a core, but for the core that reads requests.

    Raises a one-line `ValueError` for more than cores.
    """
    there = cores()
    if asked is None:
        return max(1, there - 1)
    if asked > there:
        raise ValueError(f"threads is {asked}, and there are {there} cores; more threads than cores are slower")
    return asked


def serve(
    sources: Sequence[Source],
    host: str,
    port: int,
    limits: Limits,
    threads: int,
    token: str | None,
    log: Log,
    ready: Callable[[Listening], None],
) -> None:
    """Answer until the process is asked to stop, by SIGTERM or Ctrl-C; `ready` is called once it listens.

    Raises a one-line `ValueError` for an address that cannot be had and for what cannot be served.
    """
    with (
        log.written(),
        listening(host, port) as listener,
        tempfile.TemporaryDirectory(prefix="budgetnet-") as folder,
    ):
        models = tuple(opened(source, threads, Path(folder)) for source in sources)
        metrics = Metrics([one.key for one in models], limits, threads)
        batcher = Batcher({one.key: one.compute for one in models}, threads, limits, metrics)
        service = Service(by_name(models), batcher, limits, metrics, log, token)
        metrics.watch(
            {one.key: lambda key=one.key: batcher.waiting(key) for one in models}, lambda: service.in_progress
        )
        before = sys.getswitchinterval()
        sys.setswitchinterval(SWITCH_SECONDS)
        try:
            with batcher:
                _warm_up(batcher, models)
                at = address_of(listener)
                answering(service, listener, lambda: ready(Listening(at, models, threads)))
        finally:
            sys.setswitchinterval(before)


def answering(service: Service, listener: socket.socket, ready: Callable[[], None]) -> None:
    """Answer what comes to the listener until the process is asked to stop."""
    config = Config(
        app_of(service),
        http=connection_of(service),
        loop="asyncio",
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEPT_ALIVE_SECONDS,
        timeout_graceful_shutdown=max(1, round(service.limits.client_seconds)),
    )
    asyncio.run(Stoppable(config, service, ready).serve(sockets=[listener]))


class Stoppable(Server):
    """uvicorn's server that, asked to stop, first answers what it has taken while it says that it is not ready."""

    def __init__(self, config: Config, service: Service, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._service, self._ready = service, ready
        self._stop_at: float | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and tell who waits for it."""
        await super().startup(sockets)
        self._ready()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop taking requests; asked a second time, end at once.

        This interrupts whatever the thread does, which may hold a lock. It sets words alone; `on_tick` does the rest.
        """
        if self._service.stopping:
            self.should_exit = self.force_exit = True
        self._service.stopping = True

    async def on_tick(self, counter: int) -> bool:
        """Every tenth of a second: whether all that was taken is answered."""
        service = self._service
        if service.stopping and self._stop_at is None:
            self._stop_at = time.monotonic() + service.limits.stop_seconds
            service.log.say("stopping", in_progress=service.in_progress)
        if self._stop_at is not None and (not service.in_progress or time.monotonic() > self._stop_at):
            self.should_exit = True
        return await super().on_tick(counter)


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens; port 0 is any free one. Raises a one-line `ValueError` where it cannot be had."""
    try:
        family, kind, proto, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, proto)
    except OSError as error:
        raise ValueError(f"cannot listen at {host}: {(error.strerror or str(error)).lower()}") from error
    try:
        if sys.platform != "win32":  # there it lets two servers have one port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise ValueError(f"cannot listen at {host}, port {port}: {(error.strerror or str(error)).lower()}") from error
    return listener


def address_of(listener: socket.socket) -> str:
    """Where clients find it."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@dataclass(frozen=True, slots=True, eq=False)
class _Blank:
    images: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]


def _warm_up(batcher: Batcher, models: Sequence[Served]) -> None:
    for one in models:
        network = one.notes.network
        blank = _Blank(np.zeros((1, *network.resolution_px, network.in_channels), np.uint8))
        for _ in range(WARM_UPS):
            batcher.submit(one.key, lambda blank=blank: blank).result()
