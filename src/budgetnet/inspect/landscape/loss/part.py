"""The part of a folder of landscapes that holds losses around weights: its numbers, and what the page shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from budgetnet.inspect.landscape.loss import words
from budgetnet.inspect.landscape.loss.values import LossLandscape
from budgetnet.inspect.landscape.parts import numbers_of, picture_of

LOSS, LOSS_FORMAT = "loss", "budgetnet.loss-landscape.v1"


def loss_row(landscape: LossLandscape) -> dict[str, Any]:
    """What loss.json holds."""
    return {"format": LOSS_FORMAT, **landscape.to_dict()}


def loss_part(folder: Path) -> dict[str, Any] | None:
    """What the template reads of the losses; None where the folder has none."""
    row = numbers_of(folder, LOSS, LOSS_FORMAT)
    if row is None:
        return None
    found = LossLandscape.from_dict(row)
    cards = [
        picture_of(folder, LOSS, f"run-{place}", f"Loss around the weights of {run.label}")
        for place, run in enumerate(found.runs, start=1)
    ]
    return {
        "found": found,
        "words": words,
        "cards": cards,
        "scale": picture_of(folder, LOSS, "scale", "The colours of the loss"),
        "line": [picture_of(folder, LOSS, f"line{tail}", "The loss along one line") for tail in ("", "-narrow")],
        "sharpness": [
            picture_of(folder, LOSS, f"sharpness{tail}", "How sharp the minima are") for tail in ("", "-narrow")
        ],
    }
