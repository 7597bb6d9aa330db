"""Frozen dataclasses as JSON and back: one rule for every record that a file holds, and one text for what is damaged.

    value             in the file
    ----------------  ------------------------------------------
    dataclass         object, a key a field
    tuple, list       array
    dict              object
    Path              string
    Network, Space    their own JSON (classes with `to_json` and `from_json`)

A field with `metadata=NOT_STORED` is not in the file: whoever reads it gives the value, or with `init=False` the class
itself does; a `PRIVATE` one is not in what `--json` prints either. A field with `metadata=ONLY_IF_SET` is in the file
where it differs from its default. Other fields that have a default may be missing: then a file is from before there was
such a field.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin

from budgetnet.arguments import shown

Kind = TypeVar("Kind")
NOT_STORED: Mapping[str, str] = {"stored": "no"}
PRIVATE: Mapping[str, str] = {"stored": "no", "shown": "no"}
ONLY_IF_SET: Mapping[str, str] = {"stored": "if set"}


class DamagedError(ValueError):
    """A record that a file should not hold, in one line; `what` is the line without the name of the file."""

    def __init__(self, where: str, what: str) -> None:
        self.what = what
        super().__init__(f"{where} is damaged: {what}")


def to_plain(value: object) -> Any:
    """The value as JSON's types: what `from_plain` makes an equal value of.

    >>> from budgetnet import Coefficients
    >>> to_plain(Coefficients(1.2, 1.1, 1.15))
    {'alpha': 1.2, 'beta': 1.1, 'gamma': 1.15}
    """
    if hasattr(value, "to_json"):
        return json.loads(cast(Any, value).to_json())
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_plain(getattr(value, field.name)) for field in _stored(value)}
    if isinstance(value, Mapping):
        return {str(key): to_plain(each) for key, each in cast("Mapping[object, object]", value).items()}
    if isinstance(value, tuple | list):
        return [to_plain(each) for each in cast("Sequence[object]", value)]
    return str(value) if isinstance(value, Path) else value


def from_plain(kind: type[Kind], row: object, where: str, **given: object) -> Kind:
    """The value of this type that a file's JSON says.

    `where` names the JSON in messages, as "comparison.json in runs/x". `given` are the fields that no file holds.
    Raises a one-line `ValueError` that names the first key that is missing, unknown or of a wrong type.

    >>> from budgetnet import Coefficients
    >>> from_plain(Coefficients, {"alpha": 1.2, "beta": 1.1, "gamma": 1.15}, "the file")
    Coefficients(alpha=1.2, beta=1.1, gamma=1.15)
    >>> from_plain(Coefficients, {"alpha": 1.2, "beta": "1.1", "gamma": 1.15}, "the file")
    Traceback (most recent call last):
    ...
    ValueError: the file is damaged: beta is '1.1'; it must be a number
    """
    try:
        return _dataclass(kind, row, "", given)
    except _WrongError as error:
        raise DamagedError(where, str(error)) from error


def as_object(row: object, where: str) -> Mapping[str, Any]:
    """The row, if it is a JSON object. Raises a one-line `ValueError` for anything else."""
    if not isinstance(row, Mapping):
        raise DamagedError(where, f"it is {shown(row)}; it must be an object")
    return cast("Mapping[str, Any]", row)


def from_record(kind: type[Kind], row: object, format_name: str, where: str, **given: object) -> Kind:
    """As `from_plain`, of a file whose object has this format name under "format". Raises for another one."""
    rows = dict(as_object(row, where))
    found = rows.pop("format", None)
    if found != format_name:
        raise ValueError(f"{where} has the format {shown(found)}; this version reads {format_name}")
    return from_plain(kind, rows, where, **given)


class _WrongError(Exception):
    """What is wrong with a row, and where in it."""


def _stored(value: Any) -> list[dataclasses.Field[Any]]:
    """The fields that the file of this value has."""
    stored = [field for field in dataclasses.fields(value) if field.metadata.get("stored") != "no"]
    return [
        field
        for field in stored
        if field.metadata.get("stored") != "if set" or getattr(value, field.name) != field.default
    ]


@functools.cache
def _hints(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _dataclass(kind: type[Kind], row: object, path: str, given: Mapping[str, object]) -> Kind:
    if not isinstance(row, Mapping):
        raise _WrongError(f"{path or 'it'} is {shown(row)}; it must be an object")
    rows, hints, values = cast("Mapping[str, object]", row), _hints(kind), dict(given)
    every = dataclasses.fields(cast(Any, kind))
    names = {field.name: field for field in every if field.init and field.name not in given}
    if unknown := sorted(set(rows) - set(names)):
        raise _WrongError(f"{_at(path, shown(unknown[0])[1:-1])} is not known")
    for name, field in names.items():
        if name in rows:
            values[name] = _value(hints[name], rows[name], _at(path, name))
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise _WrongError(f"{_at(path, name)} is missing")
    try:
        return kind(**values)
    except (TypeError, ValueError) as error:  # the type's own checks
        raise _WrongError(f"{path}: {error}" if path else str(error)) from error


def _at(path: str, name: object) -> str:
    return f"{path}.{name}" if path else str(name)


PLAIN = {str: "a text", bool: "true or false", int: "an integer", float: "a number"}


def _value(kind: Any, row: object, path: str) -> Any:
    """The value of this type at that place of the JSON."""
    origin, parts = get_origin(kind), get_args(kind)
    if kind is Any:
        return row
    if origin in (Union, types.UnionType):
        return _one_of(parts, row, path)
    if origin is Literal:
        if row not in parts:
            raise _WrongError(f"{path} is {shown(row)}; it must be one of {', '.join(map(str, parts))}")
        return row
    if kind in PLAIN:
        return _plain_value(kind, row, path)
    if origin in (tuple, list):
        items = _items(origin, parts, row, path)
        return tuple(items) if origin is tuple else items
    if isinstance(origin, type) and issubclass(origin, Mapping):
        if not isinstance(row, Mapping):
            raise _WrongError(f"{path} is {shown(row)}; it must be an object")
        rows = cast("Mapping[str, object]", row)
        return {name: _value(parts[1], each, _at(path, name)) for name, each in rows.items()}
    if kind is Path:
        return Path(_plain_value(str, row, path))
    if hasattr(kind, "from_json"):
        try:
            return kind.from_json(json.dumps(row))
        except ValueError as error:
            raise _WrongError(f"{path}: {error}") from error
    return _dataclass(kind, row, path, {})


def _one_of(parts: Sequence[Any], row: object, path: str) -> Any:
    """The value of the first type of a union that takes the row."""
    if row is None and types.NoneType in parts:
        return None
    kinds = [part for part in parts if part is not types.NoneType]
    for kind in kinds[:-1]:
        try:
            return _value(kind, row, path)
        except _WrongError:
            continue
    return _value(kinds[-1], row, path)


def _plain_value(kind: Any, row: object, path: str) -> Any:
    right = isinstance(row, int | float if kind is float else kind)
    if not right or (isinstance(row, bool) and kind is not bool):
        raise _WrongError(f"{path} is {shown(row)}; it must be {PLAIN[kind]}")
    return kind(cast(Any, row))


def _items(origin: type, parts: tuple[Any, ...], row: object, path: str) -> list[Any]:
    if not isinstance(row, list | tuple):
        raise _WrongError(f"{path} is {shown(row)}; it must be an array")
    rows = cast("Sequence[object]", row)
    if origin is tuple and parts[1:] != (Ellipsis,):
        if len(rows) != len(parts):
            raise _WrongError(f"{path} has {len(rows)} items; it must have {len(parts)}")
        return [
            _value(part, each, f"{path}[{index}]") for index, (part, each) in enumerate(zip(parts, rows, strict=True))
        ]
    return [_value(parts[0], each, f"{path}[{index}]") for index, each in enumerate(rows)]
