"""The pictures of output landscapes: a card for each activation with surface, heat map and bends; all on one sheet."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from budgetnet.draw.figures import Place
from budgetnet.draw.style import COLOURS, house_style
from budgetnet.draw.svg import new_figure
from budgetnet.draw.wording import plain
from budgetnet.inspect.landscape import words
from budgetnet.inspect.landscape.functions import name_of, title_of
from budgetnet.inspect.landscape.plane import ActivationLandscape, OutputLandscape, Plane, bend_map
from budgetnet.inspect.landscape.sheets import file_name, write
from budgetnet.parallel.progress import Progress, Update, silent

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap, Normalize
    from matplotlib.figure import Figure

HEIGHT_COLOURS = ("#04182b", "#0a4d94", "#6f87a8", "#eaa263", "#fff4e4")
BEND_COLOURS = ("#0d1217", "#33404d", "#7f92a6", "#d5dee8", "#ffffff")
"""Both rise in lightness in even steps, so that they read the same in grey; blue and orange are safe for all eyes."""
MOST_FACETS = 240
"""The most facets along a side of a surface: finer ones are thinner than a pixel."""
CARD_PX, SCALE_PX = (292, 396), (292, 66)
SURFACE_PX, MAP_PX, SQUARE_PX, RAISED_PX, TEXT_PX = 199, 116, 336, 16, 13
RELIEF, SHADED_RELIEF = 0.2, 0.4
"""One standard deviation is this high, measured in half the side of the plane; the light exaggerates it, as on a
map."""
FINE = 3
"""How many pixels of a surface's picture one pixel of the page has."""
SHEET_COLUMNS, SIGN_PX = 3, 7.9
NUMBERS_PX, LINE_PX = 96, 22
"""The numbers below a card on the sheet are this high, and one line of them is this high."""
SCALES: Mapping[str, str] = {
    "scale-output": "output, in standard deviations",
    "scale-bend": "bend: turn of the slope for a step of 1",
}
"""The colours have these meanings: the names of the bars in files, and their titles."""


@dataclass(frozen=True, slots=True)
class Scales:
    """What the colours mean, in all cards of a sheet: heights from -height to height, bends from 0 to bend."""

    height: float
    bend: float

    @staticmethod
    def of(landscape: OutputLandscape) -> Scales:
        """Wide enough for nearly everything that is shown; what lies beyond has the colour of the end."""
        heights = max(float(np.quantile(np.abs(row.heights), 0.995)) for row in landscape.rows)
        maps = (bend_map(row.heights, landscape.plane.spacing) for row in landscape.rows)
        bends = max(float(np.quantile(bends, 0.98)) for bends in maps)
        return Scales(math.ceil(heights * 2) / 2, float(f"{bends:.1g}") or 1.0)


def colour_map(colours: Sequence[str]) -> Colormap:
    """Even steps between the colours."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("budgetnet", list(colours), N=256)


@dataclass(frozen=True, slots=True, eq=False)
class Card:
    """All that the card of one activation is drawn from; `surface` is its picture from the side."""

    row: ActivationLandscape
    plane: Plane
    scales: Scales
    surface: NDArray[np.uint8]


def output_figures(landscape: OutputLandscape, progress: Progress | None = None) -> tuple[Figure, dict[str, Figure]]:
    """The sheet, and the figures that it consists of by their names in files: a card an activation, the scales."""
    scales, cards, progress = Scales.of(landscape), list[Card](), progress or silent
    for row in landscape.rows:
        cards.append(Card(row, landscape.plane, scales, surface_picture(row.heights, scales)))
        progress(Update("pictures", len(cards), len(landscape.rows), title_of(row.activation)))
    figures: dict[str, Figure] = {}
    with house_style():
        for card in cards:
            figure = figures[file_name(name_of(card.row.activation))] = new_figure(*CARD_PX)
            draw_card(figure, (0, 0), card)
        for name in SCALES:
            figures[name] = new_figure(*SCALE_PX)
            draw_scale(figures[name], (16, 24), name, scales)
    return _sheet(landscape, cards, scales), figures


def draw_card(figure: Figure, corner: tuple[float, float], card: Card) -> None:
    """The card with its lower left corner there, in pixels."""
    (left, bottom), row, extent, scales = corner, card.row, card.plane.extent, card.scales
    write(figure, left + 6, bottom + CARD_PX[1] - 16, title_of(row.activation), fontsize=17, fontweight="bold")
    axes = Place(left, bottom + MAP_PX + 62, CARD_PX[0], SURFACE_PX).on(figure)
    axes.imshow(card.surface, interpolation="none", aspect="auto")
    axes.set_axis_off()
    heights = Place(left + 40, bottom + 42, MAP_PX, MAP_PX).on(figure)
    _show(heights, row.heights, extent, HEIGHT_COLOURS, height_norm(scales))
    inner = extent - card.plane.spacing
    bends = Place(left + 40 + MAP_PX + 16, bottom + 42, MAP_PX, MAP_PX).on(figure)
    _show(bends, bend_map(row.heights, card.plane.spacing), inner, BEND_COLOURS, bend_norm(scales))
    for axes, title in ((heights, "output"), (bends, "bend")):
        _plane_axes(axes, extent, title)
    bends.tick_params(labelleft=False)
    heights.set_ylabel("x₂", fontsize=TEXT_PX, rotation=0, va="center")
    heights.yaxis.set_label_coords(-0.15, 0.75)


def _show(axes: Axes, values: NDArray[np.float64], extent: float, colours: Sequence[str], norm: Normalize) -> None:
    over = (-extent, extent, -extent, extent)
    axes.imshow(values, cmap=colour_map(colours), norm=norm, extent=over, origin="lower", interpolation="none")


def height_norm(scales: Scales) -> Normalize:
    """Even steps, 0 in the middle."""
    from matplotlib.colors import Normalize

    return Normalize(-scales.height, scales.height)


def bend_norm(scales: Scales) -> Normalize:
    """Square roots: small bends can be told from none."""
    from matplotlib.colors import PowerNorm

    return PowerNorm(0.5, 0.0, scales.bend, clip=True)


def _plane_axes(axes: Axes, extent: float, title: str) -> None:
    axes.set_title(title, fontsize=TEXT_PX, pad=5)
    axes.set_xlabel("x₁", fontsize=TEXT_PX, labelpad=0)
    axes.grid(False)
    axes.set_xlim(-extent, extent)
    axes.set_ylim(-extent, extent)
    axes.set_xticks((-extent, 0, extent))
    axes.set_yticks((-extent, 0, extent))
    axes.xaxis.set_major_formatter(lambda value, _: plain(value))
    axes.yaxis.set_major_formatter(lambda value, _: plain(value))
    axes.tick_params(labelsize=TEXT_PX, pad=2)
    for label, side in zip(axes.get_xticklabels(), ("left", "center", "right"), strict=True):
        label.set_horizontalalignment(side)


def surface_picture(
    heights: NDArray[np.float64], scales: Scales, colours: Sequence[str] = HEIGHT_COLOURS, lowered: float = 0.0
) -> NDArray[np.uint8]:
    """The surface from the side, lit from the left, on nothing: RGBA of the card's width.

    `lowered` is the height that lies where 0 would.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.colors import LightSource
    from matplotlib.figure import Figure

    step = -(-(len(heights) - 1) // MOST_FACETS)
    shown = heights[::step, ::step]
    side = np.linspace(-1, 1, len(shown))
    facets = colour_map(colours)(np.clip(shown / scales.height, -1, 1) / 2 + 0.5)[..., :3]
    light = LightSource(azdeg=300, altdeg=42).hillshade(
        SHADED_RELIEF * shown, dx=side[1] - side[0], dy=side[1] - side[0]
    )
    figure = Figure((CARD_PX[0] * FINE / 100, SURFACE_PX * FINE / 100), dpi=100, facecolor=(0, 0, 0, 0))
    canvas = FigureCanvasAgg(figure)
    # mplot3d draws into a square: one that is larger than the figure, so that nothing is cut at its sides.
    left, bottom = (FINE * (side_px - SQUARE_PX) / 2 for side_px in (CARD_PX[0], SURFACE_PX + 2 * RAISED_PX))
    square = Place(left, bottom, FINE * SQUARE_PX, FINE * SQUARE_PX)
    axes: Any = square.on(figure, projection="3d", facecolor=(0, 0, 0, 0))
    axes.plot_surface(
        *np.meshgrid(side, side),
        RELIEF * (shown - lowered),
        facecolors=np.clip(facets * (0.46 + 0.8 * light[..., None]), 0, 1),
        rcount=MOST_FACETS,
        ccount=MOST_FACETS,
        linewidth=0,
        antialiased=False,
        shade=False,
    )
    axes.set_axis_off()
    axes.set_zlim(-1, 1)
    axes.set_box_aspect((1, 1, 1))
    axes.set_proj_type("ortho")
    axes.view_init(34, -62)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba()).copy()


def _sheet(landscape: OutputLandscape, cards: Sequence[Card], scales: Scales) -> Figure:
    """All cards with their numbers, and what the colours mean."""
    wide, high = CARD_PX[0] + 12, CARD_PX[1] + NUMBERS_PX + 18
    width_px = SHEET_COLUMNS * wide + 12
    head = textwrap.wrap(words.what_it_is(landscape), int((width_px - 40) / SIGN_PX))
    # The scales take the cell behind the last card; a sheet whose last row is full gets another for them.
    lines, rest = divmod(len(cards), SHEET_COLUMNS)
    top, below = 70 + LINE_PX * len(head), 0 if rest else 2 * SCALE_PX[1] + 20
    height_px = top + (lines + bool(rest)) * high + below
    with house_style():
        figure = new_figure(width_px, height_px)
        figure.set_facecolor(COLOURS["paper"])
        write(figure, 18, height_px - 34, "Output landscapes", fontsize=24, fontweight="bold")
        for line, text in enumerate(head):
            write(figure, 18, height_px - 68 - LINE_PX * line, text, fontsize=14, color=COLOURS["quiet"])
        for index, card in enumerate(cards):
            line, column = divmod(index, SHEET_COLUMNS)
            _draw_numbered(figure, 12 + column * wide, height_px - top - (line + 1) * high + NUMBERS_PX + 10, card)
        for index, name in enumerate(SCALES):
            level = height_px - top - lines * high - (index + 1) * SCALE_PX[1] + 16
            draw_scale(figure, (12 + rest * wide + 16, level), name, scales)
    return figure


def _draw_numbered(figure: Figure, left: float, bottom: float, card: Card) -> None:
    """A card and the numbers below it."""
    draw_card(figure, (left, bottom), card)
    for index, (name, value) in enumerate(words.measured(card.row)):
        level = bottom - 12 - LINE_PX * index
        write(figure, left + 40, level, name, color=COLOURS["quiet"])
        write(figure, left + 40 + 2 * MAP_PX + 16, level, value, ha="right")


def draw_scale(figure: Figure, corner: tuple[float, float], name: str, scales: Scales) -> None:
    """A colour bar of `SCALES` with its lower left corner there, in pixels."""
    from matplotlib.cm import ScalarMappable

    if name == "scale-output":
        norm, colours = height_norm(scales), HEIGHT_COLOURS
        ticks = (-scales.height, 0.0, scales.height)
    else:
        norm, colours, ticks = bend_norm(scales), BEND_COLOURS, (0.0, scales.bend / 4, scales.bend)
    axes = Place(*corner, SCALE_PX[0] - 40, 12).on(figure)
    bar = figure.colorbar(ScalarMappable(norm, colour_map(colours)), cax=axes, orientation="horizontal")
    bar.set_ticks(list(ticks), labels=[plain(tick) for tick in ticks])
    bar.outline.set_visible(False)
    axes.set_title(SCALES[name], fontsize=TEXT_PX, pad=4)
    axes.tick_params(labelsize=TEXT_PX, pad=2)
    axes.grid(False)
