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

What a number may be stands in its type (`Share`, `PositiveInt`, ...), as does that a list may not be empty
(`NotEmpty`). What fields say of one another is checked by the dataclass itself, in `__post_init__`: `require` and
`require_known` raise what is then said with the file and the key.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import types
import typing
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, cast, get_args, get_origin

from budgetnet.arguments import number, shown

Kind = TypeVar("Kind")
Item = TypeVar("Item")
NOT_STORED: Mapping[str, str] = {"stored": "no"}
PRIVATE: Mapping[str, str] = {"stored": "no", "shown": "no"}
ONLY_IF_SET: Mapping[str, str] = {"stored": "if set"}


@dataclass(frozen=True, slots=True)
class Bounds:
    """Which numbers a field of a file may hold."""

    above: float | None = None
    least: float | None = None
    most: float | None = None


@dataclass(frozen=True, slots=True)
class AtLeastOne:
    """A list of a file has at least one item."""


Share = Annotated[float, Bounds(least=0, most=1)]
"""A share is a number from 0 to 1."""
PositiveFloat = Annotated[float, Bounds(above=0)]
NonNegativeFloat = Annotated[float, Bounds(least=0)]
PositiveInt = Annotated[int, Bounds(least=1)]
NonNegativeInt = Annotated[int, Bounds(least=0)]
NotEmpty = Annotated[tuple[Item, ...], AtLeastOne()]
"""A tuple that has at least one item."""


def require(kept: bool, what: str) -> None:
    """Raise a `ValueError` that says `what` where a rule of a record is not kept."""
    if not kept:
        raise ValueError(what)


def require_known(what: str, names: Sequence[str], known: Collection[str], where: str) -> None:
    """Raise a one-line `ValueError` that names the first of the names, which `what` says, that is not in `where`."""
    for name in names:
        require(name in known, f"{what} is {shown(name)}, which {where} does not have")


def require_unique(what: str, names: Sequence[str]) -> None:
    """Raise a one-line `ValueError` where a name stands twice; `what` says of whom, such as "entrants has an id"."""
    require(len(set(names)) == len(names), f"{what} twice")


def require_interval(value: float | None, low: float | None, high: float | None, what: str = "the value") -> None:
    """Raise a one-line `ValueError` unless low <= value <= high, as far as they are known.

    The ends may be off by what rounding leaves.
    """
    slack = 1e-9
    if low is not None and high is not None:
        require(low <= high + slack, f"low is {low:g} and high {high:g}; low must not be above high")
    if value is not None and low is not None and high is not None:
        kept = low - slack <= value <= high + slack
        require(kept, f"{what} is {value:g}; it must lie within its interval, {low:g} to {high:g}")


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
    return [field for field in stored if is_kept(field, getattr(value, field.name))]


def is_kept(field: dataclasses.Field[Any], value: object) -> bool:
    """Whether a field with this value is there: one that is there only if it is set has to differ from its default."""
    return field.metadata.get("stored") != "if set" or value != field.default


@functools.cache
def _hints(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind, include_extras=True)


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
    if origin is Annotated:
        return _within(kind.__metadata__, _value(parts[0], row, path), path)
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


def _within(rules: Sequence[object], value: Any, path: str) -> Any:
    """The value, if it keeps the rules of its type."""
    for rule in rules:
        if isinstance(rule, AtLeastOne) and not value:
            raise _WrongError(f"{path} is empty; it must have at least one item")
        if isinstance(rule, Bounds):
            try:
                number(path, value, rule.above, rule.least, rule.most)
            except ValueError as error:
                raise _WrongError(str(error)) from error
    return value


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
