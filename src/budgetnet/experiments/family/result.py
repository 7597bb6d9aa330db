"""What a search for a family gives: a family with its accuracy, what each step of phi gains, the paper's beside it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from budgetnet.codec import NOT_STORED, PRIVATE, NotEmpty, PositiveFloat, PositiveInt, require_known
from budgetnet.experiments.family.members import PublishedMember
from budgetnet.experiments.family.plan import BASELINE, COEFFICIENTS, FamilyPlan
from budgetnet.experiments.family.request import FamilyRequest
from budgetnet.experiments.family.training import Member, check_members, check_steps
from budgetnet.networks.scaling import Coefficients
from budgetnet.runs.record import Record
from budgetnet.statistics import PairedDifference

FORMAT = "budgetnet.family.v2"
FILE = "family.json"
FamilyRecord = Record[FamilyRequest, FamilyPlan]


@dataclass(frozen=True, slots=True)
class SearchPart:
    """One of the two searches: its folder and report within the run, and what it found, in a sentence or two."""

    name: str
    report: str
    said: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Family:
    """The family S0 to S3 and its evidence.

    Attributes:
        run: The run's folder; docs/formats.md says what is in it.
        coefficients: Alpha, beta and gamma by which S0 was scaled.
        members: S0 to S3: the networks, their costs, and their accuracy on the test images with the 95 % interval.
        gains: What each step of phi gains on the same images: S1 over S0, S2 over S1, S3 over S2.
        published: The paper's B0 to B3, with their authors' accuracy on ImageNet.
        steps: The steps that were planned for every member's training; a member that had fewer says so.
        batch: The images of a step.
        epochs: How many times through the training images that is.
        test_images: How many test images there are.
        parts: The two searches, each with its folder, its report and what it found.
        statement: What the numbers show, in sentences.
        report: The page with all of it: report.html in the run's folder.
        record: What was asked and planned: the content of plan.json.
    """

    run: Path = field(metadata=NOT_STORED)
    coefficients: Coefficients
    members: NotEmpty[Member]
    gains: tuple[PairedDifference, ...]
    published: NotEmpty[PublishedMember]
    steps: PositiveInt
    batch: PositiveInt
    epochs: PositiveFloat
    test_images: PositiveInt
    parts: tuple[SearchPart, ...]
    statement: tuple[str, ...]
    report: Path = field(metadata=NOT_STORED)
    record: FamilyRecord = field(metadata=PRIVATE, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_members(self.members, self.gains)
        for row in self.members:
            check_steps(row, self.steps)
        require_known(
            "a name of parts", [part.name for part in self.parts], [BASELINE.name, COEFFICIENTS.name], "a family"
        )
