"""Names of classes as people have them: a list, a file of lines, the JSON that another library wrote."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from budgetnet.arguments import several, text
from budgetnet.reading import file_content, named_json, shown

MOST_BYTES = 1 << 26
CLEAR = "give a file with a name a line, a .json list or {name: number}, or names apart by commas"


def read_class_names(given: str | Path | Sequence[str]) -> tuple[str, ...]:
    """Names of classes in the order of the logits.

    A list; the path of a text file with a name a line, or of a .json file with a list, {name: number} or
    {number: name}; or one text with commas. Raises a one-line `ValueError` for none, for names that are empty, cannot
    be printed or are there twice, and for a file that is neither.
    """
    if not isinstance(given, str | os.PathLike):
        return _checked("class_names", several("class_names", given, text, (), "names of classes"))
    path = Path(given)
    if not path.exists() and isinstance(given, str) and "," in given:
        return _checked("the list of class names", tuple(name.strip() for name in given.split(",")))
    if not path.exists():
        raise ValueError(f"there is no file of class names {given}; {CLEAR}")
    content = file_content(path, MOST_BYTES)
    if path.suffix == ".json":
        names = named_classes(named_json(str(path), content))
        if names is None:
            raise ValueError(f"{path} has no list of class names; {CLEAR}")
        return _checked(str(path), names)
    try:
        lines = content.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not text in UTF-8 (byte {error.start}); save it as UTF-8") from error
    return _checked(str(path), tuple(line.strip() for line in lines if line.strip()))


def _checked(where: str, names: tuple[str, ...]) -> tuple[str, ...]:
    if not names:
        raise ValueError(f"{where} has no class names; {CLEAR}")
    for name in names:
        if not isinstance(name, str) or not name or not name.isprintable():
            raise ValueError(f"{where} has {shown(name)} for a class, which is not a name that can be printed")
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise ValueError(f"{where} has the class {shown(twice[0])} twice")
    return names


def named_classes(value: object) -> tuple[str, ...] | None:
    """Class names from a list of texts, {name: number} or {number: name}; None where a value is none of these."""
    if isinstance(value, Mapping):
        rows: Mapping[Any, Any] = value
        by_number: dict[int, object] = {}
        for key, entry in rows.items():
            name = entry[-1] if isinstance(entry, list | tuple) and entry else entry  # Keras: number: [code, name]
            if type(key) is int or (isinstance(key, str) and key.isdecimal() and isinstance(name, str)):
                by_number[int(key)] = name
            elif type(entry) is int:
                by_number[entry] = key
        value = [by_number.get(index) for index in range(len(rows))]
    if not isinstance(value, list | tuple):
        return None
    names = tuple(one for one in value if isinstance(one, str))
    return names if names and len(names) == len(value) else None


def numbered_classes(count: int) -> tuple[str, ...]:
    """What classes are called that nobody has named."""
    return tuple(map(str, range(count)))
