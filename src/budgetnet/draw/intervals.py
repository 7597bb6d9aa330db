"""Means and paired differences as rows with their 95 % intervals and a mark for each seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from budgetnet.draw.figures import NARROW_PX, Place, draw_seeds
from budgetnet.draw.style import COLOURS, house_style
from budgetnet.draw.svg import inline_svg, new_figure
from budgetnet.draw.wording import percent, printable, shortened, signed
from budgetnet.statistics import PairedDifference

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

ROW_PX = 36
TALL_ROW_PX = 50
"""A row is this high on a narrow page, where the name stands above it."""
MOST_SIGNS = 44
"""A row shows at most this many characters of a name."""
KEY_BELOW_PX = 34
SEEDS_BELOW = 0.27
"""How far below its line a seed's circle stands, as a share of the row: on the line it would cover the mean."""
VALUES_PX = 190


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean accuracy from 0 to 1 with its interval and each seed's, and whose it is."""

    label: str
    accuracy: float
    low: float
    high: float
    seeds: tuple[float, ...]


def accuracy_svg(networks: Sequence[Mean], width_px: int, prefix: str, split: str = "test") -> str:
    """Mean accuracy of every network on a split with its 95 % interval, and a small circle for each seed."""
    with house_style():
        figure, axes, place = _rows_figure(len(networks), width_px, f"Accuracy on the {split} images, %")
        for height, row in enumerate(networks):
            colour = COLOURS["accent"]
            axes.plot([100 * row.low, 100 * row.high], [height, height], color=colour, linewidth=2.2, zorder=3)
            _seeds(axes, row.seeds, height)
            axes.plot([100 * row.accuracy], [height], "D", markersize=9, color=colour, markeredgecolor=COLOURS["paper"])
        several = max(len(row.seeds) for row in networks) > 1
        _key(axes, place, {"mean of its seeds" if several else "one seed": _diamond("accent", "accent")}, several)
        _say_rows(
            axes,
            place,
            [row.label for row in networks],
            [percent(row.accuracy) for row in networks],
            [f"{100 * row.low:.1f} to {100 * row.high:.1f}" for row in networks],
            ["ink"] * len(networks),
        )
        best, many = max(networks, key=lambda row: row.accuracy), len(networks)
        mean = f"the highest mean is {percent(best.accuracy)} of {best.label}"
        what = f"{split.capitalize()} accuracy of {many} networks; {mean}"
        return inline_svg(figure, prefix, what)


def forest_svg(pairs: Sequence[PairedDifference], width_px: int, prefix: str) -> str:
    """Paired differences with their 95 % intervals; those that are significant also by Holm are in colour.

    `a` and `b` of each are the names that are shown. All have an interval.
    """
    spans = {index: (row.low or 0.0, row.high or 0.0) for index, row in enumerate(pairs)}
    with house_style():
        one = len({row.a for row in pairs}) == 1 < len(pairs)
        title = f"{pairs[0].a} minus each of these, points" if one else "Paired difference on the test images, points"
        figure, axes, place = _rows_figure(len(pairs), width_px, title)
        axes.axvline(0, color=COLOURS["quiet"], linewidth=1)
        for height, row in enumerate(pairs):
            colour = COLOURS["accent" if row.significant_holm else "quiet"]
            axes.plot([100 * end for end in spans[height]], [height, height], color=colour, linewidth=2.2, zorder=3)
            _seeds(axes, row.seeds, height)
            filled = COLOURS["paper"] if not row.significant else colour
            axes.plot(
                [100 * row.difference],
                [height],
                "D",
                markersize=8,
                markerfacecolor=filled,
                markeredgecolor=colour,
                markeredgewidth=1.6,
                zorder=5,
            )
        kinds = {
            "differ, all pairs counted": (any(row.significant_holm for row in pairs), _diamond("accent", "accent")),
            "only if looked at alone": (
                any(row.significant > row.significant_holm for row in pairs),
                _diamond("quiet", "quiet"),
            ),
            "no difference shown": (not all(row.significant for row in pairs), _diamond("quiet", "paper")),
        }
        shown = {text: mark for text, (there, mark) in kinds.items() if there}
        _key(axes, place, shown, max(len(row.seeds) for row in pairs) > 1)
        _say_rows(
            axes,
            place,
            [row.b if one else f"{row.a} \N{MINUS SIGN} {row.b}" for row in pairs],
            [signed(100 * row.difference, 1) for row in pairs],
            [f"{signed(100 * low, 1)} to {signed(100 * high, 1)}" for low, high in spans.values()],
            ["accent" if row.significant_holm else "ink" for row in pairs],
        )
        many = sum(row.significant_holm for row in pairs)
        return inline_svg(
            figure, prefix, f"Paired differences of {len(pairs)} pairs of networks; {many} of them differ"
        )


def _diamond(edge: str, face: str) -> Line2D:
    """A mean, as the key has it."""
    from matplotlib.lines import Line2D

    colours: dict[str, Any] = {"markeredgecolor": COLOURS[edge], "markerfacecolor": COLOURS[face]}
    return Line2D([], [], linestyle="", marker="D", markersize=8, markeredgewidth=1.6, **colours)


def _key(axes: Axes, place: Place, means: Mapping[str, Line2D], several: bool) -> None:
    """What the marks of the rows are, below the axis: the means' kinds, the interval, a seed."""
    from matplotlib.lines import Line2D

    marks = {**means, "95 % interval": Line2D([], [], color=COLOURS["quiet"], linewidth=2.2)}
    if several:
        seed: dict[str, Any] = {
            "markerfacecolor": COLOURS["paper"],
            "markeredgecolor": COLOURS["ink"],
            "markeredgewidth": 0.9,
        }
        marks["a seed"] = Line2D([], [], linestyle="", marker="o", markersize=4.5, **seed)
    narrow = place.left < 20
    axes.legend(
        list(marks.values()),
        list(marks),
        loc="upper left" if narrow else "upper right",
        bbox_to_anchor=(0 if narrow else 1 + VALUES_PX / place.width, -KEY_BELOW_PX / place.height),
        borderaxespad=0,
        borderpad=0,
        ncols=2 if narrow else len(marks),
        frameon=False,
        fontsize=12,
        labelcolor=COLOURS["quiet"],
        handletextpad=0.5,
        columnspacing=1.4,
    )


def _rows_figure(rows: int, width_px: int, title: str) -> tuple[Figure, Axes, Place]:
    """Axes with a row for each thing, the first at the top; names to the left and values to the right of them."""
    narrow = width_px < NARROW_PX
    high, below = rows * (TALL_ROW_PX if narrow else ROW_PX), 96 if narrow else 64
    left = 8 if narrow else _names_px(width_px)
    place = Place(left, below, width_px - (16 if narrow else left + VALUES_PX), high)
    figure = new_figure(width_px, high + below + 44)
    axes = place.on(figure)
    axes.set_ylim(rows - 0.5, -0.5)
    axes.grid(True, axis="x")
    axes.grid(False, axis="y")
    axes.set_yticks([])
    axes.spines["bottom"].set_visible(False)
    axes.locator_params(axis="x", nbins=4 if narrow else 7)
    axes.set_title(title, pad=12, x=0 if narrow else -_names_px(width_px) / place.width)
    return figure, axes, place


def _names_px(width_px: int) -> int:
    return round(0.42 * width_px)


def _seeds(axes: Axes, values: Sequence[float], height: float) -> None:
    draw_seeds(axes, [100 * value for value in values], height + SEEDS_BELOW, 4.5, 0.9)


def _say_rows(
    axes: Axes, place: Place, names: Sequence[str], values: Sequence[str], spans: Sequence[str], colours: Sequence[str]
) -> None:
    """Names at the left end of the rows and values at the right, or on a narrow page both above them."""
    narrow = place.left < 20
    end = place.left + place.width
    for height, (name, value, span, colour) in enumerate(zip(names, values, spans, colours, strict=True)):
        level = place.bottom + place.height * (1 - (height + 0.5) / len(names))
        where = {"xycoords": "figure pixels", "annotation_clip": False, "va": "center"}
        shown = shortened(printable(name), MOST_SIGNS)
        if narrow:  # on paper of their own: the rows' lines run below them
            level += 17
            paper = {"facecolor": COLOURS["paper"], "edgecolor": "none", "pad": 1.5}
            more = {"color": COLOURS[colour], "fontsize": 12, "bbox": paper, "zorder": 6, **where}
            axes.annotate(shown, (place.left, level), **more)
            axes.annotate(value, (end, level), ha="right", **more)
            continue
        axes.annotate(shown, (0, level), color=COLOURS[colour], **where)
        axes.annotate(value, (end + 66, level), ha="right", color=COLOURS[colour], fontweight="bold", **where)
        axes.annotate(span, (end + VALUES_PX, level), ha="right", color=COLOURS["quiet"], fontsize=12, **where)
