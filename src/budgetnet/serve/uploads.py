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
    """An image at the network's size, (1, height, width, channels), and what of it is unlike the training images."""

    images: NDArray[np.uint8]
    note: str | None


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


def decoded(upload: Upload, model: Served, most_pixels: int) -> Decoded:
    """A file as `predict` reads it. Raises a one-line `ValueError` for what is no image, broken or too large."""
    answerer = model.answerer
    preprocessing, network = answerer.preprocessing, answerer.network
    try:
        pixels, note = decode_noted(
            upload.content, network.in_channels, answerer.side_px, preprocessing.value_range, most_pixels
        )
    except ValueError as error:
        raise ValueError(str(error).removeprefix("the image: ")) from error
    return Decoded(network_pixels([pixels], network.resolution_px, preprocessing), note)


def answered(
    upload: Upload,
    image: Decoded,
    logits: NDArray[np.float32],
    shares: NDArray[np.float32],
    model: Served,
    given: Asked,
) -> Prediction:
    """The answer to a file of logits and probabilities (1, classes)."""
    return prediction(upload.name, logits[0], shares[0], model.answerer, given.top, image.note, given.promise)


def answer_of(model: Served, rows: Sequence[Prediction | Unreadable]) -> dict[str, Any]:
    """What a client reads: as `predict --json`, and which model it was."""
    return {
        "model_name": model.source.name,
        "model_version": model.source.version,
        "predictions": [to_plain(one) for one in rows if isinstance(one, Prediction)],
        "unreadable": [to_plain(one) for one in rows if isinstance(one, Unreadable)],
    }
