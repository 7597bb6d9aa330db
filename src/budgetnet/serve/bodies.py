"""The bodies of requests, read within their limits, and the files in them."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator

from python_multipart.exceptions import FormParserError
from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from budgetnet.arguments import shown
from budgetnet.serve.service import Service
from budgetnet.serve.uploads import BODY, Upload

MOST_BYTES = 1 << 40
MULTIPART = "multipart/form-data"


class TooLargeError(ValueError):
    """A body is larger than is taken."""


class EncodedError(ValueError):
    """A body is packed in a way that is not unpacked: few bytes of it could be very many."""


@contextlib.asynccontextmanager
async def body_of(request: Request, service: Service) -> AsyncIterator[bytes]:
    """The body of a request; its memory is counted as long as the with statement goes on.

    Raises `TooLargeError`, `EncodedError`, `NoRoomError`, and starlette's `ClientDisconnect`.
    """
    most = service.limits.request_bytes
    coding = request.headers.get("content-encoding", "identity")
    if coding.lower() != "identity":
        raise EncodedError(f"Content-Encoding is {shown(coding)}; send the body as it is")
    length = request.headers.get("content-length", "0")
    if int(length) > most:  # h11 has let digits through alone
        raise TooLargeError(f"the body has {int(length):,} bytes, and {most:,} are the most (--request-bytes)")
    taken, parts = 0, list[bytes]()
    try:
        async for part in request.stream():
            if taken + len(part) > most:
                raise TooLargeError(f"the body has more than {most:,} bytes (--request-bytes)")
            service.take(len(part))
            taken += len(part)
            parts.append(part)
        yield parts[0] if len(parts) == 1 else b"".join(parts)
    finally:
        service.give_back(taken)


async def uploads_of(headers: Headers, body: bytes, most_files: int) -> list[Upload]:
    """The files of a form, or the one that the body is. Raises a one-line `ValueError` for a form that is none."""
    if headers.get("content-type", "").partition(";")[0].strip().lower() != MULTIPART:
        return [Upload(BODY, body)]
    try:
        form = await _InMemory(headers, _once(body), max_files=most_files, max_fields=most_files).parse()
    except (MultiPartException, FormParserError, KeyError, ValueError) as error:
        text = " ".join(str(getattr(error, "message", error)).split())
        raise ValueError(f"the form cannot be read: {text}") from error
    found = [
        Upload(one.filename or f"{name} {index}", await one.read())
        for index, (name, one) in enumerate(form.multi_items(), 1)
        if isinstance(one, UploadFile)
    ]
    await form.close()
    if not found:
        raise ValueError("the form has no files; send images as files, as in curl -F image=@photo.jpg")
    return found


class _InMemory(MultiPartParser):
    """Files stay in memory, of which the whole body has taken its share already."""

    spool_max_size = MOST_BYTES


async def _once(body: bytes) -> AsyncGenerator[bytes, None]:
    yield body
