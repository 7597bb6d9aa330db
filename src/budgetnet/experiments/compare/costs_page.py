"""The page over comparisons at several costs: the curves, the table, what each comparison says."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from budgetnet.atomic_write import written_aside
from budgetnet.draw import wording
from budgetnet.draw.page import render_page
from budgetnet.experiments.compare import rows
from budgetnet.experiments.compare.curves import curves_svg
from budgetnet.experiments.compare.page import limits_of
from budgetnet.experiments.compare.published import published_lines
from budgetnet.experiments.compare.rows import Network
from budgetnet.experiments.report.page import NARROW_PX, WIDE_PX
from budgetnet.runs.run import read_json

TEMPLATES = Path(__file__).parent

HEADINGS = {
    "families": "{many} networks at {costs} costs",
    "scaling": "{base}, scaled in {many} ways to {costs} costs",
    "ablation": "{base}, and without one part at a time, at {costs} costs",
}


@dataclass(frozen=True, slots=True)
class Cost:
    """One comparison of the page: its budget in words, its networks, what it says, and its own page."""

    asked: str
    networks: tuple[Network, ...]
    statement: tuple[str, ...]
    page: str


def write_costs_page(run: Path, folders: Sequence[Path]) -> Path:
    """Write `report.html` into `run`, from the finished comparisons in `folders`, the smallest first; give its path."""
    run.mkdir(parents=True, exist_ok=True)
    plans = [read_json(folder / "plan.json") for folder in folders]
    found = [read_json(folder / "comparison.json") for folder in folders]
    costs = [
        Cost(
            asked=" and ".join(limits_of(plan)),
            networks=rows.networks_of(row),
            statement=tuple(row["statement"]),
            page=os.path.relpath(folder / "report.html", run),
        )
        for plan, row, folder in zip(plans, found, folders, strict=True)
    ]
    plan = plans[0]
    lines = [cost.networks for cost in costs]
    many = len({row.id for networks in lines for row in networks})
    page = render_page(
        TEMPLATES / "costs.html.j2",
        {
            "words": wording,
            "plan": plan,
            "data": plan["data"],
            "heading_text": HEADINGS[plan["question"]].format(
                many=many, costs=len(costs), base=found[0]["networks"][0]["base"]
            ),
            "costs": costs,
            "table": table(lines),
            "seeds": plan["seeds"],
            "seconds_each": found[0]["seconds_each"],
            "pictures_of_curves": tuple(curves_svg(lines, width, f"curves{width}-") for width in (WIDE_PX, NARROW_PX)),
            "published": published_lines() if plan["question"] == "scaling" else (),
        },
    )
    path = run / "report.html"
    with written_aside(path) as aside:
        aside.write_text(page, encoding="utf-8")
    return path


def table(costs: Sequence[Sequence[Network]]) -> tuple[tuple[str, tuple[tuple[str, str, str], ...]], ...]:
    """(name, a cell (accuracy, interval, MACs) a cost) of every network, the best at the largest cost first.

    Where a network is left out its cell is empty.
    """
    names = {row.id: row.name for networks in costs for row in networks}
    return tuple((names[name], tuple(_cell(name, networks) for networks in costs)) for name in rows.order_of(costs))


def _cell(name: str, networks: Sequence[Network]) -> tuple[str, str, str]:
    row = next((row for row in networks if row.id == name), None)
    if row is None:
        return "\N{EN DASH}", "", ""
    span = f"{wording.points(row.low)} to {wording.points(row.high)}"
    return wording.points(row.accuracy), span, wording.count(row.macs)
