"""The pictures of a study of twins, drawn from the rows of training.json and from nothing else."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from budgetnet.draw.figures import Place
from budgetnet.draw.style import COLOURS, house_style
from budgetnet.draw.svg import new_figure
from budgetnet.inspect.landscape.sheets import write
from budgetnet.inspect.landscape.training.betas import draw_beta_steps, draw_betas
from budgetnet.inspect.landscape.training.curves import BY_LENGTH, draw_lengths, draw_loss, draw_probed
from budgetnet.inspect.landscape.training.ends import draw_end
from budgetnet.inspect.landscape.training.look import CARD, Row
from budgetnet.inspect.landscape.training.words import PROBED, what_was_trained

if TYPE_CHECKING:
    from matplotlib.figure import Figure

GAP_PX, COLUMNS, HEAD_PX, SIGN_PX = 24, 2, 62, 7.9
LOSS_CARDS = ("steps-loss", "end-last_loss", "end-train_loss", "end-accuracy", "end-dead_share")
GRADIENT_CARDS = (
    *(f"steps-{name}" for name in PROBED),
    *(f"end-{name}" for name in PROBED),
    *(f"lengths-{name}" for name in BY_LENGTH),
)
"""Names of pictures: what is drawn (over the steps, at the end, by distance), and which measure."""
SHEET_CARDS = (
    *("steps-loss", "end-last_loss", "lengths-gradient_change"),
    *("end-relative_smoothness", "end-dead_share", "end-accuracy"),
)
"""The cards on the sheet answer whether a smooth function helps; the page has all cards."""
Draw = Callable[["Figure", Place], None]


def training_cards(row: Row) -> dict[str, Figure]:
    """A figure for each card, by its name in files."""
    cards: dict[str, Figure] = {}
    with house_style():
        for name, draw in {**_drawings(row), **_beta_drawings(row)}.items():
            cards[name] = new_figure(round(CARD.width), round(CARD.height))
            draw(cards[name], CARD)
    return cards


def training_sheet(row: Row) -> Figure:
    """What answers whether a smooth function helps, on one sheet."""
    drawings = _drawings(row)
    return _sheet("Twins in training", row, [drawings[name] for name in SHEET_CARDS], COLUMNS)


def betas_sheet(row: Row) -> Figure | None:
    """Where each layer's beta goes, on one sheet; None where none is trained."""
    drawings = list(_beta_drawings(row).values())
    return _sheet("Where each layer's trained β goes", row, drawings, 1) if drawings else None


def _sheet(title: str, row: Row, drawings: Sequence[Draw], columns: int) -> Figure:
    """Cards in columns that fill the width of two, below a title and what was trained."""
    width_px, high = 2 * (CARD.width + GAP_PX), CARD.height + GAP_PX
    wide = width_px / columns
    head = textwrap.wrap(what_was_trained(row), int((width_px - 2 * GAP_PX) / SIGN_PX))
    lines = -(-len(drawings) // columns)
    height_px = round(lines * high + HEAD_PX + 22 * len(head) + GAP_PX)
    with house_style():
        figure = new_figure(round(width_px), height_px)
        figure.set_facecolor(COLOURS["paper"])
        write(figure, GAP_PX / 2 + 6, height_px - 34, title, fontsize=24, fontweight="bold")
        for line, text in enumerate(head):
            write(
                figure, GAP_PX / 2 + 6, height_px - HEAD_PX - 6 - 22 * line, text, fontsize=14, color=COLOURS["quiet"]
            )
        for index, draw in enumerate(drawings):
            line, column = divmod(index, columns)
            left, bottom = column * wide + GAP_PX / 2, (lines - 1 - line) * high + 10
            draw(figure, Place(left, bottom, wide - GAP_PX, CARD.height))
    return figure


def _drawings(row: Row) -> dict[str, Draw]:
    """What draws each card, in their order."""
    drawings: dict[str, Draw] = {}
    for name in (*LOSS_CARDS, *GRADIENT_CARDS):
        kind, _, measure = name.partition("-")
        if name == "steps-loss":
            drawings[name] = partial(draw_loss, row)
        else:
            draw = {"steps": draw_probed, "end": draw_end, "lengths": draw_lengths}[kind]
            drawings[name] = partial(draw, row, measure)
    return drawings


def _beta_drawings(row: Row) -> dict[str, Draw]:
    """Of each twin whose beta is trained."""
    drawings: dict[str, Draw] = {}
    for twin in row["twins"]:
        if twin["layers"]:
            strip, way = beta_cards(twin["name"])
            drawings[strip] = partial(draw_betas, twin)
            drawings[way] = partial(draw_beta_steps, row, twin)
    return drawings


def beta_cards(twin: str) -> tuple[str, str]:
    """The names of the cards of a twin whose beta is trained: by depth, and on the way."""
    plain = twin.replace(":", "-")
    return f"betas-{plain}", f"betas-steps-{plain}"
