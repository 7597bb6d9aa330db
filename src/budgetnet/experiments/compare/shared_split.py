"""All questions of one budget after each other: families, ways to scale, parts; and one page over the three."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from budgetnet.experiments.compare.ablation import CHANGES
from budgetnet.experiments.compare.entrants import FAMILIES
from budgetnet.experiments.compare.questions import Question
from budgetnet.experiments.compare.result import Comparison
from budgetnet.experiments.compare.scalings import SCALINGS

Ask = Callable[[Question, float, Path | None], Comparison]
"""A comparison of that question in so many seconds, in that folder or where `compare` would put it."""


@dataclass(frozen=True, slots=True)
class Together:
    """A comparison for each question, and the one page that holds them all."""

    run: Path
    comparisons: tuple[Comparison, ...]
    report: Path


def all_questions(ask: Ask, time_seconds: float, out: Path | None = None, families: int = len(FAMILIES)) -> Together:
    """The comparison that `ask` makes for every question, and a page that holds all of each.

    The time is divided as the trainings are, so that each of them has about as long: n of them take n / N of it.
    In `out` each comparison has a folder of its own; without it they lie where `compare` puts them and the page
    beside the first. The same call goes on where a killed one was, as each comparison does. Raises as `ask` does.
    """
    from budgetnet.experiments.compare.shared_split_page import write_together_page

    # The whole base is one more, and of the two changes inside the squeeze only one is a change.
    many: dict[Question, int] = {"families": families, "scaling": len(SCALINGS), "ablation": len(CHANGES)}
    each = time_seconds / sum(many.values())
    found = tuple(ask(question, each * count, out and out / question) for question, count in many.items())
    run = out or found[0].run.with_name(f"{found[0].run.name}-all")
    return Together(run, found, write_together_page(run, [row.run for row in found]))
