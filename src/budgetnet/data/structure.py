"""What the folders at the top of a data folder are: classes, or the splits train, val and test around the classes.

Names alone do not tell: "train" is a class beside "bus" and "car". So names count where two of them speak of different
splits in the same way (seg_train and seg_test), and the structure counts where folders hold the same folders.
"""

from __future__ import annotations

import re
import shlex
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from budgetnet.data.folders import PARTS

TRAIN, VALIDATION, TEST = 0, 1, 2
GIVEN = {
    "train": TRAIN,
    "training": TRAIN,
    "val": VALIDATION,
    "valid": VALIDATION,
    "validation": VALIDATION,
    "test": TEST,
    "testing": TEST,
}
"""The names of folders that are taken for splits as they are, in any capitals."""
SPEAKING = {
    **dict.fromkeys(("train", "training", "trn", "학습", "훈련"), TRAIN),
    **dict.fromkeys(("val", "valid", "validation", "validate", "dev", "eval", "evaluation", "검증"), VALIDATION),
    **dict.fromkeys(("test", "testing", "tst", "holdout", "시험", "테스트", "평가"), TEST),
}
"""The words that tell of a split inside a longer name."""
EMPTY_WORDS = frozenset(
    (
        *("set", "sets", "data", "dataset", "datasets", "image", "images", "img", "imgs", "photo", "photos", "picture"),
        *("pictures", "pic", "pics", "file", "files", "folder", "dir", "split", "splits", "batch", "batches", "part"),
        *("jpg", "jpeg", "png", "full", "final", "new", "small", "v"),
    )
)
"""The words that add nothing to one of a split: train_images, test_batch, val_set."""
SHOWN = 5


@dataclass(frozen=True, slots=True)
class Top:
    """A folder at the top, and the folders below it that hold images themselves, each as its parts; () is it itself."""

    name: str
    holds: frozenset[tuple[str, ...]]

    @property
    def nested(self) -> bool:
        """Whether there are images in folders inside."""
        return any(self.holds - {()})

    def inner(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The first folder, by its parts from here, that holds more than one; and the names of those that it holds.

        Archives often unpack into a folder of their own name: it is looked through.
        """
        parts: tuple[str, ...] = ()
        while True:
            names = {held[len(parts)] for held in self.holds if len(held) > len(parts) and held[: len(parts)] == parts}
            if not names and parts:
                return parts[:-1], parts[-1:]
            if len(names) != 1 or parts in self.holds:
                return parts, tuple(sorted(names))
            parts += tuple(names)


def speaks_of(name: str) -> tuple[int, str] | None:
    """The split that a folder's name speaks of, and what the name says besides: seg_train2017 of train, and "seg"."""
    words = re.findall(r"[^\W\d_]+", unicodedata.normalize("NFKC", name).casefold())
    for speaking in sorted(SPEAKING, key=len, reverse=True):
        for index, word in enumerate(words):
            if word.startswith(speaking) or word.endswith(speaking):
                left = word.removeprefix(speaking) if word.startswith(speaking) else word.removesuffix(speaking)
                others = [*words[:index], left, *words[index + 1 :]]
                rest = [one for one in others if one and one not in EMPTY_WORDS and one not in SPEAKING]
                return SPEAKING[speaking], " ".join(rest)
    return None


def spoken_splits(names: Iterable[str]) -> dict[str, int]:
    """The names that speak of splits, and of which, where two of them do so of different ones in the same way."""
    spoken = {name: role for name in names if (role := speaks_of(name)) is not None}
    ways: dict[str, set[int]] = {}
    for role, rest in spoken.values():
        ways.setdefault(rest, set()).add(role)
    return {name: role for name, (role, rest) in spoken.items() if len(ways[rest]) > 1}


def splits_of(data: str, tops: Sequence[Top], whole: bool) -> dict[str, int]:
    """Which split each folder at the top is (0 train, 1 validation, 2 test); none where they are the classes.

    They are splits as they stand where all that hold images are called train, val or test and train holds folders of
    images; `whole`: nothing is to be trained, so no train is needed. Raises one-line `ValueError`s that say what to do
    for all others that look like splits: by their names, or because they hold the same folders.
    """
    holding = [top for top in tops if top.holds]
    exact = {top.name: GIVEN[top.name.lower()] for top in tops if top.name.lower() in GIVEN}
    trains = [top for top in holding if exact.get(top.name) == TRAIN and top.nested]
    nested = [top for top in holding if top.nested]
    if holding and all(top.name in exact for top in holding) and (trains or (whole and nested)):
        _check_splits(data, tops, exact)
        return exact
    if spoken := spoken_splits(top.name for top in holding):
        _refuse_spoken(data, [top for top in holding if top.name in spoken], spoken)
    others = [top.name for top in holding if top.name not in exact]
    if others and any(() not in top.holds for top in trains):
        raise ValueError(
            f"{data} holds {trains[0].name} and also {_some(others)}; beside train only val and test are known: "
            f"take the others out, or give {_flags(data, holding, exact)}; {_as_classes(data)}"
        )
    if len(holding) == 1:
        _check_alone(data, holding[0])
    _check_same_inside(data, holding)
    return {}


def _check_splits(data: str, tops: Sequence[Top], exact: dict[str, int]) -> None:
    """Raise a one-line `ValueError` for splits given twice, without images, without classes, or inside a wrapper."""
    splits = [top for top in tops if top.name in exact]
    nested = [top for top in splits if top.nested]
    for index, part in enumerate(PARTS):
        if len(same := [top.name for top in splits if exact[top.name] == index]) > 1:
            raise ValueError(f"{data} holds {_some(same)}, which are all {part}; keep one")
    for top in splits:
        if not top.holds:
            raise ValueError(f"{top.name} of {data} holds no images; fill it or take it out")
        if not top.nested:
            raise ValueError(
                f"the images in {top.name} of {data} lie in no class folders, so nothing says what they are; "
                f"put them into some, or leave them out: give {_flags(data, nested, exact)}"
            )
        parts, names = top.inner()
        if exact[top.name] == TRAIN and parts and len(names) > 1:
            raise ValueError(
                f"{top.name} of {data} holds the folder {parts[0]} alone, with {_some(names)} inside; "
                f"give {_flags(data, nested, exact)}"
            )


def _refuse_spoken(data: str, splits: Sequence[Top], roles: Mapping[str, int]) -> None:
    """Raise the one-line `ValueError` about folders that their names tell to be splits."""
    what = f"{_some([top.name for top in splits])} of {data} look like splits and not like classes"
    loose, nested = ([top for top in splits if top.nested is inside] for inside in (False, True))
    ways = [f"give {_flags(data, nested, roles)}"] if nested else []
    if loose:
        names = _some([top.name for top in loose])
        ways.append(f"put the images of {names} into class folders, or list them in a labels.csv")
    raise ValueError(f"{what}; {', or '.join(ways)}; {_as_classes(data)}")


def _check_alone(data: str, top: Top) -> None:
    """Raise a one-line `ValueError` for an archive's own folder around the classes, or a split that stands alone."""
    parts, names = top.inner()
    if len(names) > 1:
        split = speaks_of(top.name) is not None and not spoken_splits(names)
        give = f"--train {_place(data, top)}" if split else shlex.quote(str(Path(data, top.name, *parts)))
        raise ValueError(f"{data} holds the folder {top.name} alone, with {_some(names)} inside; give {give}")


def _check_same_inside(data: str, holding: Sequence[Top]) -> None:
    """Raise a one-line `ValueError` where folders hold the same folders: splits, or folds, and not classes."""
    inner = {top.name: frozenset(name.strip().casefold() for name in top.inner()[1]) for top in holding}
    count = Counter(name for names in inner.values() for name in names)
    common = {top: {name for name in names if count[name] > 1} for top, names in inner.items()}
    same = [top for top in holding if len(common[top.name]) > 1 and 2 * len(common[top.name]) >= len(inner[top.name])]
    if len(same) < 2 or 2 * len(same) < len(holding):
        return
    tops = _some([top.name for top in same])
    names = sorted({name for top in same for name in common[top.name]})
    if spoken_splits(names):
        raise ValueError(
            f"{tops} of {data} hold splits inside ({_some(names)}): put the class folders into the splits, "
            f"or for a split of our own give --train {shlex.quote(data)}"
        )
    first, last = _place(data, same[0]), _place(data, same[-1])
    raise ValueError(
        f"{tops} of {data} hold the same folders ({_some(names)}), so they look like splits and not like classes; "
        f"give --train {first} {'... ' if len(same) > 2 else ''}--test {last}; {_as_classes(data)}"
    )


def _flags(data: str, tops: Sequence[Top], roles: Mapping[str, int]) -> str:
    """The options that say what splits are, in the order of the splits."""
    splits = sorted((top for top in tops if top.name in roles), key=lambda top: roles[top.name])
    flags = [f"--{PARTS[roles[top.name]]} {_place(data, top)}" for top in splits]
    return " ".join(flags if any(roles[top.name] == TRAIN for top in splits) else ["--train DIR", *flags])


def _as_classes(data: str) -> str:
    return f"if they are classes, give --train {shlex.quote(data)}"


def _place(data: str, top: Top) -> str:
    """The folder that holds the class folders of a split, for a shell."""
    return shlex.quote(str(Path(data, top.name, *top.inner()[0])))


def _some(names: Sequence[str]) -> str:
    """A few names; one that begins or ends with a blank in quotes."""
    shown = ", ".join(name if name == name.strip() else repr(name) for name in names[:SHOWN])
    return shown + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
