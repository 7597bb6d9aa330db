"""Curves of a study: the loss over the steps, what probes found over the steps and by distance."""

# pyright: standard
# What matplotlib gives back is only partly typed.

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from budgetnet.draw.figures import Place, spread
from budgetnet.experiments.activations.measures import Measure
from budgetnet.experiments.activations.pictures.look import TEXT_PX, Curves, curve_card, looks, steps_axis, table
from budgetnet.experiments.activations.result import StudiedActivation, Study

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LOGARITHMIC = ("loss_range", "gradient_change", "relative_smoothness")
"""These measures span decades over the steps of a training."""
NAME_PX, NAME_GAP_PX = 18.0, 6.0
"""Two names beside their curves are at least this far apart, and a name from the end of its curve."""


def draw_loss(study: Study, figure: Figure, box: Place) -> None:
    """The training loss, as trained: on augmented batches, a point the mean of a stretch of steps."""
    axes, place = curve_card(figure, box, "Training loss, nats")
    found = [table([training.losses for training in twin.trainings]) for twin in study.twins]
    steps = np.array(study.curve_steps)
    _draw_bands(axes, place, study.twins, steps - np.diff(steps, prepend=0) / 2, found)
    steps_axis(axes, study.steps)


def draw_probed(study: Study, measure: Measure, figure: Figure, box: Place) -> None:
    """A measure of the probes over the steps."""
    assert measure.of_probe is not None
    axes, place = curve_card(figure, box, measure.heading)
    if measure.name in LOGARITHMIC:
        axes.set_yscale("log")
    found = [
        table([[measure.of_probe(probe) for probe in training.probes] for training in twin.trainings])
        for twin in study.twins
    ]
    _draw_bands(axes, place, study.twins, np.array(study.probe_steps, np.float64), found)
    steps_axis(axes, study.steps)


def draw_lengths(study: Study, measure: Measure, figure: Figure, box: Place) -> None:
    """Of each seed the mean over its probes, for every length."""
    by_length = measure.by_length
    assert by_length is not None
    axes, place = curve_card(figure, box, f"{measure.title.capitalize()}, by distance")
    axes.set_xscale("log")
    axes.set_yscale("log")
    found = [
        np.array([table(list(map(by_length, training.probes))).mean(0) for training in twin.trainings])
        for twin in study.twins
    ]
    _draw_bands(axes, place, study.twins, np.array(study.lengths), found, "o")
    axes.set_xlabel("distance along the gradient, of the weights' length", fontsize=TEXT_PX, labelpad=2)
    axes.set_ylabel(measure.unit, fontsize=TEXT_PX, labelpad=2)


def _draw_bands(
    axes: Axes, place: Place, twins: Sequence[StudiedActivation], x: Curves, found: Sequence[Curves], marker: str = ""
) -> None:
    """The mean over seeds (seeds, points) of every twin, a band from the smallest to the largest seed, its name."""
    names: list[CurveName] = []
    for twin, curves, look in zip(twins, found, looks(twins), strict=True):
        mean = curves.mean(0)
        axes.fill_between(x, curves.min(0), curves.max(0), color=look.colour, alpha=0.14, linewidth=0)
        axes.plot(x, mean, linewidth=2.2, marker=marker, markersize=4.5, color=look.colour, linestyle=look.dash)
        known = mean[np.isfinite(mean)]
        if len(known):
            names.append(CurveName(twin.short_title, look.colour, float(known[-1])))
    _plain_ticks(axes)
    _name_ends(axes, place, float(x[-1]), names)


@dataclass(frozen=True, slots=True)
class CurveName:
    """The name of a curve, its colour, and the height at which the curve ends."""

    text: str
    colour: str
    end: float


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


def _name_ends(axes: Axes, place: Place, x: float, names: Sequence[CurveName]) -> None:
    """Names at the right of the axes, as level with the curves' ends as they can be."""
    axes.get_ylim()  # settles the limits, which the next line needs
    shares = [axes.transAxes.inverted().transform(axes.transData.transform((x, name.end)))[1] for name in names]
    heights = [float(share) * place.height for share in shares]
    for name, height in zip(names, spread(heights, NAME_PX, NAME_PX / 2, place.height), strict=True):
        axes.annotate(
            name.text,
            (x, name.end),
            xytext=(1.0 + NAME_GAP_PX / place.width, height / place.height),
            textcoords="axes fraction",
            xycoords="data",
            annotation_clip=False,
            va="center",
            fontsize=TEXT_PX,
            color=name.colour,
            bbox={"boxstyle": "square,pad=0.25", "facecolor": "none", "edgecolor": "none"},
        )
