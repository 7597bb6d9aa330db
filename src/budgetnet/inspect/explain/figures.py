"""The pictures of an explanation, in the style of all: for the page as inline SVG, for slides as SVG and PNG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from budgetnet.draw.figures import Place
from budgetnet.draw.fonts import missing_letters
from budgetnet.draw.style import COLOURS, house_style
from budgetnet.draw.svg import inline_svg, new_figure
from budgetnet.draw.wording import TIMES, printable, shortened
from budgetnet.inspect.explain.overlay import ramp

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH_PX = 880
PNG_SCALE = 2
MARGIN_PX = 16
"""A saved picture has a margin of light paper this wide."""
GAP_PX, UNDER_MAP_PX = 6, 20
FEW = 2
"""How many channels each of several networks shows; a single network shows all that it is given."""
CHARACTER_PX, BOLD_PX = 7.2, 8.0
"""One letter of a label is this wide on average, plain and bold."""
SMALL = 12
SHEET_PX = 900.0
"""About the width that the sheet is shown at: if it were wider, its text would be small."""
HEAD_LINE_PX, UNDER_TILE_PX, UNDER_SHEET_PX = 17.0, 50.0, 24.0
RAMP_PX = (150, 12)
RAMP_TEXT = "the largest value of each map; the line goes round all above half of it"
SLIDE, MOST_COLUMNS = 16 / 9, 6
"""The shape of a slide, and the most columns whose text can be read on one."""
MAP_COLOURS, CHANNEL_COLOURS = "inferno", "gray"


def finished(figure: Figure, stem: Path, prefix: str, description: str) -> str:
    """Save the figure as .svg and .png, and give it as the page has it: an inline SVG, its ids with `prefix`."""
    save(figure, stem, (".svg", ".png"))
    return inline_svg(figure, prefix, description)


def save(figure: Figure, stem: Path, endings: Sequence[str]) -> None:
    """Save the figure on light paper as `stem` with each ending; PNG at twice its pixels."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure)
    with house_style(), missing_letters(stem.name):
        for ending in endings:
            figure.savefig(
                stem.with_name(stem.name + ending),
                dpi=PNG_SCALE * figure.dpi,
                facecolor=COLOURS["paper"],
                bbox_inches="tight",
                pad_inches=MARGIN_PX / figure.dpi,
                metadata={"Date": None} if ending == ".svg" else None,
            )


@dataclass(frozen=True, slots=True)
class Tiles:
    """Places of equal pictures in a figure: from the left, from the top, in pixels."""

    figure: Figure
    width: float
    height: float

    def at(self, left: float, top: float) -> Axes:
        """Axes for a picture without scales."""
        high = self.figure.get_size_inches()[1] * self.figure.dpi
        axes = Place(left, high - top - self.height, self.width, self.height).on(self.figure)
        axes.set_axis_off()
        return axes


def write(figure: Figure, left: float, top: float, text: str, colour: str = "ink", **more: Any) -> None:
    """Text at a place in pixels from the left and the top; its upper left corner unless `more` says otherwise."""
    wide, high = figure.get_size_inches() * figure.dpi
    settings = {"va": "top", "ha": "left", "fontsize": 12, **more}
    figure.text(left / wide, 1 - top / high, printable(text), color=COLOURS[colour], **settings)


@dataclass(frozen=True, slots=True, eq=False)
class MapColumn:
    """One stage in a picture of maps: for each network its mean absolute map, and channels (number, map)."""

    title: str
    subtitle: str
    means: tuple[NDArray[np.floating], ...]
    channels: tuple[tuple[tuple[int, NDArray[np.floating]], ...], ...]


def maps_figure(seen: NDArray[np.uint8], columns: Sequence[MapColumn], networks: Sequence[str]) -> Figure:
    """Activation maps of an image: a column a stage; above the mean absolute maps, below the strongest channels.

    `seen` is the first network's input as an image. The means of several networks follow one another, then the
    channels of each.
    """
    left = 84.0 if len(networks) == 1 else 118.0
    wide = min(160.0, (WIDTH_PX - left) / (len(columns) + 1) - GAP_PX)
    high = wide * seen.shape[0] / seen.shape[1]
    channels = min(len(own) for column in columns for own in column.channels)
    folded = any(CHARACTER_PX * len(column.subtitle) > wide + GAP_PX for column in columns)
    channels = min(channels, FEW) if len(networks) > 1 else channels
    rows = _map_rows(54.0 if folded else 38.0, len(networks), channels, high)
    with house_style():
        figure = new_figure(WIDTH_PX, round(rows[-1].top + high + UNDER_MAP_PX))
        tiles = Tiles(figure, wide, high)
        _show(tiles.at(left, rows[0].top), seen, None)
        _head(figure, left, "input", f"{seen.shape[0]}{TIMES}{seen.shape[1]}")
        for number, column in enumerate(columns, start=1):
            beside = left + number * (wide + GAP_PX)
            _head(figure, beside, column.title, column.subtitle.replace(", ", "\n") if folded else column.subtitle)
            _map_column(tiles, beside, rows, column)
        _row_labels(figure, rows, networks)
        return figure


@dataclass(frozen=True, slots=True)
class MapRow:
    """A row of a picture of maps: of a network its mean absolute map (`channel` is None), or its k-th channel."""

    network: int
    channel: int | None
    top: float


def _map_rows(top: float, networks: int, channels: int, high: float) -> list[MapRow]:
    """The means of all networks, then each network's channels."""
    rows: list[MapRow] = []
    for network in range(networks):
        rows.append(MapRow(network, None, top))
        top += high + GAP_PX
    for network in range(networks):
        top += UNDER_MAP_PX - GAP_PX
        for channel in range(channels):
            rows.append(MapRow(network, channel, top))
            top += high + UNDER_MAP_PX
    return rows


def _map_column(tiles: Tiles, left: float, rows: Sequence[MapRow], column: MapColumn) -> None:
    for row in rows:
        if row.channel is None:
            _show(tiles.at(left, row.top), column.means[row.network], MAP_COLOURS)
            continue
        number, values = column.channels[row.network][row.channel]
        _show(tiles.at(left, row.top), values, CHANNEL_COLOURS)
        write(tiles.figure, left, row.top + tiles.height + 2, f"channel {number}", "quiet", fontsize=SMALL)


def _head(figure: Figure, left: float, title: str, subtitle: str) -> None:
    write(figure, left, 4, title, fontweight="bold")
    write(figure, left, 20, subtitle, "quiet", fontsize=SMALL)


def _row_labels(figure: Figure, rows: Sequence[MapRow], networks: Sequence[str]) -> None:
    """Beside each network's mean and its first channel what the rows are, with its name where there are several."""
    for row in rows:
        if row.channel:
            continue
        text, top = "mean of |a|" if row.channel is None else "strongest\nchannels", row.top
        if len(networks) > 1:
            write(figure, 0, top, shortened(networks[row.network], 14), fontweight="bold")
            top += 18
        write(figure, 0, top, text, "quiet", linespacing=1.3)


def _show(axes: Axes, values: NDArray[Any], colours: str | None, interpolation: str = "none") -> None:
    """An image, or a map with its cells as squares from its smallest value to its largest."""
    from matplotlib.patches import Rectangle

    image = values[..., 0] if values.ndim == 3 and values.shape[-1] == 1 else values
    if image.ndim == 2 and colours is None:
        colours = "gray"
    axes.imshow(image, cmap=colours, interpolation=interpolation, aspect="auto")
    # A white cell at the edge would otherwise be paper.
    axes.add_patch(
        Rectangle((0, 0), 1, 1, transform=axes.transAxes, fill=False, edgecolor=COLOURS["line"], linewidth=1)
    )


@dataclass(frozen=True, slots=True, eq=False)
class SheetTile:
    """A picture in the sheet with what is written under it, in the warning colour where it is a wrong answer."""

    pixels: NDArray[np.uint8]
    title: str
    note: str
    wrong: bool


@dataclass(frozen=True, slots=True)
class SheetHead:
    """What stands over a column: a title, and below it what else is to know of that network."""

    title: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Sheet:
    """How a sheet is laid out: `blocks` beside one another, each of `columns` tiles of `wide` pixels, under a head."""

    blocks: int
    columns: int
    head: float

    @property
    def wide(self) -> float:
        """Of a tile."""
        room = SHEET_PX - (self.blocks - 1) * 4 * GAP_PX
        return min(220.0, room / (self.blocks * self.columns) - 2 * GAP_PX)

    @property
    def step(self) -> float:
        """From one tile to the next."""
        return self.wide + 2 * GAP_PX

    @property
    def block_step(self) -> float:
        """From one block to the next."""
        return self.columns * self.step + 4 * GAP_PX


def sheet_figure(blocks: Sequence[Sequence[Sequence[SheetTile | None]]], heads: Sequence[SheetHead]) -> Figure:
    """For every image a block: in columns the image itself and what each network looks at, a row a class.

    Blocks of few columns stand beside one another, so that the sheet is about as wide as a slide. Below them stands
    once what the colours mean. Source: the arrangement of Tan & Le, arXiv:1905.11946, figure 7.
    """
    sheet = _sheet(blocks, heads)
    bands = [blocks[start : start + sheet.blocks] for start in range(0, len(blocks), sheet.blocks)]
    many = min(sheet.blocks, len(blocks))
    height = sheet.head + sum(_band_height(band, sheet.wide) for band in bands) + UNDER_SHEET_PX
    with house_style():
        figure = new_figure(round(max(many * sheet.block_step - 6 * GAP_PX, 430)), round(height))
        for index in range(many * len(heads)):
            block, column = divmod(index, len(heads))
            _draw_head(figure, block * sheet.block_step + column * sheet.step, sheet.wide, heads[column], column > 0)
        top = sheet.head
        for band in bands:
            for column, block in enumerate(band):
                _draw_block(figure, column * sheet.block_step, top, sheet, block)
            top += _band_height(band, sheet.wide)
        _draw_ramp(figure, top + 4)
        return figure


def _draw_head(figure: Figure, left: float, wide: float, head: SheetHead, bold: bool) -> None:
    weight = "bold" if bold else "normal"
    write(figure, left, 2, shortened(head.title, int(wide / BOLD_PX)), fontweight=weight)
    for line, note in enumerate(head.notes, start=1):
        write(figure, left, 2 + line * HEAD_LINE_PX, shortened(note, int(wide / CHARACTER_PX)), "quiet", fontsize=SMALL)


def _draw_ramp(figure: Figure, top: float) -> None:
    """What the colours are of every map: from nothing to its own largest value, and the line round its half."""
    wide, high = RAMP_PX
    write(figure, 0, top, "0", "quiet", fontsize=SMALL)
    _show(Tiles(figure, wide, high).at(14, top + 1), ramp(2 * wide, 2 * high), None)
    text = "its largest value; the line: half of it" if figure.get_figwidth() * figure.dpi < 600 else RAMP_TEXT
    write(figure, wide + 22, top, text, "quiet", fontsize=SMALL)


def _sheet(blocks: Sequence[Sequence[Sequence[SheetTile | None]]], heads: Sequence[SheetHead]) -> Sheet:
    """The layout whose shape is nearest to a slide's."""
    head = 9 + HEAD_LINE_PX * (1 + max(len(one.notes) for one in heads))

    def shape(beside: int) -> float:
        sheet = Sheet(beside, len(heads), head)
        heights = [_block_height(block, sheet.wide) for block in blocks]
        total = sum(max(heights[start : start + beside]) for start in range(0, len(blocks), beside))
        return sheet.block_step * beside / (head + total)

    choices = range(1, max(1, min(MOST_COLUMNS // len(heads), len(blocks))) + 1)
    return Sheet(min(choices, key=lambda beside: abs(math.log(shape(beside) / SLIDE))), len(heads), head)


def _band_height(band: Sequence[Sequence[Sequence[SheetTile | None]]], wide: float) -> float:
    return max(_block_height(block, wide) for block in band)


def _block_height(block: Sequence[Sequence[SheetTile | None]], wide: float) -> float:
    return sum(_row_height(row, wide) + UNDER_TILE_PX for row in block)


def _row_height(row: Sequence[SheetTile | None], wide: float) -> float:
    shape = next(tile for tile in row if tile is not None).pixels.shape
    return wide * min(max(shape[0] / shape[1], 0.5), 1.25)


def _draw_block(
    figure: Figure, left: float, top: float, sheet: Sheet, block: Sequence[Sequence[SheetTile | None]]
) -> None:
    for row in block:
        high = _row_height(row, sheet.wide)
        for index, tile in enumerate(row):
            if tile is not None:
                _draw_tile(figure, left + index * sheet.step, top, sheet.wide, high, tile)
        top += high + UNDER_TILE_PX


def _draw_tile(figure: Figure, left: float, top: float, wide: float, high: float, tile: SheetTile) -> None:
    tall, across = tile.pixels.shape[:2]
    scale = min(wide / across, high / tall)
    _show(Tiles(figure, across * scale, tall * scale).at(left, top), tile.pixels, None, "antialiased")
    title, note = shortened(tile.title, int(wide / BOLD_PX)), shortened(tile.note, int(wide / CHARACTER_PX))
    write(figure, left, top + high + 5, title, "warm" if tile.wrong else "ink", fontweight="bold")
    write(figure, left, top + high + 22, note, "quiet", fontsize=SMALL)
