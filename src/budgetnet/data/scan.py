"""`open_images`: look at every file once, remember what was seen, split."""

from __future__ import annotations

import json
import os
import warnings
from dataclasses import astuple
from hashlib import sha256
from pathlib import Path
from typing import Any

from budgetnet.arguments import flag, run_arguments
from budgetnet.data import digits
from budgetnet.data.decode import Seen, look, quiet
from budgetnet.data.deep import training_range
from budgetnet.data.folder import Folder, Found, folder_of
from budgetnet.data.folders import Data, Folders, data_of, identity_of, name_of
from budgetnet.data.images import SPLITS, ImageSet
from budgetnet.data.split import assign
from budgetnet.data.store import Progress, cache_folder, in_threads, opened_aside, write_all

SCAN_FORMAT = "budgetnet.scan.v2"
MOST_UNREADABLE = 0.05


def open_images(
    data: str | os.PathLike[str] | Folders, seed: int = 0, progress: Progress | None = None, whole: bool = False
) -> ImageSet:
    """The images, classes and split of a folder, as every command opens them.

    The folder holds a folder of images for each class, alone or inside train/, val/ (or valid/, validation/) and test/;
    or a labels.csv. What is missing is carved from the training images, and without any given split the shares are
    70/10/20, stratified, by content and seed. docs/data.md has the rules. Every file is decoded once; what was seen is
    kept in the cache folder by path, size and time of change, so a second start only reads the directory. Files and
    folders that cannot be read are listed and left out.

    Args:
        data: A folder, "digits" (1,797 handwritten digits that come with scikit-learn), or `Folders`.
        seed: What the split is drawn by.
        progress: Called with an `Update` while files are read.
        whole: Nothing is to be trained, so every image that is in no given split is "test".

    Returns:
        The images, without their pixels.

    Raises:
        ValueError: There is no such folder; the folders look like splits and not like classes; there are no images, one
            class, an empty class, or a class with too few images; more than 5 % of the files cannot be read.
        TypeError: The data is not a path and not `Folders`.

    Example:
        >>> import budgetnet
        >>> digits = budgetnet.open_images("digits")
        >>> len(digits), len(digits.classes), len(digits.indices("test"))
        (1797, 10, 359)
    """
    data = data_of(data)
    _, seed, _, progress = run_arguments(None, seed, False, progress)
    whole = flag("whole", whole)
    if data == "digits":
        return digits.image_set(seed)
    folder = folder_of(data, whole)
    root = folder.root
    seen = _look_at_all(root, identity_of(data), folder.found, progress)
    broken = [(found.file, what) for found, what in zip(folder.found, seen, strict=True) if isinstance(what, str)]
    if len(broken) > MOST_UNREADABLE * len(seen):
        file, why = broken[0]
        raise ValueError(f"{len(broken)} of {len(seen)} images of {data} cannot be read, the first is {file} ({why})")
    good = [(found, what) for found, what in zip(folder.found, seen, strict=True) if isinstance(what, Seen)]
    classes = _classes(data, [found for found, _ in good], folder, whole)
    positions = {name: number for number, name in enumerate(classes)}
    labels = [positions[found.label] for found, _ in good]
    digests = [what.digest for _, what in good]
    given = [found.given for found, _ in good]
    files = tuple(found.file for found, _ in good)
    if whole:
        split, pairs = [SPLITS.index("test") if part is None else part for part in given], []
    else:
        split, pairs = assign(labels, digests, given, classes, seed, files)
    spreads = tuple(what.spread for _, what in good)
    return ImageSet(
        name=name_of(data),
        root=str(root),
        classes=classes,
        files=files,
        labels=tuple(labels),
        digests=tuple(digests),
        sizes_px=tuple(what.size_px for _, what in good),
        in_channels=1 if all(what.grey for _, what in good) else 3,
        split=tuple(split),
        unreadable=tuple(sorted(broken + folder.unreadable)),
        duplicates=tuple((files[left_out], files[equal]) for left_out, equal in pairs),
        ignored=sum(folder.others.values()) + len(folder.loose),
        loose=tuple(folder.loose),
        others=tuple(folder.others.most_common()),
        given=tuple(name for part, name in enumerate(SPLITS) if part in given),
        spreads=spreads if any(spreads) else (),
        value_range=training_range(spreads, labels, [part == 0 for part in split]),
    )


def _classes(data: Data, good: list[Found], folder: Folder, whole: bool) -> tuple[str, ...]:
    """Sorted classes of the train images; those of given test and validation images must be among them."""
    if whole:
        return tuple(sorted({found.label for found in good}))
    trained = {found.label for found in good if not found.given}
    for (part, label), path in sorted(folder.class_folders.items(), key=lambda item: item[1]):
        if label not in trained:
            if part in (None, 0):
                given = any(found.given is not None for found in good)
                where = "no image in train" if given else "no image"
                raise ValueError(f"class {label} of {data} has {where} that can be read; fill it or take it out")
            raise ValueError(
                f"class {label} of {data} has no image in train, but one in {SPLITS[part]} ({path}); the folders must "
                "have the same classes: fill it there, or take it out here"
            )
    return tuple(sorted(trained))


def _look_at_all(root: Path, whose: Any, found: list[Found], progress: Progress | None) -> list[Seen | str]:
    """What each file holds, or why it cannot be read; only files that are new or changed are opened.

    `whose`: the data that they belong to, so that other data of one root is remembered, too.
    """
    name = sha256(os.fsencode(whose if isinstance(whose, str) else json.dumps(whose, sort_keys=True))).hexdigest()
    memory = cache_folder() / "scans" / f"{name[:32]}.json"
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
            key: Seen(digest, (height, width), grey, spread and tuple(spread))
            for key, (digest, (height, width), grey, spread) in row["seen"].items()
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
