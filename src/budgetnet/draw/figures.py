"""The pictures of a run: what was tried, and how the training went."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from budgetnet.draw.style import COLOURS, house_style
from budgetnet.draw.svg import inline_svg, new_figure
from budgetnet.draw.wording import percent, rounded

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_POINTS = 400
"""The most points of a curve: more than a screen can tell apart only make the page heavy."""
LABEL_GAP_PX = 21.0
SIGN_PX = 7.8
"""The mean width of one letter of a name; those in bold type are a little wider."""
NARROW_PX = 500
"""A narrower picture than this has room for numbers beside its points, not for names."""


@dataclass(frozen=True, slots=True)
class Trial:
    """A raced candidate as a picture shows it: `number` as in the table, validation accuracy rung by rung.

    `low` and `high` are the 95 % interval of the last.
    """

    number: int
    name: str
    macs: int
    accuracies: tuple[float, ...]
    low: float
    high: float
    chosen: bool


@dataclass(frozen=True, slots=True)
class Curves:
    """A training: a point for each event, and the validation scores (epoch, accuracy, low, high)."""

    epochs: tuple[float, ...]
    losses: tuple[float | None, ...]
    accuracies: tuple[float, ...]
    rates: tuple[float, ...]
    scores: tuple[tuple[float, float, float, float], ...]


@dataclass(frozen=True, slots=True)
class Place:
    """Where the axes lie in a figure, in pixels from the left and from the bottom."""

    left: float
    bottom: float
    width: float
    height: float

    def on(self, figure: Figure, **kwargs: Any) -> Axes:
        """Axes at this place."""
        wide, high = figure.get_size_inches() * figure.dpi
        return figure.add_axes((self.left / wide, self.bottom / high, self.width / wide, self.height / high), **kwargs)


def trials_svg(trials: Sequence[Trial], width_px: int, prefix: str, macs_limit: int | None = None) -> str:
    """Validation accuracy against MACs: a trail of rungs for each raced candidate, the chosen one in colour."""
    narrow = width_px < NARROW_PX
    height_px = 370 if narrow else max(390, round(LABEL_GAP_PX * len(trials)) + 160)
    names_px = 28 if narrow else min(SIGN_PX * max(map(len, map(_trial_text, trials))) + 24, 0.55 * width_px)
    below = 102 if narrow else 82
    place = Place(40, below, width_px - 52 - names_px, height_px - below - 48)
    with house_style():
        figure = new_figure(width_px, height_px)
        axes = place.on(figure)
        _trial_axes(axes, trials, macs_limit, ticks=3 if narrow else 5)
        for trial in trials:
            _draw_trail(axes, trial)
        _label_trials(axes, trials, place, narrow)
        _trial_key(axes, place, narrow, any(len(trial.accuracies) > 1 for trial in trials))
        best = max(trials, key=lambda trial: trial.accuracies[-1])
        reached = percent(best.accuracies[-1])
        what = f"Validation accuracy against MACs of {len(trials)} candidates; the best reached {reached}"
        return inline_svg(figure, prefix, what)


def _trial_axes(axes: Axes, trials: Sequence[Trial], macs_limit: int | None, ticks: int) -> None:
    """Scales that hold every point, and the limit where it is near; logarithmic over more than two octaves."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

    values = [trial.macs for trial in trials]
    if macs_limit is not None and macs_limit <= 1.5 * max(values):
        values.append(macs_limit)
        _draw_limit(axes, macs_limit)
    low, high = min(values), max(values)
    if high > 4 * low:
        axes.set_xscale("log")
        axes.set_xlim(low / 1.2, high * 1.2)
    else:
        margin = 0.08 * (high - low) or 0.02 * high
        axes.set_xlim(low - margin, high + margin)
    accuracies = [100 * value for trial in trials for value in (*trial.accuracies, trial.low, trial.high)]
    margin = max(0.07 * (max(accuracies) - min(accuracies)), 0.5)
    axes.set_ylim(max(min(accuracies) - margin, -0.5), min(max(accuracies) + margin, 100.5))
    axes.xaxis.set_major_locator(MaxNLocator(ticks, steps=[1, 2, 2.5, 5, 10]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: rounded("macs", value)))
    axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    axes.set_xlabel("multiply-adds (MACs) for one image")
    axes.set_title("Accuracy on the validation images, %", pad=22)


def _draw_limit(axes: Axes, macs: int) -> None:
    axes.axvline(macs, color=COLOURS["faint"], linewidth=1, linestyle=(0, (3, 3)))
    top = (macs, 1)
    where = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points"}
    axes.annotate("limit", top, (0, 4), ha="center", va="bottom", color=COLOURS["quiet"], **where)


def _draw_trail(axes: Axes, trial: Trial) -> None:
    colour = COLOURS["accent" if trial.chosen else "faint"]
    heights = [100 * value for value in trial.accuracies]
    above = 4 if trial.chosen else 3
    across = [trial.macs] * len(heights)
    # Wide and pale, since the trail runs over it.
    ends = [100 * trial.low, 100 * trial.high]
    axes.plot([trial.macs] * 2, ends, color=colour, linewidth=8, alpha=0.3, solid_capstyle="butt", zorder=above - 1)
    axes.plot(across, heights, color=colour, linewidth=2.2 if trial.chosen else 1.2, zorder=above)
    if len(heights) > 1:
        axes.plot(
            across[:-1],
            heights[:-1],
            "o",
            markersize=5,
            markerfacecolor=COLOURS["paper"],
            markeredgecolor=colour,
            zorder=above,
        )
    size, marker = (11, "D") if trial.chosen else (7.5, "o")
    axes.plot(
        across[-1:],
        heights[-1:],
        marker,
        markersize=size,
        color=colour,
        markeredgecolor=COLOURS["paper"],
        zorder=above + 0.5,
    )


def _label_trials(axes: Axes, trials: Sequence[Trial], place: Place, narrow: bool) -> None:
    marks = [
        Mark(
            trial.macs,
            100 * trial.accuracies[-1],
            str(trial.number) if narrow else _trial_text(trial),
            trial.chosen,
        )
        for trial in trials
    ]
    name_marks(axes, marks, place, 16.0 if narrow else LABEL_GAP_PX)


def _trial_text(trial: Trial) -> str:
    return f"{trial.number}  {trial.name}, {percent(trial.accuracies[-1])}"


def _trial_key(axes: Axes, place: Place, narrow: bool, several: bool) -> None:
    """What the marks of a race are, below its axis."""
    from matplotlib.lines import Line2D

    quiet, paper, accent = COLOURS["quiet"], COLOURS["paper"], COLOURS["accent"]
    earlier = Line2D([], [], color=quiet, marker="o", markersize=5, markerfacecolor=paper, linewidth=1.2)
    marks = {
        "chosen": Line2D([], [], linestyle="", marker="D", markersize=9, color=accent),
        "after its last rung" if several else "the others": Line2D(
            [], [], linestyle="", marker="o", markersize=7.5, color=quiet
        ),
        **({"earlier rungs": earlier} if several else {}),
        "95 % interval": Line2D([], [], color=quiet, linewidth=8, alpha=0.3, solid_capstyle="butt"),
    }
    at: dict[str, Any] = {
        "loc": "upper left",
        "bbox_to_anchor": (0, -50 / place.height),
        "borderpad": 0,
        "borderaxespad": 0,
    }
    look: dict[str, Any] = {
        "frameon": False,
        "fontsize": 12,
        "labelcolor": quiet,
        "handletextpad": 0.6,
        "columnspacing": 1.4,
    }
    axes.legend(list(marks.values()), list(marks), ncols=2 if narrow else 4, **at, **look)


@dataclass(frozen=True, slots=True)
class Mark:
    """A point of a picture and its name; `first` ones are in colour."""

    x: float
    y: float
    text: str
    first: bool


def name_marks(axes: Axes, marks: Sequence[Mark], place: Place, gap_px: float) -> None:
    """Names in a column at the right, each level with its point or as near as it can be; a line joins them."""
    low, high = axes.get_ylim()
    wanted = [(mark.y - low) / (high - low) * place.height for mark in marks]
    for mark, height in zip(marks, spread(wanted, gap_px, 0.0, place.height), strict=True):
        line = {"arrowstyle": "-", "linewidth": 0.8, "alpha": 0.6, "shrinkA": 3, "shrinkB": 6, "relpos": (0, 0.5)}
        axes.annotate(
            mark.text,
            xy=(mark.x, mark.y),
            xytext=(place.left + place.width + 12, place.bottom + height),
            textcoords="figure pixels",
            va="center",
            color=COLOURS["accent" if mark.first else "ink"],
            fontweight="bold" if mark.first else "normal",
            annotation_clip=False,
            arrowprops={**line, "color": COLOURS["accent" if mark.first else "faint"]},
            zorder=2,
        )


def draw_seeds(axes: Axes, values: Sequence[float], height: float, size: float, edge: float) -> None:
    """A small circle for each seed; a single one would only cover the mean."""
    if len(values) > 1:
        axes.plot(
            values,
            [height] * len(values),
            "o",
            markersize=size,
            markerfacecolor=COLOURS["paper"],
            markeredgecolor=COLOURS["ink"],
            markeredgewidth=edge,
            zorder=4,
        )


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Places nearest to those wanted (by squares) that keep their order, at least `gap` apart, within [low, high].

    With the gaps taken out, that is a monotone regression: neighbours that clash are pooled.
    """
    order = sorted(range(len(wanted)), key=lambda index: (wanted[index], -index))
    gap = min(gap, (high - low) / max(len(wanted) - 1, 1))
    pools: list[tuple[float, int]] = []
    for rank, index in enumerate(order):
        pools.append((wanted[index] - rank * gap, 1))
        while len(pools) > 1 and pools[-2][0] >= pools[-1][0]:
            (value, many), (last, few) = pools[-2], pools.pop()
            pools[-1] = ((value * many + last * few) / (many + few), many + few)
    flat = [value for value, many in pools for _ in range(many)]
    top = high - (len(wanted) - 1) * gap
    spaced = [0.0] * len(wanted)
    for rank, index in enumerate(order):
        spaced[index] = min(max(flat[rank], low), top) + rank * gap
    return spaced


def curves_svg(curves: Curves, width_px: int, prefix: str) -> str:
    """Loss, accuracy and learning rate over the epochs of a training, above one another."""
    wide = width_px - 52 - (16 if width_px < NARROW_PX else 152)
    middle = Place(52, 186, wide, 150)
    with house_style():
        figure = new_figure(width_px, 566)
        rate = Place(52, 52, wide, 80).on(figure)
        accuracy = middle.on(figure, sharex=rate)
        loss = Place(52, 392, wide, 140).on(figure, sharex=rate)
        _draw_curves(loss, accuracy, rate, curves)
        _name_curves(accuracy, curves, middle)
        what = f"Loss, accuracy and learning rate over {curves.epochs[-1]:.1f} epochs"
        return inline_svg(figure, prefix, what)


def _draw_curves(loss: Axes, accuracy: Axes, rate: Axes, curves: Curves) -> None:
    at = list(_thinned(len(curves.epochs)))
    epochs = [curves.epochs[index] for index in at]
    losses = [math.nan if (value := curves.losses[index]) is None else value for index in at]
    loss.plot(epochs, losses, color=COLOURS["accent"])
    accuracy.plot(epochs, [100 * curves.accuracies[index] for index in at], color=COLOURS["accent"])
    rate.plot(epochs, [curves.rates[index] for index in at], color=COLOURS["quiet"], linewidth=1.4)
    rate.set_ylim(bottom=0)
    for epoch, value, low, high in curves.scores:
        spans = [[100 * (value - low)], [100 * (high - value)]]
        accuracy.errorbar(
            [epoch], [100 * value], yerr=spans, fmt="D", markersize=7, color=COLOURS["warm"], elinewidth=1.6
        )
    accuracy.set_ylim(top=min(accuracy.get_ylim()[1], 101))
    for axes, title in (
        (loss, "Training loss (nats), running mean"),
        (accuracy, "Accuracy, %"),
        (rate, "Learning rate"),
    ):
        axes.set_title(title, pad=10)
        axes.margins(x=0.01)
    for axes in (loss, accuracy):
        axes.tick_params(labelbottom=False)
    rate.locator_params(axis="y", nbins=3)
    rate.set_xlabel("epoch")


def _name_curves(axes: Axes, curves: Curves, place: Place) -> None:
    """Names behind the curves' ends, or where there is no room above the axes, never on one another."""
    named = [("training", curves.accuracies[-1], "accent")]
    named += [("validation", curves.scores[-1][1], "warm")] if curves.scores else []
    low, high = axes.get_ylim()
    heights = spread([(100 * value - low) / (high - low) * place.height for _, value, _ in named], 19, 0, place.height)
    room, end, above = place.width >= NARROW_PX, place.left + place.width, place.bottom + place.height + 17
    for index, ((text, value, colour), height) in enumerate(zip(named, heights, strict=True)):
        axes.annotate(
            f"{text} {percent(value)}" if room else text,
            (end + 12, place.bottom + height) if room else (end - 110 * (len(named) - 1 - index), above),
            xycoords="figure pixels",
            ha="left" if room else "right",
            va="center",
            color=COLOURS[colour],
            annotation_clip=False,
        )


def _thinned(total: int) -> Iterator[int]:
    """At most MOST_POINTS positions of `total`, evenly, the last one always."""
    step = max(1, math.ceil(total / MOST_POINTS))
    yield from range((total - 1) % step, total, step)
