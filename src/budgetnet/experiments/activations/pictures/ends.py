"""Measures of twins at the end of training: every twin with its seeds, and the paired differences below."""

# pyright: standard
# What matplotlib gives back is only partly typed.

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from budgetnet.draw.figures import Place, draw_seeds
from budgetnet.draw.style import COLOURS
from budgetnet.draw.wording import MINUS, plain
from budgetnet.experiments.activations.measures import Measure
from budgetnet.experiments.activations.pictures.look import TEXT_PX, looks, name_card
from budgetnet.experiments.activations.result import Study
from budgetnet.inspect.landscape.plane import Spread
from budgetnet.inspect.landscape.sheets import write
from budgetnet.statistics import PairedDifference

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LINE_PX, ROWS_PX = 30.0, 206.0
PAIR_LINES, TWO_LINES_PX = 1.28, 34.0
"""The height of a difference in lines, and the height from which on there is room for its interval in numbers."""
MOST_PAIRS = 6
VALUES_PX, NAMES_PX = 168, 132
"""There is this much room at the right of the rows for numbers, and at their left for names."""


def draw_end(study: Study, measure: Measure, figure: Figure, box: Place) -> None:
    """A measure of every twin, and below it the paired differences; circles are seeds."""
    name_card(figure, box, measure.heading)
    spreads = [twin.measures[measure.name] for twin in study.twins]
    rows = [row for row in zip(study.twins, spreads, looks(study.twins), strict=True) if row[1] is not None]
    pairs = _shown(study, measure)
    line_px = min(LINE_PX, ROWS_PX / max(1, len(rows) + PAIR_LINES * len(pairs)))
    values = _rows_axes(figure, box, box.height - 36, line_px, [twin.short_title for twin, _, _ in rows])
    for line, (_, found, look) in enumerate(rows):
        assert found is not None
        _draw_row(values, line, measure, found, look.colour)
    if not pairs:
        return
    titles = {twin.name: twin.short_title for twin in study.twins}
    names = [f"{titles[pair.a]} {MINUS} {titles[pair.b]}" for pair in pairs]
    top = box.height - 36 - line_px * len(rows) - 60
    write(figure, box.left + 6, box.bottom + top + 14, "Paired differences, 95 % intervals", fontsize=TEXT_PX)
    below = _rows_axes(figure, box, top, PAIR_LINES * line_px, names)
    below.axvline(0, color=COLOURS["quiet"], linewidth=1)
    for line, pair in enumerate(pairs):
        _draw_pair(below, line, measure, pair, whole=PAIR_LINES * line_px > TWO_LINES_PX)


def _shown(study: Study, measure: Measure) -> Sequence[PairedDifference]:
    """The differences that have room: all, or those with the first twin; the page's table has all."""
    pairs = study.differences[measure.name]
    return pairs if len(pairs) <= MOST_PAIRS else [pair for pair in pairs if pair.b == study.twins[0].name]


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


def _draw_row(axes: Axes, line: int, measure: Measure, found: Spread, colour: str) -> None:
    half = found.deviation
    if half is not None:
        _draw_span(axes, line, measure, found.mean - half, found.mean + half, colour)
    _circles(axes, line, measure, found.values)
    mean = measure.factor * found.mean
    axes.plot([mean], [line], "D", markersize=7, color=colour, markeredgecolor=COLOURS["paper"], zorder=5)
    _say(axes, line, measure.spread_text(found))


def _draw_pair(axes: Axes, line: int, measure: Measure, pair: PairedDifference, whole: bool) -> None:
    colour = COLOURS["accent" if pair.significant_holm else "quiet"]
    if pair.low is not None and pair.high is not None:
        _draw_span(axes, line, measure, pair.low, pair.high, colour)
    _circles(axes, line, measure, pair.seeds)
    axes.plot(
        [measure.factor * pair.difference],
        [line],
        "D",
        markersize=7,
        markerfacecolor=colour if pair.significant else COLOURS["paper"],
        markeredgecolor=colour,
        zorder=5,
    )
    _say(axes, line, measure.difference_text(pair, whole).replace(" (", "\n("))


def _draw_span(axes: Axes, line: int, measure: Measure, low: float, high: float, colour: str) -> None:
    axes.plot([measure.factor * low, measure.factor * high], [line, line], color=colour, linewidth=2.2)


def _circles(axes: Axes, line: int, measure: Measure, values: Sequence[float]) -> None:
    draw_seeds(axes, [measure.factor * value for value in values], line, 4.5, 0.8)


def _say(axes: Axes, line: int, text: str) -> None:
    """What the row says in numbers, at its right."""
    where = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points", "annotation_clip": False}
    axes.annotate(text, (1.0, line), xytext=(10, 0), va="center", fontsize=TEXT_PX, linespacing=1.12, **where)
