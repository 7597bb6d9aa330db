"""How a run that the gallery shows is made again."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from budgetnet.experiments.report.evidence import Evidence, read_evidence
from budgetnet.experiments.report.reproduce import run_command

from bench.gallery.exhibit import shown_data, shown_run


def training_command(evidence: Evidence) -> str:
    """The command that makes a run again, with the folder of its images and its own by their names."""
    data = evidence.plan["data"]
    plan = {**evidence.plan, "data": {**data, "path": shown_data(data["path"])}}
    return run_command(dataclasses.replace(evidence, plan=plan, run=Path(shown_run(evidence.run))))


def trained_as(run: Path) -> str:
    """`training_command` of a run, with the folder that it goes to."""
    return f"{training_command(read_evidence(run))} \\\n    --out {shown_run(run)}"
