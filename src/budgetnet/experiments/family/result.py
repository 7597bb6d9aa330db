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
    """S0 to S3 and the evidence: `gains` are S1 over S0, S2 over S1, S3 over S2.

    All members were to be trained for the same `steps` of `batch` images, `epochs` times through the training images;
    a member that had fewer says so.
    `published` are the paper's B0 to B3, whose accuracy is ImageNet's and others'.
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
