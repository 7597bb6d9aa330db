"""A run's report: one HTML file with everything in it, to read, to print, to send."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from budgetnet.atomic_write import written_aside
from budgetnet.data.deep import in_words
from budgetnet.draw import thumbnails, wording
from budgetnet.draw.figures import curves_svg, trials_svg
from budgetnet.draw.page import render_page
from budgetnet.experiments.report import reproduce, views
from budgetnet.experiments.report.evidence import Evidence, read_evidence

TEMPLATES = Path(__file__).parent

WIDE_PX, NARROW_PX = 880, 350
"""Pictures are drawn twice, for a desk or paper and for a phone; the page shows the one that fits."""


def write_report(run: str | Path) -> Path:
    """Write `report.html` into a finished run's folder, and give its path.

    The page asks no network for anything: styles, pictures and thumbnails are inside. Images that
    have moved since the run are named without a thumbnail. Raises a one-line `ValueError` for an
    unfinished or damaged run.
    """
    page = render(read_evidence(run))
    path = Path(run) / "report.html"
    with written_aside(path) as aside:
        aside.write_text(page, encoding="utf-8")
    return path


def render(evidence: Evidence) -> str:
    """The page's text."""
    return render_page(TEMPLATES / "report.html.j2", _page(evidence))


def _page(evidence: Evidence) -> dict[str, Any]:
    """All that the template reads."""
    test, many = evidence.test, len(evidence.plan["data"]["classes"])
    race, training = _race_pictures(evidence), _training_pictures(evidence)
    return {
        "evidence": evidence,
        "words": wording,
        "plan": evidence.plan,
        "data": evidence.plan["data"],
        "test": test,
        "validation": evidence.validation,
        "calibration": evidence.calibration,
        "asked": views.asked(evidence),
        "sizes": views.sizes(evidence),
        "verdict": views.verdict(evidence),
        "limits": views.limit_lines(evidence),
        "candidates": views.candidate_lines(evidence),
        "rungs": 1 + max((row["rung"] for row in evidence.metrics.get("race") or ()), default=0),
        "incumbent": evidence.plan.get("race", {}).get("incumbent"),
        "value_range": evidence.value_range and in_words(evidence.value_range),
        "longest_name": max(map(len, evidence.plan["data"]["classes"])),
        "race_pictures": race,
        "training_pictures": training,
        "classes": views.class_rows(test),
        "commonest": views.commonest_share(test),
        "labelled": many <= views.MOST_LABELLED,
        "pairs": views.confused_pairs(test),
        "mistakes": tuple(_mistakes(evidence)),
        "wrong": sum(images for _, _, images in test.confused),
        "command": reproduce.run_command(evidence),
        "run": shlex.quote(str(evidence.run)),
        "python_run": repr(str(evidence.run)),
        "facts": reproduce.facts(evidence),
    }


def _race_pictures(evidence: Evidence) -> tuple[str, ...]:
    trials = views.trials(evidence)
    if not trials:
        return ()
    limit = evidence.budget.macs if evidence.budget else None
    return tuple(trials_svg(trials, width, f"race{width}-", limit) for width in (WIDE_PX, NARROW_PX))


def _training_pictures(evidence: Evidence) -> tuple[str, ...]:
    curves = views.curves(evidence)
    if curves is None:
        return ()
    return tuple(curves_svg(curves, width, f"training{width}-") for width in (WIDE_PX, NARROW_PX))


@dataclass(frozen=True, slots=True)
class Mistake:
    """A test image that was taken for another class; `source` is its thumbnail's address, if it could be read."""

    file: str
    label: str
    predicted: str
    probability: float
    source: str | None
    tiny: bool


def _mistakes(evidence: Evidence) -> Iterator[Mistake]:
    path, channels = views.data_path(evidence), evidence.plan["data"]["in_channels"]
    value_range = evidence.value_range
    for row in evidence.metrics["mistakes"]:
        file = row["file"]
        seen = thumbnails.digit(file) if path is None else thumbnails.thumbnail(path / file, channels, value_range)
        source, side_px = seen if seen is not None else (None, 0)
        tiny = side_px <= thumbnails.SMALL_PX
        yield Mistake(file, row["label"], row["predicted"], row["probability"], source, tiny)
