"""The pictures of a study of twins, drawn from the rows of training.json and from nothing else."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from budgetnet.show.landscape.sheets import write
from budgetnet.show.landscape.training.betas import draw_beta_steps, draw_betas
from budgetnet.show.landscape.training.curves import BY_LENGTH, draw_lengths, draw_loss, draw_probed
from budgetnet.show.landscape.training.ends import draw_end
from budgetnet.show.landscape.training.look import CARD_PX, Corner, Row
from budgetnet.show.landscape.training.words import PROBED, what_was_trained
from budgetnet.show.style import COLOURS, house_style
from budgetnet.show.svg import new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

GAP_PX, COLUMNS = 24, 4
LOSS_CARDS = ("steps-loss", "end-last_loss", "end-train_loss", "end-accuracy")
GRADIENT_CARDS = (
    *(f"steps-{name}" for name in PROBED),
    *(f"end-{name}" for name in PROBED),
    *(f"lengths-{name}" for name in BY_LENGTH),
)
"""Names of pictures: what is drawn (over the steps, at the end, by distance), and which measure."""


def training_cards(row: Row) -> dict[str, Figure]:
    """A figure for each card, by its name in files."""
    cards: dict[str, Figure] = {}
    with house_style():
        for name, draw in _drawings(row).items():
            cards[name] = new_figure(*CARD_PX)
            draw(cards[name], (0, 0))
    return cards


def training_sheet(row: Row) -> Figure:
    """All of it on one sheet."""
    drawings = _drawings(row)
    wide, high = (side + GAP_PX for side in CARD_PX)
    lines = -(-len(drawings) // COLUMNS)
    with house_style():
        figure = new_figure(COLUMNS * wide + GAP_PX, lines * high + 120)
        figure.set_facecolor(COLOURS["paper"])
        write(figure, GAP_PX + 6, lines * high + 82, "Twins in training", fontsize=26, fontweight="bold")
        write(figure, GAP_PX + 6, lines * high + 44, what_was_trained(row), fontsize=15, color=COLOURS["quiet"])
        for index, draw in enumerate(drawings.values()):
            line, column = divmod(index, COLUMNS)
            draw(figure, (GAP_PX + column * wide, (lines - 1 - line) * high + 10))
    return figure


def _drawings(row: Row) -> dict[str, Callable[[Figure, Corner], None]]:
    """What draws each card, in their order."""
    drawings: dict[str, Callable[[Figure, Corner], None]] = {}
    for name in (*LOSS_CARDS, *GRADIENT_CARDS):
        kind, _, measure = name.partition("-")
        if name == "steps-loss":
            drawings[name] = partial(draw_loss, row)
        else:
            draw = {"steps": draw_probed, "end": draw_end, "lengths": draw_lengths}[kind]
            drawings[name] = partial(draw, row, measure)
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
