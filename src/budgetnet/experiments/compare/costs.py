"""The same comparison at several costs: shares of one budget, each a comparison of its own, and the curves over all."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from budgetnet.draw.wording import count, counted, duration, points
from budgetnet.experiments.compare.curves import curves_svg, order_of
from budgetnet.experiments.compare.published import published_section
from budgetnet.experiments.compare.report import NOTHING
from budgetnet.experiments.compare.result import Compared, Comparison
from budgetnet.experiments.report import (
    Cell,
    Column,
    Figure,
    Finding,
    Links,
    Report,
    Row,
    Section,
    Table,
    Text,
    write_report,
)
from budgetnet.experiments.reproduce import limits_in_words
from budgetnet.runs.folder import several_lock

At = Callable[[float, Path | None], Comparison]
"""It makes a comparison at a share of the budget, in that folder or where `compare` would put it."""
TITLES = {
    "families": "{many} networks at {costs} costs",
    "scaling": "{base}, scaled in {many} ways to {costs} costs",
    "ablation": "{base}, and without one part at a time, at {costs} costs",
}


@dataclass(frozen=True, slots=True)
class AtCosts:
    """A comparison at each share of the budget, the smallest first, and the page that draws them together."""

    run: Path
    shares: tuple[float, ...]
    comparisons: tuple[Comparison, ...]
    report: Path


def at_costs(at: At, shares: Sequence[float], out: Path | None = None) -> AtCosts:
    """The comparison `at` every share of the budget, and a page over all of them.

    At each cost all networks are fitted to the budget of that cost, so that every point of a curve is matched with
    those of the others. In `out` each comparison has a folder of its own; without it they lie where `compare` puts
    them and the page beside the largest. The same call goes on where a killed one was, as each comparison does. Raises
    a one-line `ValueError` for shares that are not above 0 and at most 1, for fewer than two different ones, and for an
    `out` that is of something else or that another process works at.
    """
    ordered = tuple(sorted(set(shares)))
    if len(ordered) < 2 or not all(math.isfinite(share) and 0 < share <= 1 for share in ordered):
        given = ", ".join(f"{share:g}" for share in shares)
        raise ValueError(f"shares are {given}; give at least two different ones above 0 and at most 1")
    with nullcontext() if out is None else several_lock(out, ("share-*",)):
        found = tuple(at(share, out and out / f"share-{share:g}") for share in ordered)
        largest = found[-1].run
        run = out or largest.with_name(f"{largest.name}-at-{'-'.join(f'{share:g}' for share in ordered)}")
        several = AtCosts(run, ordered, found, run / "report.html")
        write_report(costs_report(several), run)
    return several


def costs_report(several: AtCosts) -> Report:
    """The curves, the table, and what each comparison says."""
    first, request = several.comparisons[0], several.comparisons[0].record.request
    costs = [found.networks for found in several.comparisons]
    budgets = [" and ".join(limits_in_words(found.record.request.budget)) for found in several.comparisons]
    names = {
        "many": len({row.id for networks in costs for row in networks}),
        "costs": len(costs),
        "base": first.networks[0].base,
    }
    coloured = (
        "compound scaling, which the others are tried against"
        if request.question == "scaling"
        else "the highest mean at the largest cost"
    )
    curves = Figure(
        partial(curves_svg, costs),
        f"Mean over {counted(request.seeds, 'seed')}, with 95 % intervals; in colour: {coloured}. Networks of one cost "
        "answer the same images, so two may differ clearly where their intervals overlap: each cost's own page tells. "
        "No network uses all of a budget, so the points of one cost do not stand exactly above each other.",
        "curves",
    )
    pages = tuple(
        (text, os.path.relpath(found.report, several.run))
        for text, found in zip(budgets, several.comparisons, strict=True)
    )
    sections = [
        Section("curves", "Accuracy against cost", (curves,), "Curves"),
        Section(
            "table",
            "The numbers",
            (
                _table(several, costs),
                Text(
                    f"Every training had {duration(first.seconds_each)} or about as much of one core or GPU. "
                    "Differences with their intervals, speeds and the commands:"
                ),
                Links(pages),
            ),
            "Table",
        ),
    ]
    if request.question == "scaling":
        sections.append(published_section())
    data = first.record.data
    said = [
        Finding(f"{text}: {sentence}")
        for text, found in zip(budgets, several.comparisons, strict=True)
        for sentence in found.statement
    ]
    return Report(
        title=TITLES[request.question].format(**names),
        overline=f"{data.name}, {len(data.classes)} classes: {', '.join(budgets)}",
        intro="At every cost all networks are fitted to the same budget, trained by the same recipe for the same time "
        "on the same splits, and tested on images that no choice has seen.",
        findings=tuple(said),
        sections=tuple(sections),
        paths={
            "report": str(several.report),
            **{
                f"at {share:g} of it": str(found.report)
                for share, found in zip(several.shares, several.comparisons, strict=True)
            },
        },
    )


def _table(several: AtCosts, costs: Sequence[Sequence[Compared]]) -> Table:
    """Accuracy of every network at every cost, the best at the largest first."""
    labels = {row.id: row.label for networks in costs for row in networks}
    columns = (Column("test %", number=False), *(Column(f"{share:g} of it") for share in several.shares))
    rows = tuple(Row((Cell(labels[name]), *(_cell(name, networks) for networks in costs))) for name in order_of(costs))
    return Table(columns, rows)


def _cell(name: str, networks: Sequence[Compared]) -> Cell:
    """A network's accuracy, with its interval and its cost; a dash where it is left out."""
    row = next((row for row in networks if row.id == name), None)
    if row is None:
        return Cell(NOTHING)
    span = f"{points(row.low)} to {points(row.high)}"
    return Cell(points(row.accuracy), (span, f"{count(row.macs)} MACs"), strong=True)
