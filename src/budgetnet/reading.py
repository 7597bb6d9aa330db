"""JSON that people and other programs wrote: values, or one line that says what is wrong with them.

Python's own reader takes more than JSON is (NaN, Infinity, a key twice), ends in a traceback where a text is nested
deeply, and converts numbers of thousands of digits.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, cast

from budgetnet.arguments import MOST_DIGITS, shown

MOST_BYTES = 1 << 28
"""A JSON file may have at most this many bytes. The largest of ours, the numbers of a run with very many classes, are
far below."""
MOST_DEPTH = 64
"""Lists and objects may lie inside of each other this deep; files of ours have some ten levels."""
_TOO_DEEP = f"is nested deeper than {MOST_DEPTH} levels"


def json_value(text: str | bytes) -> Any:
    """The value of a JSON text, in UTF-8, UTF-16 or UTF-32 where it is bytes, with a byte order mark or without.

    Raises a `ValueError` whose line goes on from the name of what holds the text ("is not JSON: ..."): for anything
    that is not JSON, for a key that is there twice, for NaN, infinities and numbers that no float can be (with their
    place), for integers of more than 40 digits, and for more than 64 levels.
    """
    try:
        if isinstance(text, bytes):
            text = text.decode(json.detect_encoding(text))
        value: Any = json.loads(text.removeprefix("\ufeff"), object_pairs_hook=_object, parse_int=_integer)
    except RecursionError as error:
        raise ValueError(_TOO_DEEP) from error
    except UnicodeDecodeError as error:
        raise ValueError(f"is not JSON: byte {error.start} is not valid {error.encoding.upper()}") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"is not JSON: {error}") from error
    _check_values(value)
    return value


def read_json_file(path: Path, most_bytes: int = MOST_BYTES) -> Any:
    """The value of a JSON file. Raises a one-line `ValueError` that names it, as `json_value` and `file_content` do."""
    return named_json(str(path), file_content(path, most_bytes))


def named_json(where: str, text: str | bytes) -> Any:
    """As `json_value`; the error begins with what holds the text."""
    try:
        return json_value(text)
    except ValueError as error:
        raise ValueError(f"{where} {error}") from error


def file_content(path: Path, most_bytes: int = MOST_BYTES) -> bytes:
    """The bytes of a file. Raises a one-line `ValueError` where it cannot be read, or is too long to be what it says.

    Pipes and devices, which may never end, are not files.
    """
    try:
        if path.exists() and not path.is_file():
            raise ValueError(f"{path} is not a file; give a file")
        size = path.stat().st_size
        if size > most_bytes:
            raise ValueError(f"{path} has {size:,} bytes; such a file has at most {most_bytes:,}")
        return path.read_bytes()
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror or error}") from error


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) < len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))
        raise ValueError(f"has the key {shown(twice)} twice")
    return row


def _integer(digits: str) -> int:
    if len(digits) > MOST_DIGITS:
        raise ValueError(f"has an integer of {len(digits.lstrip('-')):,} digits; {MOST_DIGITS} are the most")
    return int(digits)


def _check_values(value: object) -> None:
    """Raise a `ValueError` for a float that is not a number, with its place, and for what is nested too deeply.

    A stack of our own: what is checked may be nested as deeply as Python calls can be.
    """
    left: list[tuple[object, tuple[str | int, ...]]] = [(value, ())]
    while left:
        one, place = left.pop()
        if isinstance(one, float):
            if not math.isfinite(one):
                raise ValueError(f"has {one} in {_place(place)}, not a number")
        elif isinstance(one, dict | list):
            if len(place) >= MOST_DEPTH:
                raise ValueError(_TOO_DEEP)
            rows = cast("dict[str, object]", one)
            items = rows.items() if isinstance(one, dict) else enumerate(cast("list[object]", one))
            # Strings and integers are most of what files hold, and cannot be wrong here. The first comes off first.
            kinds = (float, dict, list)
            left.extend(reversed([(item, (*place, name)) for name, item in items if type(item) in kinds]))


def _place(names: tuple[str | int, ...]) -> str:
    """As `stages[2].expansion`."""
    text = "".join(f"[{name}]" if isinstance(name, int) else f".{name}" for name in names)
    return shown(text.removeprefix("."))[1:-1] or "its only value"
