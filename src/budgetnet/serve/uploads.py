"""Image files that are sent, decoded and answered as `predict` answers files."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from budgetnet.amounts import share
from budgetnet.arguments import shown
from budgetnet.codec import to_plain
from budgetnet.data.decode import decode_noted
from budgetnet.data.fitting import network_pixels
from budgetnet.model.trust import Promise, error_share
from budgetnet.serve.models import Served
from budgetnet.training.predict import Prediction, Unreadable, prediction

BODY = "body"
"""A file that is the whole body of a request has this in place of a path."""
QUERY = ("max_error", "top")


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that was sent, and what its client calls it."""

    name: str
    content: bytes


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """The images of a request at the network's size, (n, height, width, channels).

    Attributes:
        images: Those that can be read.
        notes: Of each file what is unlike the training images, or why it cannot be read.
    """

    images: NDArray[np.uint8]
    notes: tuple[str | Unreadable | None, ...]


@dataclass(frozen=True, slots=True)
class Asked:
    """How many classes an answer has, and which answers are sure enough."""

    top: int = 1
    promise: Promise | None = None


def asked(query: Mapping[str, str], model: Served) -> Asked:
    """What an address asks for: ?top=3&max_error=2%. Raises a one-line `ValueError` for what it cannot."""
    if unknown := sorted(query.keys() - set(QUERY)):
        raise ValueError(f"the address asks for {shown(unknown[0])}; it may ask for {' and '.join(QUERY)}")
    top, classes = query.get("top", "1"), len(model.answerer.classes)
    if not re.fullmatch(r"[1-9][0-9]{0,6}", top):
        raise ValueError(f"top is {shown(top)}; it must be a whole number from 1 on")
    if "max_error" not in query:
        return Asked(min(int(top), classes))
    return Asked(min(int(top), classes), model.answerer.promise(error_share(share(query["max_error"]))))


def decoded(uploads: Sequence[Upload], model: Served, most_pixels: int) -> Decoded:
    """Files as `predict` reads them. Raises a one-line `ValueError` where none of them can be read."""
    answerer = model.answerer
    preprocessing, network = answerer.preprocessing, answerer.network
    good: list[NDArray[np.uint8]] = []
    notes: list[str | Unreadable | None] = []
    for one in uploads:
        try:
            pixels, note = decode_noted(
                one.content, network.in_channels, answerer.side_px, preprocessing.value_range, most_pixels
            )
        except ValueError as error:
            notes.append(Unreadable(one.name, str(error).removeprefix("the image: ")))
        else:
            good.append(network_pixels([pixels], network.resolution_px, preprocessing)[0])
            notes.append(note)
    if not good:
        bad = [one for one in notes if isinstance(one, Unreadable)]
        raise ValueError("; ".join(f"{one.path}: {one.reason}" for one in bad[:3]))
    return Decoded(np.stack(good), tuple(notes))


def answered(
    uploads: Sequence[Upload],
    image: Decoded,
    logits: NDArray[np.float32],
    shares: NDArray[np.float32],
    model: Served,
    given: Asked,
) -> list[Prediction | Unreadable]:
    """The answer to each file, of logits and probabilities (n, classes) of those that can be read."""
    answers = iter(zip(logits, shares, strict=True))
    return [
        note
        if isinstance(note, Unreadable)
        else prediction(upload.name, *next(answers), model.answerer, given.top, note, given.promise)
        for upload, note in zip(uploads, image.notes, strict=True)
    ]


def answer_of(model: Served, rows: Sequence[Prediction | Unreadable]) -> dict[str, Any]:
    """What a client reads: as `predict --json`, and which model it was."""
    return {
        "model_name": model.source.name,
        "model_version": model.source.version,
        "predictions": [to_plain(one) for one in rows if isinstance(one, Prediction)],
        "unreadable": [to_plain(one) for one in rows if isinstance(one, Unreadable)],
    }
