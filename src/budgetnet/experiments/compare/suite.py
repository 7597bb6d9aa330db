"""All questions of one budget after each other: families, ways to scale, parts; and one page over the three."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from budgetnet.draw.wording import duration
from budgetnet.experiments.compare.ablation import CHANGES
from budgetnet.experiments.compare.entrants import FAMILIES
from budgetnet.experiments.compare.report import report
from budgetnet.experiments.compare.request import Question
from budgetnet.experiments.compare.result import Comparison
from budgetnet.experiments.compare.scalings import SCALINGS
from budgetnet.experiments.report import Report, write_reports
from budgetnet.runs.folder import several_lock

Ask = Callable[[Question, float, Path | None], Comparison]
"""It makes the comparison that answers a question within these seconds, in that folder or where `compare` would put
it."""


@dataclass(frozen=True, slots=True)
class Suite:
    """A comparison for each question, and the one page that holds them all."""

    run: Path
    comparisons: tuple[Comparison, ...]
    report: Path


def all_questions(ask: Ask, time_seconds: float, out: Path | None = None, families: int = len(FAMILIES)) -> Suite:
    """The comparison that `ask` makes for every question, and a page that holds all of each.

    The time is divided as the trainings are, so that each of them has about as long: n of them take n / N of it.
    In `out` each comparison has a folder of its own; without it they lie where `compare` puts them and the page
    beside the first. The same call goes on where a killed one was, as each comparison does. Raises as `ask` does, and a
    one-line `ValueError` for an `out` that is of something else or that another process works at.
    """
    # The whole base is one more, and of the two changes inside the squeeze only one is a change.
    many: dict[Question, int] = {"families": families, "scaling": len(SCALINGS), "ablation": len(CHANGES)}
    each = time_seconds / sum(many.values())
    with nullcontext() if out is None else several_lock(out, tuple(many)):
        found = tuple(ask(question, each * count, out and out / question) for question, count in many.items())
        run = out or found[0].run.with_name(f"{found[0].run.name}-all")
        parts = tuple((one.record.request.question, report(one.record, one)) for one in found)
        return Suite(run, found, write_reports(_cover(parts, time_seconds), parts, run))


def _cover(parts: tuple[tuple[str, Report], ...], time_seconds: float) -> Report:
    """The head of the page: what was asked of all parts."""
    overline, _, _ = parts[0][1].overline.rpartition(", in ")
    return Report(
        title="Families, ways to scale, parts",
        overline=f"{overline}, in {duration(time_seconds)}",
        intro="Three questions at one budget. In each, all networks are trained by the same recipe for the same time "
        "on the same splits, and tested on images that no choice has seen; differences are paired on these images.",
        findings=(),
        sections=(),
        paths={},
    )
