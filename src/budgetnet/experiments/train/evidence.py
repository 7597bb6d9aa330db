"""A finished run's files as values: what every page and picture about it is made from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from budgetnet.budgets.budget import Budget, Certificate
from budgetnet.data.deep import Range
from budgetnet.networks import Network
from budgetnet.reading import file_content
from budgetnet.runs.run import learned_validation, planned_held_out, read_events, read_json, reading
from budgetnet.training.calibration import Calibration
from budgetnet.training.evaluate import Evaluation
from budgetnet.training.outcome import calibration_in

Row = Mapping[str, Any]


def placing(rungs: Sequence[Row]) -> tuple[float, ...]:
    """Sorts raced candidates by their rungs, the best first: who came far, then who lost least."""
    loss = rungs[-1].get("log_loss")  # older runs were raced by accuracy
    return (-len(rungs), -rungs[-1]["accuracy"] if loss is None else loss)


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything that a run's folder says. `certificate` and `budget` are None where none was given.

    `plan`, `metrics`, `split` and `events` are the JSON objects of the files of those names.
    """

    run: Path
    plan: Row
    network: Network
    certificate: Certificate | None
    budget: Budget | None
    validation: Evaluation
    test: Evaluation
    calibration: Calibration | None
    metrics: Row
    split: Row
    events: tuple[Row, ...]

    @property
    def candidates(self) -> tuple[Row, ...]:
        """The networks that kept the budget; none for a training of a given network."""
        return tuple(self.plan.get("candidates") or ())

    @property
    def choice(self) -> Row | None:
        """What was chosen and why; None where nothing was to choose."""
        return self.metrics.get("choice")

    @property
    def winner(self) -> Row | None:
        """The candidate that was chosen."""
        chosen = self.choice and self.choice["id"]
        return next((row for row in self.candidates if row["id"] == chosen), None)

    @property
    def final_phase(self) -> str:
        """The phase of the final training, which may have been the chosen one's only rung."""
        return "final" if self.plan.get("final") or self.choice is None else f"race/{self.choice['id']}"

    @property
    def value_range(self) -> Range | None:
        """What images of more than 8 bits a value were scaled by; None where there were none."""
        row = self.plan["data"].get("value_range")
        return row and (float(row[0]), float(row[1]))

    @property
    def held_out(self) -> int:
        """How many validation images stayed out of a final training that learned from the others."""
        return planned_held_out(self.plan) if self.learned_validation else 0

    @property
    def learned_validation(self) -> bool:
        """Whether the final training learned from the validation images too."""
        return learned_validation(self.plan, self.metrics)

    def rungs(self, candidate: str) -> tuple[Row, ...]:
        """A candidate's scores in the race, first rung first."""
        rows = [row for row in self.metrics.get("race") or () if row["id"] == candidate]
        return tuple(sorted(rows, key=lambda row: row["rung"]))

    def steps(self, phase: str) -> tuple[Row, ...]:
        """The training events of a phase by step, without what was thrown away.

        Steps jump back where a killed training went on from its checkpoint, and where a promoted one
        went on from before its cool-down: what had come behind that step is no part of the curve.
        """
        rows: list[Row] = []
        for row in self.events:
            if row["kind"] == "step" and row["phase"] == phase:
                while rows and rows[-1]["step"] >= row["step"]:
                    rows.pop()
                rows.append(row)
        return tuple(rows)

    def scores(self, phase: str) -> tuple[Row, ...]:
        """The validation scores of a phase, by step."""
        rows = {row["step"]: row for row in self.events if row["kind"] == "score" and row["phase"] == phase}
        return tuple(rows[step] for step in sorted(rows))


def read_evidence(run: str | Path) -> Evidence:
    """The evidence of a finished run. Raises a one-line `ValueError` for a file that is absent or damaged."""
    folder = Path(run)
    if not (folder / "metrics.json").is_file():
        raise ValueError(
            f"{folder} has no metrics.json: it is no finished run; the command that began it goes on with it"
        )
    with reading(folder / "plan.json"):
        plan = read_json(folder / "plan.json")
        budget = Budget.from_dict(plan["budget"]) if plan.get("budget") else None
    with reading(folder / "metrics.json"):
        metrics = read_json(folder / "metrics.json")
        validation, test = (Evaluation.from_dict(metrics[split]) for split in ("validation", "test"))
        calibration = calibration_in(metrics)
        for row in metrics["mistakes"]:
            _ = row["file"], row["label"], row["predicted"], row["probability"]
    with reading(folder / "network.json"):
        network = _network(folder / "network.json")
    with reading(folder / "certificate.json"):
        certificate = _certificate(folder / "certificate.json")
    with reading(folder / "split.json"):
        split = read_json(folder / "split.json")
        _ = split["unreadable"], split["duplicates"]
    with reading(folder / "events.jsonl"):
        events = read_events(folder / "events.jsonl")
        for row in events:
            _ = [row[key] for key in ("kind", "phase", "step", "accuracy")]
    return Evidence(folder, plan, network, certificate, budget, validation, test, calibration, metrics, split, events)


def _network(path: Path) -> Network:
    content = file_content(path)
    try:
        return Network.from_json(content)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _certificate(path: Path) -> Certificate | None:
    """The certificate, which stands with its network's name; None for a training without a budget."""
    return Certificate.from_dict(read_json(path)) if path.is_file() else None
