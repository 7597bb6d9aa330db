"""What people and disks do to JSON files: one key changed at a time."""

from __future__ import annotations

import copy
import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Key = str | int
REMOVED = object()
VALUES: Mapping[str, Any] = {
    "removed": REMOVED,
    "an empty list": [],
    "an empty object": {},
    "below zero": -1,
    "zero": 0,
    "a text": "x",
    "null": None,
    "not a number": float("nan"),
}
"""What a key is changed to; of a list its last item is left out as well."""
CUT = "its last item left out"


@dataclass(frozen=True, slots=True)
class Mutation:
    """A file's value with one key changed."""

    keys: tuple[Key, ...]
    how: str

    def __str__(self) -> str:
        return f"{self.path}: {self.how}"

    @property
    def path(self) -> str:
        """As `plan.entrants[0].id`; items of lists all have the same rules, so that 0 stands for all of them."""
        text = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in self.keys)
        return text.removeprefix(".")

    def of(self, row: Any) -> Any:
        """The changed value."""
        row = copy.deepcopy(row)
        *way, last = self.keys
        inner = row
        for key in way:
            inner = inner[key]
        if self.how == CUT:
            inner[last] = inner[last][:-1]
        elif self.how == "removed":
            del inner[last]
        else:
            inner[last] = VALUES[self.how]
        return row

    def text(self, row: Any) -> str:
        """The changed file."""
        return json.dumps(self.of(row), indent=2)


def mutations(row: Any, whole: frozenset[str] = frozenset()) -> Iterator[Mutation]:
    """Every key of the object, changed in every way that changes it.

    Of a list of objects the first is changed inside, and of what is called as `whole` says nothing inside.
    """
    for keys, value in _places(row, (), whole):
        for how in VALUES:
            if how == "removed" and isinstance(keys[-1], int):
                continue
            if VALUES[how] != value or type(VALUES[how]) is not type(value):
                yield Mutation(keys, how)
        if isinstance(value, list) and value:
            yield Mutation(keys, CUT)


def _places(value: Any, keys: tuple[Key, ...], whole: frozenset[str]) -> Iterator[tuple[tuple[Key, ...], Any]]:
    if keys:
        yield keys, value
        if keys[-1] in whole:
            return
    items = value.items() if isinstance(value, dict) else enumerate(value[:1]) if isinstance(value, list) else ()
    yield from itertools.chain.from_iterable(_places(inner, (*keys, key), whole) for key, inner in items)


def differing(one: Any, other: Any, keys: tuple[Key, ...] = ()) -> Iterator[tuple[Key, ...]]:
    """Where two values of JSON differ."""
    if isinstance(one, dict) and isinstance(other, dict):
        for name in sorted(one.keys() | other.keys()):
            if name in one and name in other:
                yield from differing(one[name], other[name], (*keys, name))
            else:
                yield (*keys, name)
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for index, pair in enumerate(zip(one, other, strict=True)):
            yield from differing(*pair, (*keys, index))
    elif one != other or type(one) is not type(other):
        yield keys
