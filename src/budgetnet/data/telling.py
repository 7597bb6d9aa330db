"""What the images are, in lines for people: classes, splits, and all that is left out, before anything is trained."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from budgetnet.data.images import SPLITS, ImageSet
from budgetnet.parallel.progress import Progress, Update

SHOWN_CLASSES = 20
SHOWN_FILES = 3
CARVED = {
    (): "70/10/20 of every class, by content and seed",
    ("train",): "validation and test are carved from train: 10 and 20 %",
    ("train", "validation"): "test is carved from train: 20 %",
    ("train", "test"): "validation is carved from train: 12.5 %",
    SPLITS: "as the folders are",
}
"""How the splits came about, by the splits that the data gives itself."""


def tell_images(images: ImageSet, progress: Progress | None) -> None:
    """Say what will be trained on and tested, and what is left out."""
    if progress:
        progress(Update("images", len(images), len(images), lines=lines_of(images)))


def lines_of(images: ImageSet) -> tuple[str, ...]:
    """The classes with their counts, the splits and where they come from, and what is left out."""
    counts = {split: len(images.indices(split)) for split in SPLITS}
    parts = ", ".join(f"{count:,} {split}" for split, count in counts.items())
    split = f"splits: {parts} ({CARVED.get(images.given, 'as the folders are')})"
    return (classes_line(images), split, *_lacking(images), *left_out_lines(images))


def classes_line(images: ImageSet) -> str:
    """The classes and how many images each has."""
    counts = Counter(images.labels)
    each = [f"{name} {counts[label]:,}" for label, name in enumerate(images.classes)]
    return f"{images.name}: {len(images):,} images of {len(images.classes):,} classes: {_some(each, SHOWN_CLASSES)}"


def _lacking(images: ImageSet) -> list[str]:
    """Classes that a split has no image of: no score is about them."""
    lines: list[str] = []
    for split in SPLITS[1:]:
        there = {images.labels[index] for index in images.indices(split).tolist()}
        if lacking := [name for label, name in enumerate(images.classes) if label not in there]:
            lines.append(f"no image in {split} of {_some(lacking, SHOWN_CLASSES)}: its score says nothing about them")
    return lines


def left_out_lines(images: ImageSet) -> list[str]:
    """A line each for what is contradictory, what lies in two splits, what cannot be read, and what is not an image."""
    label = dict(zip(images.files, images.labels, strict=True))
    pairs = [(f"{file} and {equal}", label[file] != label[equal]) for file, equal in images.duplicates]
    lines: list[str] = []
    for contradictory, what in ((True, "lie in two classes"), (False, "lie in two splits")):
        if some := [pair for pair, differs in pairs if differs is contradictory]:
            lines.append(f"left out: {_images(len(some))} whose pictures {what}: {_some(some, SHOWN_FILES)}")
    if images.unreadable:
        some = [f"{file} ({why})" for file, why in images.unreadable]
        lines.append(f"left out: {len(some):,} that cannot be read: {_some(some, SHOWN_FILES)}")
    if images.loose:
        lines.append(
            f"left out: {_images(len(images.loose))} outside of class folders: {_some(images.loose, SHOWN_FILES)}"
        )
    if images.others:
        count = sum(number for _, number in images.others)
        kinds = [f"{suffix or 'without suffix'} {number:,}" for suffix, number in images.others]
        lines.append(f"left out: {count:,} files that are not images: {_some(kinds, SHOWN_FILES)}")
    return lines


def _images(count: int) -> str:
    return f"{count:,} image{'' if count == 1 else 's'}"


def _some(words: Sequence[str], most: int) -> str:
    more = f" and {len(words) - most:,} more" if len(words) > most else ""
    return ", ".join(words[:most]) + more
