"""The pictures of a study of twins: curves over the steps, measures at the end with differences, betas by depth.

All are drawn from the rows of training.json and from nothing else.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from budgetnet.show.figures import Place, spread
from budgetnet.show.landscape.sheets import write
from budgetnet.show.landscape.training_words import (
    SHARES,
    TITLES,
    UNITS,
    difference_text,
    end_title,
    spread_of,
    what_was_trained,
)
from budgetnet.show.style import COLOURS, house_style
from budgetnet.show.svg import new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Row = Mapping[str, Any]
Curves = NDArray[np.float64]
Corner = tuple[float, float]

CARD_PX, GAP_PX, COLUMNS = (450, 350), 24, 4
NAME_PX = 17.0
"""Least distance of two names beside one another's curves."""
LINE_PX = 25
PROBED = ("loss_range", "gradient_change", "first_order_error", "relative_smoothness")
BY_LENGTH = {"gradient_changes": "gradient_change", "first_order_errors": "first_order_error"}
"""Measures that every length of a probe has: their name in the numbers, and the measure that is their mean."""
LOGARITHMIC = ("loss_range", "gradient_change", "relative_smoothness")


def look(row: Row, rows: Sequence[Row]) -> dict[str, Any]:
    """Colour and kind of line of a twin: ReLU warm, Swish blue, a trained beta dark and dashed; dashes tell like apart."""
    alike = [one["name"] for one in rows if _colour(one) == _colour(row)]
    dashes = ((0, ()), (0, (5, 2)), (0, (1.5, 1.5)), (0, (7, 2, 1.5, 2)))
    place = alike.index(row["name"]) + (1 if row["trainable"] else 0)
    return {"color": COLOURS[_colour(row)], "linestyle": dashes[place % len(dashes)]}


def _colour(row: Row) -> str:
    return "ink" if row["trainable"] else {"relu": "warm", "swish": "accent"}.get(row["kind"], "quiet")


def training_cards(row: Row) -> dict[str, Figure]:
    """A figure for each card, by its name in files."""
    cards: dict[str, Figure] = {}
    with house_style():
        for name, draw in _drawings(row).items():
            cards[name] = new_figure(*CARD_PX)
            draw(cards[name], (0, 0))
    return cards


def training_sheet(row: Row) -> Figure:
    """All of it on one sheet."""
    drawings = _drawings(row)
    wide, high = (side + GAP_PX for side in CARD_PX)
    lines = -(-len(drawings) // COLUMNS)
    with house_style():
        figure = new_figure(COLUMNS * wide + GAP_PX, lines * high + 120)
        figure.set_facecolor(COLOURS["paper"])
        write(figure, GAP_PX + 6, lines * high + 82, "Twins in training", fontsize=26, fontweight="bold")
        write(figure, GAP_PX + 6, lines * high + 44, what_was_trained(row), fontsize=15, color=COLOURS["quiet"])
        for index, draw in enumerate(drawings.values()):
            line, column = divmod(index, COLUMNS)
            draw(figure, (GAP_PX + column * wide, (lines - 1 - line) * high + 10))
    return figure


def _drawings(row: Row) -> dict[str, Callable[[Figure, Corner], None]]:
    """What draws each card, in their order."""
    twins = row["twins"]
    drawings: dict[str, Callable[[Figure, Corner], None]] = {"steps-loss": partial(_draw_loss, row)}
    for measure in ("last_loss", "train_loss", "accuracy"):
        drawings[f"end-{measure}"] = partial(_draw_end, row, measure)
    for measure in PROBED:
        drawings[f"steps-{measure}"] = partial(_draw_probed, row, measure)
    drawings |= {f"lengths-{measure}": partial(_draw_lengths, row, name) for name, measure in BY_LENGTH.items()}
    for measure in (*PROBED, "dead_share"):
        drawings[f"end-{measure}"] = partial(_draw_end, row, measure)
    for twin in twins:
        if twin["layers"]:
            name = twin["name"].replace(":", "-")
            drawings[f"betas-{name}"] = partial(_draw_betas, twin)
            drawings[f"betas-steps-{name}"] = partial(_draw_beta_steps, row, twin)
    return drawings


def _title(figure: Figure, corner: Corner, text: str) -> None:
    write(figure, corner[0] + 6, corner[1] + CARD_PX[1] - 16, text, fontsize=15, fontweight="bold")


def _curve_card(figure: Figure, corner: Corner, title: str, name_px: float = 112) -> tuple[Axes, Place]:
    """Axes with room for names at their right."""
    _title(figure, corner, title)
    place = Place(corner[0] + 54, corner[1] + 46, CARD_PX[0] - 60 - name_px, CARD_PX[1] - 92)
    return place.on(figure), place


def _draw_loss(row: Row, figure: Figure, corner: Corner) -> None:
    axes, place = _curve_card(figure, corner, "Training loss, nats")
    found = {twin["name"]: _table([one["losses"] for one in twin["trainings"]]) for twin in row["twins"]}
    steps = np.array(row["curve_steps"])
    _draw_bands(axes, place, row["twins"], steps - np.diff(steps, prepend=0) / 2, found)
    axes.set_xlabel("step", labelpad=1)
    axes.set_xlim(0, row["steps"])


def _draw_probed(row: Row, measure: str, figure: Figure, corner: Corner) -> None:
    axes, place = _curve_card(figure, corner, end_title(measure))
    if measure in LOGARITHMIC:
        axes.set_yscale("log")
    found = {
        twin["name"]: _table([[probe[measure] for probe in one["probes"]] for one in twin["trainings"]])
        for twin in row["twins"]
    }
    _draw_bands(axes, place, row["twins"], np.array(row["probe_steps"], np.float64), found)
    axes.set_xlabel("step", labelpad=1)
    axes.set_xlim(0, row["steps"])


def _draw_lengths(row: Row, name: str, figure: Figure, corner: Corner) -> None:
    """Of each seed the mean over its probes, for every length."""
    axes, place = _curve_card(figure, corner, f"{TITLES[BY_LENGTH[name]].capitalize()}, by distance")
    axes.set_xscale("log")
    axes.set_yscale("log")
    found = {
        twin["name"]: _table(
            [_table([probe[name] for probe in one["probes"]]).mean(0).tolist() for one in twin["trainings"]]
        )
        for twin in row["twins"]
    }
    _draw_bands(axes, place, row["twins"], np.array(row["lengths"]), found, "o")
    axes.set_xlabel("distance moved along the gradient, of the weights' length", labelpad=1)
    axes.set_ylabel(UNITS[BY_LENGTH[name]], labelpad=2)


def _table(rows: Sequence[Sequence[float | None]]) -> Curves:
    """Numbers with NaN where there are none."""
    return np.array([[math.nan if value is None else value for value in row] for row in rows], np.float64)


def _draw_bands(
    axes: Axes, place: Place, twins: Sequence[Row], x: Curves, found: Mapping[str, Curves], marker: str = ""
) -> None:
    """The mean over seeds (seeds, points) of every twin, a band from the smallest to the largest seed, its name."""
    from matplotlib.ticker import LogLocator, NullFormatter

    ends: list[tuple[Row, float]] = []
    for twin in twins:
        curves, style = found[twin["name"]], look(twin, twins)
        axes.fill_between(x, curves.min(0), curves.max(0), color=style["color"], alpha=0.14, linewidth=0)
        axes.plot(x, curves.mean(0), linewidth=2, marker=marker, markersize=4.5, **style)
        known = curves.mean(0)[np.isfinite(curves.mean(0))]
        ends.append((twin, float(known[-1]) if len(known) else math.nan))
    for axis, scale in ((axes.xaxis, axes.get_xscale()), (axes.yaxis, axes.get_yscale())):
        if scale == "log":
            decades = np.ptp(np.log10(axes.get_xlim() if axis is axes.xaxis else axes.get_ylim()))
            axis.set_major_locator(LogLocator(10, (1,) if decades > 2 else (1, 3) if decades > 1 else (1, 2, 5)))
            axis.set_major_formatter(lambda value, _: f"{value:g}")
            axis.set_minor_formatter(NullFormatter())
    axes.tick_params(labelsize=11)
    _name_ends(axes, place, twins, x[-1], [end for end in ends if math.isfinite(end[1])])


def _name_ends(axes: Axes, place: Place, twins: Sequence[Row], x: float, ends: Sequence[tuple[Row, float]]) -> None:
    """Names at the right of the axes, as level with the curves' ends as they can be."""
    axes.figure.canvas.draw()
    to_px = axes.transData.transform
    bottom = axes.transAxes.transform((0, 0))[1]
    heights = [float(to_px((x, end))[1] - bottom) for _, end in ends]
    lines = [len(_in_lines(twin["title"])) for twin, _ in ends]
    gap = NAME_PX * max(lines, default=1)
    for (twin, end), height in zip(ends, spread(heights, gap, 0.0, place.height), strict=True):
        axes.annotate(
            "\n".join(_in_lines(twin["title"])),
            (x, end),
            xytext=(1.0, height / place.height),
            textcoords="axes fraction",
            xycoords="data",
            annotation_clip=False,
            va="center",
            fontsize=12,
            color=look(twin, twins)["color"],
            bbox={"boxstyle": "square,pad=0.25", "facecolor": "none", "edgecolor": "none"},
        )


def _in_lines(title: str) -> list[str]:
    """A long title in two lines."""
    head, comma, tail = title.partition(", ")
    return [head + comma.strip(), tail] if comma else [title]


def _draw_end(row: Row, measure: str, figure: Figure, corner: Corner) -> None:
    """A measure of every twin, and below it the paired differences; circles are seeds."""
    twins = [twin for twin in row["twins"] if twin["measures"][measure] is not None]
    pairs = [pair for pair in row["differences"] if pair["measure"] == measure]
    _title(figure, corner, end_title(measure))
    titles = {twin["name"]: twin["title"] for twin in row["twins"]}
    factor = 100 if measure in SHARES else 1
    values = _rows_axes(figure, corner, CARD_PX[1] - 40, [titles[twin["name"]] for twin in twins])
    for line, twin in enumerate(twins):
        found, style = twin["measures"][measure], look(twin, row["twins"])
        text = spread_of(measure, found)
        _draw_row(values, line, found["values"], found["mean"], found["deviation"], factor, style["color"], text)
    if not pairs:
        return
    names = [f"{_short(titles[pair['a']])} − {_short(titles[pair['b']])}" for pair in pairs]
    top = CARD_PX[1] - 62 - LINE_PX * len(twins) - 40
    write(figure, corner[0] + 6, corner[1] + top + 4, "Paired differences, with 95 % intervals", fontsize=12)
    below = _rows_axes(figure, corner, top - 12, names)
    below.axvline(0, color=COLOURS["quiet"], linewidth=1)
    for line, pair in enumerate(pairs):
        _draw_pair(below, line, pair, factor)


def _short(title: str) -> str:
    return title.replace("Swish, β trained", "β trained")


def _rows_axes(figure: Figure, corner: Corner, top: float, names: Sequence[str]) -> Axes:
    """Axes with a row for each name, their upper end `top` pixels above the card's lower one."""
    high = LINE_PX * len(names)
    place = Place(corner[0] + 132, corner[1] + top - high, CARD_PX[0] - 132 - 138, high)
    axes = place.on(figure)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_yticks([])
    axes.grid(True, axis="x")
    axes.grid(False, axis="y")
    axes.spines["bottom"].set_visible(False)
    axes.locator_params(axis="x", nbins=4)
    axes.tick_params(labelsize=11)
    for line, name in enumerate(names):
        level = corner[1] + top - LINE_PX * (line + 0.5)
        write(figure, corner[0] + 6, level, name, fontsize=12)
    return axes


def _draw_row(
    axes: Axes,
    line: int,
    values: Sequence[float],
    mean: float,
    half: float | None,
    factor: float,
    colour: str,
    text: str,
) -> None:
    if half is not None:
        axes.plot([factor * (mean - half), factor * (mean + half)], [line, line], color=colour, linewidth=2.2)
    _circles(axes, line, values, factor)
    axes.plot([factor * mean], [line], "D", markersize=7, color=colour, markeredgecolor=COLOURS["paper"], zorder=5)
    _say(axes, line, text)


def _draw_pair(axes: Axes, line: int, pair: Row, factor: float) -> None:
    colour = COLOURS["accent" if pair["stands"] else "quiet"]
    if pair["low"] is not None:
        axes.plot([factor * pair["low"], factor * pair["high"]], [line, line], color=colour, linewidth=2.2)
    _circles(axes, line, pair["values"], factor)
    axes.plot(
        [factor * pair["mean"]],
        [line],
        "D",
        markersize=7,
        markerfacecolor=colour if pair["differs"] else COLOURS["paper"],
        markeredgecolor=colour,
        zorder=5,
    )
    text = difference_text(pair["measure"], pair["mean"], pair["low"], pair["high"])
    _say(axes, line, text.replace(" (", "\n("))


def _circles(axes: Axes, line: int, values: Sequence[float], factor: float) -> None:
    if len(values) > 1:
        axes.plot(
            [factor * value for value in values],
            [line] * len(values),
            "o",
            markersize=4.5,
            markerfacecolor=COLOURS["paper"],
            markeredgecolor=COLOURS["ink"],
            markeredgewidth=0.8,
            zorder=4,
        )


def _say(axes: Axes, line: int, text: str) -> None:
    """What the row says in numbers, at its right."""
    where = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points", "annotation_clip": False}
    axes.annotate(text, (1.0, line), xytext=(10, 0), va="center", fontsize=10.5, linespacing=0.95, **where)


def _draw_betas(twin: Row, figure: Figure, corner: Corner) -> None:
    """By depth: every layer's beta at the end, a point a seed, from where it began."""
    _title(figure, corner, f"{twin['title']}: where it ended, by depth")
    axes = Place(corner[0] + 44, corner[1] + 46, CARD_PX[0] - 60, CARD_PX[1] - 92).on(figure)
    ends = _table([one["betas"][-1] for one in twin["trainings"]])
    layers, means = np.arange(ends.shape[1]), ends.mean(0)
    axes.axhline(twin["beta"], color=COLOURS["quiet"], linewidth=1, linestyle=(0, (4, 3)))
    axes.annotate(
        "start", (1.0, twin["beta"]), xycoords=("axes fraction", "data"), ha="right", va="bottom", fontsize=11
    )
    axes.vlines(layers, twin["beta"], means, color=COLOURS["accent"], linewidth=2)
    for values in ends:
        axes.plot(layers, values, "o", markersize=4, color=COLOURS["ink"], alpha=0.45, markeredgewidth=0)
    axes.plot(layers, means, "D", markersize=5.5, color=COLOURS["accent"], markeredgecolor=COLOURS["paper"])
    inside = np.array([".squeeze." in name for name in twin["layers"]])
    axes.plot(
        layers[inside], means[inside], "s", markersize=6.5, color=COLOURS["warm"], markeredgecolor=COLOURS["paper"]
    )
    groups = [(name, len(list(rows))) for name, rows in itertools.groupby(twin["layers"], _group)]
    starts = np.cumsum([0, *(many for _, many in groups)])
    axes.set_xticks([low + (many - 1) / 2 for low, (_, many) in zip(starts, groups, strict=False)])
    axes.set_xticklabels([name for name, _ in groups])
    for low in starts[1:-1]:
        axes.axvline(low - 0.5, color=COLOURS["line"], linewidth=0.8, zorder=0)
    axes.tick_params(labelsize=11)
    axes.set_xlim(-0.6, len(layers) - 0.4)
    axes.set_xlabel("layer, from the image to the classifier (number: stage)", labelpad=2)
    axes.set_ylabel("β", rotation=0, labelpad=8)
    if inside.any():
        write(
            figure,
            corner[0] + 60,
            corner[1] + CARD_PX[1] - 38,
            "■ inside squeeze-and-excitation",
            fontsize=11,
            color=COLOURS["warm"],
        )


def _group(name: str) -> str:
    """What a layer belongs to: stem, a stage's number, head."""
    parts = name.split(".")
    return (
        parts[1]
        if parts[0] == "stages"
        else "head"
        if parts[0] in ("head", "hidden", "hidden_activation")
        else parts[0]
    )


def _draw_beta_steps(row: Row, twin: Row, figure: Figure, corner: Corner) -> None:
    """Every layer's mean beta over the steps, the darker the deeper; the furthest ones with their names."""
    axes, place = _curve_card(figure, corner, f"{twin['title']}: on the way", 142)
    steps = np.array([0, *row["curve_steps"]])
    tables = [_table([[twin["beta"]] * len(twin["layers"]), *one["betas"]]) for one in twin["trainings"]]
    means = np.mean(tables, axis=0)
    many = means.shape[1]
    for layer in range(many):
        axes.plot(
            steps, means[:, layer], color=COLOURS["accent"], alpha=0.2 + 0.8 * layer / max(1, many - 1), linewidth=1.5
        )
    axes.set_xlabel("step; mean over the seeds, deeper layers darker", labelpad=1)
    axes.set_ylabel("β", rotation=0, labelpad=8)
    axes.set_xlim(0, row["steps"])
    axes.tick_params(labelsize=11)
    order = np.argsort(means[-1])
    named = dict.fromkeys([*order[:2].tolist(), *order[-2:].tolist()])
    low, high = axes.get_ylim()
    heights = spread([(means[-1, layer] - low) / (high - low) * place.height for layer in named], 15, 0.0, place.height)
    for layer, height in zip(named, heights, strict=True):
        text = twin["layers"][layer].removeprefix("stages.").removesuffix(".activation")
        axes.annotate(
            f" {text} {means[-1, layer]:.2f}", (1.0, height / place.height), xycoords="axes fraction",
            va="center", fontsize=10, annotation_clip=False,
        )  # fmt: skip
