"""The learning curves of a run: events.jsonl as values."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from budgetnet.arguments import shown
from budgetnet.codec import NonNegativeFloat, NonNegativeInt, Share, from_plain
from budgetnet.runs.files import read_events, reading
from budgetnet.training.job import EVENT_SECONDS, TrainingJob


@dataclass(frozen=True, slots=True)
class StepEvent:
    """A moment of a training. Loss and accuracy are running means over augmented batches, None where not finite;
    `seconds` count from the start of the process."""

    kind: str
    phase: str
    step: NonNegativeInt
    loss: NonNegativeFloat | None
    accuracy: Share | None
    epoch: NonNegativeFloat
    learning_rate: NonNegativeFloat
    seconds: NonNegativeFloat


@dataclass(frozen=True, slots=True)
class ScoreEvent:
    """Accuracy on the validation images at the end of a job, with its 95 % interval."""

    kind: str
    phase: str
    step: NonNegativeInt
    accuracy: Share
    low: Share
    high: Share


@dataclass(frozen=True, slots=True)
class Events:
    """Those of a run, in the order in which they were written."""

    steps: tuple[StepEvent, ...]
    scores: tuple[ScoreEvent, ...]

    def curve(self, phase: str) -> tuple[StepEvent, ...]:
        """The steps of a phase, without what was thrown away.

        Steps jump back where a killed training went on from its checkpoint, and where a promoted one went on from
        before its cool-down: what had come behind that step is not a part of the curve.
        """
        rows: list[StepEvent] = []
        for row in self.steps:
            if row.phase == phase:
                while rows and rows[-1].step >= row.step:
                    rows.pop()
                rows.append(row)
        return tuple(rows)

    def scores_of(self, phase: str) -> tuple[ScoreEvent, ...]:
        """The validation scores of a phase, by step."""
        rows = {row.step: row for row in self.scores if row.phase == phase}
        return tuple(rows[step] for step in sorted(rows))


def events_of(run: Path) -> Events:
    """The events of a run; none where there is no file. Raises a one-line `ValueError` that names file and key."""
    path = run / "events.jsonl"
    where = f"an event in {path}"
    with reading(path):
        rows = read_events(path)
        steps = [from_plain(StepEvent, row, where) for row in rows if row.get("kind") == "step"]
        scores = [from_plain(ScoreEvent, row, where) for row in rows if row.get("kind") == "score"]
        if strange := [row.get("kind") for row in rows if row.get("kind") not in ("step", "score")]:
            raise ValueError(f"{where} has the kind {shown(strange[0])}; it must be step or score")
    return Events(tuple(steps), tuple(scores))


def training_seconds(events: Sequence[StepEvent], job: TrainingJob) -> float | None:
    """How long the steps of a training took: all that it had in the end, by the seconds a step between its events.

    What a kill cost does not count. None where there are not two events of one process; these are `EVENT_SECONDS` apart
    or more, and those across a kill or the start of the cool-down, where the seconds begin again, are not.
    """
    rows = [event for event in events if event.phase == job.phase]
    pairs = [
        (after.step - before.step, after.seconds - before.seconds)
        for before, after in itertools.pairwise(rows)
        if after.step > before.step and after.seconds - before.seconds >= EVENT_SECONDS
    ]
    steps = sum(count for count, _ in pairs)
    return job.last_step * sum(seconds for _, seconds in pairs) / steps if steps else None
