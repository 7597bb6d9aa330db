"""What is measured: a task, an arm, a time and a seed make a cell; what came of each stands in one file."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from budgetnet.amounts import count
from budgetnet.codec import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, from_record, to_plain
from budgetnet.reading import read_json_file
from budgetnet.runs.files import write_json

FORMAT = "budgetnet.time_to_accuracy.v1"
FILE = "cells.json"


@dataclass(frozen=True, slots=True)
class Task:
    """Images, the weights that a training begins from ("none" for none), and the most multiply-adds of the network."""

    data: str
    weights: str
    macs: PositiveInt

    @staticmethod
    def of(text: str) -> Task:
        """From DATA:WEIGHTS:MACS."""
        parts = text.rsplit(":", 2)
        if len(parts) < 3:
            raise ValueError(f"{text!r} is no task; give DATA:WEIGHTS:MACS, as photos:lite0:25M or photos:none:8M")
        return Task(parts[0], parts[1], count(parts[2]))

    @property
    def name(self) -> str:
        """What tables and files call it."""
        return f"{Path(self.data).name}-{self.weights}-{self.macs / 1e6:g}M"


@dataclass(frozen=True, slots=True)
class Cell:
    """One training: of a task, by an arm, within a time, from a seed, which also splits the images."""

    task: Task
    arm: str
    seconds: PositiveFloat
    seed: NonNegativeInt

    @property
    def name(self) -> str:
        """What its folder is called."""
        return f"{self.task.name}-{self.arm}-{self.seconds:g}s-{self.seed}"


@dataclass(frozen=True, slots=True)
class Found:
    """What an arm made of a cell.

    `took_seconds` are from the start of its process to the model that is trained and saved: an arm may end early, and
    is late where that is more than it had. Of `judged` images it answered `right` correctly.
    """

    network: str
    macs: PositiveInt
    training_macs: NonNegativeFloat
    epochs: NonNegativeFloat
    took_seconds: NonNegativeFloat
    right: NonNegativeInt
    judged: PositiveInt

    @property
    def accuracy(self) -> float:
        """The share of right answers."""
        return self.right / self.judged


@dataclass(frozen=True, slots=True)
class Done:
    """A cell that was run: what came of it, or why nothing did (`error`).

    `processor_seconds` are those of all its processes: where they are few for the time, others computed beside it.
    """

    cell: Cell
    found: Found | None
    error: str | None
    processor_seconds: NonNegativeFloat


@dataclass(frozen=True, slots=True)
class Cells:
    """The file: what was asked of all cells alike, and those that were run, in order."""

    judge: str
    ours: str
    strategy: str
    done: tuple[Done, ...] = ()

    def read(self, folder: Path) -> Cells:
        """Those of a folder, which must have been asked the same; these where there are none."""
        file = folder / FILE
        if not file.exists():
            return self
        found = from_record(Cells, read_json_file(file), FORMAT, str(file))
        if replace(found, done=()) != replace(self, done=()):
            asked = f"--judge {found.judge} --ours {found.ours} --strategy {found.strategy}"
            raise ValueError(f"{file} was begun with {asked}; give the same or another --out")
        return found

    def with_one(self, done: Done, folder: Path) -> Cells:
        """With one more, also in the folder's file, which is whole at any moment."""
        cells = replace(self, done=(*self.done, done))
        write_json(folder / FILE, {"format": FORMAT, **to_plain(cells)})
        return cells
