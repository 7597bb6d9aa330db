"""Who trains, who validates, who tests: by content and seed, never by name or order."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence

from budgetnet.data.images import LEFT_OUT

TRAIN, VALIDATION, TEST = 0, 1, 2
VALIDATION_OF_TRAIN = 0.125
"""The share of train/ that validates where test/ is given and validation/ is not: as 10 is to 70 and 10."""


def assign(
    labels: Sequence[int],
    digests: Sequence[str],
    given: Sequence[int | None],
    classes: Sequence[str],
    seed: int,
    files: Sequence[str] = (),
) -> tuple[list[int], list[tuple[int, int]]]:
    """Split of every image (0 train, 1 validation, 2 test, 3 left out) and pairs (left out, its equal).

    Without a given split: 70/10/20 in every class. Given train and test: 1/8 of train validates.
    Given train and validation: 1/5 of train tests, because a validation split that choices have
    seen is not a test. Images of a class are ordered by SHA-256 of (seed, content digest), so the same
    content always lands in the same place and equal images never part.

    A train image that equals a given test or validation image is left out, as is a validation image
    that equals a test image; so are all train images of equal content and different classes, for
    one of their labels is wrong. Raises `ValueError` for a class with too few distinct images.
    """
    split = [TRAIN if part is None else part for part in given]
    pairs = _leave_out_leaks(split, digests) + _leave_out_contradictions(split, labels, digests)
    test_share = 0.0 if TEST in given else 0.2
    whole = TEST not in given and VALIDATION not in given
    validation_share = 0.1 if whole else 0.0 if VALIDATION in given else VALIDATION_OF_TRAIN
    held = _held(split, labels, digests, classes)
    _check_held(held, 1 + (test_share > 0.0) + (validation_share > 0.0), classes, labels, pairs, files)
    moved = _carve(held, (test_share, validation_share), seed)
    carved = [moved.get(digest, TRAIN) if part == TRAIN else part for part, digest in zip(split, digests, strict=True)]
    return carved, pairs


def _leave_out_leaks(split: list[int], digests: Sequence[str]) -> list[tuple[int, int]]:
    """Mark images that equal one of a later split, test first."""
    pairs: list[tuple[int, int]] = []
    for kept in (TEST, VALIDATION):
        first: dict[str, int] = {}
        for index, digest in enumerate(digests):
            if split[index] == kept:
                first.setdefault(digest, index)
        for index, digest in enumerate(digests):
            if split[index] < kept and digest in first:
                split[index] = LEFT_OUT
                pairs.append((index, first[digest]))
    return pairs


def _leave_out_contradictions(split: list[int], labels: Sequence[int], digests: Sequence[str]) -> list[tuple[int, int]]:
    """Mark train images of equal content and different classes."""
    equal: defaultdict[str, list[int]] = defaultdict(list)
    for index, digest in enumerate(digests):
        if split[index] == TRAIN:
            equal[digest].append(index)
    pairs: list[tuple[int, int]] = []
    for group in equal.values():
        for index in group:
            other = next((one for one in group if labels[one] != labels[index]), None)
            if other is not None:
                split[index] = LEFT_OUT
                pairs.append((index, other))
    return pairs


def _held(
    split: Sequence[int], labels: Sequence[int], digests: Sequence[str], classes: Sequence[str]
) -> list[set[str]]:
    """The distinct train images of every class."""
    held: list[set[str]] = [set() for _ in classes]
    for part, label, digest in zip(split, labels, digests, strict=True):
        if part == TRAIN:
            held[label].add(digest)
    return held


def _check_held(
    held: Sequence[set[str]],
    least: int,
    classes: Sequence[str],
    labels: Sequence[int],
    pairs: Sequence[tuple[int, int]],
    files: Sequence[str],
) -> None:
    """Raise a one-line `ValueError` for a class with too few images, with what took them away."""
    for label, distinct in enumerate(held):
        if len(distinct) >= least:
            continue
        what = f"class {classes[label]} has {len(distinct)} distinct images to train on; it needs at least {least}"
        lost = [(left_out, equal) for left_out, equal in pairs if labels[left_out] == label]
        if lost and files:
            first, equal = lost[0]
            where = f"in {classes[labels[equal]]}, too" if labels[equal] != label else "in another split, too"
            what += (
                f": {len(lost)} more are left out because the same picture lies {where}, as {files[first]} and "
                f"{files[equal]}; keep each picture in one place"
            )
        elif others := sum(len(row) < least for row in held[label + 1 :]):
            what += f" ({others:,} more with too few)"
        raise ValueError(what)


def _carve(held: Sequence[set[str]], shares: tuple[float, float], seed: int) -> dict[str, int]:
    """Digests of train images that move to test or to validation."""
    moved: dict[str, int] = {}
    for distinct in held:
        ordered = sorted(distinct, key=lambda digest: hashlib.sha256(f"{seed} {digest}".encode()).digest())
        tests, validations = (max(1, round(share * len(ordered))) if share > 0.0 else 0 for share in shares)
        moved.update(dict.fromkeys(ordered[:tests], TEST))
        moved.update(dict.fromkeys(ordered[tests : tests + validations], VALIDATION))
    return moved
