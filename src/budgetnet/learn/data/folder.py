"""Which files a data folder holds: class folders, with or without train, validation and test, or a list."""

from __future__ import annotations

import csv
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

# fmt: off
IMAGE_SUFFIXES = frozenset((
    ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".bmp", ".dib", ".gif", ".webp",
    ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm", ".tga", ".ico", ".avif", ".jp2", ".j2k", ".heic", ".heif",
))
# fmt: on
"""Files that are read; those that cannot be (HEIC needs a plug-in) are listed, and not passed over in silence."""

LIST = "labels.csv"
FILE_COLUMNS = ("file", "filename", "path", "image")
LABEL_COLUMNS = ("label", "class", "name")
GIVEN = {
    "train": 0,
    "training": 0,
    "val": 1,
    "valid": 1,
    "validation": 1,
    "test": 2,
    "testing": 2,
}


@dataclass(frozen=True, slots=True)
class Found:
    """One image file: path relative to the root, its class, the split it lies in (None: none is given)."""

    file: str
    label: str
    given: int | None
    size_bytes: int
    mtime_ns: int


@dataclass(slots=True)
class Folder:
    """A walked folder: its images, sorted by path; class folders; the number of other files."""

    found: list[Found] = field(default_factory=list)
    class_folders: set[str] = field(default_factory=set)
    ignored: int = 0


def walk_images(data: str | Path) -> tuple[Path, Folder]:
    """The root and the images of a data folder.

    A folder is split if it holds train/ and train/ holds folders of images; its other folders must
    then be val/ (valid/, validation/) and test/. Hidden files, other extensions and __MACOSX are
    counted and ignored; links are followed, each folder once. A folder with a labels.csv is read by
    that list instead (`listed`). Raises one-line `ValueError`s.
    """
    root = Path(data).expanduser()
    if not root.is_dir():
        raise ValueError(f"there is no folder {data}; give a folder that holds a folder for each class, or digits")
    if (root / LIST).is_file():
        return root, listed(root)
    folder = Folder()
    top = sorted(_folders(root))
    if any(GIVEN.get(name.lower()) == 0 and _is_split(root / name) for name in top):
        if others := [name for name in top if name.lower() not in GIVEN and _holds_images(root / name)]:
            raise ValueError(
                f"{data} holds train and also {', '.join(others)}; beside train only val and test are known"
            )
        for name in top:
            if name.lower() in GIVEN:
                _add_classes(folder, root, name, GIVEN[name.lower()])
    else:
        _add_classes(folder, root, "", None)
    folder.found.sort(key=lambda found: found.file)
    _check(data, root, folder)
    return root, folder


def listed(root: Path) -> Folder:
    """The images that labels.csv names: a column file (path, image) and a column label (class, name).

    A column split, if there is one, says train, val or test. Raises one-line `ValueError`s: a column
    is missing, a row names no file inside the folder, one class only.
    """
    folder = Folder()
    with (root / LIST).open(newline="", encoding="utf-8-sig") as text:
        rows = csv.DictReader(text)
        columns = {(name or "").strip().lower(): name for name in rows.fieldnames or ()}
        file_column, label_column = (_column(columns, wanted, root) for wanted in (FILE_COLUMNS, LABEL_COLUMNS))
        for row in rows:
            file, label = (row[file_column] or "").strip(), (row[label_column] or "").strip()
            given = (row.get(columns.get("split", "")) or "").strip().lower()
            path = root / file
            if not label or not path.is_file() or not path.resolve().is_relative_to(root.resolve()):
                raise ValueError(
                    f"line {rows.line_num} of {root / LIST} names no file and class of that folder: {file!r}"
                )
            if given and given not in GIVEN:
                raise ValueError(f"line {rows.line_num} of {root / LIST} has split {given!r}; it is train, val or test")
            status = path.stat()
            relative = Path(os.path.normpath(file)).as_posix()
            folder.found.append(Found(relative, label, GIVEN.get(given), status.st_size, status.st_mtime_ns))
    folder.found.sort(key=lambda found: found.file)
    folder.class_folders = {found.label for found in folder.found}
    if len({found.file for found in folder.found}) < len(folder.found):
        raise ValueError(f"{root / LIST} names a file twice; give each image one class")
    if len(folder.class_folders) < 2:
        raise ValueError(f"{root / LIST} names {len(folder.class_folders)} class; a classifier needs at least two")
    return folder


def _column(columns: Mapping[str, str], wanted: tuple[str, ...], root: Path) -> str:
    for name in wanted:
        if name in columns:
            return columns[name]
    raise ValueError(f"{root / LIST} has no column {wanted[0]}; its first line must name the columns file and label")


def _check(data: str | Path, root: Path, folder: Folder) -> None:
    direct = sum(1 for entry in _entries(root) if _is_image_name(entry.name) and entry.is_file())
    if direct and not folder.found:
        raise ValueError(f"{data} holds {direct} images but no class folders; put the images of each class in a folder")
    if not folder.found:
        raise ValueError(f"{data} holds no images; give a folder that holds a folder of images for each class")
    classes = {found.label for found in folder.found}
    if empty := sorted(folder.class_folders - classes):
        raise ValueError(f"class folder {empty[0]} of {data} holds no images; fill it or take it out")
    if len(classes) == 1:
        raise ValueError(
            f"{data} holds one class only ({classes.pop()}); a classifier needs at least two class folders"
        )
    folder.ignored += direct


def _add_classes(folder: Folder, root: Path, inside: str, given: int | None) -> None:
    for label in sorted(_folders(root / inside)):
        folder.class_folders.add(label)
        # A link back to a folder around the class would bring the other classes' images into it.
        around = {_identity(root), _identity(root / inside)}
        for file, status in _files(root / inside / label, around):
            if status is None:
                folder.ignored += 1
                continue
            relative = file.relative_to(root).as_posix()
            folder.found.append(Found(relative, label, given, status.st_size, status.st_mtime_ns))


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def _is_image_name(name: str) -> bool:
    return not _is_hidden(name) and os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES


def _identity(path: Path) -> tuple[int, int]:
    status = os.stat(path)
    return status.st_dev, status.st_ino


def _entries(path: Path) -> list[os.DirEntry[str]]:
    with os.scandir(path) as entries:
        return sorted(entries, key=lambda entry: entry.name)


def _folders(path: Path) -> list[str]:
    return [entry.name for entry in _entries(path) if not _is_hidden(entry.name) and entry.is_dir()]


def _is_split(path: Path) -> bool:
    """Whether images lie in folders inside `path` and none directly in it: a split, not a class called "train"."""
    if any(_is_image_name(entry.name) and entry.is_file() for entry in _entries(path)):
        return False
    return any(_holds_images(path / name) for name in _folders(path))


def _holds_images(path: Path) -> bool:
    return any(status is not None for _, status in _files(path, set()))


def _files(path: Path, visited: set[tuple[int, int]]) -> Iterator[tuple[Path, os.stat_result | None]]:
    """Files below `path` in order, with their status; None for those that are no images."""
    if _identity(path) in visited:
        return
    visited.add(_identity(path))
    for entry in _entries(path):
        if entry.is_dir():
            if not _is_hidden(entry.name):
                yield from _files(Path(entry.path), visited)
        elif _is_image_name(entry.name):
            yield Path(entry.path), _status(entry)
        else:
            yield Path(entry.path), None


def _status(entry: os.DirEntry[str]) -> os.stat_result | None:
    """Status of a file; of the link itself where it leads nowhere (listed later); None for pipes and devices."""
    try:
        status = entry.stat()
    except OSError:
        return entry.stat(follow_symlinks=False)
    return status if stat.S_ISREG(status.st_mode) else None
