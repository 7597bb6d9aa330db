"""What a search for coefficients found: the answer, the ranking with intervals, differences, and the check."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from budgetnet.budgets.coefficient_space import Region
from budgetnet.budgets.coefficients_file import FORMAT
from budgetnet.codec import NOT_STORED, as_object, from_record, to_plain
from budgetnet.networks import Network
from budgetnet.networks.scaling import Coefficients


@dataclass(frozen=True, slots=True)
class SeedScore:
    """One training's answers: mean log loss in nats, share of right ones. A diverged one's are no numbers.

    `learned`: the log loss is below that of the class frequencies (`training.chance`).
    """

    seed: int
    log_loss: float
    accuracy: float
    diverged: bool
    learned: bool = True  # a file from before this was asked does not say


@dataclass(frozen=True, slots=True)
class Score:
    """Means over seeds with their 95 % intervals: of the log loss in nats, of the accuracy from 0 to 1."""

    log_loss: float
    log_loss_low: float
    log_loss_high: float
    accuracy: float
    accuracy_low: float
    accuracy_high: float
    seeds: tuple[SeedScore, ...]


@dataclass(frozen=True, slots=True)
class Ranked:
    """A network that raced: all coefficients that give it, how far it came, and its score on validation there.

    `first` is its score in the first rung, the one in which all took part alike. `rung` counts from 0;
    `finalist` says that it was the last. `cost` is in the search's measure.
    """

    id: str
    coefficients: Coefficients
    region: Region
    network: Network
    cost: int
    macs: int
    rung: int
    finalist: bool
    paper: bool
    first: Score
    score: Score


@dataclass(frozen=True, slots=True)
class Difference:
    """Of a minus b on the same images, mean over seeds, with 95 % intervals; a lower log loss is better.

    `differs`: the interval of the log loss leaves 0 out. `stands`: so it does when all pairs are counted (Holm).
    """

    a: str
    b: str
    log_loss: float
    low: float
    high: float
    standard_error: float
    error_images: float
    error_seeds: float | None
    chance: float
    differs: bool
    stands: bool
    accuracy: float
    accuracy_low: float
    accuracy_high: float


@dataclass(frozen=True, slots=True)
class Needed:
    """What it would take to tell a pair apart if the two differ as much as they seemed to, in four of five cases.

    `times`: so many times the seeds and the images, both. `seeds`: with these images alone, None where no number is
    enough. `hours` are this machine's, for `times` as many seeds on `times` as many images, at the training time used.
    """

    a: str
    b: str
    times: float
    seeds: int | None
    hours: float


@dataclass(frozen=True, slots=True)
class Checked:
    """A network at phi = 2, matched in cost, and its score on the test images, which no choice has seen."""

    id: str
    coefficients: Coefficients
    phi: float
    network: Network
    cost: int
    score: Score


@dataclass(frozen=True, slots=True)
class Check:
    """The found coefficients against the paper's at phi = 2. Both empty where they give the same network."""

    same: bool
    phi: float
    cost: int
    networks: tuple[Checked, ...]
    difference: Difference | None


@dataclass(frozen=True, slots=True)
class CoefficientSearch:
    """The answer and its evidence, the best first. `networks` counts the whole space, `drawn` says how some were drawn.

    `alike` are the ids of finalists that are not told apart from the answer when all pairs are counted.
    """

    run: Path = field(metadata=NOT_STORED)
    coefficients: Coefficients
    region: Region
    base: Network
    base_cost: int
    measure: str
    growth: float
    tolerance: float
    networks: int
    drawn: str
    seeds: int
    ranking: tuple[Ranked, ...]
    differences: tuple[Difference, ...]
    alike: tuple[str, ...]
    needed: tuple[Needed, ...]
    check: Check
    statement: tuple[str, ...]
    report: Path = field(metadata=NOT_STORED)

    def __post_init__(self) -> None:
        if not self.ranking:
            raise ValueError("its ranking is empty")

    @property
    def best(self) -> Ranked:
        """The network whose coefficients are the answer."""
        return self.ranking[0]

    def to_dict(self) -> dict[str, Any]:
        """What --json prints: coefficients.json, the run and its report."""
        return {**self.to_file(), "run": str(self.run), "report": str(self.report)}

    def to_file(self) -> dict[str, Any]:
        """coefficients.json: the answer stands first, as `--coefficients` reads it."""
        rows = to_plain(self)
        return {"format": FORMAT, **rows.pop("coefficients"), **rows, "score": to_plain(self.best.score)}

    @staticmethod
    def from_file(row: Mapping[str, Any], run: Path, report: Path) -> CoefficientSearch:
        """The search of `to_file`. Raises a one-line `ValueError` for anything else."""
        where = f"coefficients.json in {run}"
        rows = {name: value for name, value in as_object(row, where).items() if name != "score"}
        rows["coefficients"] = {name: rows.pop(name, None) for name in ("alpha", "beta", "gamma")}
        return from_record(CoefficientSearch, rows, FORMAT, where, run=run, report=report)
