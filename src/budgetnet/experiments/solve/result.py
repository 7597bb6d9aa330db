"""What a solve found: the network and why it is this one, its scores, and how the race went."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from budgetnet.budgets.budget import Fit
from budgetnet.codec import NOT_STORED, PRIVATE
from budgetnet.experiments.solve.choice import Choice
from budgetnet.experiments.solve.plan import SolvePlan
from budgetnet.experiments.solve.request import SolveRequest
from budgetnet.runs.record import Record
from budgetnet.training.outcome import Metrics

SolveRecord = Record[SolveRequest, SolvePlan]


@dataclass(frozen=True, slots=True)
class RungScore:
    """An entrant's score on the validation images at the end of a rung; `steps` are those of its training by then.

    `low` and `high` are the 95 % interval of the accuracy; `log_loss`, in nats, decides. It is None where the training
    diverged.
    """

    id: str
    rung: int
    steps: int
    accuracy: float
    low: float
    high: float
    log_loss: float | None


@dataclass(frozen=True, slots=True)
class SolveResult(Metrics):
    """The winner's scores, the choice, and the race: metrics.json."""

    choice: Choice
    race: tuple[RungScore, ...]
    run: Path = field(metadata=NOT_STORED)
    record: SolveRecord = field(metadata=PRIVATE, repr=False, compare=False)

    @property
    def fit(self) -> Fit:
        """The winner: its network, its cost and its certificate."""
        entrant, budget = self.record.plan.entrant(self.choice.id), self.record.request.budget
        network = entrant.config.network
        return Fit(network, entrant.phi, budget.price(network), entrant.certificate, entrant.strategy)

    def rungs(self, name: str) -> tuple[RungScore, ...]:
        """An entrant's scores, the first rung first."""
        return tuple(sorted((row for row in self.race if row.id == name), key=lambda row: row.rung))

    def ranked(self) -> tuple[str, ...]:
        """The entrants, the best first: who came far, then who lost least."""

        def placing(name: str) -> tuple[float, ...]:
            rungs = self.rungs(name)
            loss = rungs[-1].log_loss
            return -len(rungs), float("inf") if loss is None else loss

        return tuple(sorted((row.id for row in self.record.plan.entrants if self.rungs(row.id)), key=placing))
