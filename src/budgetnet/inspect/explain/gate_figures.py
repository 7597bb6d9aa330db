"""The pictures of squeeze-and-excitation: each block's gates, what classes have to do with them, class by class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from budgetnet.draw.figures import Place
from budgetnet.draw.style import COLOURS, house_style
from budgetnet.draw.svg import new_figure
from budgetnet.draw.wording import percent, printable, shortened, signed
from budgetnet.inspect.explain.figures import CHARACTER_PX, SMALL, WIDTH_PX, write
from budgetnet.inspect.explain.gates import Recorded
from budgetnet.inspect.explain.values import BlockRow, ClassGates, Gates

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.container import Container
    from matplotlib.figure import Figure

BINS = 50
HALF_WIDTH = 0.42
LEFT_PX, RIGHT_PX = 44, 8
SHARE_HIGH_PX = 110
NAMED_END = 0.02
"""An outermost bin is named where it has at least this share of the gates."""
UNITS = ((100, "hundredths"), (1_000, "thousandths"), (10_000, "ten-thousandths"))
"""How many units of a difference between gates make a whole gate."""


def gates_figure(gates: Gates, recorded: Recorded, width_px: int = WIDTH_PX) -> Figure:
    """Each block's gates as a histogram on its side; below, how much of their variation the classes explain."""
    compared = gates.by_class is not None
    below = SHARE_HIGH_PX + 112 if compared else 0
    height_px = 366 + below
    wide = width_px - LEFT_PX - RIGHT_PX
    with house_style():
        figure = new_figure(width_px, height_px)
        upper = Place(LEFT_PX, 84 + below - (28 if compared else 0), wide, 240).on(figure)
        _draw_histograms(upper, gates.blocks, recorded)
        upper.set_title("Gate, from 0 (closed) to 1 (open): over all images and channels", pad=12)
        _name_blocks(upper, gates.blocks, named_stages=not compared)
        _key(upper, _gate_marks(), 240, 28 if compared else 56)
        if compared:
            lower = Place(LEFT_PX, 84, wide, SHARE_HIGH_PX).on(figure)
            _key(lower, _draw_shares(lower, gates.blocks), SHARE_HIGH_PX, 56)
            lower.set_title("Of a gate's variation between images, what the class explains, %", pad=12)
            lower.set_xlim(upper.get_xlim())
            _name_blocks(lower, gates.blocks, named_stages=True)
        return figure


def _draw_histograms(axes: Axes, blocks: Sequence[BlockRow], recorded: Recorded) -> None:
    """Mirrored histograms, no smoothing: hard sigmoids give many gates of exactly 0 and 1."""
    low = min(0.0, *(float(values.min()) for values in recorded.values()))
    high = max(1.0, *(float(values.max()) for values in recorded.values()))
    edges = np.linspace(low, high, BINS + 1)
    for index, block in enumerate(blocks):
        counts, _ = np.histogram(recorded[block.block], edges)
        # Gates of exactly 0 and 1 would make all others a hair's breadth: they are cut, and named.
        widths = HALF_WIDTH * np.minimum(counts / max(counts[1:-1].max(), 1), 1.0)
        _name_ends(axes, index, counts / counts.sum(), low, high)
        axes.fill_betweenx(
            np.repeat(edges, 2)[1:-1],
            index - np.repeat(widths, 2),
            index + np.repeat(widths, 2),
            color=COLOURS["accent"],
            alpha=0.35,
            linewidth=0,
        )
        _, quarter, median, three_quarters, _ = block.quantiles
        axes.plot([index, index], [quarter, three_quarters], color=COLOURS["accent"], linewidth=2.4)
        axes.plot([index], [median], "o", color=COLOURS["paper"], markeredgecolor=COLOURS["accent"], markersize=6)
    margin = 0.08 * (high - low)
    axes.set_ylim(low - margin, high + margin)
    axes.set_xlim(-0.7, len(blocks) - 0.3)


def _name_ends(axes: Axes, index: int, shares: NDArray[np.float64], low: float, high: float) -> None:
    """The shares of the outermost bins, beyond them, where they are many."""
    for share, at, shift, side in ((shares[0], low, -3, "top"), (shares[-1], high, 3, "bottom")):
        if share >= NAMED_END:
            axes.annotate(
                percent(share, 0),
                (index, at),
                (0, shift),
                textcoords="offset points",
                ha="center",
                va=side,
                color=COLOURS["quiet"],
                fontsize=SMALL,
                annotation_clip=False,
            )


def _draw_shares(axes: Axes, blocks: Sequence[BlockRow]) -> dict[str, Artist | Container]:
    """A bar a block, and dashes that shuffled classes stay below in 95 % of cases; one of each by its name."""
    from matplotlib.lines import Line2D

    shares = [100 * max(block.class_share or 0.0, 0.0) for block in blocks]
    bars = axes.bar(range(len(blocks)), shares, 0.6, color=COLOURS["accent"], alpha=0.35)
    chances = [100 * (block.chance_share or 0.0) for block in blocks]
    look = {"color": COLOURS["warm"], "linewidth": 2.0, "linestyle": (0, (3, 1.5))}
    for index, chance in enumerate(chances):
        axes.plot([index - 0.44, index + 0.44], [chance, chance], **look)
    axes.locator_params(axis="y", nbins=4)
    # The axis ends at a tick above the highest bar, so that neither is cut.
    step = float(np.diff(axes.get_yticks())[0])
    axes.set_ylim(0, step * (np.floor(max(*shares, *chances) / step) + 1))
    return {
        "explained by the classes": bars,
        "shuffled classes stay below in 95 % of cases": Line2D(
            [], [], color=COLOURS["warm"], linewidth=2.0, linestyle=(0, (3, 1.5))
        ),
    }


def _gate_marks() -> dict[str, Artist | Container]:
    """The marks of a block's gates, by their names."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    accent = COLOURS["accent"]
    paper = COLOURS["paper"]
    return {
        "histogram on its side": Patch(color=accent, alpha=0.35, linewidth=0),
        "median": Line2D([], [], linestyle="", marker="o", markersize=6, color=paper, markeredgecolor=accent),
        "middle half": Line2D([], [], color=accent, linewidth=2.4),
    }


def _key(axes: Axes, marks: Mapping[str, Artist | Container], high_px: float, below_px: float) -> None:
    """What the marks are, in a line `below_px` under the axes."""
    axes.legend(
        list(marks.values()),
        list(marks),
        loc="upper left",
        bbox_to_anchor=(0, -below_px / high_px),
        borderpad=0,
        borderaxespad=0,
        ncols=len(marks),
        frameon=False,
        fontsize=12,
        labelcolor=COLOURS["quiet"],
        handletextpad=0.6,
        columnspacing=1.6,
    )


def _name_blocks(axes: Axes, blocks: Sequence[BlockRow], named_stages: bool) -> None:
    """Under each block its place in its stage; under a stage's blocks its number."""
    axes.grid(False, axis="x")
    axes.set_xticks(range(len(blocks)), [block.block.partition(".")[2] for block in blocks])
    axes.tick_params(labelbottom=named_stages)
    start = 0
    for stage, members in groupby(blocks, key=lambda block: block.block.partition(".")[0]):
        many = len(list(members))
        if start:
            axes.axvline(start - 0.5, color=COLOURS["line"], linewidth=1)
        if named_stages:
            where = ((start + (many - 1) / 2), 0)
            axes.annotate(
                f"stage {stage}" if many > 1 or len(blocks) <= 12 else stage,
                where,
                (0, -26),
                xycoords=("data", "axes fraction"),
                textcoords="offset points",
                ha="center",
                va="top",
                color=COLOURS["quiet"],
                fontsize=12,
            )
        start += many


def classes_figure(row: ClassGates, width_px: int = WIDTH_PX) -> Figure:
    """Classes against channels: how far each class opens a channel's gate beyond the mean of all images, or less."""
    left = min(44 + CHARACTER_PX * max(map(len, row.classes)), 200.0)
    wide = width_px - left - RIGHT_PX
    cell = 34
    with house_style():
        figure = new_figure(width_px, round(cell * len(row.classes) + 104))
        place = Place(left, 52, wide, cell * len(row.classes))
        axes = place.on(figure)
        apart = np.array(row.means) - np.array(row.overall)
        parts, unit = _unit(float(np.abs(apart).max()))
        _draw_cells(axes, apart, parts)
        axes.set_yticks(range(len(row.classes)), [shortened(printable(name), 26) for name in row.classes])
        axes.set_xticks(range(len(row.channels)), [str(channel) for channel in row.channels], fontsize=SMALL)
        axes.tick_params(axis="y", colors=COLOURS["ink"])
        axes.grid(False)
        write(figure, left - 6, 34, "class", "quiet", fontsize=13, ha="right")
        axes.set_xlabel(f"channel of block {row.block}")
        write(figure, 0, 4, f"Mean gate of a class less the mean of all images, {unit}", "quiet", fontsize=13)
        return figure


def _unit(most: float) -> tuple[int, str]:
    """The coarsest unit in which the largest difference is at least 1: gates that hardly moved differ by little."""
    return next(((parts, unit) for parts, unit in UNITS if parts * most >= 1), UNITS[-1])


def _draw_cells(axes: Axes, apart: NDArray[np.float64], parts: int) -> None:
    """Blue opens further, vermilion less; both grow with the distance, and the number is in the cell."""
    from matplotlib.patches import Rectangle

    most = float(np.abs(apart).max()) or 1.0
    for (row, column), value in np.ndenumerate(apart):
        colour = COLOURS["accent" if value >= 0 else "warm"]
        cell = Rectangle((column - 0.46, row - 0.44), 0.92, 0.88, color=colour, alpha=0.75 * abs(value) / most, lw=0)
        axes.add_patch(cell)
        text = signed(parts * value, 0)
        axes.text(column, row, "0" if text[1:] == "0" else text, ha="center", va="center", fontsize=SMALL)
    axes.set_xlim(-0.5, apart.shape[1] - 0.5)
    axes.set_ylim(apart.shape[0] - 0.5, -0.5)
