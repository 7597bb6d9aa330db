"""The pictures of a comparison: accuracy with every seed, differences of pairs, accuracy against each cost."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from budgetnet.draw.figures import NARROW_PX, Place, draw_seeds
from budgetnet.draw.labels import Label, label_points
from budgetnet.draw.style import COLOURS, house_style
from budgetnet.draw.svg import inline_svg, new_figure
from budgetnet.draw.wording import percent, printable, rounded, shortened, signed
from budgetnet.experiments.compare.rows import COSTS, Difference, Network, front

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

ROW_PX = 36
TALL_ROW_PX = 50
"""On a narrow page, where the name stands above its row."""
MOST_SIGNS = 44
KEY_BELOW_PX = 34
SEEDS_BELOW = 0.27
"""Of a row: circles on the line would cover the mean."""
VALUES_PX = 190
PANEL_PX = 240
PANEL_STEP_PX = PANEL_PX + 96
KEY_ROW_PX = 20
MOST_KEY_SIGNS = 34
MOST_TICKS = 5
DECADES = ((1, 2, 5, 10), (1, 3, 10), (1, 10), (1, 100))
POWERS = ((1, 2), (1, 4), (1, 16), (1, 256))
"""Ticks of a logarithmic axis from dense to sparse: multiples, and the factor after which they come again."""


def accuracy_svg(networks: Sequence[Network], width_px: int, prefix: str, split: str = "test") -> str:
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
            [row.name for row in networks],
            [percent(row.accuracy) for row in networks],
            [f"{100 * row.low:.1f} to {100 * row.high:.1f}" for row in networks],
            ["ink"] * len(networks),
        )
        best, many = max(networks, key=lambda row: row.accuracy), len(networks)
        mean = f"the highest mean is {percent(best.accuracy)} of {best.name}"
        what = f"{split.capitalize()} accuracy of {many} networks; {mean}"
        return inline_svg(figure, prefix, what)


def forest_svg(pairs: Sequence[Difference], width_px: int, prefix: str) -> str:
    """Paired differences with their 95 % intervals; those that stand when all pairs are counted are in colour."""
    with house_style():
        one = len({row.a for row in pairs}) == 1 < len(pairs)
        title = f"{pairs[0].a} minus each of these, points" if one else "Paired difference on the test images, points"
        figure, axes, place = _rows_figure(len(pairs), width_px, title)
        axes.axvline(0, color=COLOURS["quiet"], linewidth=1)
        for height, row in enumerate(pairs):
            colour = COLOURS["accent" if row.stands else "quiet"]
            axes.plot([100 * row.low, 100 * row.high], [height, height], color=colour, linewidth=2.2, zorder=3)
            _seeds(axes, row.seeds, height)
            filled = COLOURS["paper"] if not row.differs else colour
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
            "differ, all pairs counted": (any(row.stands for row in pairs), _diamond("accent", "accent")),
            "only if looked at alone": (any(row.differs > row.stands for row in pairs), _diamond("quiet", "quiet")),
            "not told apart": (not all(row.differs for row in pairs), _diamond("quiet", "paper")),
        }
        shown = {text: mark for text, (there, mark) in kinds.items() if there}
        _key(axes, place, shown, max(len(row.seeds) for row in pairs) > 1)
        _say_rows(
            axes,
            place,
            [row.b if one else f"{row.a} \N{MINUS SIGN} {row.b}" for row in pairs],
            [signed(100 * row.difference, 1) for row in pairs],
            [f"{signed(100 * row.low, 1)} to {signed(100 * row.high, 1)}" for row in pairs],
            ["accent" if row.stands else "ink" for row in pairs],
        )
        many = sum(row.stands for row in pairs)
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


def pareto_svg(networks: Sequence[Network], width_px: int, prefix: str) -> str:
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


def _numbered_names(figure: Figure, ranked: Sequence[Network], across: int, top: float) -> None:
    """The key: number, name and accuracy, down each column; below it what the marks are."""
    wide, high = figure.get_size_inches() * figure.dpi
    down, each = -(-len(ranked) // across), wide / across
    for index, row in enumerate(ranked):
        column, line = divmod(index, down)
        level, left = (top - KEY_ROW_PX * (line + 0.5)) / high, column * each
        style: dict[str, Any] = {"va": "center", "fontsize": 12}
        figure.text((left + 18) / wide, level, f"{index + 1}", ha="right", fontweight="bold", **style)
        name = shortened(printable(row.name), MOST_KEY_SIGNS if across == 1 else MOST_SIGNS)
        figure.text((left + 26) / wide, level, name, **style)
        figure.text((left + each - 20) / wide, level, percent(row.accuracy), ha="right", **style)
    text = "Filled and joined: none costs less and is as accurate."
    line = "Lines: 95 % intervals." if across == 1 else "Vertical lines: 95 % intervals of the means."
    separator = "\n" if across == 1 else " "
    figure.text(0, 2 / high, f"{text}{separator}{line}", va="bottom", fontsize=12, color=COLOURS["quiet"])


def _panel(axes: Axes, ranked: Sequence[Network], cost: str) -> None:
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


def _panel_axes(axes: Axes, networks: Sequence[Network], cost: str) -> None:
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
