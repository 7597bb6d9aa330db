"""How long work tells how far it is, without knowing who listens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Update:
    """What a function of `progress` is called with, as long work goes on.

    Attributes:
        phase: The part of the work, such as "decoding images", "race" or "final".
        done: How much of it is done.
        total: How much it is.
        text: A line of figures.
        lines: Lines that are said once and stay, such as what the images are.
    """

    phase: str
    done: int
    total: int
    text: str = ""
    lines: tuple[str, ...] = ()


Progress = Callable[[Update], None]


def is_over(phase: str, update: Update) -> bool:
    """Whether a phase inside another (race/...) has ended: itself, with the outer one, or as the outer one names it."""
    outer, _, name = phase.rpartition("/")
    if not outer:
        return False
    ends = update.done >= update.total
    if update.phase == phase:
        return ends
    return update.phase == outer and (ends or update.text == name)


def silent(update: Update) -> None:
    """Nobody listens."""
