"""A result in a few rows: what Python's prompt and a notebook show of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Summary:
    """A title, texts by their names, and the page that has the rest."""

    title: str
    rows: Mapping[str, str]
    page: Path

    def text(self) -> str:
        """A line a row."""
        rows = {**self.rows, "report": str(self.page)}
        width = max(map(len, rows))
        return "\n".join([self.title, *(f"  {name:<{width}}  {text}" for name, text in rows.items())])

    def html(self) -> str:
        """A table; the page is a link, which a notebook follows from its own folder."""
        cells = {name: escape(text) for name, text in self.rows.items()}
        cells["report"] = f'<a href="{escape(self.page.as_posix())}">{escape(str(self.page))}</a>'
        rows = "".join(
            f'<tr><th style="text-align: left">{escape(name)}</th><td style="text-align: left">{cell}</td></tr>'
            for name, cell in cells.items()
        )
        return f"<table><caption>{escape(self.title)}</caption>{rows}</table>"
