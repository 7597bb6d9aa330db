"""Where trained betas go: every layer's at the end, by depth, and on the way."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

from budgetnet.show.figures import Place, spread
from budgetnet.show.landscape.sheets import write
from budgetnet.show.landscape.training.look import CARD_PX, Corner, Row, curve_card, name_card, table
from budgetnet.show.style import COLOURS

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_betas(twin: Row, figure: Figure, corner: Corner) -> None:
    """By depth: every layer's beta at the end, a point a seed, from where it began."""
    name_card(figure, corner, f"{twin['title']}: where it ended, by depth")
    axes = Place(corner[0] + 44, corner[1] + 46, CARD_PX[0] - 60, CARD_PX[1] - 92).on(figure)
    ends = table([one["betas"][-1] for one in twin["trainings"]])
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


def draw_beta_steps(row: Row, twin: Row, figure: Figure, corner: Corner) -> None:
    """Every layer's mean beta over the steps, the darker the deeper; the furthest ones with their names."""
    axes, place = curve_card(figure, corner, f"{twin['title']}: on the way", 142)
    steps = np.array([0, *row["curve_steps"]])
    tables = [table([[twin["beta"]] * len(twin["layers"]), *one["betas"]]) for one in twin["trainings"]]
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
