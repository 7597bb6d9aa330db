"""What the gallery's page shows: values, and the commands as a reader would type them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.gallery.files import save_page
from budgetnet.draw.wording import percent
from budgetnet.experiments.activations.plan import StudyRecord
from budgetnet.experiments.activations.report import study_command
from budgetnet.training.evaluation import Evaluation


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


def shown_data(path: str) -> str:
    """A folder of images as a reader has it: its name."""
    return path if path == "digits" else f"{Path(path).name}/"


def shown_images(images: Sequence[str]) -> list[str]:
    """Images as a reader has them: the last folder and the name."""
    return ["/".join(Path(one).parts[-2:]) for one in images]


def study_made_by(record: StudyRecord) -> str:
    """The command that makes a study of activations again, with the folder of its images by its name."""
    data = record.data
    named = data.path if data.path == "digits" else f"{Path(data.path).name}/"
    return study_command(dataclasses.replace(record, data=dataclasses.replace(data, path=named)))


def reached(test: Evaluation) -> str:
    """What a network got right, with its 95 % interval."""
    return f"{percent(test.top1)} of {test.count:,} test images ({percent(test.top1_low)} to {percent(test.top1_high)})"


def page_picture(page: Path, file: Path, what: str, caption: str) -> list[Picture]:
    """The top of a page, as a browser shows it; without a browser the one that is there."""
    if not save_page(page, file) and not file.is_file():
        return []
    return [Picture(file.name, what, caption)]
