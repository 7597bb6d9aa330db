"""The addresses of a server: which request is read by what, and which fault is which status."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any

import numpy as np
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

import budgetnet
from budgetnet.serve import protocol
from budgetnet.serve.access import is_allowed
from budgetnet.serve.batcher import Answer, Prepared, Reason, Shed
from budgetnet.serve.bodies import EncodedError, TooLargeError, body_of, uploads_of
from budgetnet.serve.connection import ENDED, Ended
from budgetnet.serve.limits import RETRY_SECONDS
from budgetnet.serve.models import Served
from budgetnet.serve.service import NoRoomError, Service, UnknownModelError
from budgetnet.serve.uploads import answer_of, answered, asked, decoded
from budgetnet.training.predict import NO_NUMBERS

NOTE = "budgetnet.note"
GONE = 499
"""nginx's status of a request whose client left before it was answered; nobody is sent it."""
TURNED_AWAY: dict[Reason, str] = {
    "full": "too many requests wait for this model; come again later",
    "late": "more is asked than can be answered in time; come again later",
    "stopping": "the server is about to stop; ask another one",
    "memory": "too much is being sent at a time; come again later",
}
PROBES = ("live", "ready")
"""Nobody needs a token for these: what looks after servers often cannot show one."""


class NoNumbersError(Exception):
    """A model answers with what are no numbers."""


@dataclass(slots=True, eq=False)
class Note:
    """What the log says of a request, beside what everyone sees of it."""

    route: str = "other"
    model: str = ""
    images: int | None = None
    batch: int | None = None
    waited_ms: float | None = None
    fault: str | None = None

    def count(self, answer: Answer[Any]) -> None:
        """What its answer took."""
        self.images, self.batch = len(answer.logits), answer.batch
        self.waited_ms = round(1000 * answer.waited_seconds, 3)


def app_of(service: Service) -> ASGIApp:
    """The application of a service."""
    return _Watched(Starlette(routes=_routes(service), exception_handlers={HTTPException: _http_fault}), service)


def _routes(service: Service) -> list[Route]:
    one = "/v2/models/{name}"
    rows: list[tuple[str, str, str, Callable[[Service, Request], Awaitable[Response]]]] = [
        ("/", "GET", "index", _index),
        ("/v2", "GET", "server", _server),
        ("/v2/", "GET", "server", _server),
        ("/v2/health/live", "GET", "live", _live),
        ("/v2/health/ready", "GET", "ready", _ready),
        *((f"{path}/ready", "GET", "model ready", _model_ready) for path in (one, f"{one}/versions/{{version}}")),
        *((f"{path}/infer", "POST", "infer", _infer) for path in (one, f"{one}/versions/{{version}}")),
        *((path, "GET", "model", _model) for path in (one, f"{one}/versions/{{version}}")),
        ("/predict", "POST", "predict", _predict),
        ("/predict/{name}", "POST", "predict", _predict),
        ("/predict/{name}/versions/{version}", "POST", "predict", _predict),
        ("/metrics", "GET", "metrics", _metrics),
    ]
    return [
        Route(path, partial(_answered, service, route, answer), methods=[verb]) for path, verb, route, answer in rows
    ]


async def _answered(
    service: Service, route: str, answer: Callable[[Service, Request], Awaitable[Response]], request: Request
) -> Response:
    """An answer, or the fault in the protocol's form."""
    note = request.scope[NOTE]
    note.route = route
    if route not in PROBES and not is_allowed(service.token, request.headers.get("authorization")):
        return _fault(
            note, 401, "this server asks for a token: Authorization: Bearer TOKEN", {"WWW-Authenticate": "Bearer"}
        )
    again = {"Retry-After": str(RETRY_SECONDS)}
    closing = {"Connection": "close"}  # what is left of the body is not waited for
    try:
        return await answer(service, request)
    except Shed as error:
        return _fault(
            note, 503, TURNED_AWAY[error.reason], {**again, **(closing if error.reason == "stopping" else {})}
        )
    except NoRoomError:
        service.metrics.shed(note.model, "memory")
        return _fault(note, 503, TURNED_AWAY["memory"], {**again, **closing})
    except UnknownModelError as error:
        return _fault(note, 404, str(error))
    except TooLargeError as error:
        return _fault(note, 413, str(error), closing)
    except EncodedError as error:
        return _fault(note, 415, str(error), closing)
    except NoNumbersError as error:
        return _fault(note, 500, str(error))
    except ClientDisconnect:
        ended = request.scope.get(ENDED)
        if isinstance(ended, Ended):
            return _fault(note, ended.status, ended.fault)
        note.fault = "the client left"
        return Response(status_code=GONE)
    except (ValueError, TypeError) as error:
        return _fault(note, 400, " ".join(str(error).split()))


def _json(value: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(protocol.json_bytes(value), status, headers, "application/json")


def _fault(note: Note, status: int, message: str, headers: dict[str, str] | None = None) -> Response:
    note.fault = message
    return _json({"error": message}, status, headers)


async def _http_fault(request: Request, error: Exception) -> Response:
    """An address that is none, or a verb that it does not have."""
    assert isinstance(error, HTTPException)
    message = f"{error.detail}: {request.method} at this address is not served".strip()
    return _fault(request.scope[NOTE], error.status_code, message, dict(error.headers or {}))


def _named(service: Service, request: Request) -> Served:
    name = request.path_params.get("name")
    found = service.only_model() if name is None else service.model(name, request.path_params.get("version"))
    request.scope[NOTE].model = found.key
    return found


async def _index(service: Service, request: Request) -> Response:
    rows: list[dict[str, str]] = []
    for name, versions in service.models.items():
        for version in versions:
            path = f"{name}/versions/{version}"
            model = f"/v2/models/{path}"
            rows.append(
                {
                    "name": name,
                    "version": version,
                    "predict": f"/predict/{path}",
                    "metadata": model,
                    "infer": f"{model}/infer",
                }
            )
    return _json({"name": "budgetnet", "version": budgetnet.__version__, "models": rows})


async def _server(service: Service, request: Request) -> Response:
    return _json(protocol.server_metadata(budgetnet.__version__))


async def _live(service: Service, request: Request) -> Response:
    return _json({"live": True})


async def _ready(service: Service, request: Request) -> Response:
    ready = not service.stopping
    return _json({"live": True, "ready": ready}, 200 if ready else 503)


async def _model_ready(service: Service, request: Request) -> Response:
    model, ready = _named(service, request), not service.stopping
    return _json({"name": model.source.name, "ready": ready}, 200 if ready else 503)


async def _model(service: Service, request: Request) -> Response:
    model = _named(service, request)
    versions = list(service.models[model.source.name])
    row = protocol.model_metadata(model.source.name, versions, model.platform, model.signature, model.properties)
    return _json(row)


async def _metrics(service: Service, request: Request) -> Response:
    page, kind = service.metrics.page()
    return Response(page, headers={"Content-Type": kind})


async def _computed(service: Service, model: Served, note: Note, read: Callable[[], Prepared]) -> Answer[Prepared]:
    """What a computing thread makes of a body. Raises `NoNumbersError` for an answer that is none."""
    found = await asyncio.wrap_future(service.batcher.submit(model.key, read))
    note.count(found)
    if not np.isfinite(found.probabilities).all():
        raise NoNumbersError(NO_NUMBERS)
    return found


async def _infer(service: Service, request: Request) -> Response:
    model, note = _named(service, request), request.scope[NOTE]
    service.check_room(model)
    async with body_of(request, service) as body:
        signature, length = model.signature, request.headers.get(protocol.HEADER_LENGTH)
        read = partial(protocol.read_request, body, length, signature, service.limits.batch)
        found = await _computed(service, model, note, read)
    arrays = {"logits": found.logits, "probabilities": found.probabilities}
    content, length = protocol.response(found.prepared, model.source.name, model.source.version, arrays)
    if length is None:
        return Response(content, media_type="application/json")
    return Response(content, 200, {protocol.HEADER_LENGTH: str(length)}, "application/octet-stream")


async def _predict(service: Service, request: Request) -> Response:
    model, note = _named(service, request), request.scope[NOTE]
    given = asked(dict(request.query_params), model)
    service.check_room(model)
    async with body_of(request, service) as body:
        files = await uploads_of(request.headers, body, service.limits.batch)
        read = partial(decoded, files, model, service.limits.image_pixels)
        found = await _computed(service, model, note, read)
    return _json(answer_of(model, answered(files, found.prepared, found.logits, found.probabilities, model, given)))


class _Watched:
    """The application with a line in the log and a count for each request, whatever comes of it."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app, self._service = app, service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        note, started = Note(), time.perf_counter()
        scope[NOTE] = note
        status, sent = 0, 0

        async def noting(message: Message) -> None:
            nonlocal status, sent
            if message["type"] == "http.response.start":
                status = message["status"]
            else:
                sent += len(message.get("body", b""))
            await send(message)

        try:
            with self._service.working():
                await self._app(scope, receive, noting)
        except Exception as error:
            note.fault = f"{type(error).__name__}: {error}"
            if status:  # the answer has begun: uvicorn ends the connection
                raise
            self._service.log.say("error", message=note.fault, path=scope["path"])
            await _json({"error": "the server failed; its log says why"}, HTTPStatus.INTERNAL_SERVER_ERROR)(
                scope, receive, noting
            )
        finally:
            self._say(scope, note, status, sent, time.perf_counter() - started)

    def _say(self, scope: Scope, note: Note, status: int, sent: int, seconds: float) -> None:
        self._service.metrics.answered(note.route, note.model, status, seconds)
        client = scope.get("client")
        self._service.log.say(
            "request",
            method=scope["method"],
            path=scope["path"],
            status=status,
            ms=round(1000 * seconds, 3),
            model=note.model or None,
            images=note.images,
            batch=note.batch,
            waited_ms=note.waited_ms,
            bytes_out=sent,
            client=client[0] if client else None,
            fault=note.fault,
        )
