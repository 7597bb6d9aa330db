"""Which images a data folder holds, with their classes and the split that the folder gives them."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from budgetnet.data.folders import PARTS, Data, Folders
from budgetnet.data.listed import LIST, rows_of
from budgetnet.data.structure import GIVEN, TRAIN, Top, splits_of
from budgetnet.data.walk import Entry, Identity, identity, inside, said, walk


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
    """What lies below a root: its images, sorted by path, and everything else.

    `class_folders`: the folder of each (split, class), also of one without images. `unreadable`: (path, why) of what
    could not be looked at. `loose`: images outside of class folders. `others`: other files by suffix.
    """

    root: Path
    found: list[Found] = field(default_factory=list)
    class_folders: dict[tuple[int | None, str], str] = field(default_factory=dict)
    unreadable: list[tuple[str, str]] = field(default_factory=list)
    loose: list[str] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)

    def sorted(self) -> Folder:
        """The same with its images in the order of their paths."""
        self.found.sort(key=lambda found: found.file)
        self.unreadable.sort()
        return self

    def path_of(self, path: str) -> str:
        """A path below the root, from there."""
        return Path(path).relative_to(self.root).as_posix()

    def add_class(self, path: str, entries: Iterable[Entry], given: int | None) -> None:
        """A folder whose images are one class."""
        label = Path(path).name
        self.class_folders[given, label] = self.path_of(path)
        self.add(entries, label, given)

    def add(self, entries: Iterable[Entry], label: str | None, given: int | None) -> None:
        """Images of a class, or, where it is None, of no class."""
        for entry in entries:
            if entry.status is None:
                if entry.problem is not None:
                    self.unreadable.append((self.path_of(entry.path), entry.problem))
                else:
                    self.others[os.path.splitext(entry.path)[1].lower()] += 1
            elif label is None:
                self.loose.append(self.path_of(entry.path))
            else:
                row = (label, given, entry.status.st_size, entry.status.st_mtime_ns)
                self.found.append(Found(self.path_of(entry.path), *row))


@dataclass(slots=True)
class _Branch:
    """A folder inside another, walked: what lies in it directly, and below each of its own folders.

    `loops`: it is but a link to a folder around it, which no one means to be a class.
    """

    path: str
    direct: list[Entry] = field(default_factory=list)
    below: dict[str, list[Entry]] = field(default_factory=dict)
    loops: bool = False

    def all(self) -> Iterator[Entry]:
        """Everything below it."""
        yield from self.direct
        for entries in self.below.values():
            yield from entries

    def top(self) -> Top:
        """Which folders in it hold images."""
        held = {()} if any(entry.status is not None for entry in self.direct) else set[tuple[str, ...]]()
        for entries in self.below.values():
            holding = {os.path.dirname(entry.path) for entry in entries if entry.status is not None}
            held |= {Path(path).relative_to(self.path).parts for path in holding}
        return Top(Path(self.path).name, frozenset(held))


def folder_of(data: Data, whole: bool = False) -> Folder:
    """The images of a folder, or of folders that are given as splits.

    A folder with a labels.csv is read by that list (`listed`). A folder that holds train, val and test is split as
    `structure.splits_of` says; else the folders in it are the classes. `whole`: nothing is to be trained. Links are
    followed, each folder once; what cannot be read is listed. Raises one-line `ValueError`s.
    """
    folder = _of_folders(data) if isinstance(data, Folders) else _of_one(data, whole)
    _check(str(data), folder.sorted(), whole)
    return folder


def _of_one(data: str, whole: bool) -> Folder:
    root = _root(data)
    if (root / LIST).is_file():
        folder = listed(root)
        if len({found.label for found in folder.found}) == 1 and not whole:
            raise ValueError(f"{root / LIST} names 1 class; a classifier needs at least two")
        return folder
    folder = Folder(root)
    direct, branches = _branches(root)
    splits = splits_of(data, [branch.top() for branch in branches], whole)
    folder.add(direct, None, None)
    for branch in branches:
        name = Path(branch.path).name
        if name in splits:
            folder.add(branch.direct, None, None)
            for path, entries in branch.below.items():
                folder.add_class(path, entries, splits[name])
        elif splits or branch.loops:
            folder.add(branch.all(), None, None)
        else:
            folder.add_class(branch.path, branch.all(), None)
    return folder


def _of_folders(data: Folders) -> Folder:
    """Each folder's own folders are the classes, or its labels.csv says them; a link leads out of none of them."""
    roots = [(PARTS.index(part), _root(path).resolve()) for part, path in data.given()]
    try:
        folder = Folder(Path(os.path.commonpath([root for _, root in roots])))
    except ValueError as error:
        raise ValueError(f"{data}: these folders lie on different drives; put them on one") from error
    alone = len({part for part, _ in roots}) == 1 and roots[0][0] == TRAIN
    for part, root in roots:
        given = None if alone else part
        if (root / LIST).is_file():
            _add_list(folder, root, given)
            continue
        direct, branches = _branches(root)
        folder.add(direct, None, given)
        for branch in branches:
            if branch.loops:
                folder.add(branch.direct, None, given)
            else:
                folder.add_class(branch.path, branch.all(), given)
    return folder


def _root(data: str) -> Path:
    root = Path(data).expanduser()
    if root.is_dir():
        return root.absolute()
    if os.path.lexists(root):
        raise ValueError(f"{data} is not a folder; unpack an archive; give a folder that holds a folder for each class")
    raise ValueError(f"there is no folder {data}; give a folder that holds a folder for each class, or digits")


def _branches(root: Path) -> tuple[list[Entry], list[_Branch]]:
    """What lies in the folder directly, and each of its folders. Raises a one-line `ValueError` where it is closed."""
    try:
        folders, direct = inside(root)
        around = frozenset((identity(root),))
    except OSError as error:
        raise ValueError(f"{root} cannot be read: {said(error)}; give a folder that can") from error
    return direct, [_branch(path, around) for path in folders]


def _branch(path: str, around: frozenset[Identity]) -> _Branch:
    """A folder with each of the folders in it walked by itself, so that it may be a class or hold classes."""
    try:
        own_identity = identity(path)
        if own_identity in around:
            return _Branch(path, [Entry(path, problem="a link to a folder that it lies in")], loops=True)
        folders, direct = inside(path)
    except OSError as error:
        return _Branch(path, [Entry(path, problem=said(error))])
    return _Branch(path, direct, {inner: list(walk(inner, around | {own_identity})) for inner in folders})


def listed(root: Path) -> Folder:
    """The images that labels.csv names: a column file (path, image) and a column label (class, name).

    A column split, if there is one, says train, val or test. Raises one-line `ValueError`s: no UTF-8 or no CSV, a
    column is missing, a row names no file inside the folder, a file is named twice.
    """
    folder = Folder(root)
    _add_list(folder, root, None)
    return folder.sorted()


def _add_list(folder: Folder, root: Path, given: int | None) -> None:
    """`given`: what the folder is; its list may then say nothing else."""
    place, inner, prefix = root / LIST, root.resolve(), root.relative_to(folder.root)
    files: set[str] = set()
    for row in rows_of(place):
        path = root / row.file
        if not row.label or not path.is_file() or not path.resolve().is_relative_to(inner):
            raise ValueError(f"line {row.line} of {place} names no file and class of that folder: {row.file[:200]!r}")
        split = row.split.lower()
        if split and split not in GIVEN:
            raise ValueError(f"line {row.line} of {place} has split {split[:80]!r}; it is train, val or test")
        if split and given is not None and GIVEN[split] != given:
            raise ValueError(f"line {row.line} of {place} says {split}, but the folder is given as {PARTS[given]}")
        inside_root = os.path.relpath(row.file, root) if os.path.isabs(row.file) else os.path.normpath(row.file)
        file = (prefix / inside_root).as_posix()
        if file in files:
            raise ValueError(f"line {row.line} of {place} names a file twice: {row.file!r}; give each image one class")
        files.add(file)
        status = path.stat()
        place_of = GIVEN.get(split) if given is None else given
        folder.class_folders[place_of, row.label] = str(place)
        folder.found.append(Found(file, row.label, place_of, status.st_size, status.st_mtime_ns))


def _check(data: str, folder: Folder, whole: bool) -> None:
    """Raise a one-line `ValueError` for no images, or one class where there is something to train."""
    if not folder.found:
        what = f"{len(folder.loose)} images but no class folders" if folder.loose else f"no images{_instead(folder)}"
        do = "put the images of each class in a folder" if folder.loose else "give a folder of class folders"
        raise ValueError(f"{data} holds {what}; {do}")
    classes = {found.label for found in folder.found}
    given = {found.given for found in folder.found}
    if not whole and not given & {None, TRAIN}:
        there = " and ".join(PARTS[part] for part in sorted(part for part in given if part is not None))
        raise ValueError(f"{data} holds {there} and nothing to train on; give --train DIR as well")
    held = {(found.given, found.label) for found in folder.found}
    problems = dict(folder.unreadable)
    for (part, label), path in sorted(folder.class_folders.items(), key=lambda item: item[1]):
        if (part, label) not in held and part in (None, TRAIN):
            why = f" ({problems[path]})" if path in problems else ""
            raise ValueError(f"class folder {label} of {data} holds no images{why}; fill it or take it out")
    if len(classes) == 1 and not whole:
        raise ValueError(f"{data} holds one class only ({classes.pop()}); a classifier needs at least two classes")


def _instead(folder: Folder) -> str:
    """What there is in place of images."""
    if folder.unreadable:
        path, why = folder.unreadable[0]
        return f" that can be read ({path}: {why})"
    kinds = ", ".join(f"{suffix or 'without suffix'} {count:,}" for suffix, count in folder.others.most_common(3))
    return f" (but other files: {kinds})" if kinds else ""
