"""docs/formats.md as schemas, and what in a value is not as they say."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PAGE = Path(__file__).resolve().parents[2] / "docs" / "formats.md"
SCHEMAS: dict[str, Any] = {
    name: json.loads(text)
    for name, text in re.findall(
        r"^Schema `([^`]+`(?:, \w+)?):\n\n```json\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.M | re.S
    )
}
SCHEMAS = {name.replace("`", ""): schema for name, schema in SCHEMAS.items()}
PLAIN = {"string": str, "integer": int, "number": (int, float), "boolean": bool, "null": type(None)}


def faults(value: Any, schema: Any, where: str) -> Iterator[str]:
    """Where a value is not what the schema says."""
    if isinstance(schema, str):
        yield from _named(value, schema, where)
    elif isinstance(schema, list):
        if not isinstance(value, list):
            yield f"{where} is not a list"
            return
        for index, item in enumerate(value):
            yield from faults(item, schema[0], f"{where}[{index}]")
    elif not isinstance(value, dict):
        yield f"{where} is not an object"
    else:
        yield from _object(value, schema, where)


def _named(value: Any, schema: str, where: str) -> Iterator[str]:
    found: list[str] = []
    for name in schema.split(" | "):
        if name in PLAIN:
            wrong = not isinstance(value, PLAIN[name]) or (isinstance(value, bool) and name != "boolean")
            faulty = [f"{where} is {value!r}, no {name}"] if wrong else []
        else:
            faulty = list(faults(value, SCHEMAS[name], where))
        if not faulty:
            return
        found += faulty
    yield from found


def _object(value: dict[str, Any], schema: dict[str, Any], where: str) -> Iterator[str]:
    if "*" in schema:
        for name, item in value.items():
            yield from faults(item, schema["*"], f"{where}.{name}")
        return
    known = {name.rstrip("?"): name for name in schema}
    yield from (f"{where}.{name} is not on the page" for name in value.keys() - known.keys())
    for name, key in known.items():
        if name in value:
            yield from faults(value[name], schema[key], f"{where}.{name}")
        elif not key.endswith("?"):
            yield f"{where}.{name} is missing"


def hold(value: Any, name: str) -> None:
    assert list(faults(value, SCHEMAS[name], name)) == []
