"""The pictures of a study of activations: cards of one size, and sheets of several of them."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from budgetnet.draw.figures import Place
from budgetnet.draw.style import COLOURS, house_style
from budgetnet.draw.svg import inline_svg, new_figure
from budgetnet.draw.wording import counted
from budgetnet.experiments.activations.measures import ACCURACY, DEAD_SHARE, LAST_LOSS, PROBED, TRAIN_LOSS
from budgetnet.experiments.activations.pictures.betas import draw_beta_steps, draw_betas
from budgetnet.experiments.activations.pictures.curves import draw_lengths, draw_loss, draw_probed
from budgetnet.experiments.activations.pictures.ends import draw_end
from budgetnet.experiments.activations.pictures.look import CARD
from budgetnet.experiments.activations.result import Study
from budgetnet.inspect.landscape.sheets import write

if TYPE_CHECKING:
    from matplotlib.figure import Figure

GAP_PX, COLUMNS, HEAD_PX, SIGN_PX = 24, 2, 62, 7.9
SHEET_CARDS = (
    *("steps-loss", "end-last_loss", "lengths-gradient_change"),
    *("end-relative_smoothness", "end-dead_share", "end-accuracy"),
)
"""The sheet shows the cards that answer whether a smooth function helps; the page has all cards."""


END = "each twin with its seeds, and paired differences"


@dataclass(frozen=True, slots=True)
class Card:
    """A picture: its name in files, what a screen reader says, and how it is drawn into a place of a figure."""

    name: str
    description: str
    draw: Callable[[Figure, Place], None]

    def figure(self) -> Figure:
        """The picture by itself."""
        with house_style():
            figure = new_figure(round(CARD.width), round(CARD.height))
            self.draw(figure, CARD)
        return figure

    def svg(self, width_px: int, prefix: str) -> str:
        """The picture as a page has it; all cards have one width, and a page shows them narrower where it is."""
        return inline_svg(self.figure(), prefix, self.description)


def loss_cards(study: Study) -> tuple[Card, ...]:
    """The loss over the steps, and what the trainings came to."""
    measures = (LAST_LOSS, TRAIN_LOSS, ACCURACY, DEAD_SHARE)
    ends = [Card(f"end-{each.name}", f"{each.title}, {END}", partial(draw_end, study, each)) for each in measures]
    return (Card("steps-loss", "loss, over the steps", partial(draw_loss, study)), *ends)


def gradient_cards(study: Study) -> tuple[Card, ...]:
    """What the probes found: over the steps, each twin with its seeds, by distance."""
    steps = [
        Card(f"steps-{each.name}", f"{each.title}, over the steps", partial(draw_probed, study, each))
        for each in PROBED
    ]
    ends = [Card(f"end-{each.name}", f"{each.title}, {END}", partial(draw_end, study, each)) for each in PROBED]
    lengths = [
        Card(f"lengths-{each.name}", f"{each.title}, by distance", partial(draw_lengths, study, each))
        for each in PROBED
        if each.by_length is not None
    ]
    return (*steps, *ends, *lengths)


def beta_cards(study: Study) -> tuple[Card, ...]:
    """Where every layer's beta goes, of each twin whose beta is trained: by depth, and on the way."""
    cards: list[Card] = []
    for twin in study.twins:
        if twin.layers:
            name = twin.name.replace(":", "-")
            cards.append(Card(f"betas-{name}", "β of every layer at the end", partial(draw_betas, twin)))
            cards.append(Card(f"betas-steps-{name}", "β of every layer", partial(draw_beta_steps, study, twin)))
    return tuple(cards)


def what_was_trained(study: Study) -> str:
    """What all pictures are of."""
    return (
        f"{study.network} on {study.data}, {counted(study.seeds, 'seed')} each, {study.steps:,} steps of "
        f"{study.batch} images ({study.epochs:.1f} epochs), recipe {study.recipe}. Twins of a seed have the same "
        "split, random numbers and batches."
    )


def training_sheet(study: Study) -> Figure:
    """What answers whether a smooth function helps, on one sheet."""
    cards = {card.name: card for card in (*loss_cards(study), *gradient_cards(study))}
    return _sheet("Twins in training", study, [cards[name] for name in SHEET_CARDS], COLUMNS)


def betas_sheet(study: Study) -> Figure | None:
    """Where each layer's beta goes, on one sheet; None where none is trained."""
    cards = beta_cards(study)
    return _sheet("Where each layer's trained β goes", study, cards, 1) if cards else None


def _sheet(title: str, study: Study, cards: Sequence[Card], columns: int) -> Figure:
    """Cards in columns that fill the width of two, below a title and what was trained."""
    width_px, high = 2 * (CARD.width + GAP_PX), CARD.height + GAP_PX
    wide = width_px / columns
    head = textwrap.wrap(what_was_trained(study), int((width_px - 2 * GAP_PX) / SIGN_PX))
    lines = -(-len(cards) // columns)
    height_px = round(lines * high + HEAD_PX + 22 * len(head) + GAP_PX)
    with house_style():
        figure = new_figure(round(width_px), height_px)
        figure.set_facecolor(COLOURS["paper"])
        write(figure, GAP_PX / 2 + 6, height_px - 34, title, fontsize=24, fontweight="bold")
        for line, text in enumerate(head):
            write(
                figure, GAP_PX / 2 + 6, height_px - HEAD_PX - 6 - 22 * line, text, fontsize=14, color=COLOURS["quiet"]
            )
        for index, card in enumerate(cards):
            line, column = divmod(index, columns)
            left, bottom = column * wide + GAP_PX / 2, (lines - 1 - line) * high + 10
            card.draw(figure, Place(left, bottom, wide - GAP_PX, CARD.height))
    return figure
