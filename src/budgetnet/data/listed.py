"""labels.csv: a table of files and their classes, in place of class folders, as spreadsheets write it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

LIST = "labels.csv"
FILE_COLUMNS = ("file", "filename", "path", "image")
LABEL_COLUMNS = ("label", "class", "name")
DELIMITERS = (",", ";", "\t")
"""The delimiters of a table: which of them a spreadsheet writes depends on the country that it is set to."""
UTF_16 = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the list: a file, its class, what it says of the split ("" where it says nothing)."""

    line: int
    file: str
    label: str
    split: str


def rows_of(path: Path) -> Iterator[Row]:
    """The rows of a list. Raises one-line `ValueError`s that name the file, the line and what to do."""
    text = _text(path)
    head = text.partition("\n")[0]
    delimiter = next((one for one in DELIMITERS if _has_columns(head, one)), DELIMITERS[0])
    rows = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    line = 1
    try:
        columns = _columns(rows.fieldnames or ())
        file, label = (_column(columns, wanted, path) for wanted in (FILE_COLUMNS, LABEL_COLUMNS))
        line = rows.line_num + 1
        for row in rows:
            values = [(row.get(name) or "").strip() for name in (file, label, columns.get("split", ""))]
            if any("\n" in value or "\r" in value for value in values):
                raise ValueError(f"line {line} of {path} has a quote that line {rows.line_num} closes; take it out")
            yield Row(rows.line_num, *values)
            line = rows.line_num + 1
    except csv.Error as error:
        never_closed = "unexpected end" in str(error)
        what = "has a quote that is never closed; close it or take it out" if never_closed else f"is not CSV: {error}"
        raise ValueError(f"line {line} of {path} {what}") from error


def _text(path: Path) -> str:
    """The file as text. Raises a one-line `ValueError` for what is not UTF-8."""
    content = path.read_bytes()
    if not content.strip():
        raise ValueError(f"{path} is empty; its first line must name the columns file and label")
    if content.startswith(UTF_16) or b"\0" in content[:4]:
        raise ValueError(f"{path} is in UTF-16; save it as UTF-8 (in Excel: CSV UTF-8)")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ValueError(f"line {line} of {path} is not in UTF-8; save it as UTF-8 (in Excel: CSV UTF-8)") from error
    if "\0" in text:
        raise ValueError(f"{path} holds zero bytes: it is damaged, or not text; write it again")
    return text


def _columns(names: Sequence[str]) -> Mapping[str, str]:
    return {(name or "").strip().lower(): name for name in names}


def _has_columns(head: str, delimiter: str) -> bool:
    columns = _columns([name.strip().strip('"') for name in head.split(delimiter)])
    return any(name in columns for name in FILE_COLUMNS) and any(name in columns for name in LABEL_COLUMNS)


def _column(columns: Mapping[str, str], wanted: tuple[str, ...], path: Path) -> str:
    for name in wanted:
        if name in columns:
            return columns[name]
    raise ValueError(f"{path} has no column {wanted[0]}; its first line must name the columns file and label")
