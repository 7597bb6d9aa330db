"""Frozen values from plain JSON values, with errors that name the place."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any, cast

from budgetnet.networks.bounds import MOST_STAGES
from budgetnet.reading import shown

Nested = Mapping[type, Mapping[str, type]]
"""The fields of a kind of value that are values themselves, with their kinds; a list holds one kind."""

PLAIN: Mapping[str, tuple[type, ...]] = {"float": (int, float), "bool": (bool,), "str": (str,)}
"""A field that nothing else checks must have the Python type of its annotation."""
WHOLE = ("int", "int | None", "Px")
"""The annotations of whole numbers. JSON may write 8 as 8.0: it has one kind of number."""
SHOWN_NAMES = 5


def parse(kind: type, row: object, where: str, nested: Nested) -> object:
    """A frozen value from plain JSON values. Raises a one-line `ValueError` that names the place and what is wrong."""
    if not isinstance(row, dict):
        raise ValueError(f"{where} must be an object, not {shown(row)}")
    values = cast("dict[str, Any]", row)
    fields = {field.name: field for field in dataclasses.fields(kind)}
    if unknown := sorted(set(values) - set(fields)):
        raise ValueError(f"{where} has no {_names(unknown)}; it has {', '.join(fields)}")
    required = [name for name, field in fields.items() if field.default is dataclasses.MISSING]
    if missing := [name for name in required if name not in values]:
        raise ValueError(f"{where} needs {', '.join(missing)}")
    inner = nested.get(kind, {})
    return kind(
        **{
            name: _field(fields[name], value, f"{where}.{name}", inner.get(name), nested)
            for name, value in values.items()
        }
    )


def _names(unknown: list[str]) -> str:
    """Keys of somebody else's: as they are where they are plain names."""
    plain = (name if name.isidentifier() and len(name) <= 60 else shown(name) for name in unknown[:SHOWN_NAMES])
    return ", ".join(plain) + (f" and {len(unknown) - SHOWN_NAMES} more" if len(unknown) > SHOWN_NAMES else "")


def _field(field: dataclasses.Field[Any], value: Any, where: str, inner: type | None, nested: Nested) -> object:
    annotation = str(field.type)
    if inner is not None and annotation.startswith("tuple"):
        if not isinstance(value, list):
            raise ValueError(f"{where} must be a list, not {shown(value)}")
        rows = cast("list[Any]", value)
        if len(rows) > MOST_STAGES:
            raise ValueError(f"{where} has {len(rows):,} rows; at most {MOST_STAGES:,} are read")
        return tuple(parse(inner, row, f"{where}[{index}]", nested) for index, row in enumerate(rows))
    if inner is not None:
        return None if value is None and "None" in annotation else parse(inner, value, where, nested)
    if annotation in WHOLE:
        value = _whole_numbers(value)
    allowed = PLAIN.get(annotation)
    if allowed and (not isinstance(value, allowed) or (isinstance(value, bool) and bool not in allowed)):
        raise ValueError(f"{where} is {shown(value)}; it must be a {annotation}")
    return value


def _whole_numbers(value: object) -> object:
    if isinstance(value, list):
        return [_whole_numbers(one) for one in cast("Iterable[object]", value)]
    return int(value) if isinstance(value, float) and value.is_integer() else value
