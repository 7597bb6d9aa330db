"""Accuracy against each cost: a panel each, with those that no other beats joined."""

# pyright: standard
# What matplotlib gives back is only partly typed.

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from budgetnet.draw.figures import NARROW_PX, Place
from budgetnet.draw.labels import Label, label_points
from budgetnet.draw.style import COLOURS, house_style
from budgetnet.draw.svg import inline_svg, new_figure
from budgetnet.draw.wording import percent, printable, rounded, shortened
from budgetnet.experiments.compare.result import Compared
from budgetnet.networks.zoo.published import pareto

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_SIGNS = 44
PANEL_PX = 240
PANEL_STEP_PX = PANEL_PX + 96
KEY_ROW_PX = 20
MOST_KEY_SIGNS = 34
MOST_TICKS = 5
DECADES = ((1, 2, 5, 10), (1, 3, 10), (1, 10), (1, 100))
POWERS = ((1, 2), (1, 4), (1, 16), (1, 256))
"""Ticks of a logarithmic axis from dense to sparse: multiples, and the factor after which they come again."""


COSTS = {
    "macs": "multiply-adds (MACs) of one image",
    "params": "parameters",
    "peak_bytes": "weights and peak activations",
    "image_ms": "ms an image on this machine",
}
"""Accuracy is drawn against each of these costs."""


def front(networks: Sequence[Compared], cost: str) -> frozenset[str]:
    """The ids of those that no other beats: none costs less and is as accurate."""
    return pareto((row.id, getattr(row, cost), row.accuracy) for row in networks)


def pareto_svg(networks: Sequence[Compared], width_px: int, prefix: str) -> str:
    """Accuracy against each cost, a panel each; those that no other beats are joined and in colour.

    The points have numbers, by accuracy; their names stand once, in a key below.
    """
    costs = [name for name in COSTS if all(getattr(row, name) is not None for row in networks)]
    ranked = sorted(networks, key=lambda row: -row.accuracy)
    across = 1 if width_px < NARROW_PX else 2
    down, wide = -(-len(costs) // across), width_px // across
    below = KEY_ROW_PX * -(-len(ranked) // across) + 40
    with house_style():
        figure = new_figure(width_px, down * PANEL_STEP_PX + below)
        for index, cost in enumerate(costs):
            row, column = divmod(index, across)
            bottom = below + (down - 1 - row) * PANEL_STEP_PX + 58
            _panel(Place(column * wide + 34, bottom, wide - 50, PANEL_PX).on(figure), ranked, cost)
        _numbered_names(figure, ranked, across, below)
        what = f"Test accuracy of {len(networks)} networks against {', '.join(COSTS[name] for name in costs)}"
        return inline_svg(figure, prefix, what)


def _numbered_names(figure: Figure, ranked: Sequence[Compared], across: int, top: float) -> None:
    """The key: number, name and accuracy, down each column; below it what the marks are."""
    wide, high = figure.get_size_inches() * figure.dpi
    down, each = -(-len(ranked) // across), wide / across
    for index, row in enumerate(ranked):
        column, line = divmod(index, down)
        level, left = (top - KEY_ROW_PX * (line + 0.5)) / high, column * each
        figure.text((left + 18) / wide, level, f"{index + 1}", ha="right", va="center", fontsize=12, fontweight="bold")
        name = shortened(printable(row.label), MOST_KEY_SIGNS if across == 1 else MOST_SIGNS)
        figure.text((left + 26) / wide, level, name, va="center", fontsize=12)
        figure.text((left + each - 20) / wide, level, percent(row.accuracy), ha="right", va="center", fontsize=12)
    text = "Filled and joined: none costs less and is as accurate."
    line = "Lines: 95 % intervals." if across == 1 else "Vertical lines: 95 % intervals of the means."
    separator = "\n" if across == 1 else " "
    figure.text(0, 2 / high, f"{text}{separator}{line}", va="bottom", fontsize=12, color=COLOURS["quiet"])


def _panel(axes: Axes, ranked: Sequence[Compared], cost: str) -> None:
    leading = front(ranked, cost)
    _panel_axes(axes, ranked, cost)
    led = sorted((row for row in ranked if row.id in leading), key=lambda row: getattr(row, cost))
    line = [(float(getattr(row, cost)), 100 * row.accuracy) for row in led]
    axes.plot([x for x, _ in line], [y for _, y in line], color=COLOURS["accent"], linewidth=1.4)
    for row in ranked:
        colour = COLOURS["accent" if row.id in leading else "quiet"]
        at, face = getattr(row, cost), colour if row.id in leading else COLOURS["paper"]
        axes.plot([at, at], [100 * row.low, 100 * row.high], color=colour, linewidth=1.0, alpha=0.55)
        axes.plot([at], [100 * row.accuracy], "o", markersize=7, markeredgecolor=colour, markerfacecolor=face, zorder=4)
    labels = [
        Label(getattr(row, cost), 100 * row.accuracy, f"{number}", "accent" if own else "ink", own)
        for number, row in enumerate(ranked, start=1)
        for own in [row.id in leading]
    ]
    label_points(axes, labels, [line])


def _panel_axes(axes: Axes, networks: Sequence[Compared], cost: str) -> None:
    from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

    values = [getattr(row, cost) for row in networks]
    low, high = min(values), max(values)
    margin = 0.1 * (high - low) or 0.05 * high
    if high > 4 * low:
        axes.set_xscale("log")
        axes.set_xlim(low / 1.25, high * 1.25)
    else:
        axes.set_xlim(low - margin, high + margin)
    left, right = axes.get_xlim()
    axes.xaxis.set_major_locator(FixedLocator(cost_ticks(left, right, cost, axes.get_xscale() == "log")))
    axes.xaxis.set_minor_locator(NullLocator())
    plain = cost == "image_ms"
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}" if plain else rounded(cost, value)))
    axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    least, most = 100 * min(row.low for row in networks), 100 * max(row.high for row in networks)
    axes.set_ylim(least - 0.05 * (most - least), min(100.5, most + 0.05 * (most - least)))
    axes.set_xlabel(COSTS[cost] + (", logarithmic" if high > 4 * low else ""))
    axes.set_title("Test accuracy, %", pad=12)


def cost_ticks(low: float, high: float, cost: str, logarithmic: bool) -> list[float]:
    """Round values of a cost from `low` to `high`, at most `MOST_TICKS`, evenly spaced on its axis; KiB for bytes."""
    from matplotlib.ticker import MaxNLocator

    base = 1024 if cost.endswith("bytes") else 1000
    unit = float(base ** int(math.log(high, base))) if high >= 1 else 1.0
    if not logarithmic:
        found = MaxNLocator(MOST_TICKS - 1, steps=[1, 2, 2.5, 5, 10]).tick_values(low / unit, high / unit)
        return [unit * tick for tick in found if low <= unit * tick <= high]
    fitting: list[float] = []
    for ladder in POWERS if base == 1024 else DECADES:
        step = ladder[-1]
        first, last = (math.floor(math.log(end, step)) for end in (low, high))
        values = (float(rung) * float(step) ** power for power in range(first, last + 2) for rung in ladder[:-1])
        fitting = [value for value in values if low <= value <= high]
        if len(fitting) <= MOST_TICKS:
            break
    return fitting
