"""Measures of twins at the end of training: every twin with its seeds, and the paired differences below."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from budgetnet.show.figures import Place, draw_seeds
from budgetnet.show.landscape.sheets import write
from budgetnet.show.landscape.training.look import CARD_PX, Corner, Row, look, name_card
from budgetnet.show.landscape.training.words import SHARES, difference_text, end_title, spread_of
from budgetnet.show.style import COLOURS
from budgetnet.show.wording import MINUS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LINE_PX, ROWS_PX = 30.0, 200.0
MOST_PAIRS = 6
VALUES_PX, NAMES_PX = 158, 144
"""Room at the right of the rows for numbers, and at their left for names."""


def draw_end(row: Row, measure: str, figure: Figure, corner: Corner) -> None:
    """A measure of every twin, and below it the paired differences; circles are seeds."""
    twins = [twin for twin in row["twins"] if twin["measures"][measure] is not None]
    pairs = _shown(row, measure)
    name_card(figure, corner, end_title(measure))
    titles = {twin["name"]: twin["title"] for twin in row["twins"]}
    factor = 100 if measure in SHARES else 1
    line_px = min(LINE_PX, ROWS_PX / max(1, len(twins) + len(pairs)))
    values = _rows_axes(figure, corner, CARD_PX[1] - 36, line_px, [titles[twin["name"]] for twin in twins])
    for line, twin in enumerate(twins):
        found, colour = twin["measures"][measure], look(twin, row["twins"])["color"]
        text = spread_of(measure, found)
        _draw_row(values, line, found["values"], found["mean"], found["deviation"], factor, colour, text)
    if not pairs:
        return
    names = [f"{_short(titles[pair['a']])} {MINUS} {_short(titles[pair['b']])}" for pair in pairs]
    top = CARD_PX[1] - 36 - line_px * len(twins) - 54
    write(figure, corner[0] + 6, corner[1] + top + 12, "Paired differences, with 95 % intervals", fontsize=12)
    below = _rows_axes(figure, corner, top, line_px, names)
    below.axvline(0, color=COLOURS["quiet"], linewidth=1)
    for line, pair in enumerate(pairs):
        _draw_pair(below, line, pair, factor)


def _shown(row: Row, measure: str) -> list[Row]:
    """The differences that have room: all, or those with the first twin; the page's table has all."""
    pairs = [pair for pair in row["differences"] if pair["measure"] == measure]
    return pairs if len(pairs) <= MOST_PAIRS else [pair for pair in pairs if pair["b"] == row["twins"][0]["name"]]


def _short(title: str) -> str:
    return title.removeprefix("Swish with ")


def _rows_axes(figure: Figure, corner: Corner, top: float, line_px: float, names: Sequence[str]) -> Axes:
    """Axes with a row for each name, their upper end `top` pixels above the card's lower one."""
    high = line_px * len(names)
    place = Place(corner[0] + NAMES_PX, corner[1] + top - high, CARD_PX[0] - NAMES_PX - VALUES_PX, high)
    axes = place.on(figure)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_yticks([])
    axes.grid(True, axis="x")
    axes.grid(False, axis="y")
    axes.spines["bottom"].set_visible(False)
    axes.locator_params(axis="x", nbins=3)
    axes.tick_params(labelsize=11)
    for line, name in enumerate(names):
        level = corner[1] + top - line_px * (line + 0.5)
        write(figure, corner[0] + 6, level, name, fontsize=12)
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


def _draw_pair(axes: Axes, line: int, pair: Row, factor: float) -> None:
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
    _say(axes, line, difference_text(pair["measure"], pair["mean"], pair["low"], pair["high"]))


def _circles(axes: Axes, line: int, values: Sequence[float], factor: float) -> None:
    draw_seeds(axes, [factor * value for value in values], line, 4.5, 0.8)


def _say(axes: Axes, line: int, text: str) -> None:
    """What the row says in numbers, at its right."""
    where = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points", "annotation_clip": False}
    axes.annotate(text, (1.0, line), xytext=(10, 0), va="center", fontsize=10.5, linespacing=0.95, **where)
