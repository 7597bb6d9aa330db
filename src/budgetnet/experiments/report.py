"""What an experiment says when it is done: findings, tables and figures, written once for the terminal and the page."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from budgetnet.atomic_write import written_aside
from budgetnet.draw.page import render_page
from budgetnet.statistics import PairedDifference

TEMPLATE = Path(__file__).parent / "report.html.j2"
PAGE = "report.html"
WIDE_PX, NARROW_PX = 880, 350
"""Every picture is drawn for a desk's screen and for a phone's."""
CARD_PX = 440
"""The width of a small picture; a phone shows it narrower."""
Draw = Callable[[int, str], str]
"""A picture as SVG for a width in px; the text begins its ids, so that several can stand on one page."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table, and where it is shown."""

    title: str
    number: bool = True
    terminal: bool = True
    page: bool = True


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell's text, and on the page smaller lines below it and a bar for a share of 1. `broken`: a limit is."""

    text: str
    below: tuple[str, ...] = ()
    strong: bool = False
    bar: float | None = None
    broken: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """The cells of a row, one a column. `notes` are (name, text) lines below it, on the page alone."""

    cells: tuple[Cell, ...]
    notes: tuple[tuple[str, str], ...] = ()
    strong: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under columns. `note` stands below; `folded` into a line of this text that opens on a click, on the page.

    `terminal`: it is shown in the terminal as well as on the page; `terminal_note` stands below it there.
    """

    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    note: str = ""
    folded: str = ""
    terminal: bool = True
    terminal_note: str = ""


@dataclass(frozen=True, slots=True)
class Figure:
    """A picture, drawn for a wide and for a narrow page, and what it shows."""

    draw: Draw
    caption: str
    name: str


@dataclass(frozen=True, slots=True)
class Cards:
    """Small pictures beside one another, as many in a row as there is room for; each is drawn once, `CARD_PX` wide."""

    figures: tuple[Figure, ...]


@dataclass(frozen=True, slots=True)
class Text:
    """A paragraph; words between backticks are code. `quiet`: it explains what stands above it."""

    text: str
    quiet: bool = False


@dataclass(frozen=True, slots=True)
class Facts:
    """Names and values."""

    rows: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Command:
    """A command line that a reader can copy."""

    text: str


@dataclass(frozen=True, slots=True)
class Code:
    """Text of fixed width; `folded` into a line of this text that opens on a click."""

    text: str
    folded: str = ""


@dataclass(frozen=True, slots=True)
class Links:
    """Other pages, by (text, address relative to this page)."""

    rows: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Markup:
    """A part that only one kind of page has, as HTML that the kind's own template made."""

    html: str


Block = Table | Figure | Cards | Text | Facts | Command | Code | Links | Markup


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and what stands below it. `name` is the section's address on the page."""

    name: str
    title: str
    blocks: tuple[Block, ...]
    short: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """What the numbers show or do not show, in a sentence."""

    text: str


@dataclass(frozen=True, slots=True)
class Report:
    """The whole: `overline` says what was asked, `intro` how it was answered, the findings what came out.

    `paths` are files and folders by what they are, for the terminal. `answer` stands in large below the intro, on the
    page alone.
    """

    title: str
    overline: str
    intro: str
    findings: tuple[Finding, ...]
    sections: tuple[Section, ...]
    paths: Mapping[str, str]
    answer: Markup | None = None

    def tables(self) -> tuple[Table, ...]:
        """Those that the terminal shows, in their order."""
        blocks = [block for section in self.sections for block in section.blocks]
        return tuple(block for block in blocks if isinstance(block, Table) and block.terminal)


def row(*cells: str | Cell, notes: tuple[tuple[str, str], ...] = (), strong: bool = False) -> Row:
    """A row of cells; plain texts are cells without lines below."""
    return Row(tuple(Cell(cell) if isinstance(cell, str) else cell for cell in cells), notes, strong)


def verdict(pair: PairedDifference) -> str:
    """What the interval of a difference shows, in a few words."""
    if pair.significant_holm:
        return "differ"
    return "differ if looked at alone" if pair.significant else "no difference shown"


def write_report(report: Report, folder: Path) -> Path:
    """Write the page into a folder, aside and then renamed; give its path. The page asks no network for anything."""
    return write_reports(report, (), folder)


def write_reports(report: Report, parts: tuple[tuple[str, Report], ...], folder: Path) -> Path:
    """A page over several reports: its own sections, then those of each part under the part's name."""
    folder.mkdir(parents=True, exist_ok=True)
    values = {"report": report, "parts": parts, "kind": _kind, "markup": _markup, "pictures": _pictures, "card": _card}
    path = folder / PAGE
    with written_aside(path) as aside:
        aside.write_text(render_page(TEMPLATE, values), encoding="utf-8")
    return path


def _kind(block: Block) -> str:
    return type(block).__name__


def _pictures(figure: Figure, prefix: str) -> tuple[str, ...]:
    """The picture for a wide and for a narrow page."""
    return tuple(figure.draw(width, f"{prefix}{figure.name}{width}-") for width in (WIDE_PX, NARROW_PX))


def _card(figure: Figure, prefix: str) -> str:
    """A small picture."""
    return figure.draw(CARD_PX, f"{prefix}{figure.name}-")


def _markup(text: str) -> str:
    """Text as HTML: escaped, with `code` between backticks."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text))
