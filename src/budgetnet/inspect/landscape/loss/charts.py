"""The charts of losses around weights: the curves along one line, and how sharp the minima are."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from budgetnet.draw.figures import Place, spread
from budgetnet.draw.style import COLOURS, house_style
from budgetnet.draw.svg import new_figure
from budgetnet.draw.wording import counted, plain, shortened
from budgetnet.inspect.landscape.chart import NARROW_PX, WIDE_PX, draw_spread, name_rows, rows_look
from budgetnet.inspect.landscape.loss.values import LossLandscape, RunLoss
from budgetnet.inspect.landscape.loss.words import activations, power_of_ten, three_digits, three_digits_at_most
from budgetnet.inspect.landscape.sheets import write

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CHART_HIGH_PX, HEAD_PX, LINE_PX, FOOT_PX = 350, 52, 38, 58
NAME_PX, SIGN_PX, NAME_SIGNS = 17.0, 7.6, (28, 12)
"""Two names are at least this far apart, a letter is this wide, and a name has at most this many letters with and
without room for it."""
TEXT_PX, VALUE_PX = 13, 62
"""The least size of a text, which a page of 900 pixels still shows whole, and the room for a number behind its
point."""
BELOW = 0.22
"""How many lines below their mean and its bar the single draws stand."""
TICKS, MOST_TICKS, MOST_PLAIN = (1.0, 2.0, 5.0), 7, 1e4
"""The ticks of a logarithmic axis within a decade and in all, and the span from which on its numbers are powers of
ten."""
X_TITLES = ("distance along the first direction, in lengths of the weights; 0: as trained", "distance; 0: as trained")
Y_TITLES = ("loss (mean cross entropy), nats; logarithmic", "loss, nats; logarithmic")
Dash = str | tuple[float, tuple[float, ...]]
DASHES: Mapping[str, Dash] = {
    "warm": (0, (5, 2.5)),
    "accent": "-",
    "quiet": (0, (7, 2, 1.5, 2)),
    "ink": (0, (1.5, 1.8)),
}
"""A kind of line for each colour: they are told apart in grey, too."""


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
    """A colour a run: vermilion for ReLU alone, blue for the next, then grey; the same for the same."""
    found: dict[tuple[str, ...], str] = {}
    others = iter(("accent", "quiet", "ink"))
    for run in runs:
        if run.activations not in found:
            relu = set(run.activations) <= {"relu", "relu6"} and "warm" not in found.values()
            found[run.activations] = "warm" if relu else next(others, "faint")
    return [found[run.activations] for run in runs]


def _names(runs: Sequence[RunLoss], width_px: float) -> list[str]:
    """Names with their activations, where they do not say them and there is room."""
    most = NAME_SIGNS[0 if width_px > 2 * NARROW_PX else 1]
    both = [(run.label, f"{run.label}, {activations(run)}") for run in runs]
    said = all(activations(run).lower() in run.label.lower() for run in runs)
    fits = max(len(whole) for _, whole in both) <= most
    return [whole if fits and not said else shortened(label, most) for label, whole in both]


def _names_px(names: Sequence[str]) -> float:
    return 14 + SIGN_PX * max(map(len, names))


def draw_line(figure: Figure, corner: tuple[float, float], width_px: float, landscape: LossLandscape) -> None:
    """The loss of every run along the first direction, each named at its end."""
    left, bottom = corner
    names = _names(landscape.runs, width_px)
    write(figure, left + 6, bottom + CHART_HIGH_PX - 16, "Along one line", fontsize=17, fontweight="bold")
    place = Place(left + 52, bottom + 54, width_px - 60 - _names_px(names), CHART_HIGH_PX - 110)
    axes = place.on(figure)
    steps, ends, colours = landscape.around.line_steps, list[float](), colours_of(landscape.runs)
    for run, colour in zip(landscape.runs, colours, strict=True):
        losses = [float("nan") if one is None else one for one in run.line]
        axes.plot(steps, losses, color=COLOURS[colour], linestyle=DASHES.get(colour, "-"), linewidth=2.2)
        axes.plot(0, run.loss, "o", markersize=5, color=COLOURS[colour], markeredgecolor=COLOURS["paper"])
        ends.append(next((one for one in reversed(run.line) if one is not None), run.loss))
    axes.set_xlim(steps[0], steps[-1])
    _log_axis(axes, "y")
    axes.locator_params(axis="x", nbins=8 if width_px > 2 * NARROW_PX else 4)
    axes.xaxis.set_major_formatter(lambda value, _: plain(round(value, 9)))
    axes.tick_params(labelsize=TEXT_PX)
    axes.set_xlabel(X_TITLES[0 if width_px > 2 * NARROW_PX else 1], fontsize=TEXT_PX, labelpad=4)
    axes.set_title(Y_TITLES[0 if width_px > 2 * NARROW_PX else 1], fontsize=TEXT_PX, pad=14)
    _name_ends(axes, place, names, ends, [COLOURS[colour] for colour in colours])


def _log_axis(axes: Axes, which: str) -> None:
    """A logarithmic axis with numbers of one kind: as people write them, or powers of ten where it spans many."""
    from matplotlib.ticker import LogLocator, NullFormatter

    axis: Any = axes.yaxis if which == "y" else axes.xaxis
    (axes.set_yscale if which == "y" else axes.set_xscale)("log")
    low, high = axes.get_ylim() if which == "y" else axes.get_xlim()
    axis.set_major_locator(LogLocator(10, TICKS if high < 300 * low else (1.0,), numticks=MOST_TICKS))
    text = power_of_ten if high > MOST_PLAIN * low else three_digits_at_most
    axis.set_major_formatter(lambda value, _: text(value))
    axis.set_minor_formatter(NullFormatter())
    axis.set_tick_params(labelsize=TEXT_PX)


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
    colours = [COLOURS[colour] for colour in colours_of(landscape.runs)]
    first, second = rises.on(figure), values.on(figure)
    for line, (run, colour) in enumerate(zip(landscape.runs, colours, strict=True)):
        _draw_run(first, second, len(names) - 1 - line, run, colour)
    _rises_look(first, landscape, beside)
    _values_look(second, landscape, VALUE_PX / wide)
    for place in (rises,) if beside else (rises, values):
        name_rows(figure, place, names, colours)


def _rises_look(axes: Axes, landscape: LossLandscape, beside: bool) -> None:
    distance = plain(landscape.around.radius)
    title = f"rise of the loss at a distance of {distance}, nats" if beside else f"rise at {distance}, nats"
    rows_look(axes, title, len(landscape.runs), 8)
    draws = counted(landscape.around.draws, "direction")
    axes.set_xlabel(f"{draws}; mean \N{PLUS-MINUS SIGN} standard deviation" if beside else draws, fontsize=TEXT_PX)
    axes.set_xlim(min(0.0, axes.get_xlim()[0]))
    axes.locator_params(axis="x", nbins=6 if beside else 4)
    axes.xaxis.set_major_formatter(lambda value, _: plain(round(value, 9)))
    axes.tick_params(labelsize=TEXT_PX)


def _values_look(axes: Axes, landscape: LossLandscape, room: float) -> None:
    """`room` is the share of the axes' width that a number behind its point needs."""
    rows_look(axes, "largest eigenvalue of the Hessian", len(landscape.runs), 8)
    values, said = [run.eigenvalue.value for run in landscape.runs], list[str]()
    low, high = min(values), max(values)
    if low > 0 and high > 3 * low:
        margin = 0.08 * math.log(high / low)
        axes.set_xlim(low / math.exp(margin), high * math.exp((math.log(high / low) + margin) * room / (1 - room)))
        _log_axis(axes, "x")
        said.append("logarithmic")
    else:
        low = min(low, 0.0)
        axes.set_xlim(low, high + max(high - low, 1e-9) * room / (1 - room))
        axes.locator_params(axis="x", nbins=5)
        axes.xaxis.set_major_formatter(lambda value, _: three_digits_at_most(value))
        axes.tick_params(labelsize=TEXT_PX)
    if not all(run.eigenvalue.converged for run in landscape.runs):
        said.append("hollow: not converged, at least this")
    axes.set_xlabel("; ".join(said), fontsize=TEXT_PX)


def _draw_run(rises: Axes, values: Axes, line: int, run: RunLoss, colour: str) -> None:
    if run.rise is not None:
        draw_spread(rises, line, run.rise, colour, BELOW)
    value, face = run.eigenvalue, colour if run.eigenvalue.converged else "none"
    values.plot([value.value], [line], "D", markersize=7, color=colour, markerfacecolor=face, clip_on=False)
    where = {"textcoords": "offset points", "va": "center", "fontsize": TEXT_PX}
    values.annotate(three_digits(value.value), (value.value, line), (10, 0), **where)
