"""What the gallery's page shows: values, and the commands as a reader would type them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from budgetnet.draw.wording import percent
from budgetnet.experiments.activations.plan import StudyRecord
from budgetnet.experiments.activations.report import study_command
from budgetnet.experiments.compare.page import compare_command
from budgetnet.experiments.compare.rows import Row
from budgetnet.experiments.report.evidence import Evidence, read_evidence
from budgetnet.experiments.report.reproduce import in_lines, run_command
from budgetnet.training.evaluate import Evaluation


@dataclass(frozen=True, slots=True)
class Picture:
    """A file of the gallery's folder, what a screen reader says of it, and what to see in it."""

    file: str
    description: str
    caption: str


@dataclass(frozen=True, slots=True)
class Exhibit:
    """Pictures that one command makes, behind the commands that made its runs; `page` of docs/ explains it."""

    title: str
    question: str
    commands: tuple[str, ...]
    page: str
    pictures: tuple[Picture, ...]


def shown_run(run: Path) -> str:
    """A run's folder as a reader has it: no machine's path."""
    return f"runs/{run.name}"


def shown_images(images: Sequence[str]) -> list[str]:
    """Images as a reader has them: the last folder and the name."""
    return ["/".join(Path(one).parts[-2:]) for one in images]


def training_command(evidence: Evidence) -> str:
    """The command that makes a run again, with the folder of its images and its own by their names."""
    plan = {**evidence.plan, "data": _named(evidence.plan)}
    return run_command(dataclasses.replace(evidence, plan=plan, run=Path(shown_run(evidence.run))))


def trained_as(run: Path) -> str:
    """`training_command` of a run, with the folder that it goes to."""
    return f"{training_command(read_evidence(run))} \\\n    --out {shown_run(run)}"


def comparison_command(plans: Sequence[Row]) -> str:
    """The command that makes a comparison again, of one cost or of several, the smallest first."""
    last = plans[-1]
    whole = compare_command({**last, "data": _named(last), "time_seconds": sum(plan["time_seconds"] for plan in plans)})
    if len(plans) == 1:
        return whole
    first = next(name for name, limit in last["budget"].items() if isinstance(limit, int) and limit > 1)
    shares = (plan["budget"][first] / last["budget"][first] for plan in plans)
    return f"{whole} \\\n    --shares {','.join(f'{share:g}' for share in shares)}"


def study_made_by(record: StudyRecord) -> str:
    """The command that makes a study of activations again, with the folder of its images by its name."""
    data = record.data
    named = data.path if data.path == "digits" else f"{Path(data.path).name}/"
    return study_command(dataclasses.replace(record, data=dataclasses.replace(data, path=named)))


def reached(test: Evaluation) -> str:
    """What a network got right, with its 95 % interval."""
    return f"{percent(test.top1)} of {test.count:,} test images ({percent(test.top1_low)} to {percent(test.top1_high)})"


def _named(plan: Row) -> Row:
    path = plan["data"]["path"]
    return {**plan["data"], "path": path if path == "digits" else f"{Path(path).name}/"}
