"""Answers for image files: a stream of labels with probabilities, and of files that cannot be read."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from budgetnet.arguments import RUN, integer, path, wrong
from budgetnet.learn.data import decode, prepare
from budgetnet.learn.data.folder import IMAGE_SUFFIXES
from budgetnet.learn.run import Loaded, check_device, load_run


@dataclass(frozen=True, slots=True)
class Prediction:
    """The most probable class of a file, and the `top` (class, probability) pairs, best first."""

    path: str
    label: str
    probability: float
    top: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A file without an answer, and why in one line."""

    path: str
    reason: str


def predict(
    run: str | Path | Loaded,
    paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    batch: int = 32,
    top: int = 1,
    device: str = "cpu",
) -> Iterator[Prediction | Unreadable]:
    """Answer files, folders (all images below them) and globs (** goes into folders), in their order.

    Images are decoded and preprocessed as in the run's own evaluation, `batch` at a time, so that
    any number of them takes the same memory. A file that cannot be read gives an `Unreadable` and
    the rest goes on. Raises a one-line `ValueError`, at once, for no run or where no path is a file.
    """
    run = run if isinstance(run, Loaded) else path("run", run, RUN)
    batch, top = integer("batch", batch), integer("top", top)
    asked = [paths] if isinstance(paths, str | os.PathLike) else paths
    if isinstance(asked, bytes | dict) or not isinstance(asked, Iterable):
        raise wrong("paths", paths, "paths of images, folders or globs", of_type=True)
    if isinstance(asked, list | tuple):  # else they come one by one
        asked = [path("one of the paths", one) for one in asked]
    check_device(device)
    loaded = run if isinstance(run, Loaded) else load_run(run)
    files = found_files(asked)
    nowhere: list[Unreadable] = []
    for file in files:
        if not isinstance(file, Unreadable):
            break
        nowhere.append(file)
    else:
        where = ", ".join(one.path for one in nowhere[:3]) or "no path"
        raise ValueError(f"there is no image at {where}; give image files, folders or globs")
    return _answers(loaded, chain(nowhere, [file], files), batch, top, device)


def found_files(asked: Iterable[str | os.PathLike[str]]) -> Iterator[str | Unreadable]:
    """The files of each path as they are found; what leads nowhere as `Unreadable`."""
    for name in (path("one of the paths", one) for one in asked):
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


def _matching(pattern: str) -> Iterator[str]:
    """Files that a glob matches, and the images in folders that it matches."""
    for match in sorted(glob.iglob(pattern, recursive=True)):
        if not os.path.isdir(match):
            yield match
        elif "**" not in pattern:  # with ** the glob goes into folders itself
            yield from _below(match)


def _below(folder: str) -> Iterator[str]:
    """Images in a folder and the folders inside it, sorted; hidden ones are passed over."""
    for here, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name != "__MACOSX")
        for name in sorted(files):
            if not name.startswith(".") and os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES:
                yield os.path.join(here, name)


def _answers(
    loaded: Loaded, files: Iterator[str | Unreadable], batch: int, top: int, device: str
) -> Iterator[Prediction | Unreadable]:
    loaded.model.to(device).eval()
    channels, side_px = loaded.network.in_channels, loaded.side_px

    def read(file: str | Unreadable) -> NDArray[np.uint8] | Unreadable:
        if isinstance(file, Unreadable):
            return file
        try:
            return decode(file, channels, side_px)
        except ValueError as error:
            return Unreadable(file, str(error).removeprefix(f"{file}: "))

    with ThreadPoolExecutor() as threads:
        while part := list(islice(files, batch)):
            pixels = list(threads.map(read, part))
            good = [array for array in pixels if not isinstance(array, Unreadable)]
            shares = iter(_probabilities(loaded, good, device) if good else [])
            for file, array in zip(part, pixels, strict=True):
                if isinstance(array, Unreadable):
                    yield array
                else:
                    yield _prediction(str(file), next(shares), loaded.classes, top)


@torch.inference_mode()
def _probabilities(loaded: Loaded, arrays: list[NDArray[np.uint8]], device: str) -> NDArray[np.float32]:
    inputs = prepare(arrays, loaded.network.resolution_px, loaded.preprocessing, device)
    return loaded.model(inputs).float().softmax(1).cpu().numpy()


def _prediction(path: str, shares: NDArray[np.float32], classes: tuple[str, ...], top: int) -> Prediction:
    best = np.argsort(-shares, kind="stable")[:top].tolist()
    pairs = tuple((classes[index], float(shares[index])) for index in best)
    return Prediction(path, *pairs[0], pairs)
