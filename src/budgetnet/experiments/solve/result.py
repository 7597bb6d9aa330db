"""What a solve found: the network and why it is this one, its scores, and how the race went."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from budgetnet.budgets.budget import Fit
from budgetnet.codec import (
    NOT_STORED,
    ONLY_IF_SET,
    PRIVATE,
    NonNegativeFloat,
    NonNegativeInt,
    NotEmpty,
    PositiveInt,
    Share,
    require,
    require_interval,
    require_known,
)
from budgetnet.experiments.solve.choice import Choice
from budgetnet.experiments.solve.plan import SolvePlan
from budgetnet.experiments.solve.request import SolveRequest
from budgetnet.experiments.solve.shipping import Shipped
from budgetnet.runs.record import Record
from budgetnet.training.outcome import Metrics, check_classes, check_parent, check_seeds

SolveRecord = Record[SolveRequest, SolvePlan]


@dataclass(frozen=True, slots=True)
class RungScore:
    """An entrant's score on the validation images at the end of a rung; `steps` are those of its training by then.

    Where the budget is in int8 it is that of the network in eight bits. `low` and `high` are the 95 % interval of the
    accuracy; `log_loss`, in nats, decides. It is None where the training diverged.
    """

    id: str
    rung: NonNegativeInt
    steps: PositiveInt
    accuracy: Share
    low: Share
    high: Share
    log_loss: NonNegativeFloat | None

    def __post_init__(self) -> None:
        require_interval(self.accuracy, self.low, self.high, "accuracy")


@dataclass(frozen=True, slots=True)
class SolveResult(Metrics):
    """The winner's scores, the choice, and the race: metrics.json.

    `shipped` is the file in eight bits with its own test; None where the budget is not in int8. All other scores of the
    winner are those of its model in float.
    """

    choice: Choice
    race: NotEmpty[RungScore]
    shipped: Shipped | None = field(default=None, metadata=ONLY_IF_SET, kw_only=True)
    run: Path = field(metadata=NOT_STORED)
    record: SolveRecord = field(metadata=PRIVATE, repr=False, compare=False)

    def __post_init__(self) -> None:
        Metrics.__post_init__(self)
        plan, budget = self.record.plan, self.record.request.budget
        check_classes(self, self.record.data)
        check_parent(plan.parent, self.record.request.pretrained)
        check_seeds([row.config for row in plan.entrants], self.record.seed)
        file = self.shipped
        require((file is None) == (plan.eight_bits is None), "shipped is there exactly where the plan has eight_bits")
        if file is not None:
            require(file.file.images == self.test.count, "shipped was tested on other images than test")
        ids = [row.id for row in plan.entrants]
        require_known("choice.id", [self.choice.id], ids, "the plan")
        require_known("choice.best_id", [self.choice.best_id], ids, "the plan")
        require_known("an id of race", [row.id for row in self.race], ids, "the plan")
        for rung, count in enumerate(plan.kept):
            names = [row.id for row in self.race if row.rung == rung]
            require(
                len(names) == len(set(names)) == count,
                f"race has {len(names)} scores of rung {rung}, and {count} took part",
            )
        last = max(row.rung for row in self.race)
        require(last < len(plan.kept), f"race has a rung {last}, of {len(plan.kept)} that were planned")
        finalists = [row.id for row in self.race if row.rung == last]
        require_known("choice.id", [self.choice.id], finalists, "the last rung of race")
        for entrant in plan.entrants:
            limits = {row.name: row.limit for row in entrant.certificate.limits}
            where = f"the certificate of {entrant.id} in plan.json"
            require(limits == budget.limits(), f"limits in {where} are not those of its budget")
            certificate = entrant.certificate
            why = certificate.next or certificate.end or certificate.dials
            require(bool(why), f"next in {where} is missing, and end does not say why")

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
