"""The charts of losses around weights: the curves along one line, and how sharp the minima are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from budgetnet.show.figures import Place, spread
from budgetnet.show.landscape.chart import NARROW_PX, WIDE_PX, draw_spread, name_rows, rows_look
from budgetnet.show.landscape.loss.values import LossLandscape, RunLoss
from budgetnet.show.landscape.loss.words import three_digits
from budgetnet.show.landscape.sheets import write
from budgetnet.show.style import COLOURS, house_style
from budgetnet.show.svg import new_figure
from budgetnet.show.wording import plain, shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CHART_HIGH_PX, HEAD_PX, LINE_PX, FOOT_PX = 340, 52, 34, 56
NAME_PX, SIGN_PX, NAME_SIGNS = 17.0, 7.6, (28, 12)
"""Least distance of two names; width of a sign; most signs of a name, where there is room and where not."""
BELOW = 0.22
"""How far below their mean and its bar the single draws stand, in lines."""
TICKS = (1.0, 2.0, 5.0)


def chart_figures(landscape: LossLandscape) -> dict[str, Figure]:
    """The charts for wide and for narrow pages, by their names in files."""
    figures: dict[str, Figure] = {}
    with house_style():
        for tail, width_px in (("", WIDE_PX), ("-narrow", NARROW_PX)):
            figure = figures[f"line{tail}"] = new_figure(width_px, CHART_HIGH_PX)
            draw_line(figure, (0, 0), width_px, landscape)
            figure = figures[f"sharpness{tail}"] = new_figure(width_px, sharpness_px(landscape, width_px))
            draw_sharpness(figure, (0, 0), width_px, landscape)
    return figures


def colours_of(runs: Sequence[RunLoss]) -> list[str]:
    """A colour a run: vermilion for ReLU alone, blue for the next activations, then grey; the same for the same."""
    found: dict[tuple[str, ...], str] = {}
    others = iter(("accent", "quiet", "ink"))
    for run in runs:
        if run.activations not in found:
            relu = set(run.activations) <= {"relu", "relu6"} and "warm" not in found.values()
            found[run.activations] = "warm" if relu else next(others, "faint")
    return [COLOURS[found[run.activations]] for run in runs]


def _names(runs: Sequence[RunLoss], width_px: float) -> list[str]:
    return [shortened(run.label, NAME_SIGNS[0 if width_px > 2 * NARROW_PX else 1]) for run in runs]


def _names_px(names: Sequence[str]) -> float:
    return 14 + SIGN_PX * max(map(len, names))


def draw_line(figure: Figure, corner: tuple[float, float], width_px: float, landscape: LossLandscape) -> None:
    """The loss of every run along the first direction, each named at its end."""
    left, bottom = corner
    names = _names(landscape.runs, width_px)
    write(figure, left + 6, bottom + CHART_HIGH_PX - 16, "Along one line", fontsize=17, fontweight="bold")
    place = Place(left + 52, bottom + 50, width_px - 60 - _names_px(names), CHART_HIGH_PX - 100)
    axes = place.on(figure)
    steps, ends = landscape.around.line_steps, list[float]()
    for run, colour in zip(landscape.runs, colours_of(landscape.runs), strict=True):
        losses = [float("nan") if one is None else one for one in run.line]
        axes.plot(steps, losses, color=colour, linewidth=2)
        axes.plot(0, run.loss, "o", markersize=5, color=colour, markeredgecolor=COLOURS["paper"])
        ends.append(next((one for one in reversed(run.line) if one is not None), run.loss))
    axes.set_xlim(steps[0], steps[-1])
    _log_axis(axes, "y")
    axes.tick_params(labelsize=11)
    axes.set_xlabel("steps along the first direction; at 0 the trained weights", fontsize=12, labelpad=4)
    axes.set_title("loss: mean cross entropy, logarithmic", fontsize=12, pad=6)
    _name_ends(axes, place, names, ends, colours_of(landscape.runs))


def _log_axis(axes: Axes, which: str) -> None:
    """A logarithmic axis that says its numbers plainly, as many as there is room for."""
    from matplotlib.ticker import LogLocator, NullFormatter

    axis: Any = axes.yaxis if which == "y" else axes.xaxis
    (axes.set_yscale if which == "y" else axes.set_xscale)("log")
    low, high = axes.get_ylim() if which == "y" else axes.get_xlim()
    axis.set_major_locator(LogLocator(10, TICKS if high < 300 * low else (1.0,)))
    axis.set_major_formatter(lambda value, _: plain(value))
    axis.set_minor_formatter(NullFormatter())
    axis.set_tick_params(labelsize=11)


def _name_ends(axes: Axes, place: Place, names: Sequence[str], ends: Sequence[float], colours: Sequence[str]) -> None:
    """Names right of the axes, each as level with its curve's end as it can be."""
    wanted = [(float(axes.transAxes.inverted().transform(axes.transData.transform((0.0, end)))[1])) for end in ends]
    heights = spread([one * place.height for one in wanted], NAME_PX, 0.0, place.height)
    for name, height, colour in zip(names, heights, colours, strict=True):
        axes.annotate(
            name,
            (1.0, height / place.height),
            xycoords="axes fraction",
            xytext=(8, 0),
            textcoords="offset points",
            va="center",
            fontsize=13,
            color=colour,
            annotation_clip=False,
        )


def sharpness_px(landscape: LossLandscape, width_px: float) -> int:
    """How high `draw_sharpness` is."""
    panel = HEAD_PX + LINE_PX * len(landscape.runs) + FOOT_PX
    return panel if width_px > 2 * NARROW_PX else 2 * panel


def draw_sharpness(figure: Figure, corner: tuple[float, float], width_px: float, landscape: LossLandscape) -> None:
    """A line a run: the rises of every draw with mean and standard deviation, and the largest eigenvalue."""
    left, bottom = corner
    names, beside = _names(landscape.runs, width_px), width_px > 2 * NARROW_PX
    names_px, high = _names_px(names), LINE_PX * len(landscape.runs)
    wide = (width_px - names_px - 60) / 2 if beside else width_px - names_px - 24
    lower = bottom + FOOT_PX
    upper = lower if beside else lower + HEAD_PX + high + FOOT_PX
    rises = Place(left + names_px + 8, upper, wide, high)
    values = Place(rises.left + (wide + 40 if beside else 0), lower, wide, high)
    colours = colours_of(landscape.runs)
    first, second = rises.on(figure), values.on(figure)
    for line, (run, colour) in enumerate(zip(landscape.runs, colours, strict=True)):
        _draw_run(first, second, len(names) - 1 - line, run, colour)
    rows_look(first, f"rise of the loss at a distance of {plain(landscape.around.radius)}", len(names), 8)
    first.set_xlabel(f"{landscape.around.draws} directions; mean and standard deviation", fontsize=11)
    first.set_xlim(min(0.0, first.get_xlim()[0]))
    rows_look(second, "largest eigenvalue of the Hessian", len(names), 8)
    low, high_value = second.get_xlim()
    if low > 0:
        second.set_xlim(low / 1.3, high_value * 1.6)
        _log_axis(second, "x")
        second.set_xlabel("logarithmic; hollow: not converged, at least this", fontsize=11)
    for place in (rises,) if beside else (rises, values):
        name_rows(figure, place, names, colours)


def _draw_run(rises: Axes, values: Axes, line: int, run: RunLoss, colour: str) -> None:
    if run.rise is not None:
        draw_spread(rises, line, run.rise, colour, BELOW)
    value, face = run.eigenvalue, colour if run.eigenvalue.converged else "none"
    values.plot([value.value], [line], "D", markersize=6, color=colour, markerfacecolor=face)
    values.annotate(
        three_digits(value.value), (value.value, line), (8, 0), textcoords="offset points", va="center", fontsize=12
    )
