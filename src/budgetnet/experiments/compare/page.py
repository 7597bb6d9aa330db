"""A comparison's page: one HTML file with its table, its pictures and what they show."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from budgetnet.atomic_write import written_aside
from budgetnet.budgets.budget import Budget
from budgetnet.draw import wording
from budgetnet.draw.command_line import in_lines
from budgetnet.draw.page import render_page
from budgetnet.experiments.compare import rows
from budgetnet.experiments.compare.pictures import accuracy_svg, forest_svg, pareto_svg
from budgetnet.experiments.compare.published import published_lines
from budgetnet.experiments.compare.rows import Row
from budgetnet.experiments.report.page import NARROW_PX, WIDE_PX
from budgetnet.experiments.report.reproduce import (
    MACHINE,
    augment_flags,
    augmentation_fact,
    budget_flags,
    coefficient_flags,
    data_words,
)
from budgetnet.runs.run import read_json

TEMPLATES = Path(__file__).parent

MOST_PAIRS = 28
"""Of the forest picture: beyond, the table is easier to read."""

HEADINGS = {
    "families": "{many} networks side by side",
    "scaling": "{base}, scaled in {many} ways",
    "ablation": "{base}, and without one part at a time",
}
INTROS = {
    "families": "Every network is scaled to the same budget from the images' own size",
    "scaling": "One network is scaled to the same budget by every strategy",
    "ablation": "The base and every variant of it are scaled to the same budget from the images' own size, so that "
    "what a part costs is given back to depth, width and resolution",
}


def write_page(run: str | Path) -> Path:
    """Write `report.html` into a finished comparison's folder, and give its path.

    The page asks no network for anything. Raises a one-line `ValueError` for an unfinished or damaged run.
    """
    folder = Path(run)
    if not (folder / "comparison.json").is_file():
        raise ValueError(f"{folder} has no comparison.json: the command that began it goes on with it")
    page = render_page(
        TEMPLATES / "compare.html.j2",
        page_values(read_json(folder / "plan.json"), read_json(folder / "comparison.json")),
    )
    path = folder / "report.html"
    with written_aside(path) as aside:
        aside.write_text(page, encoding="utf-8")
    return path


def page_values(plan: Row, comparison: Row, prefix: str = "") -> dict[str, Any]:
    """All that the template reads; `prefix` keeps the ids of several comparisons on one page apart."""
    networks, pairs = rows.networks_of(comparison), rows.differences_of(comparison)
    widths = (WIDE_PX, NARROW_PX)
    return {
        "words": wording,
        "prefix": prefix,
        "plan": plan,
        "data": plan["data"],
        "comparison": comparison,
        "networks": comparison["networks"],
        "lines": rows.lines(comparison),
        "pairs": rows.pair_lines(comparison),
        "asked": asked(plan),
        "seeds": plan["seeds"],
        "heading_text": HEADINGS[plan["question"]].format(many=len(networks), base=comparison["networks"][0]["base"]),
        "intro": INTROS[plan["question"]],
        "sources": rows.sources(comparison),
        "published": published_lines() if plan["question"] == "scaling" else (),
        "best_published": rows.best_published(comparison),
        "accuracy_pictures": tuple(accuracy_svg(networks, width, f"{prefix}accuracy{width}-") for width in widths),
        "forest_pictures": tuple(forest_svg(pairs, width, f"{prefix}forest{width}-") for width in widths)
        if 0 < len(pairs) <= MOST_PAIRS
        else (),
        "pareto_pictures": tuple(pareto_svg(networks, width, f"{prefix}pareto{width}-") for width in widths),
        "command": compare_command(plan),
        "facts": facts(plan, comparison),
    }


def asked(plan: Row) -> str:
    """At most 60 M multiply-adds, 3 seeds, in 60 min."""
    parts = [f"at most {limit}" for limit in limits_of(plan)]
    parts.append(wording.counted(plan["seeds"], "seed"))
    return ", ".join([*parts, f"in {wording.duration(plan['time_seconds'])}"])


def limits_of(plan: Row) -> list[str]:
    """60 M MACs, and the other limits of the budget."""
    limits = Budget.from_dict(plan["budget"]).limits()
    return [f"{wording.rounded(name, limit)} {wording.LIMIT_NAMES[name]}" for name, limit in limits.items()]


def compare_command(plan: Row) -> str:
    """The command that makes the comparison again, every argument written out."""
    words = ["budgetnet", "compare", *data_words(plan), *budget_flags(Budget.from_dict(plan["budget"]))]
    words += ["--seeds", str(plan["seeds"]), "--time", f"{plan['time_seconds']:g}s"]
    words += ["--networks", *(name if name[:1] != "{" else "network.json" for name in plan["networks"])]
    words += {"families": ["--strategy", plan["strategy"]], "scaling": ["--scaling", *_start(plan)]}.get(
        plan["question"], ["--ablate", "--strategy", plan["strategy"]]
    )
    words += [*coefficient_flags(plan), *augment_flags(plan)]
    for flag, value, usual in (
        ("--pretrained", plan["pretrained"], "none"),
        ("--recipe", plan["recipe_name"], None),
        ("--precision", plan["precision"], "float32"),
    ):
        words += [] if value == usual else [flag, value]
    return in_lines(words)


def _start(plan: Row) -> list[str]:
    """Older plans have none: their base was scaled as it is."""
    return ["--start-share", f"{plan['start_share']:g}"] if "start_share" in plan else []


def facts(plan: Row, comparison: Row) -> dict[str, str]:
    """What the numbers depend on besides the command."""
    each = f"{wording.duration(comparison['seconds_each'])} of one core or GPU, {plan['processes']} at a time"
    found = {
        "A training": each,
        "Seeds": ", ".join(str(seed) for seed in range(plan["seeds"])),
        **augmentation_fact((plan["entrants"][0].get("augmentation") or [None])[0]),
        "Data": f"{plan['data']['name']}, fingerprint {plan['fingerprints'][0]}",
    }
    return found | {MACHINE.get(key, key.capitalize()): str(value) for key, value in plan["machine"].items()}
