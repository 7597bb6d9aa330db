"""How long work tells how far it is, without knowing who listens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Update:
    """`done` of `total` in a phase ("decoding images", "race", "final"), and a line of figures.

    `lines` are said once and stay: what the data is, before it is trained on.
    """

    phase: str
    done: int
    total: int
    text: str = ""
    lines: tuple[str, ...] = ()


Progress = Callable[[Update], None]


def silent(update: Update) -> None:
    """Nobody listens."""
