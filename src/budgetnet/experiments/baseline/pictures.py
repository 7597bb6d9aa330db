"""The pictures of a search for a baseline: its front, and how it went."""

# pyright: standard
# What matplotlib gives back is only partly typed.

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

from budgetnet.draw.figures import NARROW_PX, Place
from budgetnet.draw.style import COLOURS, house_style
from budgetnet.draw.svg import inline_svg, new_figure
from budgetnet.draw.wording import percent, rounded
from budgetnet.experiments.baseline.result import Candidate

if TYPE_CHECKING:
    from matplotlib.axes import Axes

HIGH_PX = 400
MOST_TICKS = 6


def front_svg(
    candidates: Sequence[Candidate],
    again: Sequence[str],
    finalists: Sequence[str],
    limit: int,
    width_px: int,
    prefix: str,
) -> str:
    """Accuracy on validation in a short training against MACs of all candidates: front joined, finalists marked, and
    those that were trained `again`."""
    leading = sorted((row for row in candidates if row.front), key=lambda row: row.macs)
    with house_style():
        figure = new_figure(width_px, HIGH_PX)
        axes = Place(44, 56, width_px - 68, HIGH_PX - 106).on(figure)
        _dots(axes, [row.macs for row in candidates], [100 * row.accuracy for row in candidates], "faint")
        across, up = [row.macs for row in leading], [100 * row.accuracy for row in leading]
        axes.step(across, up, where="post", color=COLOURS["accent"], linewidth=1.6, zorder=3)
        axes.plot(across, up, "o", markersize=7, color=COLOURS["accent"], markeredgecolor=COLOURS["paper"], zorder=4)
        _again(axes, [row for row in candidates if row.id in again])
        _finalists(axes, candidates, finalists)
        _cost_axis(axes, [row.macs for row in candidates], limit, width_px)
        axes.set_title("Accuracy in a short training, %", pad=22)
        best = leading[-1]
        what = (
            f"Accuracy against MACs of {len(candidates)} candidates in a short training; {len(leading)} are on the "
            f"front, which ends at {percent(best.accuracy)}"
        )
        return inline_svg(figure, prefix, what)


def _again(axes: Axes, rows: Sequence[Candidate]) -> None:
    """Rings."""
    across, up = [row.macs for row in rows], [100 * row.accuracy for row in rows]
    warm = COLOURS["warm"]
    axes.plot(
        across, up, "o", markersize=12, markerfacecolor="none", markeredgecolor=warm, markeredgewidth=1.2, zorder=5
    )


def _finalists(axes: Axes, candidates: Sequence[Candidate], finalists: Sequence[str]) -> None:
    """Diamonds: the first, the winner, filled."""
    rows = {row.id: row for row in candidates}
    for index, name in enumerate(finalists):
        if name not in rows:  # predicted, and so without a score
            continue
        row = rows[name]
        axes.plot(
            [row.macs],
            [100 * row.accuracy],
            "D",
            markersize=11 if index == 0 else 9,
            markerfacecolor=COLOURS["warm" if index == 0 else "paper"],
            markeredgecolor=COLOURS["paper" if index == 0 else "warm"],
            markeredgewidth=1.6,
            zorder=6 - 0.1 * index,
        )


def _cost_axis(axes: Axes, values: Sequence[int], limit: int, width_px: int) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    if limit <= 1.5 * max(values):
        values = [*values, limit]
        axes.axvline(limit, color=COLOURS["faint"], linewidth=1, linestyle=(0, (3, 3)))
        axes.annotate(
            "limit",
            (limit, 1),
            (0, 4),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            ha="center",
            va="bottom",
            color=COLOURS["quiet"],
        )
    margin = 0.05 * (max(values) - min(values)) or 0.02 * max(values)
    axes.set_xlim(min(values) - margin, max(values) + margin)
    axes.xaxis.set_major_locator(MaxNLocator(3 if width_px < NARROW_PX else MOST_TICKS, steps=[1, 2, 2.5, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: rounded("macs", value)))
    axes.set_xlabel("multiply-adds (MACs) for one image")


def progress_svg(candidates: Sequence[Candidate], width_px: int, prefix: str) -> str:
    """The objective of every candidate in the order in which it was proposed, and the best so far."""
    rewards = [row.reward for row in candidates]
    best = list(itertools.accumulate(rewards, max))
    numbers = list(range(1, len(rewards) + 1))
    with house_style():
        figure = new_figure(width_px, HIGH_PX - 60)
        axes = Place(52, 56, width_px - 76, HIGH_PX - 160).on(figure)
        _dots(axes, numbers, rewards, "faint")
        axes.step(numbers, best, where="post", color=COLOURS["accent"], linewidth=2, zorder=4)
        axes.set_xlim(0, len(numbers) + 1)
        axes.locator_params(axis="x", nbins=MOST_TICKS, integer=True)
        axes.set_xlabel("candidate, as proposed")
        axes.set_title("Objective of each candidate, and the best so far", pad=14)
        last = best.index(best[-1]) + 1
        what = f"The objective of {len(rewards)} candidates in order; the best, {best[-1]:.3f}, was candidate {last}"
        return inline_svg(figure, prefix, what)


def _dots(axes: Axes, across: Sequence[float], up: Sequence[float], colour: str) -> None:
    axes.plot(across, up, "o", markersize=5.5, color=COLOURS[colour], markeredgewidth=0, zorder=2)
