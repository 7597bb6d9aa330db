"""The command serve: trained networks that answer over HTTP."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Group, Parameter

from budgetnet.cli import show, sizes
from budgetnet.cli.options import BYTES, COMPUTING, COUNT, OUTPUT, TIME, WHOLE, AsJson, read

if TYPE_CHECKING:
    from budgetnet.serve.run import Listening

ADDRESS = Group("Address", sort_key=0)
LIMITS = Group("Limits", sort_key=1)
PACKAGES = {
    "starlette": "starlette",
    "uvicorn": "uvicorn",
    "prometheus_client": "prometheus-client",
    "python_multipart": "python-multipart",
}
WAIT = Parameter(converter=read(lambda text: 0.0 if text.strip() in ("0", "0s", "0ms") else sizes.seconds(text)))


def serve(
    model: Annotated[
        tuple[str, ...],
        Parameter(
            metavar="FILE|RUN|NAME=FILE",
            help="Files that export wrote, runs' folders or weights; NAME=FILE or NAME@VERSION=FILE names one.",
        ),
    ],
    /,
    *,
    host: Annotated[
        str, Parameter(group=ADDRESS, help="The address to listen at; others than this machine's need a token.")
    ] = "127.0.0.1",
    port: Annotated[
        int, WHOLE, Parameter(group=ADDRESS, metavar="N", help="The port; 0: any free one, which is printed.")
    ] = 8000,
    token_file: Annotated[
        Path | None,
        Parameter(
            group=ADDRESS,
            metavar="FILE",
            help="Answer only who shows this token (Authorization: Bearer); else BUDGETNET_TOKEN has it.",
        ),
    ] = None,
    to_anyone: Annotated[
        bool, Parameter(group=ADDRESS, help="Answer whoever reaches this machine, without a token.")
    ] = False,
    threads: Annotated[
        int | None, WHOLE, Parameter(group=COMPUTING, metavar="N", help="Computing threads; else one less than cores.")
    ] = None,
    batch: Annotated[
        int, WHOLE, Parameter(group=COMPUTING, metavar="N", help="Images that are computed together, at most.")
    ] = 8,
    batch_wait: Annotated[
        float,
        WAIT,
        Parameter(
            group=COMPUTING,
            metavar="TIME",
            show_default="2ms",
            help="How long a request waits for others to be computed with.",
        ),
    ] = 0.002,
    queue: Annotated[
        int, WHOLE, Parameter(group=LIMITS, metavar="N", help="Requests that wait for a model; more are turned away.")
    ] = 64,
    request_bytes: Annotated[
        int, BYTES, Parameter(group=LIMITS, show_default="16MiB", help="The body of a request, at most.")
    ] = 16 << 20,
    image_pixels: Annotated[
        int, COUNT, Parameter(group=LIMITS, show_default="67M", help="Pixels of an image file, at most.")
    ] = 2**26,
    client_time: Annotated[
        float,
        TIME,
        Parameter(group=LIMITS, show_default="10s", help="A client has this time to send a request."),
    ] = 10.0,
    stop_time: Annotated[
        float,
        TIME,
        Parameter(group=LIMITS, show_default="30s", help="Asked to stop, it answers what it has taken for so long."),
    ] = 30.0,
    log_format: Annotated[
        Literal["text", "json"], Parameter(group=OUTPUT, help="A line a request to standard error, as text or JSON.")
    ] = "text",
    as_json: AsJson = False,
) -> int:
    """Answer over HTTP: the Open Inference Protocol (V2), and images at /predict.

    A file is run by its own runtime, without torch. A run or weights become an ONNX file first, in float32.
    Asked to stop by SIGTERM or Ctrl-C, it answers what it has taken and ends with 0.

    Example: budgetnet serve runs/photos-1a2b3c/model.onnx
    Example: budgetnet serve waste=runs/photos-1a2b3c pets@2=pets.onnx --port 9000
    """
    missing = [package for module, package in PACKAGES.items() if importlib.util.find_spec(module) is None]
    if missing:
        raise ValueError(f"serve needs {' and '.join(missing)}; pip install 'budgetnet[serve]'")
    from budgetnet.arguments import integer
    from budgetnet.serve.access import check_open, read_token
    from budgetnet.serve.limits import Limits
    from budgetnet.serve.logs import Log
    from budgetnet.serve.models import sources_of
    from budgetnet.serve.run import serve as serve_now
    from budgetnet.serve.run import threads_of

    token = read_token(token_file)
    check_open(host, token, to_anyone)
    integer("port", port, 0, 65535)
    limits = Limits(batch, batch_wait, queue, request_bytes, image_pixels, client_time, stop_time)
    serve_now(
        sources_of(model),
        host,
        port,
        limits,
        threads_of(threads),
        token,
        Log(log_format),
        lambda server: _say(server, as_json),
    )
    return 0


def _say(server: Listening, as_json: bool) -> None:
    if as_json:
        rows = [
            {
                "name": one.source.name,
                "version": one.source.version,
                "path": one.source.path,
                "platform": one.platform,
                "dtype": one.dtype,
                "classes": len(one.notes.classes),
            }
            for one in server.models
        ]
        # On one line, so that who started it reads one line and goes on.
        show.tell(json.dumps({"address": server.address, "threads": server.threads, "models": rows}))
        return
    show.tell(f"budgetnet answers at {server.address}")
    for one in server.models:
        height, width = one.notes.network.resolution_px
        show.tell(
            f"{one.source.name}, version {one.source.version}: {len(one.notes.classes)} classes, {height}x{width} px, "
            f"{one.dtype}, {one.source.path}"
        )
