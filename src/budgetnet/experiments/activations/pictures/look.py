"""What all cards of a study share: colours of the twins, axes, titles, numbers with gaps."""

# pyright: standard
# What matplotlib gives back is only partly typed.

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from budgetnet.draw.figures import Place
from budgetnet.draw.style import COLOURS
from budgetnet.experiments.activations.result import StudiedActivation
from budgetnet.inspect.landscape.sheets import write

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Dash = str | tuple[float, tuple[float, ...]]
Curves = NDArray[np.float64]
CARD = Place(0, 0, 440, 352)
"""The size of a card as a picture of its own; on a sheet it lies elsewhere and may be wider."""
TEXT_PX = 13
"""The least size of a text, which a page of 900 pixels still shows whole."""
TITLE_PX, LONG_TITLE = (16, 13.5), 49
"""Sizes of a title, and from how many signs on it takes the smaller one."""
DASHES: tuple[Dash, ...] = (
    "-",
    (0, (5, 2.5)),
    (0, (1.5, 1.8)),
    (0, (7, 2, 1.5, 2)),
    (0, (7, 2, 1.5, 2, 1.5, 2)),
    (0, (12, 4)),
)
DASH_OF = {"accent": 0, "warm": 1, "ink": 2, "quiet": 3}
"""Each colour is usually drawn with this kind of line, by its index in `DASHES`."""


@dataclass(frozen=True, slots=True)
class Look:
    """The colour and the kind of line of a twin."""

    colour: str
    dash: Dash


def looks(twins: Sequence[StudiedActivation]) -> tuple[Look, ...]:
    """ReLU warm and dashed, Swish blue and whole, a trained beta dark and dotted; no two have one kind of line, so that
    they are told apart in grey, too."""
    taken: list[int] = []
    for twin in twins:
        usual = DASH_OF[_colour(twin)]
        taken.append(next((rank for rank in (usual, *range(len(DASHES))) if rank not in taken), usual))
    return tuple(Look(COLOURS[_colour(twin)], DASHES[rank]) for twin, rank in zip(twins, taken, strict=True))


def _colour(twin: StudiedActivation) -> str:
    return "ink" if twin.trainable else {"relu": "warm", "swish": "accent"}.get(twin.kind, "quiet")


def name_card(figure: Figure, box: Place, text: str) -> None:
    """The title of the card that lies there."""
    size = TITLE_PX[len(text) > LONG_TITLE]
    write(figure, box.left + 6, box.bottom + box.height - 16, text, fontsize=size, fontweight="bold")


def curve_card(figure: Figure, box: Place, text: str, name_px: float = 104) -> tuple[Axes, Place]:
    """Axes with room for names at their right."""
    name_card(figure, box, text)
    place = Place(box.left + 62, box.bottom + 52, box.width - 68 - name_px, box.height - 100)
    return place.on(figure), place


def steps_axis(axes: Axes, steps: int, text: str = "training step") -> None:
    """The steps of a training, from 0 to the last."""
    axes.set_xlabel(text, fontsize=TEXT_PX, labelpad=2)
    axes.set_xlim(0, steps)
    axes.locator_params(axis="x", nbins=5)
    axes.tick_params(labelsize=TEXT_PX)


def table(rows: Sequence[Sequence[float | None]]) -> Curves:
    """Numbers with NaN where there are none."""
    return np.array([[math.nan if value is None else value for value in row] for row in rows], np.float64)
