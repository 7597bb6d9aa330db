"""The part of a folder of landscapes that holds losses around weights: its numbers, and what the page shows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from budgetnet.inspect.landscape.loss.values import LossLandscape
from budgetnet.inspect.landscape.parts import numbers_of, picture_of

LOSS, LOSS_FORMAT = "loss", "budgetnet.loss-landscape.v1"


@dataclass(frozen=True, slots=True)
class LossPart:
    """Losses around weights on the page: the numbers, the charts, the scale of the colours, a card a run."""

    found: LossLandscape
    line: tuple[str, ...]
    sharpness: tuple[str, ...]
    scale: str
    cards: tuple[str, ...]


def loss_part(folder: Path) -> LossPart | None:
    """What the template reads of the losses; None where the folder has none."""
    found = numbers_of(folder, LOSS, LOSS_FORMAT, LossLandscape)
    if found is None:
        return None

    def picture(name: str, text: str) -> str:
        return picture_of(folder, LOSS, name, text)

    return LossPart(
        found=found,
        line=tuple(picture(f"line{tail}", "The loss along one line") for tail in ("", "-narrow")),
        sharpness=tuple(picture(f"sharpness{tail}", "How sharp the minima are") for tail in ("", "-narrow")),
        scale=picture("scale", "The colours of the loss"),
        cards=tuple(
            picture(f"run-{number}", f"Loss around the weights of {run.label}")
            for number, run in enumerate(found.runs, start=1)
        ),
    )
