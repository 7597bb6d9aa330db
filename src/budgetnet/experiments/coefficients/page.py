"""The page of a search for coefficients: one HTML file with its ranking, its triangle, its check."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from budgetnet.atomic_write import written_aside
from budgetnet.budgets.coefficients_file import FILE
from budgetnet.draw import wording
from budgetnet.draw.command_line import in_lines
from budgetnet.draw.page import render_page
from budgetnet.experiments.coefficients import rows
from budgetnet.experiments.coefficients.rows import Row
from budgetnet.experiments.coefficients.triangle import triangle_svg
from budgetnet.experiments.compare.pictures import accuracy_svg
from budgetnet.experiments.report.page import NARROW_PX, WIDE_PX
from budgetnet.experiments.report.reproduce import MACHINE, augment_flags, augmentation_fact, data_words
from budgetnet.runs.run import read_json

TEMPLATES = Path(__file__).parent

WIDTHS = (WIDE_PX, NARROW_PX)


def write_page(run: str | Path) -> Path:
    """Write `report.html` into a finished search's folder, and give its path.

    The page asks no network for anything. Raises a one-line `ValueError` for an unfinished or damaged run.
    """
    folder = Path(run)
    if not (folder / FILE).is_file():
        raise ValueError(f"{folder} has no {FILE}: the command that began it goes on with it")
    page = render_page(
        TEMPLATES / "coefficients.html.j2", _page(read_json(folder / "plan.json"), read_json(folder / FILE))
    )
    path = folder / "report.html"
    with written_aside(path) as aside:
        aside.write_text(page, encoding="utf-8")
    return path


def _page(plan: Row, found: Row) -> dict[str, Any]:
    """All that the template reads."""
    spots, last, checked = rows.spots(found), rows.finalists(found), rows.checked(found)
    check = found["check"]
    accuracies = [spot.accuracy for spot in spots]
    names = {"found": "found", "paper": "the paper's"}
    return {
        "words": wording,
        "plan": plan,
        "data": plan["data"],
        "found": found,
        "answer": rows.triple(found),
        "asked": asked(plan),
        "lines": rows.lines(found),
        "differences": tuple(rows.difference_lines(found)),
        "rungs": len(plan["kept"]),
        "checked": check["networks"],
        "check_line": check["difference"] and rows.difference_line(check["difference"], names),
        "check_names": names,
        "shades": (wording.percent(min(accuracies)), wording.percent(max(accuracies))),
        "triangle_pictures": tuple(triangle_svg(spots, width, f"triangle{width}-") for width in WIDTHS),
        "ranking_pictures": tuple(accuracy_svg(last, width, f"ranking{width}-", "validation") for width in WIDTHS),
        "check_pictures": tuple(accuracy_svg(checked, width, f"check{width}-") for width in WIDTHS) if checked else (),
        "command": command(plan),
        "facts": facts(plan),
    }


def asked(plan: Row) -> str:
    """2 times the MACs of efficientnet_b0 within 5 %, 3 seeds, in 45 min."""
    name = wording.LIMIT_NAMES.get(plan["measure"], plan["measure"])
    what = f"{plan['growth']:g} times the {name} of {plan['network']['name']} within {100 * plan['tolerance']:g} %"
    return f"{what}, {wording.counted(plan['seeds'], 'seed')}, in {wording.duration(plan['time_seconds'])}"


def command(plan: Row) -> str:
    """The command that makes the search again, every argument written out."""
    base = plan["base"]
    words = ["budgetnet", "search", "coefficients", *data_words(plan)]
    words += ["--base", base if base[:1] != "{" else "network.json", "--growth", f"{plan['growth']:g}"]
    words += ["--tolerance", f"{100 * plan['tolerance']:g}%", "--measure", plan["measure"]]
    words += ["--candidates", str(plan["candidates"]), "--seeds", str(plan["seeds"])]
    words += ["--finalists", str(plan["finalists"])] if "finalists" in plan else []  # older runs had no choice
    words += ["--time", f"{plan['time_seconds']:g}s", "--seed", str(plan["seed"])]
    words += ["--recipe", plan["recipe"]["name"], *augment_flags(plan)]
    words += ["--precision", plan["precision"]] if plan["precision"] != "float32" else []
    return in_lines(words)


def facts(plan: Row) -> dict[str, str]:
    """What the numbers depend on besides the command."""
    seconds = plan["seconds"]
    early = ", ".join(wording.duration(one) for one in seconds["rungs"])
    first = f"{early} in the early rungs; " if early else ""
    found = {
        "A training": f"{first}{wording.duration(seconds['last'])} in the "
        f"last, {wording.duration(seconds['check'])} in the check, {plan['processes']} at a time, one core or GPU each",
        "Raced": " then ".join(map(str, plan["kept"])),
        **augmentation_fact(plan.get("augmentation")),
        "Data": f"{plan['data']['name']}, fingerprint {plan['data']['fingerprint']}",
    }
    return found | {MACHINE.get(key, key.capitalize()): str(value) for key, value in plan["machine"].items()}
