"""The part of a folder of landscapes that holds losses around weights: its numbers, and what the page shows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from budgetnet.inspect.landscape.loss import words
from budgetnet.inspect.landscape.loss.values import LossLandscape
from budgetnet.inspect.landscape.parts import numbers_of, picture_of

LOSS, LOSS_FORMAT = "loss", "budgetnet.loss-landscape.v1"


@dataclass(frozen=True, slots=True)
class LossRow:
    """A run's row of the table."""

    label: str
    activations: str
    loss: str
    accuracy: float
    rise: str
    eigenvalue: str
    residual: str
    products: str


@dataclass(frozen=True, slots=True)
class LossPart:
    """Losses around weights on the page: what they are, the charts, the scale of the colours, a card a run."""

    what: str
    verdict: str
    radius: float
    rows: tuple[LossRow, ...]
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
        what=words.what_it_is(found),
        verdict=words.verdict(found),
        radius=found.radius,
        rows=tuple(
            LossRow(
                label=run.label,
                activations=words.activations(run),
                loss=words.loss_text(run.loss),
                accuracy=run.accuracy,
                rise=words.rise_text(run),
                eigenvalue=words.eigenvalue_text(run.eigenvalue),
                residual=words.loss_text(run.eigenvalue.residual),
                products=f"{run.eigenvalue.products}{'' if run.eigenvalue.converged else ', not converged'}",
            )
            for run in found.runs
        ),
        line=tuple(picture(f"line{tail}", "The loss along one line") for tail in ("", "-narrow")),
        sharpness=tuple(picture(f"sharpness{tail}", "How sharp the minima are") for tail in ("", "-narrow")),
        scale=picture("scale", "The colours of the loss"),
        cards=tuple(
            picture(f"run-{number}", f"Loss around the weights of {run.label}")
            for number, run in enumerate(found.runs, start=1)
        ),
    )
