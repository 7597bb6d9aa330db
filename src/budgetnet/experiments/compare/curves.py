"""Accuracy against multiply-adds over several costs: a curve a network, as the paper's figures 3 and 8 have them."""

# pyright: standard
# What matplotlib gives back is only partly typed.

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from budgetnet.draw.figures import NARROW_PX, Mark, Place, name_marks
from budgetnet.draw.style import COLOURS, house_style
from budgetnet.draw.svg import inline_svg, new_figure
from budgetnet.draw.wording import percent, printable, rounded, shortened
from budgetnet.experiments.compare.pictures import cost_ticks
from budgetnet.experiments.compare.result import Compared

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COMPOUND = "compound"
HIGH_PX = 380
NAMES_PX, NARROW_NAMES_PX = 190, 130
MARKERS = ("D", "o", "s", "^", "v", "P", "X", "<", ">", "h")
"""Curves are told apart by their signs and names, so in grey as well."""


def curves_svg(costs: Sequence[Sequence[Compared]], width_px: int, prefix: str) -> str:
    """Mean test accuracy with its 95 % interval against MACs; compound scaling in colour, the claim that is tested.

    Where it is not among them, the best at the largest cost.
    """
    curves = _curves(costs)
    first = next((index for index, curve in enumerate(curves) if curve[0].id == COMPOUND), 0)
    narrow = width_px < NARROW_PX
    place = Place(34, 54, width_px - 34 - (NARROW_NAMES_PX if narrow else NAMES_PX), HIGH_PX)
    with house_style():
        figure = new_figure(width_px, HIGH_PX + 96)
        axes = place.on(figure)
        _draw_axes(axes, curves, narrow)
        for index, curve in reversed(list(enumerate(curves))):
            _draw_curve(axes, curve, MARKERS[index % len(MARKERS)], index == first)
        marks = [
            Mark(
                curve[-1].macs,
                100 * curve[-1].accuracy,
                shortened(printable(curve[-1].label), 14 if narrow else 22),
                index == first,
            )
            for index, curve in enumerate(curves)
        ]
        name_marks(axes, marks, place, 20)
        best = curves[0][-1]
        what = (
            f"Test accuracy of {len(curves)} networks at {len(costs)} costs; at the largest {best.label} has the most"
        )
        return inline_svg(figure, prefix, f"{what}, {percent(best.accuracy)}")


def _curves(costs: Sequence[Sequence[Compared]]) -> list[tuple[Compared, ...]]:
    """The points of every network, the smallest first; the best at the largest cost is the first curve."""
    found: dict[str, list[Compared]] = {}
    for networks in costs:
        for row in networks:
            found.setdefault(row.id, []).append(row)
    return [tuple(found[name]) for name in order_of(costs)]


def _draw_curve(axes: Axes, curve: Sequence[Compared], marker: str, first: bool) -> None:
    colour = COLOURS["accent" if first else "quiet"]
    macs, heights = [row.macs for row in curve], [100 * row.accuracy for row in curve]
    for row in curve:
        axes.plot([row.macs] * 2, [100 * row.low, 100 * row.high], color=colour, linewidth=1.1, alpha=0.6)
    style = {"color": colour, "linewidth": 2.4 if first else 1.3, "zorder": 4 if first else 3}
    axes.plot(macs, heights, marker=marker, markersize=8, markeredgecolor=COLOURS["paper"], **style)


def _draw_axes(axes: Axes, curves: Sequence[Sequence[Compared]], narrow: bool) -> None:
    from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullLocator

    rows = [row for curve in curves for row in curve]
    axes.set_xscale("log")
    axes.set_xlim(min(row.macs for row in rows) / 1.08, max(row.macs for row in rows) * 1.08)
    few = FixedLocator(cost_ticks(*axes.get_xlim(), "macs", logarithmic=True))
    axes.xaxis.set_major_locator(few if narrow else LogLocator(10, subs=(1, 1.5, 2, 3, 4, 5, 6, 8)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: rounded("macs", value)))
    axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    axes.set_xlabel("MACs of one image, logarithmic" if narrow else "multiply-adds (MACs) of one image, logarithmic")
    axes.set_title("Test accuracy, %", pad=12)


def order_of(costs: Sequence[Sequence[Compared]]) -> list[str]:
    """The ids of networks at several costs: as they stand at the largest, then those that are left out there."""
    last = [row.id for row in costs[-1]]
    return list(dict.fromkeys([*last, *(row.id for networks in costs for row in networks)]))
