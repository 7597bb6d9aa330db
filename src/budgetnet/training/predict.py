"""Answers for image files: a stream of labels with probabilities, and of files that cannot be read."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain, islice

import numpy as np
from numpy.typing import NDArray

from budgetnet.arguments import path
from budgetnet.data.decode import decode_noted
from budgetnet.data.walk import matching, walk
from budgetnet.model.trust import Promise, Trust
from budgetnet.training.answerer import Answerer

NO_NUMBERS = "the model answers with values that are not numbers; its weights are too large or damaged"


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a model answers to one image.

    Attributes:
        path: The file.
        label: The most probable class.
        probability: Its probability.
        top: The most probable classes as (class, probability), best first.
        note: What of the file is unlike the training images, in a line, so that the answer may mean nothing; None where
            there is nothing to say.
        none_of_these: Whether the image looks like none of the classes (docs/trust.md); None where the weights do not
            say what their own images look like.
        answered: With `max_error`, whether the answer is sure enough to count; else None.
    """

    path: str
    label: str
    probability: float
    top: tuple[tuple[str, float], ...]
    note: str | None = None
    none_of_these: bool | None = None
    answered: bool | None = None


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A file without an answer.

    Attributes:
        path: The file or folder.
        reason: Why, in one line.
    """

    path: str
    reason: str


def image_files(paths: Iterable[str | os.PathLike[str]]) -> Iterator[str | Unreadable]:
    """As `found_files`. Raises a one-line `ValueError` at once where no path leads to a file."""
    files = found_files(paths)
    nowhere: list[Unreadable] = []
    for file in files:
        if not isinstance(file, Unreadable):
            return chain(nowhere, [file], files)
        nowhere.append(file)
    where = ", ".join(f"{one.path} ({one.reason})" for one in nowhere[:3]) or "no path"
    raise ValueError(f"there is no image at {where}; give image files, folders or globs")


def found_files(paths: Iterable[str | os.PathLike[str]]) -> Iterator[str | Unreadable]:
    """The files of each path as they are found; what leads nowhere or cannot be read as `Unreadable`."""
    for name in (path("one of the paths", one) for one in paths):
        if os.path.lexists(name) and not os.path.isdir(name):
            yield name
            continue
        matches = _below(name) if os.path.isdir(name) else _matching(name)
        first = next(matches, None)
        if first is not None:
            yield first
            yield from matches
        else:
            yield Unreadable(name, "it holds no images" if os.path.isdir(name) else "there is no such file")


def _matching(pattern: str) -> Iterator[str | Unreadable]:
    """Files that a glob matches, and the images in folders that it matches."""
    for entry in matching(pattern):
        if entry.problem is not None:
            yield Unreadable(entry.path, entry.problem)
        elif not os.path.isdir(entry.path):
            yield entry.path
        elif "**" not in pattern:  # with ** the glob goes into folders itself
            yield from _below(entry.path)


def _below(folder: str) -> Iterator[str | Unreadable]:
    """Images in a folder and the folders inside it, sorted; hidden ones are passed over."""
    for entry in walk(folder):
        if entry.status is not None:
            yield entry.path
        elif entry.problem is not None:
            yield Unreadable(entry.path, entry.problem)


def predictions(
    answerer: Answerer, files: Iterator[str | Unreadable], batch: int, top: int, promise: Promise | None = None
) -> Iterator[Prediction | Unreadable]:
    """What it answers to each file, one after another; `batch` of them are read and computed together.

    `promise` says which answers are sure enough.

    Raises a one-line `ValueError`, while answers are taken, for answers that are not numbers.
    """
    channels, side_px = answerer.network.in_channels, answerer.side_px
    value_range = answerer.preprocessing.value_range

    def read(file: str | Unreadable) -> tuple[NDArray[np.uint8], str | None] | Unreadable:
        if isinstance(file, Unreadable):
            return file
        try:
            return decode_noted(file, channels, side_px, value_range)
        except ValueError as error:
            return Unreadable(file, str(error).removeprefix(f"{file}: "))

    with ThreadPoolExecutor() as threads:
        while part := list(islice(files, batch)):
            found = list(threads.map(read, part))
            good = [one[0] for one in found if not isinstance(one, Unreadable)]
            answers = iter(zip(*answerer.answers(good), strict=True) if good else ())
            for file, one in zip(part, found, strict=True):
                if isinstance(one, Unreadable):
                    yield one
                else:
                    yield prediction(str(file), *next(answers), answerer, top, one[1], promise)


def prediction(
    path: str,
    logits: NDArray[np.float32],
    shares: NDArray[np.float32],
    answerer: Answerer,
    top: int,
    note: str | None = None,
    promise: Promise | None = None,
) -> Prediction:
    """The answer to an image of logits and probabilities (classes,). Raises a one-line `ValueError` for such as are not
    numbers."""
    if not np.isfinite(shares).all():
        raise ValueError(NO_NUMBERS)
    answer = _prediction(path, logits, shares, answerer.classes, top, note)
    return _judged(answer, logits, shares, answerer.trust, promise)


def _judged(
    answer: Prediction,
    logits: NDArray[np.float32],
    shares: NDArray[np.float32],
    trust: Trust | None,
    promise: Promise | None,
) -> Prediction:
    """The answer, with whether it is to be believed."""
    known = None if trust is None or trust.familiar is None else trust
    return dataclasses.replace(
        answer,
        none_of_these=None if known is None else bool(known.strangers(logits[None])[0]),
        answered=None if promise is None else bool(promise.answers(shares.max())),
    )


def _prediction(
    path: str,
    logits: NDArray[np.float32],
    shares: NDArray[np.float32],
    classes: tuple[str, ...],
    top: int,
    note: str | None,
) -> Prediction:
    best = np.argsort(-logits, kind="stable")[:top].tolist()
    pairs = tuple((classes[index], float(shares[index])) for index in best)
    return Prediction(path, *pairs[0], pairs, note)
