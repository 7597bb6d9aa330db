"""What lies below a folder: image files, other files, and all that cannot be read, each named; it cannot hang."""

from __future__ import annotations

import fnmatch
import itertools
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# fmt: off
IMAGE_SUFFIXES = frozenset((
    ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".bmp", ".dib", ".gif", ".webp",
    ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm", ".tga", ".ico", ".avif", ".jp2", ".j2k", ".heic", ".heif",
))
# fmt: on
"""The suffixes of files that are read. Those that cannot be read (HEIC needs a plug-in) are listed as well."""

Identity = tuple[int, int]
"""A folder is known by its device and inode, whatever links lead to it."""
KINDS = (
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISDIR, "a folder"),
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing below a folder: an image file (has a `status`), what cannot be read (`problem`), or another file."""

    path: str
    status: os.stat_result | None = None
    problem: str | None = None


def is_hidden(name: str) -> bool:
    """Whether a name is litter that no one means: hidden, or what macOS puts into archives."""
    return name.startswith(".") or name == "__MACOSX"


def is_image_name(name: str) -> bool:
    """Whether a file of this name is taken for an image."""
    return not is_hidden(name) and os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES


def special(mode: int) -> str | None:
    """What a thing of this mode is, if no file."""
    return next((name for test, name in KINDS if test(mode)), None)


def identity(path: str | os.PathLike[str]) -> Identity:
    """Of a folder."""
    status = os.stat(path)
    return status.st_dev, status.st_ino


def walk(folder: str | os.PathLike[str], around: frozenset[Identity] = frozenset()) -> Iterator[Entry]:
    """All below `folder`, sorted by name within each folder. Links are followed, each folder is entered once.

    A link to one of `around` or to a folder that it lies in is a loop, and a problem; hidden folders are passed over.
    A folder that cannot be read, a link that leads nowhere, and a device or a pipe named as an image are problems too.
    """
    waiting: list[tuple[str, frozenset[Identity]]] = [(os.fspath(folder), around)]
    visited: set[Identity] = set()
    while waiting:
        here, outer = waiting.pop()
        try:
            own_identity = identity(here)
            if own_identity in outer:
                yield Entry(here, problem="a link to a folder that it lies in")
                continue
            if own_identity in visited:
                continue
            visited.add(own_identity)
            folders, entries = inside(here)
        except OSError as error:
            yield Entry(here, problem=said(error))
            continue
        yield from entries
        waiting += [(path, outer | {own_identity}) for path in reversed(folders)]


def matching(pattern: str) -> Iterator[Entry]:
    """What a glob matches, sorted: * and ? in names, ** for any folders; no hidden names unless the pattern says so.

    Folders that match are entries without a status. A folder that cannot be looked into is a problem, as in `walk`.
    """
    parts = tuple(part for part, next in itertools.pairwise((*Path(pattern).parts, "")) if (part, next) != ("**", "**"))
    start = next((index for index, part in enumerate(parts) if _is_magic(part)), len(parts))
    # A glob matches what is there, one name after another; what has none in it need only exist.
    yield from _matched(str(Path(*parts[:start])) if start else "", parts[start:], frozenset(), set())


def _matched(
    here: str, parts: tuple[str, ...], around: frozenset[Identity], visited: set[tuple[Identity, int]]
) -> Iterator[Entry]:
    """What the rest of a pattern matches from a folder on; "" is the current one. `around`, `visited`: by ** so far."""
    if not parts:
        if os.path.lexists(here):
            yield Entry(here)
        return
    part, rest = parts[0], parts[1:]
    if not _is_magic(part):
        yield from _matched(os.path.join(here, part), rest, around, visited)
        return
    if not os.path.isdir(here or "."):
        return
    try:
        own_identity = identity(here or ".")
        with os.scandir(here or ".") as found:
            entries = sorted(found, key=lambda entry: entry.name)
    except OSError as error:
        yield Entry(here or ".", problem=said(error))
        return
    if part == "**":
        if own_identity in around:
            yield Entry(here or ".", problem="a link to a folder that it lies in")
            return
        if (own_identity, len(parts)) in visited:
            return
        visited.add((own_identity, len(parts)))
        yield from _matched(here, rest, around, visited)
        for entry in entries:
            if is_hidden(entry.name):
                continue
            path = os.path.join(here, entry.name)
            if _is_folder(entry):
                yield from _matched(path, parts, around | {own_identity}, visited)
            elif not rest:
                yield Entry(path)
        return
    for entry in entries:
        if fnmatch.fnmatch(entry.name, part) and (part.startswith(".") or not entry.name.startswith(".")):
            yield from _matched(os.path.join(here, entry.name), rest, around, visited)


def _is_magic(part: str) -> bool:
    return any(sign in part for sign in "*?[")


def inside(folder: str | os.PathLike[str]) -> tuple[list[str], list[Entry]]:
    """The folders in a folder that are not hidden, and what else lies in it, each sorted by name. Raises `OSError`."""
    with os.scandir(folder) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    folders: list[str] = []
    others: list[Entry] = []
    for entry in entries:
        if not _is_folder(entry):
            others.append(_other(entry))
        elif not is_hidden(entry.name):
            folders.append(entry.path)
    return folders, others


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


def _other(entry: os.DirEntry[str]) -> Entry:
    """What is not a folder. Of an image whose link leads nowhere there is the link's own status as well."""
    if is_hidden(entry.name):
        return Entry(entry.path)
    image = is_image_name(entry.name)
    try:
        status = entry.stat()
    except OSError as error:
        try:
            return Entry(entry.path, entry.stat(follow_symlinks=False) if image else None, said(error))
        except OSError:  # it has gone meanwhile
            return Entry(entry.path, None, said(error))
    if not image:
        return Entry(entry.path)
    kind = special(status.st_mode)
    return Entry(entry.path, None, f"{kind}, not a file") if kind else Entry(entry.path, status)


def said(error: OSError) -> str:
    """What the system says, in a line."""
    return error.strerror or str(error)
