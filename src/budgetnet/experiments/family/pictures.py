"""The picture of a family: what each step of phi buys."""

# pyright: standard
# What matplotlib gives back is only partly typed.

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from budgetnet.draw.figures import Place
from budgetnet.draw.style import COLOURS, house_style
from budgetnet.draw.svg import inline_svg, new_figure
from budgetnet.draw.wording import percent, rounded
from budgetnet.experiments.compare.pictures import cost_ticks
from budgetnet.experiments.family.training import Member

if TYPE_CHECKING:
    from matplotlib.axes import Axes

HIGH_PX = 380


def family_svg(members: Sequence[Member], width_px: int, prefix: str) -> str:
    """Test accuracy with its 95 % interval against MACs, from S0 to S3, and a small circle for each seed."""
    with house_style():
        figure = new_figure(width_px, HIGH_PX)
        axes = Place(40, 56, width_px - 64, HIGH_PX - 104).on(figure)
        _draw(axes, members)
        _scales(axes, members)
        first, last = members[0], members[-1]
        what = (
            f"Test accuracy against MACs of {len(members)} networks of one family, from {percent(first.accuracy)} "
            f"of {first.id} to {percent(last.accuracy)} of {last.id}"
        )
        return inline_svg(figure, prefix, what)


def _draw(axes: Axes, members: Sequence[Member]) -> None:
    across, up = [row.macs for row in members], [100 * row.accuracy for row in members]
    axes.plot(across, up, color=COLOURS["accent"], linewidth=1.6, zorder=3)
    for row, height in zip(members, up, strict=True):
        span = [100 * row.low, 100 * row.high]
        axes.plot([row.macs] * 2, span, color=COLOURS["accent"], linewidth=1.4, alpha=0.6, zorder=2)
        if len(row.seeds) > 1:  # a single one would only cover the mean
            seeds = [100 * seed for seed in row.seeds]
            ring = {"markerfacecolor": COLOURS["paper"], "markeredgecolor": COLOURS["ink"], "markeredgewidth": 0.9}
            axes.plot([row.macs] * len(seeds), seeds, "o", markersize=5.5, zorder=5, **ring)
        axes.plot([row.macs], [height], "D", markersize=9, color=COLOURS["accent"], markeredgecolor=COLOURS["paper"])
        axes.annotate(
            row.id,
            (row.macs, span[1]),
            (0, 5),
            textcoords="offset points",
            ha="center",
            va="bottom",
            fontweight="bold",
        )


def _scales(axes: Axes, members: Sequence[Member]) -> None:
    from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

    low, high = members[0].macs / 1.25, members[-1].macs * 1.25
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    axes.xaxis.set_major_locator(FixedLocator(cost_ticks(low, high, "macs", True)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: rounded("macs", value)))
    axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    least, most = 100 * min(row.low for row in members), 100 * max(row.high for row in members)
    axes.set_ylim(least - 0.06 * (most - least), most + 0.14 * (most - least))
    axes.set_xlabel("multiply-adds (MACs) for one image")
    axes.set_title("Accuracy on the test images, %", pad=14)
