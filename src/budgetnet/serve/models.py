"""What is served: exported files by name and version, opened for each computing thread; runs become files first.

A server loads no torch. The file of a run is made by a process of its own, whose memory goes with it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from budgetnet.codec import to_plain
from budgetnet.serve.protocol import NUMBERS, PIXELS, VARIABLE, Signature, Tensor
from budgetnet.ship.answering import answerer_by
from budgetnet.ship.exported import NumberType
from budgetnet.ship.formats import ROWS, format_of, opener
from budgetnet.ship.notes import Notes
from budgetnet.training.answerer import Answerer

NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,127}", re.ASCII)
FIRST_VERSION = "1"
PLATFORMS = {"onnx": "onnx_onnxv1"}
"""The protocol has these names of formats; others are called as they are here."""


@dataclass(frozen=True, slots=True)
class Source:
    """A file, a run or weights, and what it is called in addresses."""

    name: str
    version: str
    path: str


def source_of(text: str) -> Source:
    """PATH, NAME=PATH or NAME@VERSION=PATH. Without a name that of the file, without its ending.

    Raises a one-line `ValueError` for a name that cannot stand in an address.

    >>> source_of("cats@2=runs/cats-1a2b3c4d/model.onnx")
    Source(name='cats', version='2', path='runs/cats-1a2b3c4d/model.onnx')
    >>> source_of("runs/cats-1a2b3c4d").name
    'cats-1a2b3c4d'
    """
    label, equals, path = text.partition("=")
    if not equals or Path(text).exists():
        label, path = Path(text).stem if Path(text).is_file() else Path(text).name, text
    name, at, version = label.partition("@")
    for what in (name, *([version] if at else [])):
        if not NAME.fullmatch(what):
            raise ValueError(
                f"{what!r} cannot stand in an address; name the model by letters, digits, '.', '_' and '-', as "
                f"name={path or text}"
            )
    if not path:
        raise ValueError(f"{text!r} names no file; write {name}=PATH")
    return Source(name, version if at else FIRST_VERSION, path)


def sources_of(texts: Sequence[str]) -> tuple[Source, ...]:
    """All that is served. Raises a one-line `ValueError` for two of one name and version."""
    found = tuple(map(source_of, texts))
    for index, one in enumerate(found):
        for other in found[:index]:
            if (one.name, one.version) == (other.name, other.version):
                raise ValueError(
                    f"{other.path} and {one.path} are both called {one.name}; give names, as {one.name}-2={one.path}, "
                    f"or versions, as {one.name}@2={one.path}"
                )
    return found


@dataclass(frozen=True, slots=True, eq=False)
class Served:
    """A model that is served.

    Attributes:
        source: What it is called, and where it lies.
        platform: The protocol's name of its format.
        dtype: The number type of its weights.
        notes: What its file says of itself.
        answerers: One for each computing thread.
        properties: What the protocol's metadata says of it, as text.
    """

    source: Source
    platform: str
    dtype: NumberType
    notes: Notes
    answerers: tuple[Answerer, ...]
    properties: Mapping[str, str]

    @property
    def key(self) -> str:
        """What it is called where name and version are one word."""
        return f"{self.source.name}@{self.source.version}"

    @property
    def answerer(self) -> Answerer:
        """One of them, for what all have in common."""
        return self.answerers[0]

    @property
    def signature(self) -> Signature:
        """What it takes and gives. Of a file that gives probabilities there are no logits."""
        network = self.notes.network
        image = Tensor("image", PIXELS, (VARIABLE, *network.resolution_px, network.in_channels))
        names = ("probabilities",) if self.notes.softmax else ("logits", "probabilities")
        return Signature(image, tuple(Tensor(name, NUMBERS, (VARIABLE, network.classes)) for name in names))

    def compute(self, thread: int, images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Logits and probabilities of pixels of the network's size."""
        return self.answerers[thread].answer(images)


def opened(source: Source, threads: int, folder: Path) -> Served:
    """A model, ready to answer on so many threads; the file of a run is left in the folder.

    Raises a one-line `ValueError` for what cannot be read, and where a package is missing.
    """
    path = Path(source.path)
    to = format_of(path)
    if to is None:
        path, to = _file_of(source, folder), "onnx"
    row, opened_file = ROWS[to], opener(to)
    runners = [opened_file(path, True) for _ in range(1 if row.shared else threads)]
    answerers = [answerer_by(runner) for runner in runners]
    runner = runners[0]
    return Served(
        source=source,
        platform=PLATFORMS.get(to, f"budgetnet_{to}"),
        dtype=runner.dtype,
        notes=runner.notes,
        answerers=tuple(answerers * threads if row.shared else answerers),
        properties=_properties(runner.notes, runner.dtype),
    )


def _properties(notes: Notes, dtype: NumberType) -> dict[str, str]:
    found = {
        "classes": json.dumps(notes.classes),
        "temperature": repr(notes.temperature),
        "preprocessing": json.dumps(to_plain(notes.preprocessing)),
        "network": notes.network.name,
        "dtype": dtype,
        "weights_sha256": notes.weights_sha256,
    }
    if notes.certificate is not None:
        found["certificate"] = json.dumps(to_plain(notes.certificate))
    if notes.trust is None:
        return found
    familiar = {} if notes.trust.familiar is None else {"familiar": repr(notes.trust.familiar)}
    return {**found, **familiar, "promises": json.dumps([to_plain(one) for one in notes.trust.promises()])}


def _file_of(source: Source, folder: Path) -> Path:
    """The .onnx file in float32 of a run or of weights."""
    from budgetnet.parallel.workers import Workers
    from budgetnet.serve.making import write_file

    if not Path(source.path).exists() and Path(source.path).suffix:
        raise ValueError(f"there is no file {source.path}; give a file that export wrote, a run's folder or weights")
    ROWS["onnx"].check_installed("float32")
    target = folder / f"{source.name}@{source.version}.onnx"
    with Workers(write_file, 1) as worker:
        worker.run([(source.path, str(target))])
    return target
