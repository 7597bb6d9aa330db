"""The pictures of activation functions: Swish between its limits, its dip below 0, each function with its slope."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from budgetnet.draw.figures import Place, spread
from budgetnet.draw.style import COLOURS, house_style
from budgetnet.draw.svg import new_figure
from budgetnet.draw.wording import MINUS, percent
from budgetnet.inspect.landscape.functions import (
    DEAD_SLOPE,
    FunctionFacts,
    Values,
    dead_intervals,
    inputs,
    value_and_slope,
)
from budgetnet.inspect.landscape.sheets import file_name, write
from budgetnet.networks import RELU

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Point = tuple[float, float]

FAMILY, TILE = Place(0, 0, 472, 330), Place(0, 0, 286, 232)
"""The two pictures as files of their own; on the sheet they lie elsewhere."""
COLUMNS, GAP_PX, TEXT_PX = 3, 22, 13
BEYOND, LEAST_TOP = 2.0, 2.25
"""A function is drawn at least this far behind its last kink, and this high: one must see that ReLU6 ends at 6."""
KEY_PX = 66
BROKEN, DOTTED = (0, (4, 2.2)), (0, (1.2, 2))
DRAWN_EVERY = 25
"""One in this many of the computed inputs is drawn: more points than pixels only make the page heavy."""
NAME_PX = 18.0
"""Two names beside curves are at least this far apart."""
PARTS: Mapping[str, str] = {
    "values": "Swish, from x / 2 to ReLU",
    "dip": "Below 0 it falls and rises again",
    "slopes": "The slope of Swish",
}


def swishes(facts: Sequence[FunctionFacts]) -> list[FunctionFacts]:
    """The Swishes among functions, beta rising."""
    return sorted((row for row in facts if row.kind == "swish"), key=lambda row: row.beta)


def draw_family(figure: Figure, box: Place, part: str, facts: Sequence[FunctionFacts], extent: float) -> None:
    """One of `PARTS` there: Swish for every beta, the stronger the larger."""
    write(figure, box.left + 6, box.bottom + box.height - 14, PARTS[part], fontsize=16, fontweight="bold")
    right_px = 66 if part == "dip" else 132
    place = Place(box.left + 46, box.bottom + 44, box.width - right_px, box.height - 86)
    axes = place.on(figure)
    rows, x = swishes(facts), inputs(extent)[::DRAWN_EVERY]
    names = _draw_limits(axes, x, part)
    for index, row in enumerate(rows):
        drawn = value_and_slope(row.activation, x)[1 if part == "slopes" else 0]
        shade = 0.3 + 0.7 * (index + 1) / len(rows)
        axes.plot(x, drawn, color=COLOURS["accent"], alpha=shade, linewidth=2)
        names.append((f"β = {row.beta:g}", (extent, float(drawn[-1])), "accent"))
    axes.set_xlabel("x", labelpad=1)
    axes.set_xlim(-extent, extent)
    if part == "dip":
        _zoom_on_dip(axes, place, rows, extent)
    else:
        _name(axes, place, names, place.width + 16)


def _draw_limits(axes: Axes, x: Values, part: str) -> list[tuple[str, Point, str]]:
    """ReLU and x / 2, which Swish nears for large and for small beta; their names, ends and colours."""
    if part == "slopes":
        axes.plot([x[0], 0, 0, x[-1]], [0, 0, 1, 1], color=COLOURS["warm"], linewidth=1.8, linestyle=BROKEN)
        axes.axhline(0.5, color=COLOURS["quiet"], linewidth=1.6, linestyle=DOTTED)
        return [("ReLU", (x[-1], 1.0), "warm"), ("x / 2", (x[-1], 0.5), "quiet")]
    axes.plot(x, value_and_slope(RELU, x)[0], color=COLOURS["warm"], linewidth=1.8, linestyle=BROKEN)
    axes.plot(x, x / 2, color=COLOURS["quiet"], linewidth=1.6, linestyle=DOTTED)
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
            fontsize=TEXT_PX,
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
    dips = [(row, row.minimum) for row in rows if row.minimum and row.minimum.x >= -extent]
    deepest = min((point.value for _, point in dips), default=-0.3)
    axes.set_xlim(-extent, 0.9 * extent)
    axes.set_ylim(1.45 * deepest, -0.45 * deepest)
    axes.set_xticks([tick for tick in axes.get_xticks() if -extent <= tick <= 0])
    names: list[tuple[str, Point, str]] = []
    for row, point in dips:
        axes.plot(point.x, point.value, "o", markersize=5, color=COLOURS["accent"], markeredgecolor=COLOURS["paper"])
        text = f"β = {row.beta:g}: {point.value:.3f} at {point.x:.2f}".replace("-", MINUS)
        names.append((text, (point.x, point.value), "accent"))
    _name(axes, place, names, _pixels(axes, place, (0.06 * extent, 0))[0])


def draw_tile(figure: Figure, box: Place, row: FunctionFacts, extent: float) -> None:
    """One function: value, slope, its minimum, and grey where its gradient is blocked."""
    level = box.bottom + box.height - 13
    write(figure, box.left + 6, level, row.title, fontsize=15, fontweight="bold")
    blocked = f"{percent(row.blocked_share)} blocked"
    write(figure, box.left + box.width - 10, level, blocked, fontsize=TEXT_PX, color=COLOURS["quiet"], ha="right")
    axes = Place(box.left + 34, box.bottom + 32, box.width - 48, box.height - 66).on(figure)
    right = max([extent, *(kink + BEYOND for kink in row.kinks)])
    for start, end in dead_intervals(row.activation, right):
        axes.axvspan(start, end, color=COLOURS["faint"], alpha=0.35, linewidth=0)
    x = inputs(right)[::DRAWN_EVERY]
    values, slopes = value_and_slope(row.activation, x)
    _draw_slope(axes, row, x, slopes)
    axes.plot(x, values, color=COLOURS["accent"], linewidth=2.2)
    if row.minimum and abs(row.minimum.x) <= extent:
        axes.plot(
            row.minimum.x,
            row.minimum.value,
            "o",
            markersize=5.5,
            color=COLOURS["accent"],
            markeredgecolor=COLOURS["paper"],
        )
    axes.set_xlim(-extent, right)
    axes.locator_params(axis="x", steps=(1, 2, 5, 10))
    top = max(LEAST_TOP, 1.17 * float(values[-1]) if abs(slopes[-1]) < DEAD_SLOPE else 0.0)
    axes.set_ylim(-1.25 * top / LEAST_TOP, top)
    axes.set_yticks((-1, 0, 1, 2) if top == LEAST_TOP else (-2, 0, 2, 4, 6))
    axes.tick_params(labelsize=TEXT_PX)


def _draw_slope(axes: Axes, row: FunctionFacts, x: Values, slopes: Values) -> None:
    """The slope, broken where it jumps: a line across a jump would be values that it never has."""
    edges = (-np.inf, *row.kinks, np.inf)
    for low, high in itertools.pairwise(edges):
        inside = (x > low) & (x < high)
        axes.plot(x[inside], slopes[inside], color=COLOURS["warm"], linewidth=1.8, linestyle=BROKEN)


def function_cards(facts: Sequence[FunctionFacts], extent: float) -> dict[str, Figure]:
    """A figure for each of `PARTS`, where there is a Swish, and for each function, by their names in files."""
    cards: dict[str, Figure] = {}
    with house_style():
        for part in PARTS if swishes(facts) else ():
            cards[part] = new_figure(round(FAMILY.width), round(FAMILY.height))
            draw_family(cards[part], FAMILY, part, facts, extent)
        for row in facts:
            figure = cards[file_name(row.name)] = new_figure(round(TILE.width), round(TILE.height))
            draw_tile(figure, TILE, row, extent)
    return cards


def functions_sheet(facts: Sequence[FunctionFacts], extent: float) -> Figure:
    """All of it on one sheet: Swish beside its limits, its dip below over the whole width, then every function."""
    step_px, row_px, lines = TILE.width + GAP_PX, TILE.height + GAP_PX, -(-len(facts) // COLUMNS)
    width_px, family_px = round(COLUMNS * step_px + GAP_PX), round(FAMILY.height) + GAP_PX
    parts_px = 2 * family_px if swishes(facts) else 0
    height_px = 64 + parts_px + KEY_PX + round(lines * row_px)
    half_px = (width_px - 2 * GAP_PX) / 2
    with house_style():
        figure = new_figure(width_px, height_px)
        figure.set_facecolor(COLOURS["paper"])
        write(figure, GAP_PX + 6, height_px - 34, "Activation functions", fontsize=24, fontweight="bold")
        upper = height_px - 64 - FAMILY.height
        for part, left, bottom, wide in (
            ("values", GAP_PX, upper, half_px),
            ("slopes", GAP_PX + half_px, upper, half_px),
            ("dip", GAP_PX, upper - family_px, 2 * half_px),
        ):
            if parts_px:
                draw_family(figure, Place(left, bottom, wide, FAMILY.height), part, facts, extent)
        _key(figure, GAP_PX + 6, height_px - 64 - parts_px - 16)
        for index, row in enumerate(facts):
            line, column = divmod(index, COLUMNS)
            bottom = height_px - 64 - parts_px - KEY_PX - line * row_px - TILE.height
            draw_tile(figure, Place(GAP_PX + column * step_px, bottom, TILE.width, TILE.height), row, extent)
    return figure


def _key(figure: Figure, left: float, bottom: float) -> None:
    """What the lines mean, in their colours and in words."""
    beside = left
    for text, colour in (("whole line: the function f(x)", "accent"), ("dashed: its slope f'(x)", "warm")):
        beside += 28 + write(figure, beside, bottom, text, fontsize=14, color=COLOURS[colour])
    grey = "grey: where the gradient is blocked, |f'| < 0.01 max |f'|; %: the share of N(0, 1) inputs"
    write(figure, left, bottom - 24, grey, fontsize=14, color=COLOURS["quiet"])
