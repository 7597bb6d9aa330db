"""How to make a run again: its command, and what its numbers depend on besides."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from budgetnet.budgets.budget import Budget
from budgetnet.budgets.device_file import FILE
from budgetnet.data import Data
from budgetnet.draw.wording import LIMIT_NAMES, counted, on_runtime, rounded
from budgetnet.networks import Network
from budgetnet.networks.scaling import PAPER, Coefficients
from budgetnet.runs.record import Record
from budgetnet.training.augmenting import Augment, Chosen, words_of
from budgetnet.training.recipe import Recipe


def data_words(data: Data) -> list[str]:
    """The images of a run as the command line takes them."""
    return [data] if isinstance(data, str) else [word for part, path in data.given() for word in (f"--{part}", path)]


def coefficient_flags(coefficients: Coefficients) -> list[str]:
    """--coefficients where they are not the paper's."""
    if coefficients == PAPER:
        return []
    values = (coefficients.alpha, coefficients.beta, coefficients.gamma)
    return ["--coefficients", ",".join(map(repr, values))]


def augment_flags(augment: Augment) -> list[str]:
    """--flip and the like, where they were given."""
    switches = {kind: getattr(augment, kind) for kind in ("flip", "turn", "colour", "crop")}
    return [word for kind, switch in switches.items() if switch != "auto" for word in (f"--{kind}", switch)]


def budget_flags(budget: Budget) -> Iterator[str]:
    """The budget as the command line takes it; a device by the file that `profile` writes unless told otherwise."""
    for name, limit in budget.limits().items():
        if name == "latency_us":
            yield from ("--latency", f"{limit}us", "--device-file", FILE)
        else:
            yield from (f"--{name.replace('_', '-')}", str(limit))
    if budget.dtype != "float32":
        yield from ("--dtype", budget.dtype)
    if budget.batch != 1:
        yield from ("--batch", str(budget.batch))
    if budget.runtime != "deployed":
        yield from ("--runtime", budget.runtime)


def base_words(bases: Sequence[str | Network]) -> list[str]:
    """Names as they are; a base that was given as a whole network by the file that would hold it."""
    return [base if isinstance(base, str) else "network.json" for base in bases]


def recipe_words(recipe: Recipe) -> str:
    """modern: adamw, learning rate 0.004, batch 64."""
    return f"{recipe.name}: {recipe.optimiser}, learning rate {recipe.learning_rate:g}, batch {recipe.batch}"


def usual_flags(*flags: tuple[str, object, object]) -> list[str]:
    """Of (flag, value, usual value) those whose value is another."""
    return [word for flag, value, usual in flags if value != usual for word in (flag, str(value))]


def limits_in_words(budget: Budget) -> list[str]:
    """60 M MACs, and the other limits of a budget; behind bytes the runtime that they are counted for."""
    return [
        f"{rounded(name, limit)} {LIMIT_NAMES[name]}{on_runtime(name, budget.runtime)}"
        for name, limit in budget.limits().items()
    ]


def facts_of(
    record: Record[Any, Any], augmentation: Sequence[Chosen], more: Mapping[str, str] | None = None
) -> dict[str, str]:
    """What the numbers depend on besides the command: fewer steps than planned, images, augmentation, machine,
    versions."""
    machine, again = record.machine, len(record.amendments)
    return {
        **(more or {}),
        **({"Planned again": f"{counted(again, 'time')}, for the machine became slower"} if again else {}),
        "Augmentation": words_of(augmentation),
        "Classes": f"{len(record.data.classes):,}",
        "Data": f"{record.data.name}, fingerprint {record.data.fingerprint}",
        "Processor": machine.cpu,
        "Cores": str(machine.cores),
        "PyTorch": machine.torch,
        "Python": machine.python,
        "Budgetnet": machine.budgetnet,
    }
