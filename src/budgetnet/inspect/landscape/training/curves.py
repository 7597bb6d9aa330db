"""Curves of twins: the loss over the steps, what probes found over the steps and by distance."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from budgetnet.draw.figures import Place, spread
from budgetnet.inspect.landscape.training.look import (
    TEXT_PX,
    Curves,
    Row,
    curve_card,
    look,
    short_title,
    steps_axis,
    table,
)
from budgetnet.inspect.landscape.training.words import TITLES, UNITS, end_title

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BY_LENGTH = {"gradient_change": "gradient_changes", "first_order_error": "first_order_errors"}
"""Measures that are means over the lengths of a probe, and what holds every length's."""
LOGARITHMIC = ("loss_range", "gradient_change", "relative_smoothness")
NAME_PX, NAME_GAP_PX = 18.0, 6.0
"""The least distance of two names beside their curves, and of a name from the end of its curve."""


def draw_loss(row: Row, figure: Figure, box: Place) -> None:
    """The training loss, as trained: on augmented batches, a point the mean of a stretch of steps."""
    axes, place = curve_card(figure, box, "Training loss, nats")
    found = {twin["name"]: table([one["losses"] for one in twin["trainings"]]) for twin in row["twins"]}
    steps = np.array(row["curve_steps"])
    _draw_bands(axes, place, row["twins"], steps - np.diff(steps, prepend=0) / 2, found)
    steps_axis(axes, row["steps"])


def draw_probed(row: Row, measure: str, figure: Figure, box: Place) -> None:
    """A measure of the probes over the steps."""
    axes, place = curve_card(figure, box, end_title(measure))
    if measure in LOGARITHMIC:
        axes.set_yscale("log")
    found = {
        twin["name"]: table([[probe[measure] for probe in one["probes"]] for one in twin["trainings"]])
        for twin in row["twins"]
    }
    _draw_bands(axes, place, row["twins"], np.array(row["probe_steps"], np.float64), found)
    steps_axis(axes, row["steps"])


def draw_lengths(row: Row, measure: str, figure: Figure, box: Place) -> None:
    """Of each seed the mean over its probes, for every length."""
    axes, place = curve_card(figure, box, f"{TITLES[measure].capitalize()}, by distance")
    axes.set_xscale("log")
    axes.set_yscale("log")
    found = {
        twin["name"]: table(
            [
                table([probe[BY_LENGTH[measure]] for probe in one["probes"]]).mean(0).tolist()
                for one in twin["trainings"]
            ]
        )
        for twin in row["twins"]
    }
    _draw_bands(axes, place, row["twins"], np.array(row["lengths"]), found, "o")
    axes.set_xlabel("distance along the gradient, of the weights' length", fontsize=TEXT_PX, labelpad=2)
    axes.set_ylabel(UNITS[measure], fontsize=TEXT_PX, labelpad=2)


def _draw_bands(
    axes: Axes, place: Place, twins: Sequence[Row], x: Curves, found: Mapping[str, Curves], marker: str = ""
) -> None:
    """The mean over seeds (seeds, points) of every twin, a band from the smallest to the largest seed, its name."""
    ends: list[tuple[Row, float]] = []
    for twin in twins:
        curves, style = found[twin["name"]], look(twin, twins)
        axes.fill_between(x, curves.min(0), curves.max(0), color=style["color"], alpha=0.14, linewidth=0)
        axes.plot(x, curves.mean(0), linewidth=2.2, marker=marker, markersize=4.5, **style)
        known = curves.mean(0)[np.isfinite(curves.mean(0))]
        ends.append((twin, float(known[-1]) if len(known) else math.nan))
    _plain_ticks(axes)
    _name_ends(axes, place, twins, x[-1], [end for end in ends if math.isfinite(end[1])])


def _plain_ticks(axes: Axes) -> None:
    """Round numbers as they are, on logarithmic axes, too: more of them where there are few decades."""
    from matplotlib.ticker import LogLocator, NullFormatter

    axes.tick_params(labelsize=TEXT_PX)
    for axis, scale, ends in (
        (axes.xaxis, axes.get_xscale(), axes.get_xlim()),
        (axes.yaxis, axes.get_yscale(), axes.get_ylim()),
    ):
        if scale == "log":
            decades = np.ptp(np.log10(ends))
            axis.set_major_locator(LogLocator(10, (1,) if decades > 2 else (1, 3) if decades > 1 else (1, 2, 5)))
            axis.set_major_formatter(lambda value, _: f"{value:,g}")
            axis.set_minor_formatter(NullFormatter())


def _name_ends(axes: Axes, place: Place, twins: Sequence[Row], x: float, ends: Sequence[tuple[Row, float]]) -> None:
    """Names at the right of the axes, as level with the curves' ends as they can be."""
    axes.get_ylim()  # settles the limits, which the next line needs
    shares = [axes.transAxes.inverted().transform(axes.transData.transform((x, end)))[1] for _, end in ends]
    heights = [float(share) * place.height for share in shares]
    for (twin, end), height in zip(ends, spread(heights, NAME_PX, NAME_PX / 2, place.height), strict=True):
        axes.annotate(
            short_title(twin["title"]),
            (x, end),
            xytext=(1.0 + NAME_GAP_PX / place.width, height / place.height),
            textcoords="axes fraction",
            xycoords="data",
            annotation_clip=False,
            va="center",
            fontsize=TEXT_PX,
            color=look(twin, twins)["color"],
            bbox={"boxstyle": "square,pad=0.25", "facecolor": "none", "edgecolor": "none"},
        )
