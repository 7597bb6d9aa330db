"""Reads an exported folder of C++ and answers as its firmware does: the model is taken out of the source again."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from budgetnet.model.exported_names import NOTES
from budgetnet.reading import file_content, read_json_file
from budgetnet.ship.c.micro import MicroModel
from budgetnet.ship.c.seal import ARENA, check_folder, is_under_seal
from budgetnet.ship.c.source import array_bytes
from budgetnet.ship.exported import NumberType
from budgetnet.ship.notes import Notes

MODEL, SETTINGS = "src/model.cc", "src/model_settings.h"
MOST_SOURCE_BYTES, MOST_NOTES_BYTES, MOST_SETTINGS_BYTES = 1 << 28, 64 << 20, 1 << 20
LEAST_ARENA_BYTES, MOST_ARENA_BYTES = 1 << 10, 1 << 30
"""TensorFlow Lite Micro ends the process, in place of an error, where it has less; no microcontroller has more."""


@dataclass(frozen=True, slots=True, eq=False)
class CRunner:
    """The network of a folder."""

    notes: Notes
    model: MicroModel

    @property
    def dtype(self) -> NumberType:
        """The number type of all folders."""
        return "int8"

    def logits(self, images: Iterable[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """The logits of images (h, w, c) in pixels of 0 to 255: (n, classes)."""
        return self.model.logits(images)


def opened(path: Path, reference: bool = False) -> CRunner:
    """A folder that `export` wrote. Raises a one-line `ValueError` for another, and for one that was changed.

    The arena may have been edited. `reference`: the network is run in it by TensorFlow Lite Micro, where it is
    installed, else by LiteRT's reference kernels.
    """
    row = read_json_file(path / NOTES, MOST_NOTES_BYTES)
    source, settings = path / MODEL, path / SETTINGS
    content = array_bytes(str(source), _text(source), "kModel")
    told = _text(settings, MOST_SETTINGS_BYTES)
    arena_bytes = int(_found(ARENA, told, settings, "BUDGETNET_ARENA_BYTES"))
    if not LEAST_ARENA_BYTES <= arena_bytes <= MOST_ARENA_BYTES:
        raise ValueError(
            f"{settings}: BUDGETNET_ARENA_BYTES is {arena_bytes:,}; it must be {LEAST_ARENA_BYTES:,} to "
            f"{MOST_ARENA_BYTES:,}"
        )
    check_folder(str(path), _files_of(path))
    notes = Notes.from_dict(row)
    return CRunner(notes, MicroModel.of(str(source), content, notes, arena_bytes, reference))


def _files_of(path: Path) -> dict[str, bytes]:
    """The files that are under the seal."""
    names = (one.relative_to(path).as_posix() for one in path.rglob("*") if one.is_file())
    return {name: file_content(path / name, MOST_SOURCE_BYTES) for name in names if is_under_seal(name)}


def _text(path: Path, most_bytes: int = MOST_SOURCE_BYTES) -> str:
    return file_content(path, most_bytes).decode("utf-8", "replace")


def _found(pattern: re.Pattern[str], text: str, path: Path, name: str) -> str:
    found = pattern.search(text)
    if found is None:
        raise ValueError(f"{path} does not define {name} as budgetnet writes it")
    return found[1]
