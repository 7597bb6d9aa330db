"""Finished runs of train and solve that the gallery shows, and how they are made again."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from bench.gallery.exhibit import shown_data, shown_run
from budgetnet.experiments.experiment import read_finished
from budgetnet.experiments.solve import SOLVE
from budgetnet.experiments.solve.report import solve_command
from budgetnet.experiments.solve.result import SolveResult
from budgetnet.experiments.train import TRAIN
from budgetnet.experiments.train.report import train_command
from budgetnet.experiments.train.result import TrainResult
from budgetnet.networks import Network
from budgetnet.runs.record import DataRecord, read_header


def trained_run(run: Path) -> TrainResult | SolveResult:
    """What a finished run of train or solve found. Raises a one-line `ValueError` for anything else."""
    if read_header(run).command == SOLVE.name:
        return read_finished(SOLVE, run)[1]
    return read_finished(TRAIN, run)[1]


def trained_network(run: Path) -> Network:
    """The network of such a run."""
    found = trained_run(run)
    return found.fit.network if isinstance(found, SolveResult) else found.network


def training_command(found: TrainResult | SolveResult) -> str:
    """The command that makes a run again, with the folder of its images by its name."""
    if isinstance(found, SolveResult):
        return solve_command(dataclasses.replace(found.record, data=_shown(found.record.data)))
    return train_command(dataclasses.replace(found.record, data=_shown(found.record.data)))


def _shown(data: DataRecord) -> DataRecord:
    return dataclasses.replace(data, path=shown_data(data.path))


def trained_as(run: Path) -> str:
    """`training_command` of a run, with the folder that it goes to."""
    return f"{training_command(trained_run(run))} \\\n    --out {shown_run(run)}"
