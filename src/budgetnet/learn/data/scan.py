"""`open_images`: look at every file once, remember what was seen, split."""

from __future__ import annotations

import json
import os
import warnings
from dataclasses import astuple
from hashlib import sha256
from pathlib import Path

from budgetnet.arguments import flag, run_arguments
from budgetnet.learn.data import digits
from budgetnet.learn.data.decode import Seen, look, quiet
from budgetnet.learn.data.folder import Found, walk_images
from budgetnet.learn.data.images import SPLITS, ImageSet
from budgetnet.learn.data.split import assign
from budgetnet.learn.data.store import Progress, cache_folder, in_threads, opened_aside, write_all

SCAN_FORMAT = "budgetnet.scan.v1"
MOST_UNREADABLE = 0.05


def open_images(data: str | Path, seed: int = 0, progress: Progress | None = None, whole: bool = False) -> ImageSet:
    """The images, classes and split of `data`: "digits", or a folder of class folders or with a labels.csv.

    The folder may hold train/ with val/ (valid/, validation/) or test/ around the class folders;
    what is missing is carved from train/ (see `split.assign`), and without any of them the split is
    70/10/20, stratified, by content and `seed`. Every file is decoded once; what was seen is kept in
    the cache folder by path, size and mtime, so a second start only reads the directory. `whole`: nothing
    is to be trained, so all that is in no given split is "test".

    Files that cannot be read are listed and left out. Raises one-line `ValueError`s: no such
    folder, no images, one class, an empty class, a class with too few images, more than 5 % unreadable.
    """
    data, _, seed, _, progress = run_arguments(data, None, seed, False, progress)
    whole = flag("whole", whole)
    if data == "digits":
        return digits.image_set(seed)
    root, folder = walk_images(data)
    seen = _look_at_all(root, folder.found, progress)
    unreadable = tuple(
        (found.file, what) for found, what in zip(folder.found, seen, strict=True) if isinstance(what, str)
    )
    if len(unreadable) > MOST_UNREADABLE * len(seen):
        file, why = unreadable[0]
        raise ValueError(
            f"{len(unreadable)} of {len(seen)} images of {data} cannot be read, the first is {file} ({why})"
        )
    good = [(found, what) for found, what in zip(folder.found, seen, strict=True) if isinstance(what, Seen)]
    classes = _classes(data, [found for found, _ in good], folder.class_folders)
    labels = [classes.index(found.label) for found, _ in good]
    digests = [what.digest for _, what in good]
    given = [found.given for found, _ in good]
    if whole:
        split, pairs = [SPLITS.index("test") if place is None else place for place in given], []
    else:
        split, pairs = assign(labels, digests, given, classes, seed)
    files = tuple(found.file for found, _ in good)
    return ImageSet(
        name=root.resolve().name,
        root=str(root.absolute()),
        classes=classes,
        files=files,
        labels=tuple(labels),
        digests=tuple(digests),
        sizes_px=tuple(what.size_px for _, what in good),
        in_channels=1 if all(what.grey for _, what in good) else 3,
        split=tuple(split),
        unreadable=unreadable,
        duplicates=tuple((files[left_out], files[equal]) for left_out, equal in pairs),
        ignored=folder.ignored,
    )


def _classes(data: str | Path, good: list[Found], class_folders: set[str]) -> tuple[str, ...]:
    """Sorted classes of the train images; those of given test and validation images must be among them."""
    trained = {found.label for found in good if not found.given}
    if missing := sorted(class_folders - trained):
        where = "no image in train" if any(found.given is not None for found in good) else "no image that can be read"
        raise ValueError(f"class {missing[0]} of {data} has {where}; fill it or take it out")
    return tuple(sorted(trained))


def _look_at_all(root: Path, found: list[Found], progress: Progress | None) -> list[Seen | str]:
    """What each file holds, or why it cannot be read; only files that are new or changed are opened."""
    memory = cache_folder() / "scans" / f"{sha256(os.fsencode(root.resolve())).hexdigest()[:32]}.json"
    known = _remembered(memory)
    seen: list[Seen | str | None] = [known.get(_key(one)) for one in found]
    new = [index for index, what in enumerate(seen) if what is None]
    with quiet():
        looks = in_threads(lambda index: _look(root / found[index].file), new, "reading images", progress)
    for index, what in zip(new, looks, strict=True):
        seen[index] = what
    result = [what for what in seen if what is not None]
    if new:
        # Unreadable files are looked at each time: a right or a reader may have come without a new mtime.
        pairs = zip(found, result, strict=True)
        _remember(memory, {_key(one): what for one, what in pairs if isinstance(what, Seen)})
    return result


def _look(path: Path) -> Seen | str:
    try:
        return look(path)
    except ValueError as error:
        return str(error)


def _key(found: Found) -> str:
    return f"{found.size_bytes} {found.mtime_ns} {found.file}"


def _remembered(memory: Path) -> dict[str, Seen]:
    """Earlier looks; none where the file is absent, damaged or of another format."""
    try:
        row = json.loads(memory.read_bytes())
        if row["format"] != SCAN_FORMAT:
            return {}
        return {
            key: Seen(digest, (height, width), grey) for key, (digest, (height, width), grey) in row["seen"].items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _remember(memory: Path, seen: dict[str, Seen]) -> None:
    rows = {key: astuple(what) for key, what in seen.items()}
    try:
        memory.parent.mkdir(parents=True, exist_ok=True)
        with opened_aside(memory) as descriptor:
            write_all(descriptor, json.dumps({"format": SCAN_FORMAT, "seen": rows}).encode())
    except OSError as error:
        warnings.warn(f"the scan is not kept for the next start: {error}", stacklevel=2)
