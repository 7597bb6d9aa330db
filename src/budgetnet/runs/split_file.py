"""split.json: which file is in which split, what was left out, and what the final training learned from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from budgetnet.codec import from_plain, to_plain
from budgetnet.data import ImageSet
from budgetnet.data.images import SPLITS
from budgetnet.reading import read_json_file
from budgetnet.runs.files import reading, write_json

FILE = "split.json"


@dataclass(frozen=True, slots=True)
class SplitFile:
    """Files by their splits; `learned` names the splits that the final training learned from, but for the `held_out`
    files. `unreadable` has (file, reason), `duplicates` (file left out, the one that it equals)."""

    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]
    left_out: tuple[str, ...]
    learned: tuple[str, ...]
    held_out: tuple[str, ...]
    unreadable: tuple[tuple[str, str], ...]
    duplicates: tuple[tuple[str, str], ...]


def write_split(run: Path, images: ImageSet, learned: Sequence[str], held_out: Sequence[int]) -> None:
    """Write split.json; `held_out` are positions of images."""
    names = (*SPLITS, "left_out")  # its number is the one behind the splits'
    rows: dict[str, list[str]] = {name: [] for name in names}
    for file, number in zip(images.files, images.split, strict=True):
        rows[names[number]].append(file)
    split = SplitFile(
        **{name: tuple(files) for name, files in rows.items()},
        learned=tuple(learned),
        held_out=tuple(images.files[index] for index in held_out),
        unreadable=images.unreadable,
        duplicates=images.duplicates,
    )
    write_json(run / FILE, to_plain(split))


def read_split(run: Path) -> SplitFile:
    """The split of a run. Raises a one-line `ValueError` for a missing or damaged file."""
    with reading(run / FILE):
        return from_plain(SplitFile, read_json_file(run / FILE), str(run / FILE))


def learned_files(run: Path) -> frozenset[str]:
    """The files that the run's final training learned from."""
    split = read_split(run)
    learned = {file for name in split.learned for file in getattr(split, name)}
    return frozenset(learned) - frozenset(split.held_out)
