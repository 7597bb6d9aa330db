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
    twins = row["twins"]
    drawings: dict[str, Callable[[Figure, Corner], None]] = {"steps-loss": partial(draw_loss, row)}
    for measure in ("last_loss", "train_loss", "accuracy"):
        drawings[f"end-{measure}"] = partial(draw_end, row, measure)
    for measure in PROBED:
        drawings[f"steps-{measure}"] = partial(draw_probed, row, measure)
    drawings |= {f"lengths-{measure}": partial(draw_lengths, row, name) for name, measure in BY_LENGTH.items()}
    for measure in (*PROBED, "dead_share"):
        drawings[f"end-{measure}"] = partial(draw_end, row, measure)
    for twin in twins:
        if twin["layers"]:
            name = twin["name"].replace(":", "-")
            drawings[f"betas-{name}"] = partial(draw_betas, twin)
            drawings[f"betas-steps-{name}"] = partial(draw_beta_steps, row, twin)
    return drawings
