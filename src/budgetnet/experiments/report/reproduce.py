"""How to make a run again: its command, and what its numbers depend on besides."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from budgetnet.budgets.budget import Budget
from budgetnet.data import data_in
from budgetnet.draw.command_line import in_lines
from budgetnet.draw.wording import duration
from budgetnet.experiments.report.evidence import Evidence
from budgetnet.training.augmenting import chosen_of, words_of

MACHINE: Mapping[str, str] = {"cpu": "Processor", "torch": "PyTorch"}
"""Names that are no words by themselves."""


def run_command(evidence: Evidence) -> str:
    """The command that makes the run again, every argument written out."""
    plan = evidence.plan
    words = ["budgetnet", plan["command"], *data_words(plan)]
    if plan["command"] == "train":
        words += ["--network", str(evidence.run / "network.json")]
    if evidence.budget is not None:
        words += budget_flags(evidence.budget)
    if plan.get("epochs") is not None:
        words += ["--epochs", f"{plan['epochs']:g}"]
    if plan.get("time_seconds") is not None:
        words += ["--time", f"{plan['time_seconds']:g}s"]
    for flag, key in (("--base", "bases"), ("--strategy", "strategies")):
        words += [flag, *_names(plan[key])] if plan.get(key) else []
    words += coefficient_flags(plan)
    if plan.get("weights"):
        words += ["--weights", plan["weights"]]
    elif plan.get("parent"):
        words += ["--pretrained", plan["parent"]]
    words += ["--recipe", plan["recipe"]["name"], *augment_flags(plan), "--seed", str(plan["seed"])]
    if plan.get("precision", "float32") != "float32":
        words += ["--precision", plan["precision"]]
    return in_lines(words)


def data_words(plan: Mapping[str, Any]) -> list[str]:
    """The images of a run as the command line takes them."""
    data = data_in(plan["data"])
    return [data] if isinstance(data, str) else [word for part, path in data.given() for word in (f"--{part}", path)]


def coefficient_flags(plan: Mapping[str, Any]) -> list[str]:
    """--coefficients where they are not the paper's."""
    given = plan.get("coefficients")
    return ["--coefficients", ",".join(repr(given[name]) for name in ("alpha", "beta", "gamma"))] if given else []


def augment_flags(plan: Mapping[str, Any]) -> list[str]:
    """--flip and the like, where they were given."""
    asked = plan.get("augment") or {}
    return [word for kind, switch in asked.items() if switch != "auto" for word in (f"--{kind}", switch)]


def augmentation_fact(rows: Sequence[Mapping[str, Any]] | None) -> dict[str, str]:
    """What is drawn of the recipe's augmentation and why; nothing for a plan from before there was a choice."""
    chosen = chosen_of(rows)
    return {"Augmentation": words_of(chosen)} if chosen else {}


def budget_flags(budget: Budget) -> Iterator[str]:
    """The budget as the command line takes it."""
    for name, limit in budget.limits().items():
        yield f"--{name.replace('_', '-')}"
        yield str(limit)
    if budget.dtype != "float32":
        yield from ("--dtype", budget.dtype)
    if budget.batch != 1:
        yield from ("--batch", str(budget.batch))


def _names(values: Sequence[str]) -> list[str]:
    """Names as they are; a base that was given as a whole network by the file that would hold it."""
    return [value if value[:1] != "{" else "network.json" for value in values]


def facts(evidence: Evidence) -> dict[str, str]:
    """What the numbers depend on besides the command."""
    plan, recipe = evidence.plan, evidence.plan["recipe"]
    rows = {
        "Seed": str(plan["seed"]),
        "Recipe": "{name}: {optimiser}, learning rate {learning_rate:g}, batch {batch}".format(**recipe),
        **augmentation_fact(plan.get("augmentation")),
        "Data": f"{plan['data']['name']}, fingerprint {plan['data']['fingerprint']}",
    }
    if plan.get("parent"):
        rows["Begun from"] = plan["parent"]
    rows |= {MACHINE.get(key, key.capitalize()): str(value) for key, value in plan["machine"].items()}
    if seconds := evidence.metrics.get("seconds"):
        rows["Time"] = ", ".join(f"{name} {duration(value)}" for name, value in seconds.items())
    return rows
