"""What a training found: its scores, and where its files lie."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from budgetnet.codec import NOT_STORED, PRIVATE
from budgetnet.experiments.train.plan import TrainPlan
from budgetnet.experiments.train.request import TrainRequest
from budgetnet.networks import Network
from budgetnet.runs.record import Record
from budgetnet.training.outcome import Metrics, check_classes, check_parent, check_seeds


@dataclass(frozen=True, slots=True)
class TrainResult(Metrics):
    """The scores of a finished training: metrics.json."""

    run: Path = field(metadata=NOT_STORED)
    network: Network = field(metadata=NOT_STORED)
    record: Record[TrainRequest, TrainPlan] = field(metadata=PRIVATE, repr=False, compare=False)

    def __post_init__(self) -> None:
        Metrics.__post_init__(self)
        check_classes(self, self.record.data)
        check_parent(self.record.plan.parent, self.record.request.source)
        check_seeds([self.record.plan.config], self.record.seed)

    @staticmethod
    def of(metrics: Metrics, run: Path, network: Network, record: Record[TrainRequest, TrainPlan]) -> TrainResult:
        """The metrics with what they belong to."""
        return TrainResult(
            metrics.validation,
            metrics.test,
            metrics.calibration,
            metrics.mistakes,
            metrics.learned,
            metrics.held_out,
            run,
            network,
            record,
            trust=metrics.trust,
            promises=metrics.promises,
        )
