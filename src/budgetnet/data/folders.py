"""Where labelled images lie: one folder, or folders of their own for training, validation and testing."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from budgetnet.arguments import wrong

DATA = "a folder that holds a folder of images for each class, digits, or Folders(train=..., val=..., test=...)"
PARTS = ("train", "val", "test")
"""The fields of `Folders` stand in the order of the splits."""
Paths = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]


@dataclass(frozen=True, slots=True)
class Folders:
    """Class folders for each split, where one folder for all images is not enough.

    Whatever these folders are called, the folders inside them are the classes. Splits that are not given are carved
    from the training images. It is the same as --train DIR --val DIR --test DIR on the command line.

    Attributes:
        train: The folders with the training images: one path or several.
        val: The same for validation; () carves it from the training images.
        test: The same for the test; () carves it from the training images.

    Raises:
        ValueError: No folder is given, a name is empty, or a folder is given twice or lies inside another.

    Example:
        >>> import budgetnet
        >>> print(budgetnet.Folders(train=["fold1", "fold2"], test="fold3"))
        --train fold1 --train fold2 --test fold3
    """

    train: tuple[str, ...]
    val: tuple[str, ...]
    test: tuple[str, ...]

    def __init__(self, train: Paths = (), val: Paths = (), test: Paths = ()) -> None:
        for name, paths in zip(PARTS, (train, val, test), strict=True):
            object.__setattr__(self, name, _paths(name, paths))
        given = [(name, Path(path).expanduser().resolve(), path) for name, path in self.given()]
        if not given:
            raise ValueError("give at least one folder: train, val or test")
        for index, (name, path, asked) in enumerate(given):
            for other, other_path, other_asked in given[:index]:
                if path == other_path:
                    raise ValueError(f"--{name} {asked} and --{other} {other_asked} are one folder; give each once")
                if path.is_relative_to(other_path) or other_path.is_relative_to(path):
                    raise ValueError(
                        f"--{name} {asked} and --{other} {other_asked} lie inside one another; give folders apart"
                    )

    def given(self) -> tuple[tuple[str, str], ...]:
        """The folders that are given, in the order of the splits.

        Returns:
            Pairs (part, folder).
        """
        return tuple((name, path) for name in PARTS for path in getattr(self, name))

    def resolved(self) -> dict[str, list[str]]:
        """The folders as absolute paths: they say whether two values mean the same.

        Returns:
            The folders of each part.
        """
        return {name: [_whole(path) for path in getattr(self, name)] for name in PARTS}

    def __str__(self) -> str:
        return " ".join(f"--{name} {path}" for name, path in self.given())


Data = str | Folders
"""One folder or "digits" (which comes with the package), or folders of their own for the splits."""


def data_of(data: str | os.PathLike[str] | Folders) -> Data:
    """What was given for labelled images. Raises a one-line error for an empty name and for what is not a path."""
    if isinstance(data, Folders):
        return data
    if not isinstance(data, str | os.PathLike):
        raise wrong("data", data, DATA, of_type=True)
    path = os.fspath(data)
    if not isinstance(path, str) or "\0" in path:
        raise wrong("data", data, DATA)
    if not path.strip():
        raise ValueError("data is an empty name; give a folder that holds a folder for each class")
    return path


def name_of(data: Data) -> str:
    """What runs are named after: the folder, or what the folders have around them."""
    if isinstance(data, str):
        return Path(data).name or Path(data).resolve().name or "images"
    paths = [_whole(path) for _, path in data.given()]
    return Path(os.path.commonpath(paths)).name or "images"


def identity_of(data: Data) -> Any:
    """What tells data apart wherever a command is started, as JSON has it; of one folder its whole path."""
    if isinstance(data, str):
        return data if data == "digits" else str(Path(data).resolve())
    return {name: paths for name, paths in data.resolved().items() if paths}


def _paths(name: str, paths: Paths) -> tuple[str, ...]:
    several = [paths] if isinstance(paths, str | os.PathLike) or not isinstance(paths, Iterable) else list(paths)
    for path in several:
        if not isinstance(path, str | os.PathLike):
            raise TypeError(f"{name} holds {path!r}; give folders by their paths")
        if not os.fspath(path).strip():
            raise ValueError(f"--{name} is an empty name; give a folder that holds a folder for each class")
    return tuple(os.fspath(path) for path in several)


def _whole(path: str) -> str:
    return str(Path(path).expanduser().resolve())
