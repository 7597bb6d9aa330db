"""Who trains, who validates, who tests: by content and seed, never by name or order."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence

from budgetnet.learn.data.images import LEFT_OUT

TRAIN, VALIDATION, TEST = 0, 1, 2
VALIDATION_OF_TRAIN = 0.125
"""With a given test/ but no validation/: 1/8 of train/, which is the 70 to 10 of a split of our own."""


def assign(
    labels: Sequence[int], digests: Sequence[str], given: Sequence[int | None], classes: Sequence[str], seed: int
) -> tuple[list[int], list[tuple[int, int]]]:
    """Split of every image (0 train, 1 validation, 2 test, 3 left out) and pairs (left out, its equal).

    Without a given split: 70/10/20 in every class. Given train and test: 1/8 of train validates.
    Given train and validation: 1/5 of train tests, because a validation split that choices have
    seen is no test. Images of a class are ordered by SHA-256 of (seed, content digest), so the same
    content always lands in the same place and equal images never part.

    A train image that equals a given test or validation image is left out, as is a validation image
    that equals a test image; so are all train images of equal content and different classes, for
    one of their labels is wrong. Raises `ValueError` for a class with too few distinct images.
    """
    split = [TRAIN if place is None else place for place in given]
    pairs = _leave_out_leaks(split, digests) + _leave_out_contradictions(split, labels, digests)
    test_share = 0.0 if TEST in given else 0.2
    whole = TEST not in given and VALIDATION not in given
    validation_share = 0.1 if whole else 0.0 if VALIDATION in given else VALIDATION_OF_TRAIN
    places = _carve(split, labels, digests, classes, (test_share, validation_share), seed)
    carved = [
        places.get(digest, TRAIN) if place == TRAIN else place for place, digest in zip(split, digests, strict=True)
    ]
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


def _carve(
    split: list[int],
    labels: Sequence[int],
    digests: Sequence[str],
    classes: Sequence[str],
    shares: tuple[float, float],
    seed: int,
) -> dict[str, int]:
    """Digests of train images that move to test or to validation."""
    held: list[set[str]] = [set() for _ in classes]
    for place, label, digest in zip(split, labels, digests, strict=True):
        if place == TRAIN:
            held[label].add(digest)
    least = 1 + sum(share > 0.0 for share in shares)
    places: dict[str, int] = {}
    if short := [(name, len(distinct)) for name, distinct in zip(classes, held, strict=True) if len(distinct) < least]:
        others = f" ({len(short) - 1:,} more classes have too few)" if len(short) > 1 else ""
        name, count = short[0]
        raise ValueError(f"class {name} has {count} distinct images to train on; it needs at least {least}{others}")
    for distinct in held:
        ordered = sorted(distinct, key=lambda digest: hashlib.sha256(f"{seed} {digest}".encode()).digest())
        tests, validations = (max(1, round(share * len(ordered))) if share > 0.0 else 0 for share in shares)
        places.update(dict.fromkeys(ordered[:tests], TEST))
        places.update(dict.fromkeys(ordered[tests : tests + validations], VALIDATION))
    return places
