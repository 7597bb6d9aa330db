"""The files of a run's folder, written so that a kill at any moment leaves whole ones, and what it learned."""

from __future__ import annotations

import contextlib
import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from budgetnet.atomic_write import written_aside
from budgetnet.codec import DamagedError
from budgetnet.data import Preprocessing, needed_side_px
from budgetnet.data.held_out import FEWEST_VALIDATION
from budgetnet.model.build import Model
from budgetnet.model.class_names import read_class_names
from budgetnet.model.probabilities import class_probabilities
from budgetnet.model.trust import Promise, Trust
from budgetnet.model.weights import load_model
from budgetnet.networks import Network, choose
from budgetnet.reading import named_json, read_json_file

INITIAL = "initial"
"""A run's folder has a folder of this name while it trains, where its networks begin from pretrained weights: it holds
those, and is written before plan.json."""
SIDE_NOTE = "side_px"
"""The note of this name in a weights file is the short side that images were decoded to, so that later answers see the
same pixels."""


@dataclass(frozen=True, slots=True, eq=False)
class Loaded:
    """A trained model, in evaluation mode, and all that answering with it needs.

    Attributes:
        model: The model.
        network: Its description.
        classes: Names of the classes, in the order of the logits.
        preprocessing: How pixels become inputs.
        side_px: Images are decoded with their short side scaled down to this, before the preprocessing.
        notes: What else the file says.
        temperature: What the logits are divided by before they become probabilities.
        trust: When not to believe its answers; None where that is not known.
    """

    model: Model
    network: Network
    classes: tuple[str, ...]
    preprocessing: Preprocessing
    side_px: int
    notes: Mapping[str, str]
    temperature: float = 1.0
    trust: Trust | None = None

    def promise(self, max_error: float) -> Promise:
        """What is promised of a share of errors.

        Args:
            max_error: The largest share of wrong answers.

        Returns:
            Which answers count, so that at most this share of them is wrong, with 95 % confidence.

        Raises:
            ValueError: It is not known which answers are wrong, or such a share cannot be promised.
        """
        if self.trust is None:
            raise ValueError(
                "no share of errors can be promised: these weights say nothing of answers to images that stayed out of "
                f"their training; train, or solve with {FEWEST_VALIDATION} validation images or more, keeps that"
            )
        return self.trust.promise(max_error)

    def answer(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Logits and probabilities. Classes are ranked by the logits: a temperature may round two to one number.

        Args:
            inputs: Preprocessed images, (n, channels, height, width).

        Returns:
            Logits and probabilities, each float32 (n, classes).
        """
        logits = self.model(inputs).float()
        return logits, class_probabilities(logits, self.temperature)


def load_run(
    path: str | Path, network: Network | None = None, class_names: str | Path | Sequence[str] | None = None
) -> Loaded:
    """The trained model of a run's folder, or of weights alone, ours or another library's (`load_model`).

    `network` and `class_names` (`read_class_names`) are given for weights that do not say them. Raises a one-line
    `ValueError` for an unfinished run, for weights that do not fit or have no classifier, and for such as take images
    of other than 1 or 3 channels.
    """
    names = None if class_names is None else read_class_names(class_names)
    weights = load_model(path, network, names)
    if weights.headless:
        raise ValueError(
            f"{path} has no classifier and answers nothing; train from it: --weights or --pretrained {path}"
        )
    if weights.network.in_channels not in (1, 3):
        channels = weights.network.in_channels
        raise ValueError(
            f"{path} takes images of {channels} channels, and images are read in 1 or 3; it can be trained from, "
            f"--weights or --pretrained {path}"
        )
    preprocessing = _preprocessing(weights.preprocessing, path)
    if len(preprocessing.mean) != weights.network.in_channels:
        raise ValueError(f"the metadata of {path} is damaged: its preprocessing has {len(preprocessing.mean)} channels")
    note = weights.notes.get(SIDE_NOTE, "")
    side_px = int(note) if note.isdigit() else needed_side_px(weights.network.resolution_px, preprocessing)
    return Loaded(
        weights.model,
        weights.network,
        weights.classes,
        preprocessing,
        side_px,
        weights.notes,
        weights.temperature,
        weights.trust,
    )


def _preprocessing(row: Mapping[str, Any], path: str | Path) -> Preprocessing:
    if unknown := sorted(set(row) - {field.name for field in fields(Preprocessing)}):
        raise ValueError(f"the preprocessing in {path} has unknown keys: {', '.join(unknown)}")
    try:
        return Preprocessing(**row)
    except (TypeError, ValueError) as error:
        raise ValueError(f"the preprocessing in {path} is damaged: {error}") from error


def check_device(device: str) -> None:
    """Raise a one-line `ValueError` for a device that is unknown or not in this machine."""
    choose("device", device, ("cpu", "cuda", "mps"))
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not there[device]:
        raise ValueError(f"device is {device!r}, but torch finds none on this machine; choose cpu")


def write_json(path: str | Path, value: object) -> None:
    """Write a JSON file, aside, synced and renamed. Raises `ValueError` for NaN and infinities."""
    text = json.dumps(value, indent=2, allow_nan=False)
    with written_aside(Path(path)) as aside:
        aside.write_text(text + "\n", encoding="utf-8")


class DamagedFileError(ValueError):
    """A missing or damaged file of a run, in one line that also says what to do."""


@contextlib.contextmanager
def reading(path: str | Path, instead: str = "begin again with --fresh") -> Iterator[None]:
    """Work in here fails by a missing or damaged file of a run with a one-line `ValueError`: which, and what to do.

    Of a file that is read on the way, that one is named.
    """
    try:
        yield
    except DamagedFileError:
        raise
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        what = str(error) if isinstance(error, ValueError) else f"{error!r} is wrong in it"
        what = error.what if isinstance(error, DamagedError) else what
        named = what if str(path) in what else f"{path} is damaged: {what}"
        raise DamagedFileError(f"{named}; put the file back, or {instead}") from error


@contextlib.contextmanager
def reading_rows(path: Path) -> Iterator[dict[str, NDArray[Any]]]:
    """The arrays of an .npz file of a run, by their names. Where it cannot be read, and where work in here fails by a
    missing or wrong array, that is a one-line `ValueError`, as `reading` has it."""
    with reading(path):
        yield _rows(path)


def _rows(path: Path) -> dict[str, NDArray[Any]]:
    try:
        with path.open("rb") as file, np.load(file) as rows:
            return dict(rows)
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror or error}") from error
    except Exception as error:  # zipfile, zlib and numpy each have errors of their own for bytes that are not theirs
        raise ValueError("it is not a whole .npz file of numbers") from error


def read_json(path: str | Path) -> Any:
    """The value of a JSON file. Raises a one-line `ValueError` for what `read_json_file` refuses."""
    return read_json_file(Path(path))


def append_event(path: str | Path, event: Mapping[str, object]) -> None:
    """Add one line of JSON; a last line that a kill cut short is dropped first.

    Several processes may write to one file. Numbers that are none (a loss that ran away) become null.
    """
    line = json.dumps({name: _finite(value) for name, value in event.items()}, allow_nan=False) + "\n"
    with open(path, "a+b", buffering=0) as file, _alone(file):
        _drop_torn_line(file)
        rest = memoryview(line.encode())
        try:
            while rest:  # of a line that a full disk cuts, the second part is refused
                rest = rest[file.write(rest) :]
        except OSError as error:  # it names no file
            raise OSError(error.errno, error.strerror, str(path)) from error


def read_events(path: str | Path) -> tuple[dict[str, Any], ...]:
    """The events of a file in order, without a last line that was cut short; none where there is no file.

    Raises a one-line `ValueError` for a line that is not a JSON object.
    """
    try:
        *lines, _ = Path(path).read_bytes().split(b"\n")
    except FileNotFoundError:
        return ()
    events: list[dict[str, Any]] = []
    for number, line in enumerate(lines, start=1):
        event = named_json(f"line {number} of {path}", line)
        if not isinstance(event, dict):
            raise ValueError(f"line {number} of {path} is not a JSON object")
        events.append(event)
    return tuple(events)


def _finite(value: object) -> object:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _drop_torn_line(file: IO[bytes]) -> None:
    """Cut the file behind its last line end."""
    end = file.seek(0, os.SEEK_END)
    if end == 0:
        return
    file.seek(end - 1)
    if file.read(1) == b"\n":
        return
    file.seek(0)
    file.truncate(file.read().rfind(b"\n") + 1)


@contextlib.contextmanager
def _alone(file: IO[bytes]) -> Iterator[None]:
    """Hold the lock of an open file; closing it, or its holder's death, frees it."""
    try:
        import fcntl
    except ImportError:  # Windows: one writer
        yield
        return
    with contextlib.suppress(OSError):  # a file system without locks: one writer
        fcntl.flock(file, fcntl.LOCK_EX)
    yield
