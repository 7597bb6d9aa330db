"""Measures of twins at the end of training: every twin with its seeds, and the paired differences below."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from budgetnet.draw.figures import Place, draw_seeds
from budgetnet.draw.style import COLOURS
from budgetnet.draw.wording import MINUS, plain
from budgetnet.inspect.landscape.sheets import write
from budgetnet.inspect.landscape.training.look import TEXT_PX, Row, look, name_card, short_title
from budgetnet.inspect.landscape.training.words import SHARES, difference_text, end_title, spread_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LINE_PX, ROWS_PX = 30.0, 206.0
PAIR_LINES, TWO_LINES_PX = 1.28, 34.0
"""The height of a difference in lines, and the height from which on there is room for its interval in numbers."""
MOST_PAIRS = 6
VALUES_PX, NAMES_PX = 168, 132
"""The room at the right of the rows for numbers, and at their left for names."""


def draw_end(row: Row, measure: str, figure: Figure, box: Place) -> None:
    """A measure of every twin, and below it the paired differences; circles are seeds."""
    twins = [twin for twin in row["twins"] if twin["measures"][measure] is not None]
    pairs = _shown(row, measure)
    name_card(figure, box, end_title(measure))
    titles = {twin["name"]: twin["title"] for twin in row["twins"]}
    factor = 100 if measure in SHARES else 1
    line_px = min(LINE_PX, ROWS_PX / max(1, len(twins) + PAIR_LINES * len(pairs)))
    values = _rows_axes(figure, box, box.height - 36, line_px, [short_title(titles[twin["name"]]) for twin in twins])
    for line, twin in enumerate(twins):
        found, colour = twin["measures"][measure], look(twin, row["twins"])["color"]
        text = spread_of(measure, found)
        _draw_row(values, line, found["values"], found["mean"], found["deviation"], factor, colour, text)
    if not pairs:
        return
    names = [f"{short_title(titles[pair['a']])} {MINUS} {short_title(titles[pair['b']])}" for pair in pairs]
    top = box.height - 36 - line_px * len(twins) - 60
    write(figure, box.left + 6, box.bottom + top + 14, "Paired differences, 95 % intervals", fontsize=TEXT_PX)
    below = _rows_axes(figure, box, top, PAIR_LINES * line_px, names)
    below.axvline(0, color=COLOURS["quiet"], linewidth=1)
    for line, pair in enumerate(pairs):
        _draw_pair(below, line, pair, factor, whole=PAIR_LINES * line_px > TWO_LINES_PX)


def _shown(row: Row, measure: str) -> list[Row]:
    """The differences that have room: all, or those with the first twin; the page's table has all."""
    pairs = [pair for pair in row["differences"] if pair["measure"] == measure]
    return pairs if len(pairs) <= MOST_PAIRS else [pair for pair in pairs if pair["b"] == row["twins"][0]["name"]]


def _rows_axes(figure: Figure, box: Place, top: float, line_px: float, names: Sequence[str]) -> Axes:
    """Axes with a row for each name, their upper end `top` pixels above the card's lower one."""
    high = line_px * len(names)
    place = Place(box.left + NAMES_PX, box.bottom + top - high, box.width - NAMES_PX - VALUES_PX, high)
    axes = place.on(figure)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_yticks([])
    axes.grid(True, axis="x")
    axes.grid(False, axis="y")
    axes.spines["bottom"].set_visible(False)
    axes.locator_params(axis="x", nbins=2)
    axes.xaxis.set_major_formatter(lambda value, _: plain(round(value, 9)))
    axes.tick_params(labelsize=TEXT_PX)
    for line, name in enumerate(names):
        level = box.bottom + top - line_px * (line + 0.5)
        write(figure, box.left + 6, level, name, fontsize=TEXT_PX)
    return axes


def _draw_row(
    axes: Axes,
    line: int,
    values: Sequence[float],
    mean: float,
    half: float | None,
    factor: float,
    colour: str,
    text: str,
) -> None:
    if half is not None:
        axes.plot([factor * (mean - half), factor * (mean + half)], [line, line], color=colour, linewidth=2.2)
    _circles(axes, line, values, factor)
    axes.plot([factor * mean], [line], "D", markersize=7, color=colour, markeredgecolor=COLOURS["paper"], zorder=5)
    _say(axes, line, text)


def _draw_pair(axes: Axes, line: int, pair: Row, factor: float, whole: bool) -> None:
    colour = COLOURS["accent" if pair["stands"] else "quiet"]
    if pair["low"] is not None:
        axes.plot([factor * pair["low"], factor * pair["high"]], [line, line], color=colour, linewidth=2.2)
    _circles(axes, line, pair["values"], factor)
    axes.plot(
        [factor * pair["mean"]],
        [line],
        "D",
        markersize=7,
        markerfacecolor=colour if pair["differs"] else COLOURS["paper"],
        markeredgecolor=colour,
        zorder=5,
    )
    low, high = (pair["low"], pair["high"]) if whole else (None, None)
    _say(axes, line, difference_text(pair["measure"], pair["mean"], low, high).replace(" (", "\n("))


def _circles(axes: Axes, line: int, values: Sequence[float], factor: float) -> None:
    draw_seeds(axes, [factor * value for value in values], line, 4.5, 0.8)


def _say(axes: Axes, line: int, text: str) -> None:
    """What the row says in numbers, at its right."""
    where = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points", "annotation_clip": False}
    axes.annotate(text, (1.0, line), xytext=(10, 0), va="center", fontsize=TEXT_PX, linespacing=1.12, **where)
