"""The pictures of activation functions: Swish between its limits, its dip below 0, each function with its slope."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from budgetnet.show.figures import Place, spread
from budgetnet.show.landscape.functions import FunctionFacts, Values, inputs, title_of, value_and_slope
from budgetnet.show.landscape.sheets import file_name, write
from budgetnet.show.style import COLOURS, house_style
from budgetnet.show.svg import new_figure
from budgetnet.show.wording import MINUS, percent
from budgetnet.spec import RELU

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Point = tuple[float, float]

FAMILY_PX, TILE_PX = (450, 340), (250, 216)
COLUMNS, GAP_PX = 5, 24
DRAWN_EVERY = 25
"""Of the inputs at which the numbers are computed: more points than pixels only make the page heavy."""
NAME_PX = 16.0
"""Least distance of two names beside one another's curves."""
PARTS: Mapping[str, str] = {
    "values": "Swish, from x / 2 to ReLU",
    "dip": "Below 0 it falls and rises again",
    "slopes": "The slope of Swish",
}


def swishes(facts: Sequence[FunctionFacts]) -> list[FunctionFacts]:
    """The Swishes among functions, beta rising."""
    return sorted((row for row in facts if row.activation.kind == "swish"), key=lambda row: row.activation.beta)


def draw_family(
    figure: Figure, corner: tuple[float, float], part: str, facts: Sequence[FunctionFacts], extent: float
) -> None:
    """One of `PARTS` with its lower left corner there, in pixels: Swish for every beta, the stronger the larger."""
    left, bottom = corner
    wide, high = FAMILY_PX
    write(figure, left + 6, bottom + high - 14, PARTS[part], fontsize=15, fontweight="bold")
    place = Place(left + 40, bottom + 40, wide - (66 if part == "dip" else 126), high - 82)
    axes = place.on(figure)
    rows, x = swishes(facts), inputs(extent)[::DRAWN_EVERY]
    names = _draw_limits(axes, x, part)
    for index, row in enumerate(rows):
        drawn = value_and_slope(row.activation, x)[1 if part == "slopes" else 0]
        shade = 0.3 + 0.7 * (index + 1) / len(rows)
        axes.plot(x, drawn, color=COLOURS["accent"], alpha=shade, linewidth=2)
        names.append((f"β = {row.activation.beta:g}", (extent, float(drawn[-1])), "accent"))
    axes.set_xlabel("x", labelpad=1)
    axes.set_xlim(-extent, extent)
    if part == "dip":
        _zoom_on_dip(axes, place, rows, extent)
    else:
        _name(axes, place, names, place.width + 16)


def _draw_limits(axes: Axes, x: Values, part: str) -> list[tuple[str, Point, str]]:
    """ReLU and x / 2, which Swish nears for large and for small beta; their names, ends and colours."""
    if part == "slopes":
        axes.plot([x[0], 0, 0, x[-1]], [0, 0, 1, 1], color=COLOURS["warm"], linewidth=1.6)
        axes.axhline(0.5, color=COLOURS["quiet"], linewidth=1.2, linestyle=(0, (4, 3)))
        return [("ReLU", (x[-1], 1.0), "warm"), ("x / 2", (x[-1], 0.5), "quiet")]
    axes.plot(x, value_and_slope(RELU, x)[0], color=COLOURS["warm"], linewidth=1.6)
    axes.plot(x, x / 2, color=COLOURS["quiet"], linewidth=1.2, linestyle=(0, (4, 3)))
    return [("ReLU", (x[-1], x[-1]), "warm"), ("x / 2", (x[-1], x[-1] / 2), "quiet")]


def _name(axes: Axes, place: Place, names: Sequence[tuple[str, Point, str]], across: float) -> None:
    """Names in a column `across` pixels from the axes' left, each as level with its point as it can be, and joined."""
    points = [_pixels(axes, place, point) for _, point, _ in names]
    heights = spread([high for _, high in points], NAME_PX, 0.0, place.height + 12)
    for (text, point, colour), (left, bottom), height in zip(names, points, heights, strict=True):
        axes.annotate(
            text,
            xy=point,
            xytext=(across - left, height - bottom),
            textcoords="offset points",
            va="center",
            fontsize=12,
            color=COLOURS[colour],
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-",
                "linewidth": 0.7,
                "color": COLOURS["faint"],
                "shrinkA": 2,
                "shrinkB": 2,
                "relpos": (0, 0.5),
            },
        )


def _pixels(axes: Axes, place: Place, point: Point) -> Point:
    """A point of the axes in pixels from their lower left corner."""
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    return (point[0] - left) / (right - left) * place.width, (point[1] - low) / (high - low) * place.height


def _zoom_on_dip(axes: Axes, place: Place, rows: Sequence[FunctionFacts], extent: float) -> None:
    """Around the minima that lie within the inputs, each with its value and place, at the right where no curve is."""
    dips = [(row, row.minimum) for row in rows if row.minimum and row.minimum[0] >= -extent]
    deepest = min((value for _, (_, value) in dips), default=-0.3)
    axes.set_xlim(-extent, 0.9 * extent)
    axes.set_ylim(1.45 * deepest, -0.45 * deepest)
    axes.set_xticks([tick for tick in axes.get_xticks() if -extent <= tick <= 0])
    names: list[tuple[str, Point, str]] = []
    for row, point in dips:
        axes.plot(*point, "o", markersize=5, color=COLOURS["accent"], markeredgecolor=COLOURS["paper"])
        text = f"β = {row.activation.beta:g}: {point[1]:.3f} at {point[0]:.3f}".replace("-", MINUS)
        names.append((text, point, "accent"))
    _name(axes, place, names, _pixels(axes, place, (0.14 * extent, 0))[0])


def draw_tile(figure: Figure, corner: tuple[float, float], row: FunctionFacts, extent: float) -> None:
    """One function: value, slope, its minimum, and grey where its gradient is blocked."""
    left, bottom = corner
    wide, high = TILE_PX
    write(figure, left + 6, bottom + high - 13, title_of(row.activation), fontsize=15, fontweight="bold")
    blocked = f"{percent(row.blocked_share)} blocked"
    write(figure, left + wide - 10, bottom + high - 13, blocked, fontsize=12, color=COLOURS["quiet"], ha="right")
    axes = Place(left + 30, bottom + 28, wide - 40, high - 60).on(figure)
    for start, end in row.dead_intervals:
        axes.axvspan(start, end, color=COLOURS["faint"], alpha=0.35, linewidth=0)
    x = inputs(extent)[::DRAWN_EVERY]
    values, slopes = value_and_slope(row.activation, x)
    _draw_slope(axes, row, x, slopes)
    axes.plot(x, values, color=COLOURS["accent"], linewidth=2.2)
    if row.minimum and abs(row.minimum[0]) <= extent:
        axes.plot(*row.minimum, "o", markersize=5.5, color=COLOURS["accent"], markeredgecolor=COLOURS["paper"])
    axes.set_xlim(-extent, extent)
    axes.set_ylim(-1.25, 2.25)
    axes.set_yticks((-1, 0, 1, 2))
    axes.tick_params(labelsize=11)


def _draw_slope(axes: Axes, row: FunctionFacts, x: Values, slopes: Values) -> None:
    """The slope, broken where it jumps: a line across a jump would be values that it never has."""
    edges = (-np.inf, *row.kinks, np.inf)
    for low, high in itertools.pairwise(edges):
        inside = (x > low) & (x < high)
        axes.plot(x[inside], slopes[inside], color=COLOURS["warm"], linewidth=1.5)


def function_cards(facts: Sequence[FunctionFacts], extent: float) -> dict[str, Figure]:
    """A figure for each of `PARTS`, where there is a Swish, and for each function, by their names in files."""
    cards: dict[str, Figure] = {}
    with house_style():
        for part in PARTS if swishes(facts) else ():
            cards[part] = new_figure(*FAMILY_PX)
            draw_family(cards[part], (0, 0), part, facts, extent)
        for row in facts:
            figure = cards[file_name(row.activation)] = new_figure(*TILE_PX)
            draw_tile(figure, (0, 0), row, extent)
    return cards


def functions_sheet(facts: Sequence[FunctionFacts], extent: float) -> Figure:
    """All of it on one sheet."""
    tile_px, tile_high_px = TILE_PX[0] + GAP_PX, TILE_PX[1] + GAP_PX
    family_px = FAMILY_PX[1] + GAP_PX if swishes(facts) else 0
    wide, lines = COLUMNS * tile_px + 2 * GAP_PX, -(-len(facts) // COLUMNS)
    high = 120 + family_px + lines * tile_high_px
    with house_style():
        figure = new_figure(wide, high)
        figure.set_facecolor(COLOURS["paper"])
        write(figure, GAP_PX + 6, high - 38, "Activation functions", fontsize=26, fontweight="bold")
        _key(figure, GAP_PX + 6, high - 72)
        for index, part in enumerate(PARTS if family_px else ()):
            draw_family(figure, (GAP_PX + index * wide / 3, high - 110 - FAMILY_PX[1]), part, facts, extent)
        for index, row in enumerate(facts):
            line, column = divmod(index, COLUMNS)
            bottom = high - 110 - family_px - line * tile_high_px - TILE_PX[1]
            draw_tile(figure, (GAP_PX + column * tile_px, bottom), row, extent)
    return figure


def _key(figure: Figure, left: float, bottom: float) -> None:
    """What the colours mean, in their colours."""
    grey = "grey: where the gradient is blocked, |f'| < 0.01 max |f'|; %: of inputs from N(0, 1)"
    for text, colour in (("value f(x)", "accent"), ("slope f'(x)", "warm"), (grey, "quiet")):
        left += 24 + write(figure, left, bottom, text, fontsize=15, color=COLOURS[colour])
