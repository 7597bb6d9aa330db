"""Where an exported file goes, and what it may take the place of: of earlier exports in its format, but of none that is
better or that a run's records are about."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from budgetnet.arguments import path
from budgetnet.codec import as_object
from budgetnet.model.seal import seal_of
from budgetnet.runs.files import read_json, reading
from budgetnet.ship.exported import Format, NumberType
from budgetnet.ship.formats import ROWS, FormatRow, opener
from budgetnet.ship.made import Content
from budgetnet.training.outcome import FILE as METRICS


@dataclass(frozen=True, slots=True)
class Target:
    """Where a file goes, and where it does if it is not good enough and is forced."""

    path: Path
    forced: Path


def target_of(
    run: str, out: str | Path | None, to: Format, dtype: NumberType, softmax: bool = False, several: bool = False
) -> Target:
    """Where the file of a run goes. Raises a one-line `ValueError` where there is no folder for it, and for a path that
    something else has."""
    if out is None and not Path(run).is_dir():
        raise ValueError(f"{run} is not a run's folder, so that it says nothing of where to write; give --out FILE")
    row = ROWS[to]
    usual, forced = (row.named(dtype, softmax, forced) for forced in (False, True))
    if out is None:
        return Target(_replaceable(Path(run) / usual, row), _replaceable(Path(run) / forced, row))
    target = Path(path("out", out))
    if several:
        if not target.is_dir():
            raise ValueError(f"{target} is no folder that is there; --to all writes several files, so give a folder")
        return Target(_replaceable(target / usual, row), _replaceable(target / forced, row))
    if not (row.inside and target.is_dir()):
        _check_new(target, row)
    found = _replaceable(target, row)
    return Target(found, found)


def _check_new(target: Path, row: FormatRow) -> None:
    """Raise a one-line `ValueError` for a name under which no new file of a format can be written."""
    if row.inside and target.exists():
        raise ValueError(f"{target} is a file; give --out the name of a new folder")
    if target.is_dir() or not target.parent.is_dir():
        wrong = "is a folder" if target.is_dir() else "is in a folder that is not there"
        raise ValueError(f"{target} {wrong}; give --out a file's name in a folder that is there")
    if row.suffix and target.suffix.lower() != row.suffix:
        named = target.with_name(target.name + row.suffix)
        raise ValueError(f"{target} does not end in {row.suffix}, as {row.title} files do; give --out {named}")


def _replaceable(target: Path, row: FormatRow) -> Path:
    """The path. Raises a one-line `ValueError` for what no export in this format wrote: it would go as a whole.

    Of a folder to publish people edit the card, so that none is replaced.
    """
    filled = target.is_dir() and any(target.iterdir())
    if filled and not row.on_a_device:
        raise ValueError(f"{target} is there and not empty; remove it, or give --out the name of a new folder")
    if filled and not row.is_of(target):
        raise ValueError(f"{target} is a folder of something else; give --out the name of a new folder")
    if target.exists() and not target.is_dir() and not row.is_of(target):
        raise ValueError(f"{target} is there, and is no {row.title} file that export wrote; give --out another name")
    return target


def check_replaces(target: Path, to: Format, content: Content, good: bool, force: bool) -> None:
    """Raise a one-line `ValueError` where a file that is not good enough would take the place of one that was, and,
    unless it is forced, where other bytes would take the place of the file that the run's records are about."""
    if not target.exists():
        return
    if not good and _was_good(target, to):
        raise ValueError(
            f"{target} is there and was good enough, which the new file is not; give --out another name for it"
        )
    if not force and _is_shipped(target) and target.read_bytes() != content:
        raise ValueError(
            f"{target} is the file that solve tested, with other bytes than the new one; give --out another name, or "
            "--force (force=True), which replaces it"
        )


def _was_good(target: Path, to: Format) -> bool:
    """Whether it can be read and says so."""
    try:
        found = opener(to)(target, False).notes.certificate
    except ValueError:
        return False
    return found is not None and not found.faults


def _is_shipped(target: Path) -> bool:
    """Whether the metrics beside a file are about it."""
    metrics = target.parent / METRICS
    if not metrics.is_file():
        return False
    with reading(metrics):
        shipped = as_object(read_json(metrics), METRICS).get("shipped")
        return shipped is not None and not shipped["faults"] and shipped["file"]["file"] == target.name


def sha256_of(content: Content) -> str:
    """The SHA-256 of a file; of a folder the one that it has in itself."""
    return hashlib.sha256(content).hexdigest() if isinstance(content, bytes) else seal_of(content)
