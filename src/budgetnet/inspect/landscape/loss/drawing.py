"""The pictures of losses around weights: a card a run with surface and contours, on one scale; all on one sheet."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from budgetnet.draw.figures import Place
from budgetnet.draw.style import COLOURS, house_style
from budgetnet.draw.svg import new_figure
from budgetnet.draw.wording import plain, shortened
from budgetnet.inspect.landscape.drawing import Scales, colour_map, surface_picture
from budgetnet.inspect.landscape.loss import words
from budgetnet.inspect.landscape.loss.charts import (
    CHART_HIGH_PX,
    TEXT_PX,
    chart_figures,
    draw_line,
    draw_sharpness,
    sharpness_px,
)
from budgetnet.inspect.landscape.loss.values import LossLandscape, RunLoss
from budgetnet.inspect.landscape.sheets import write
from budgetnet.parallel.progress import Progress, Update, silent

if TYPE_CHECKING:
    from matplotlib.colors import LogNorm
    from matplotlib.figure import Figure

CARD_PX, SCALE_PX, MAP_PX, SURFACE_PX = (420, 664), (420, 66), 330, 286
SHEET_COLUMNS, SIGN_PX, TITLE_SIGNS = 2, 8.2, 38
MOST_LEVELS = 12
STEPS = ((1.0, 2.0, 5.0), (1.0, 3.0), (1.0,))
"""Levels within a decade take these steps, from many levels to few."""
ON_DARK, ON_LIGHT = "#fdfdfd", "#15181c"
"""The colours of lines and their numbers on dark and on light parts of the map, whose colours are the same on light and
on dark paper."""
HIGHEST, TIMES = 10.0, 10.0
"""Losses above HIGHEST (and above TIMES the lowest) have one colour: far out they are in the thousands, which only says
that the network guesses. The authors' contours end at 10 as well."""
LEAST_SHARE = 1e-9
"""Losses below this share of the highest level have one colour as well."""
LOSS_COLOURS = ("#04182b", "#0a4d94", "#6f87a8", "#eaa263", "#f7dcb8")
"""Lightness rises in even steps; the last one can still be told from white paper."""
ROOM = 0.22
"""A contour gets its number where it spans at least this share of the plane's side; the scale has all of them."""
SHOWN_HEIGHT, LOWERED = 1.6, 1.1
"""`surface_picture` draws heights in standard deviations: the whole scale is twice as many of them."""
FINER = 6
"""Each step of the grid has this many facets of a surface, in a straight line between its points."""


@dataclass(frozen=True, slots=True)
class Levels:
    """Where the contours are: losses in even steps of their logarithm, nearly, as people count: 0.1, 0.2, 0.5, 1."""

    values: tuple[float, ...]

    @staticmethod
    def of(landscape: LossLandscape) -> Levels:
        """From just below the lowest loss to just above the highest of all runs, or to HIGHEST."""
        losses = [one for run in landscape.runs for row in run.grid for one in row if one is not None and one > 0]
        low = min(losses, default=0.1)
        high = min(max(losses, default=1.0), max(HIGHEST, TIMES * low))
        low = max(low, high * LEAST_SHARE)
        decades = range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 2)
        found: list[float] = []
        for steps in STEPS:
            values = [float(f"{step}e{decade}") for decade in decades for step in steps]
            first = max((index for index, value in enumerate(values) if value <= low), default=0)
            last = min((index for index, value in enumerate(values) if value >= high), default=len(values) - 1)
            found = values[first : max(last, first + 1) + 1]
            if len(found) <= MOST_LEVELS:
                break
        return Levels(tuple(found))

    @property
    def low(self) -> float:
        """The lowest."""
        return self.values[0]

    @property
    def high(self) -> float:
        """The highest."""
        return self.values[-1]

    def share(self, loss: float) -> float:
        """0 at the lowest level and below it, 1 at the highest, even steps for even factors."""
        return math.log(max(loss, self.low) / self.low) / math.log(self.high / self.low)

    @property
    def inks(self) -> list[str]:
        """What can be seen on the colour of each level."""
        return [ON_LIGHT if self.share(value) > 0.5 else ON_DARK for value in self.values]


@dataclass(frozen=True, slots=True, eq=False)
class Card:
    """All that the card of one run is drawn from; `surface` is its picture from the side."""

    run: RunLoss
    steps: tuple[float, ...]
    levels: Levels
    surface: NDArray[np.uint8]


def loss_figures(landscape: LossLandscape, progress: Progress | None = None) -> tuple[Figure, dict[str, Figure]]:
    """The sheet, and the figures that it consists of by their names in files: a card a run, charts, the scale."""
    progress, levels, cards = progress or silent, Levels.of(landscape), list[Card]()
    for run in landscape.runs:
        cards.append(Card(run, landscape.around.grid_steps, levels, _surface(run, levels)))
        progress(Update("pictures", len(cards), len(landscape.runs), run.label))
    figures: dict[str, Figure] = {}
    with house_style():
        for number, card in enumerate(cards, start=1):
            figure = figures[f"run-{number}"] = new_figure(*CARD_PX)
            draw_card(figure, (0, 0), card)
        figure = figures["scale"] = new_figure(*SCALE_PX)
        draw_scale(figure, (16, 24), levels)
        figures |= chart_figures(landscape)
    return _sheet(landscape, cards, levels), figures


def heights(run: RunLoss, levels: Levels) -> NDArray[np.float64]:
    """The grid on the scale, (size, size): -1 at the lowest level, 1 at the highest and where there is no number."""
    shares = [[1.0 if one is None else levels.share(one) for one in row] for row in run.grid]
    return np.clip(2 * np.array(shares) - 1, -1, 1)


def _surface(run: RunLoss, levels: Levels) -> NDArray[np.uint8]:
    shown = SHOWN_HEIGHT * heights(run, levels)
    points = np.arange(len(shown))
    between = np.linspace(0, len(shown) - 1, FINER * (len(shown) - 1) + 1)
    for _ in range(2):
        shown = np.stack([np.interp(between, points, column) for column in shown.T])
    return surface_picture(shown, Scales(SHOWN_HEIGHT, 1.0), LOSS_COLOURS, LOWERED)


def draw_card(figure: Figure, corner: tuple[float, float], card: Card) -> None:
    """The card with its lower left corner there, in pixels."""
    left, bottom = corner
    title = shortened(card.run.label, TITLE_SIGNS)
    write(figure, left + 6, bottom + CARD_PX[1] - 16, title, fontsize=17, fontweight="bold")
    quiet = {"fontsize": 13, "color": COLOURS["quiet"]}
    write(figure, left + 6, bottom + CARD_PX[1] - 40, words.activations(card.run), **quiet)
    # The lowest part of a surface's picture is empty: the contours begin there.
    axes = Place(left, bottom + CARD_PX[1] - 56 - SURFACE_PX, CARD_PX[0], SURFACE_PX).on(figure)
    axes.imshow(card.surface, interpolation="none", aspect="auto")
    axes.set_axis_off()
    _draw_contours(figure, Place(left + 54, bottom + 56, MAP_PX, MAP_PX), card)


def _draw_contours(figure: Figure, place: Place, card: Card) -> None:
    axes: Any = place.on(figure)
    levels, side = card.levels, card.steps
    shown = np.array([[levels.high if one is None else max(one, levels.low) for one in row] for row in card.run.grid])
    axes.contourf(
        side, side, shown, levels=levels.values, extend="both", cmap=colour_map(LOSS_COLOURS), norm=_norm(levels)
    )
    lines = axes.contour(side, side, shown, levels=levels.values, colors=levels.inks, linewidths=0.9)
    named = [
        value
        for value, path in zip(levels.values, lines.get_paths(), strict=True)
        if len(path.vertices) and path.get_extents().width > ROOM * 2 * side[-1]
    ]
    for text in axes.clabel(lines, named, fontsize=TEXT_PX, fmt=plain, inline_spacing=3) if named else ():
        text.set_rotation(0)
    ink = ON_LIGHT if levels.share(card.run.loss) > 0.5 else ON_DARK
    axes.plot(0, 0, "+", color=ink, markersize=9, markeredgewidth=1.6)
    axes.grid(False)
    ends = (side[0], 0.0, side[-1])
    axes.set_xticks(ends, labels=[plain(end) for end in ends])
    axes.set_yticks(ends, labels=[plain(end) for end in ends])
    axes.tick_params(labelsize=TEXT_PX, pad=3)
    for label, side in zip(axes.get_xticklabels(), ("left", "center", "right"), strict=True):
        label.set_horizontalalignment(side)
    axes.set_xlabel("distance along the first direction", fontsize=TEXT_PX, labelpad=3)
    axes.set_ylabel("along the second", fontsize=TEXT_PX, labelpad=2)


def _norm(levels: Levels) -> LogNorm:
    from matplotlib.colors import LogNorm

    return LogNorm(levels.low, levels.high)


def draw_scale(figure: Figure, corner: tuple[float, float], levels: Levels) -> None:
    """The colour bar with its lower left corner there, in pixels."""
    from matplotlib.cm import ScalarMappable

    axes = Place(*corner, SCALE_PX[0] - 40, 12).on(figure)
    bar = figure.colorbar(ScalarMappable(_norm(levels), colour_map(LOSS_COLOURS)), cax=axes, orientation="horizontal")
    bar.set_ticks(list(levels.values), labels=[plain(value) for value in levels.values])
    bar.ax.minorticks_off()
    bar.outline.set_visible(False)
    axes.set_title("loss, nats; logarithmic; the last colour is for all above", fontsize=TEXT_PX, pad=5)
    axes.tick_params(labelsize=TEXT_PX, pad=2)
    axes.grid(False)


def _sheet(landscape: LossLandscape, cards: Sequence[Card], levels: Levels) -> Figure:
    """Charts and cards, with what they show."""
    columns = max(2, min(SHEET_COLUMNS, len(cards)))
    lines, wide = -(-len(cards) // columns), CARD_PX[0] + 36
    width_px = columns * wide + 20
    head = textwrap.wrap(words.what_it_is(landscape), int((width_px - 60) / SIGN_PX))
    top, sharp_px = 78 + 22 * len(head), sharpness_px(landscape, width_px - 56)
    height_px = top + CHART_HIGH_PX + sharp_px + lines * (CARD_PX[1] + 24) + 76
    with house_style():
        figure = new_figure(width_px, height_px)
        figure.set_facecolor(COLOURS["paper"])
        write(figure, 34, height_px - 40, "Loss around trained weights", fontsize=26, fontweight="bold")
        for line, text in enumerate(head):
            write(figure, 34, height_px - 74 - 22 * line, text, fontsize=15, color=COLOURS["quiet"])
        bottom = height_px - top - CHART_HIGH_PX
        draw_line(figure, (28, bottom), width_px - 56, landscape)
        bottom -= sharp_px
        draw_sharpness(figure, (28, bottom), width_px - 56, landscape)
        for index, card in enumerate(cards):
            line, column = divmod(index, columns)
            draw_card(figure, (28 + column * wide, bottom - (line + 1) * (CARD_PX[1] + 24)), card)
        draw_scale(figure, (52, 40), levels)
    return figure
