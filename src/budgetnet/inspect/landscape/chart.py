"""The measures of output landscapes as a chart: a row an activation, a point a seed, mean and standard deviation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from budgetnet.draw.figures import Place
from budgetnet.draw.style import COLOURS, house_style
from budgetnet.draw.svg import new_figure
from budgetnet.inspect.landscape.functions import title_of
from budgetnet.inspect.landscape.plane import ActivationLandscape, OutputLandscape, Spread
from budgetnet.inspect.landscape.sheets import write

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LINE_PX, NAMES_PX = 30, 124
PANELS = (
    ("total_variation", "total variation", "up and down for a step of 1, in standard deviations", False),
    ("bend", "bend", "turn of the slope for a step of 1, logarithmic", True),
    ("edge_growth", "edge growth", "of bends on a grid twice as fine", False),
)
"""Each panel has its measure, its title, what its axis says, and whether it is logarithmic."""
WIDE_PX, NARROW_PX = 900, 350


def measures_chart(landscape: OutputLandscape, width_px: int = WIDE_PX) -> Figure:
    """The three measures that are not counts: beside one another, or above one another where it is narrow."""
    beside = width_px > 2 * NARROW_PX
    many, high = len(landscape.rows), LINE_PX * len(landscape.rows)
    height_px = high + 124 if beside else len(PANELS) * (high + 124)
    wide = (width_px - NAMES_PX) / len(PANELS) - 24 if beside else width_px - NAMES_PX - 24
    with house_style():
        figure = new_figure(width_px, height_px)
        for index, (measure, title, unit, logarithmic) in enumerate(PANELS):
            left = NAMES_PX + (index * (wide + 24) if beside else 0) + 8
            place = Place(left, height_px - 52 - high - (0 if beside else index * (high + 124)), wide, high)
            axes = place.on(figure)
            axes.set_xscale("log" if logarithmic else "linear")
            for line, row in enumerate(landscape.rows):
                _draw_row(axes, many - 1 - line, row, measure)
            _finish(axes, title, unit, many)
            if index == 0 or not beside:
                names = [title_of(row.activation) for row in landscape.rows]
                name_rows(figure, place, names, [COLOURS["ink"]] * many)
            if measure == "edge_growth":
                _mark_ends(axes, many)
    return figure


def _draw_row(axes: Axes, line: int, row: ActivationLandscape, measure: str) -> None:
    spread = row.spread(measure)
    colour = COLOURS[
        "warm" if row.activation.kind == "relu" else "accent" if row.activation.kind == "swish" else "quiet"
    ]
    draw_spread(axes, line, spread, colour)


def draw_spread(axes: Axes, line: float, spread: Spread, colour: str, below: float = 0.0) -> None:
    """Every value as a point, so far `below` the line, and on it mean and standard deviation."""
    points = spread.values
    axes.plot(points, [line - below] * len(points), "o", markersize=4, color=colour, alpha=0.35, markeredgewidth=0)
    axes.errorbar([spread.mean], [line], xerr=spread.deviation, fmt="D", markersize=6, color=colour, elinewidth=2)


def rows_look(axes: Axes, title: str, many: int, pad: float) -> None:
    """Title and room of axes with a row for each of so many things."""
    axes.set_title(title, fontsize=14, color=COLOURS["ink"], pad=pad)
    axes.set_ylim(-0.7, many - 0.3)
    axes.set_yticks(range(many), labels=[""] * many)
    axes.grid(axis="x")
    axes.tick_params(labelsize=13)


def _finish(axes: Axes, title: str, unit: str, many: int) -> None:
    from matplotlib.ticker import LogLocator, NullFormatter

    rows_look(axes, title, many, 24)
    axes.set_xlabel(unit if len(unit) < 30 else "\n".join(_halves(unit)), fontsize=13)
    if axes.get_xscale() == "log":
        axes.xaxis.set_major_locator(LogLocator(10, (1, 2, 5)))
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.xaxis.set_minor_formatter(NullFormatter())
    else:
        axes.locator_params(axis="x", nbins=4)


def _halves(text: str) -> tuple[str, str]:
    """A line in two, at the blank nearest to its middle."""
    blank = min((index for index, sign in enumerate(text) if sign == " "), key=lambda index: abs(index - len(text) / 2))
    return text[:blank], text[blank + 1 :]


def name_rows(figure: Figure, place: Place, names: Sequence[str], colours: Sequence[str]) -> None:
    """The name of every row at its left, the first at the top."""
    for line, (name, colour) in enumerate(zip(names, colours, strict=True)):
        height = place.bottom + place.height * (len(names) - 1 - line + 0.7) / (len(names) + 0.4)
        write(figure, place.left - 12, height, name, ha="right", fontsize=13, color=colour)


def _mark_ends(axes: Axes, many: int) -> None:
    """What a smooth surface has, and one of edges."""
    for value, text in ((1.0, "smooth"), (2**0.5, "edges")):
        axes.axvline(value, color=COLOURS["faint"], linewidth=1, linestyle=(0, (3, 3)), zorder=0)
        where = {"xycoords": ("data", "axes fraction"), "xytext": (0, 3), "textcoords": "offset points"}
        axes.annotate(text, (value, 1.0), ha="center", va="bottom", fontsize=13, color=COLOURS["quiet"], **where)
    low, high = axes.get_xlim()
    axes.set_xlim(min(low, 0.95), max(high, 1.48))
