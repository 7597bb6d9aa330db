"""Where trained betas go: every layer's at the end, by depth, and on the way."""

# pyright: standard
# What matplotlib gives back is only partly typed.

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from budgetnet.draw.figures import Place, spread
from budgetnet.draw.style import COLOURS
from budgetnet.experiments.activations.pictures.look import TEXT_PX, curve_card, name_card, steps_axis, table
from budgetnet.experiments.activations.result import StudiedActivation, Study
from budgetnet.inspect.landscape.sheets import write

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def draw_betas(twin: StudiedActivation, figure: Figure, box: Place) -> None:
    """By depth: every layer's beta at the end, a point a seed, from where it began."""
    name_card(figure, box, f"{twin.title}: where it ended, by depth")
    axes = Place(box.left + 50, box.bottom + 52, box.width - 98, box.height - 120).on(figure)
    ends = table([training.betas[-1] for training in twin.trainings])
    layers, means = np.arange(ends.shape[1]), ends.mean(0)
    axes.axhline(twin.beta, color=COLOURS["quiet"], linewidth=1, linestyle=(0, (4, 3)))
    axes.annotate(" start", (1.0, twin.beta), xycoords=("axes fraction", "data"), va="center", fontsize=TEXT_PX)
    axes.vlines(layers, twin.beta, means, color=COLOURS["accent"], linewidth=2)
    for values in ends:
        axes.plot(layers, values, "o", markersize=4, color=COLOURS["ink"], alpha=0.45, markeredgewidth=0)
    inside = np.array([".squeeze." in name for name in twin.layers])
    for where, marker, colour in ((~inside, "D", "accent"), (inside, "s", "warm")):
        shown = {"markersize": 6, "color": COLOURS[colour], "markeredgecolor": COLOURS["paper"]}
        axes.plot(layers[where], means[where], marker, **shown)
    _mark_stages(axes, twin.layers)
    _name_beta(axes)
    if inside.any():
        text = "\N{BLACK SQUARE} inside squeeze-and-excitation"
        write(figure, box.left + 74, box.bottom + box.height - 44, text, fontsize=TEXT_PX, color=COLOURS["warm"])


def _name_beta(axes: Axes) -> None:
    """Above the axis, clear of its numbers, however long they are."""
    axes.set_ylabel("β", rotation=0, ha="left", va="center")
    axes.yaxis.set_label_coords(0.0, 1.045)


def _mark_stages(axes: Axes, layers: Sequence[str]) -> None:
    """Below the layers what they belong to: stem, a stage's number, head."""
    groups = [(name, len(list(rows))) for name, rows in itertools.groupby(layers, _group)]
    initial = np.cumsum([0, *(many for _, many in groups)])
    middles = [low + (many - 1) / 2 for low, (_, many) in zip(initial, groups, strict=False)]
    axes.set_xticks(middles, labels=[name for name, _ in groups])
    for low in initial[1:-1]:
        axes.axvline(low - 0.5, color=COLOURS["line"], linewidth=0.8, zorder=0)
    axes.tick_params(labelsize=TEXT_PX)
    axes.set_xlim(-0.6, len(layers) - 0.4)
    axes.set_xlabel("layer, from image to classifier (number: stage)", fontsize=TEXT_PX, labelpad=2)


def _group(name: str) -> str:
    part, _, rest = name.partition(".")
    return rest.partition(".")[0] if part == "stages" else "head" if part.startswith("hidden") else part


def draw_beta_steps(study: Study, twin: StudiedActivation, figure: Figure, box: Place) -> None:
    """Every layer's mean beta over the steps, the darker the deeper; the furthest ones with their names."""
    axes, place = curve_card(figure, box, f"{twin.title}: on the way", 158)
    steps = np.array([0, *study.curve_steps])
    tables = [table([[twin.beta] * len(twin.layers), *training.betas]) for training in twin.trainings]
    means = np.mean(tables, axis=0)
    shades = np.linspace(0.25, 1.0, means.shape[1])
    for layer, shade in enumerate(shades.tolist()):
        axes.plot(steps, means[:, layer], color=COLOURS["accent"], alpha=shade, linewidth=1.5)
    _name_beta(axes)
    steps_axis(axes, study.steps, "training step; deeper layers darker")
    _name_furthest(axes, place, twin.layers, means[-1])


def _name_furthest(axes: Axes, place: Place, layers: Sequence[str], ends: NDArray[np.float64]) -> None:
    """The names of the two lowest and the two highest layers, at their ends."""
    order: list[int] = np.argsort(ends).tolist()
    named = list(dict.fromkeys([*order[:2], *order[-2:]]))
    low, high = axes.get_ylim()
    wanted = [float((ends[layer] - low) / (high - low) * place.height) for layer in named]
    for layer, height in zip(named, spread(wanted, 18, 0.0, place.height), strict=True):
        text = f" {layers[layer].removeprefix('stages.').removesuffix('.activation')} {ends[layer]:.2f}"
        at = (1.0, height / place.height)
        axes.annotate(text, at, xycoords="axes fraction", va="center", fontsize=TEXT_PX, annotation_clip=False)
