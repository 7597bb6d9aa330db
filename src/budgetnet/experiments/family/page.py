"""The page of a whole chain: one HTML file with the family, which links the pages of both searches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from budgetnet.atomic_write import written_aside
from budgetnet.budgets.budget import Budget
from budgetnet.draw import wording
from budgetnet.draw.command_line import in_lines
from budgetnet.draw.page import render_page
from budgetnet.experiments.family.pictures import Row, family_svg
from budgetnet.experiments.report.page import NARROW_PX, WIDE_PX
from budgetnet.experiments.report.reproduce import MACHINE, augment_flags, augmentation_fact, budget_flags, data_words
from budgetnet.runs.run import read_json

TEMPLATES = Path(__file__).parent

FILE = "family.json"
WIDTHS = (WIDE_PX, NARROW_PX)
NAMES = {"baseline": "The baseline", "coefficients": "The coefficients"}


def write_page(run: str | Path) -> Path:
    """Write `report.html` into a finished chain's folder, and give its path.

    The page asks no network for anything. Raises a one-line `ValueError` for an unfinished or damaged run.
    """
    folder = Path(run)
    if not (folder / FILE).is_file():
        raise ValueError(f"{folder} has no {FILE}: the command that began it goes on with it")
    values = _page(*(read_json(folder / name) for name in ("plan.json", FILE, "family/plan.json")))
    path = folder / "report.html"
    with written_aside(path) as aside:
        aside.write_text(render_page(TEMPLATES / "family.html.j2", values), encoding="utf-8")
    return path


def _page(plan: Row, found: Row, family: Row) -> dict[str, Any]:
    """All that the template reads."""
    members = found["members"]
    return {
        "words": wording,
        "plan": plan,
        "data": plan["data"],
        "found": found,
        "members": members,
        "asked": asked(plan),
        "seeds": len(members[0]["seeds"]),
        "triple": ", ".join(f"{found['coefficients'][name]:.3g}" for name in ("alpha", "beta", "gamma")),
        "pictures_of_family": tuple(family_svg(members, width, f"family{width}-") for width in WIDTHS),
        "names": NAMES,
        "command": command(plan),
        "facts": facts(plan, family),
    }


def asked(plan: Row) -> str:
    """At most 8 M MACs, in 3 h 0 min."""
    limits = Budget.from_dict(plan["budget"]).limits()
    parts = [f"at most {wording.rounded(name, limit)} {wording.LIMIT_NAMES[name]}" for name, limit in limits.items()]
    return ", ".join([*parts, f"in {wording.duration(plan['time_seconds'])}"])


def command(plan: Row) -> str:
    """The command that makes the chain again, every argument written out."""
    words = ["budgetnet", "search", "family", *data_words(plan)]
    words += [*budget_flags(Budget.from_dict(plan["budget"])), "--time", f"{plan['time_seconds']:g}s"]
    base = plan["base"] if plan["base"][:1] != "{" else "base.json"
    words += ["--space", "space.json"] if plan["space_asked"] else ["--base", base]
    words += ["--exponent", f"{plan['exponent']:g}"]
    words += ["--recipe", plan["recipe_name"], *augment_flags(plan), "--seed", str(plan["seed"])]
    words += [] if plan["precision"] == "float32" else ["--precision", plan["precision"]]
    return in_lines(words)


def facts(plan: Row, family: Row) -> dict[str, str]:
    """What the numbers depend on besides the command."""
    times = [f"{wording.duration(seconds)} for {part}" for part, seconds in plan["seconds"].items()]
    rows = {
        "Time, as planned": wording.listed(times),
        "A training": f"{family['steps']:,} steps of {family['members'][0]['config']['batch']} images, "
        f"{family['epochs']:.1f} epochs, {wording.counted(family['seeds'], 'seed')}, on one core or GPU each",
        "Recipe": family["recipe"]["name"],
        **augmentation_fact(plan.get("augmentation")),
        "Data": f"{plan['data']['name']}, fingerprint {plan['data']['fingerprint']}",
    }
    return rows | {MACHINE.get(key, key.capitalize()): str(value) for key, value in plan["machine"].items()}
