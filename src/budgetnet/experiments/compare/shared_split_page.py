"""The page over comparisons of several questions: what each says, and all of each one's own page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from budgetnet.atomic_write import written_aside
from budgetnet.draw.page import render_page
from budgetnet.experiments.compare.page import asked, page_values
from budgetnet.experiments.compare.rows import Row
from budgetnet.runs.run import read_json

TEMPLATES = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Part:
    """One comparison of the page: its question in a word, its heading, what it says, its sections as HTML."""

    id: str
    heading: str
    intro: str
    statement: tuple[str, ...]
    sections: str


def write_together_page(run: Path, folders: Sequence[Path]) -> Path:
    """Write `report.html` into `run`, from the finished comparisons in `folders`; give its path."""
    run.mkdir(parents=True, exist_ok=True)
    plans = [read_json(folder / "plan.json") for folder in folders]
    parts: list[Part] = []
    for plan, folder in zip(plans, folders, strict=True):
        name = plan["question"]
        values = page_values(plan, read_json(folder / "comparison.json"), f"{name}-")
        sections = render_page(TEMPLATES / "sections.html.j2", values)
        statement = tuple(values["comparison"]["statement"])
        parts.append(Part(name, values["heading_text"], values["intro"], statement, sections))
    page = render_page(TEMPLATES / "together.html.j2", {"data": plans[0]["data"], "parts": parts, **_asked(plans)})
    path = run / "report.html"
    with written_aside(path) as aside:
        aside.write_text(page, encoding="utf-8")
    return path


def _asked(plans: Sequence[Row]) -> dict[str, str]:
    whole = {**plans[0], "time_seconds": sum(plan["time_seconds"] for plan in plans)}
    return {"asked": asked(whole)}
