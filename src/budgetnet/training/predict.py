"""Answers for image files: a stream of labels with probabilities, and of files that cannot be read."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from budgetnet.arguments import RUN, integer, path, wrong
from budgetnet.data import prepare
from budgetnet.data.decode import decode_noted
from budgetnet.data.walk import matching, walk
from budgetnet.model.trust import Promise, Trust, error_share
from budgetnet.networks import Network, network_of
from budgetnet.runs.run import Loaded, check_device, load_run


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


def predict(
    run: str | Path | Loaded,
    paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    batch: int = 32,
    top: int = 1,
    device: str = "cpu",
    network: Network | None = None,
    class_names: str | Path | Sequence[str] | None = None,
    max_error: float | None = None,
) -> Iterator[Prediction | Unreadable]:
    """Answer image files with a trained model, in the order in which they are given.

    Images are decoded and preprocessed as the weights need it, `batch` at a time, so that any number of them takes the
    same memory. The answers come one by one.

    Args:
        run: A run's folder, a source of weights as `load_weights` takes it, or a model that was loaded before.
        paths: Files, folders (all images below them, links followed, each folder once) and globs (** goes into
            folders); one or several.
        batch: How many images are read and computed together.
        top: How many classes each answer has.
        device: "cpu", "cuda" or "mps".
        network: The network of weights that do not say it.
        class_names: The classes of weights that do not say them, in the order of the answers: names, or a file.
        max_error: The share of wrong answers that is accepted, such as 0.02. Answers that are not sure enough for it
            are marked (`answered`); of the others at most this share is wrong, with 95 % confidence (docs/trust.md).

    Returns:
        An iterator over answers. A file or folder that cannot be read gives an `Unreadable`, and the rest goes on.

    Raises:
        ValueError: The run cannot be read, its held-out images are too few to promise such a share of errors, or no
            path leads to a file; all are raised at once. Also, while answers are taken, where the model's outputs are
            not numbers.
        TypeError: An argument has another type.

    Example:
        >>> import budgetnet
        >>> from budgetnet.model.weights import save_weights
        >>> from PIL import Image
        >>> net = budgetnet.network("mobilenet_v3_small", classes=2, resolution_px=32)
        >>> pixels = {"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]}
        >>> save_weights("cats.safetensors", budgetnet.build(net, seed=0), ["cat", "dog"], pixels)
        >>> Image.new("RGB", (40, 40)).save("black.png")
        >>> [answer.path for answer in budgetnet.predict("cats.safetensors", "black.png")]
        ['black.png']
    """
    run = run if isinstance(run, Loaded) else path("run", run, RUN)
    batch, top = integer("batch", batch), integer("top", top)
    given = [paths] if isinstance(paths, str | os.PathLike) else paths
    if isinstance(given, bytes | dict) or not isinstance(given, Iterable):
        raise wrong("paths", paths, "paths of images, folders or globs", of_type=True)
    if isinstance(given, list | tuple):  # else they come one by one
        given = [path("one of the paths", one) for one in given]
    check_device(device)
    network = None if network is None else network_of("network", network)
    if max_error is not None:
        max_error = error_share(max_error)
    loaded = run if isinstance(run, Loaded) else load_run(run, network, class_names)
    promise = None if max_error is None else loaded.promise(max_error)
    files = found_files(given)
    nowhere: list[Unreadable] = []
    for file in files:
        if not isinstance(file, Unreadable):
            break
        nowhere.append(file)
    else:
        where = ", ".join(f"{one.path} ({one.reason})" for one in nowhere[:3]) or "no path"
        raise ValueError(f"there is no image at {where}; give image files, folders or globs")
    return _answers(loaded, chain(nowhere, [file], files), batch, top, device, promise)


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


def _answers(
    loaded: Loaded,
    files: Iterator[str | Unreadable],
    batch: int,
    top: int,
    device: str,
    promise: Promise | None,
) -> Iterator[Prediction | Unreadable]:
    loaded.model.to(device).eval()
    channels, side_px, value_range = loaded.network.in_channels, loaded.side_px, loaded.preprocessing.value_range

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
            answers = iter(_logits_and_probabilities(loaded, good, device) if good else ())
            for file, one in zip(part, found, strict=True):
                if isinstance(one, Unreadable):
                    yield one
                else:
                    logits, shares = next(answers)
                    found = _prediction(str(file), logits, shares, loaded.classes, top, one[1])
                    yield _judged(found, logits, shares, loaded.trust, promise)


@torch.inference_mode()
def _logits_and_probabilities(
    loaded: Loaded, arrays: list[NDArray[np.uint8]], device: str
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Logits and probabilities of each image, (classes,) each."""
    inputs = prepare(arrays, loaded.network.resolution_px, loaded.preprocessing, device)
    logits, shares = (rows.cpu().numpy() for rows in loaded.answer(inputs))
    if not np.isfinite(shares).all():
        raise ValueError("the model answers with values that are not numbers; its weights are too large or damaged")
    return zip(logits, shares, strict=True)


def _judged(
    found: Prediction,
    logits: NDArray[np.float32],
    shares: NDArray[np.float32],
    trust: Trust | None,
    promise: Promise | None,
) -> Prediction:
    """The prediction, with whether it is to be believed."""
    known = None if trust is None or trust.familiar is None else trust
    return dataclasses.replace(
        found,
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
