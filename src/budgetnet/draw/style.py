"""One style for all: few colours, told apart by the colour-blind and in grey; the same in pictures and pages.

Pictures are drawn in the colours of light paper. Inside a page each becomes the page's variable of
that name, so that pictures follow the reader's light or dark setting. The page's values for dark
paper are in page.css.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

from budgetnet.draw.fonts import families

COLOURS: Mapping[str, str] = {
    "ink": "#1d2126",
    "quiet": "#646b75",
    "faint": "#a3a9b2",
    "line": "#e2e5e9",
    "paper": "#ffffff",
    "accent": "#0069b4",
    "warm": "#b9500e",
}
"""Blue and vermilion after Okabe and Ito's palette; they differ in lightness as well as in hue."""

HOUSE: Mapping[str, Any] = {
    "axes.edgecolor": COLOURS["line"],
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.labelcolor": COLOURS["quiet"],
    "axes.labelsize": 13,
    "axes.axisbelow": True,
    "axes.spines.left": False,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": COLOURS["quiet"],
    "axes.titlelocation": "left",
    "axes.titlesize": 13,
    "axes.unicode_minus": True,
    "figure.facecolor": "none",
    "font.size": 13,
    "grid.color": COLOURS["line"],
    "grid.linewidth": 0.8,
    "lines.linewidth": 1.8,
    "lines.solid_capstyle": "round",
    "svg.fonttype": "none",
    "svg.hashsalt": "budgetnet",
    "text.color": COLOURS["ink"],
    "text.parse_math": False,
    "xtick.bottom": False,
    "xtick.color": COLOURS["quiet"],
    "xtick.labelsize": 13,
    "ytick.color": COLOURS["quiet"],
    "ytick.labelsize": 13,
    "ytick.left": False,
}
"""matplotlib's settings. Names of classes and files are not mathematics, so "$" stays a "$"."""


def house_style() -> AbstractContextManager[None]:
    """matplotlib in this style, for a with statement around drawing and saving."""
    from matplotlib import rc_context

    settings: dict[Any, Any] = {**HOUSE, "font.family": list(families())}
    return rc_context(settings)
