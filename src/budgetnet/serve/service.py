"""A server without its network: models, the threads that compute, limits, counters, and whether it is about to stop."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from budgetnet.serve.batcher import Batcher, Shed
from budgetnet.serve.limits import Limits
from budgetnet.serve.logs import Log
from budgetnet.serve.metrics import EndedBy, Metrics
from budgetnet.serve.models import Served


class UnknownModelError(ValueError):
    """Nothing of this name, or of this version, is served."""


class NoRoomError(Exception):
    """The bodies of all requests together have no room for one more."""


@dataclass(slots=True, eq=False)
class Service:
    """All that answers requests.

    Attributes:
        models: What is served, by name and then by version; the last version answers where none is named.
        batcher: The computing threads.
        limits: What is taken at most.
        metrics: The counters.
        log: The lines of requests.
        token: What clients must show; None where anyone may ask.
        stopping: Whether it was asked to stop: it answers what it has taken, and takes nothing more.
        in_progress: Requests that are being read or answered.
        buffered_bytes: The bodies of these, so far.
    """

    models: Mapping[str, Mapping[str, Served]]
    batcher: Batcher
    limits: Limits
    metrics: Metrics
    log: Log
    token: str | None = None
    stopping: bool = False
    in_progress: int = field(default=0, init=False)
    buffered_bytes: int = field(default=0, init=False)

    def model(self, name: str, version: str | None = None) -> Served:
        """A model that is served. Raises a one-line `UnknownModelError` that names those that are."""
        if name not in self.models:
            raise UnknownModelError(f"no model of this name is served; served are {', '.join(self.models)}")
        versions = self.models[name]
        if version is None:
            return list(versions.values())[-1]
        if version not in versions:
            raise UnknownModelError(f"no such version of {name} is served; served are {', '.join(versions)}")
        return versions[version]

    def only_model(self) -> Served:
        """The one that is served. Raises a one-line `UnknownModelError` where there are several."""
        if len(self.models) > 1:
            raise UnknownModelError(f"several models are served; ask at /predict/NAME: {', '.join(self.models)}")
        return self.model(next(iter(self.models)))

    def check_room(self, model: Served) -> None:
        """Raise `Shed` where a request would be turned away, before it is read."""
        if self.stopping:
            self.metrics.shed(model.key, "stopping")
            raise Shed("stopping")
        self.batcher.check_room(model.key)

    @contextlib.contextmanager
    def working(self) -> Iterator[None]:
        """A request is read or answered in here."""
        self.in_progress += 1
        try:
            yield
        finally:
            self.in_progress -= 1

    def ended(self, reason: EndedBy, status: int | None, fault: str, client: str | None) -> None:
        """A connection was ended by us, and its client told why where it was sent a status."""
        self.metrics.ended(reason)
        self.log.say("connection", reason=reason, status=status, client=client, fault=fault)

    def take(self, count: int) -> None:
        """Room for so many bytes of a body. Raises `NoRoomError` where there is none."""
        if self.buffered_bytes + count > self.limits.buffered_bytes:
            raise NoRoomError
        self.buffered_bytes += count

    def give_back(self, count: int) -> None:
        """The bytes are no longer held."""
        self.buffered_bytes -= count


def by_name(models: Sequence[Served]) -> dict[str, dict[str, Served]]:
    """Models by name and then by version, in their order."""
    found: dict[str, dict[str, Served]] = {}
    for one in models:
        found.setdefault(one.source.name, {})[one.source.version] = one
    return found
