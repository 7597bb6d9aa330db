"""What all cards of a study of twins share: colours of the twins, axes, titles, numbers with gaps."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from budgetnet.show.figures import Place
from budgetnet.show.landscape.sheets import write
from budgetnet.show.style import COLOURS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Row = Mapping[str, Any]
Curves = NDArray[np.float64]
Corner = tuple[float, float]
"""Left and bottom of a card in its figure, in pixels."""

CARD_PX = (450, 350)


def look(row: Row, rows: Sequence[Row]) -> dict[str, Any]:
    """Colour and kind of line of a twin: ReLU warm, Swish blue, a trained beta dark; dashes tell the like apart."""
    alike = [one["name"] for one in rows if _colour(one) == _colour(row)]
    dashes = ((0, ()), (0, (5, 2)), (0, (1.5, 1.5)), (0, (7, 2, 1.5, 2)))
    place = alike.index(row["name"]) + (1 if row["trainable"] else 0)
    return {"color": COLOURS[_colour(row)], "linestyle": dashes[place % len(dashes)]}


def _colour(row: Row) -> str:
    return "ink" if row["trainable"] else {"relu": "warm", "swish": "accent"}.get(row["kind"], "quiet")


def name_card(figure: Figure, corner: Corner, text: str) -> None:
    """The title of the card whose lower left corner is there."""
    write(figure, corner[0] + 6, corner[1] + CARD_PX[1] - 16, text, fontsize=15, fontweight="bold")


def curve_card(figure: Figure, corner: Corner, text: str, name_px: float = 112) -> tuple[Axes, Place]:
    """Axes with room for names at their right."""
    name_card(figure, corner, text)
    place = Place(corner[0] + 54, corner[1] + 46, CARD_PX[0] - 60 - name_px, CARD_PX[1] - 92)
    return place.on(figure), place


def table(rows: Sequence[Sequence[float | None]]) -> Curves:
    """Numbers with NaN where there are none."""
    return np.array([[math.nan if value is None else value for value in row] for row in rows], np.float64)
