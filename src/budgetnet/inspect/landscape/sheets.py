"""Placing things on a sheet, in pixels, and writing sheets as files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from budgetnet.atomic_write import written_aside
from budgetnet.draw.fonts import missing_letters
from budgetnet.draw.style import house_style
from budgetnet.draw.svg import svg_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PNG_DPI = 110
"""The resolution of a picture, with 72 pixels an inch on the page: half as fine again, so that it is sharp on a
slide."""


def write(figure: Figure, left: float, bottom: float, text: str, **kwargs: Any) -> float:
    """Text at a place in pixels, centred on it in height; how wide it is."""
    wide, high = figure.get_size_inches() * figure.dpi
    return figure.text(left / wide, bottom / high, text, **{"va": "center", **kwargs}).get_window_extent().width


def file_name(name: str) -> str:
    """An activation's name as every file system takes it: swish-0.5."""
    return name.replace(":", "-")


def save_svg(figure: Figure, path: Path) -> None:
    """The figure as an SVG file; equal figures give equal files."""
    with written_aside(path) as aside:
        aside.write_text(svg_of(figure), encoding="utf-8")


def save_png(figure: Figure, path: Path) -> None:
    """The figure as a PNG file; equal figures give equal files."""
    with house_style(), missing_letters(path.name), written_aside(path) as aside:
        figure.savefig(aside, format="png", dpi=PNG_DPI, metadata={"Software": None})
