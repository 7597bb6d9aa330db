"""Frozen values from plain JSON values, with errors that name the place."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, cast

Nested = Mapping[type, Mapping[str, type]]
"""For a kind of value, the fields that are values themselves and their kinds; a list holds one each."""

PLAIN: Mapping[str, tuple[type, ...]] = {"float": (int, float), "bool": (bool,), "str": (str,)}
"""Python's types of a field that nothing else checks, by its annotation."""


def parse(kind: type, row: object, where: str, nested: Nested) -> object:
    """A frozen value from plain JSON values. Raises a one-line `ValueError` that names the place and what is wrong."""
    if not isinstance(row, dict):
        raise ValueError(f"{where} must be an object, not {row!r}")
    values = cast("dict[str, Any]", row)
    fields = {field.name: field for field in dataclasses.fields(kind)}
    if unknown := sorted(set(values) - set(fields)):
        raise ValueError(f"{where} has no {', '.join(unknown)}; it has {', '.join(fields)}")
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


def _field(field: dataclasses.Field[Any], value: Any, where: str, inner: type | None, nested: Nested) -> object:
    annotation = str(field.type)
    if inner is not None and annotation.startswith("tuple"):
        if not isinstance(value, list):
            raise ValueError(f"{where} must be a list, not {value!r}")
        rows = enumerate(cast("list[Any]", value))
        return tuple(parse(inner, row, f"{where}[{index}]", nested) for index, row in rows)
    if inner is not None:
        return None if value is None and "None" in annotation else parse(inner, value, where, nested)
    allowed = PLAIN.get(annotation)
    if allowed and (not isinstance(value, allowed) or (isinstance(value, bool) and bool not in allowed)):
        raise ValueError(f"{where} is {value!r}; it must be a {annotation}")
    return value
