"""What a search for coefficients found: the answer, the ranking with intervals, differences, and the check."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from budgetnet.budgets.coefficient_space import Measure, Region
from budgetnet.budgets.coefficients_file import FORMAT
from budgetnet.codec import (
    NOT_STORED,
    PRIVATE,
    NonNegativeFloat,
    NonNegativeInt,
    NotEmpty,
    PositiveFloat,
    PositiveInt,
    Share,
    require,
    require_interval,
    require_known,
    require_unique,
)
from budgetnet.draw.intervals import Mean
from budgetnet.experiments.coefficients.plan import FOUND, PAPER_ID, CoefficientsPlan
from budgetnet.experiments.coefficients.request import CoefficientsRequest
from budgetnet.networks import Network
from budgetnet.networks.scaling import Coefficients
from budgetnet.runs.record import Record
from budgetnet.statistics import PairedDifference

CoefficientsRecord = Record[CoefficientsRequest, CoefficientsPlan]


@dataclass(frozen=True, slots=True)
class SeedScore:
    """One training's answers: mean log loss in nats, share of right ones. A diverged one's are not numbers.

    `learned`: the log loss is below that of the class frequencies (`training.chance`).
    """

    seed: NonNegativeInt
    log_loss: NonNegativeFloat
    accuracy: Share
    diverged: bool
    learned: bool


@dataclass(frozen=True, slots=True)
class Score:
    """Means over seeds with their 95 % intervals: of the log loss in nats, of the accuracy from 0 to 1."""

    log_loss: NonNegativeFloat
    log_loss_low: float
    log_loss_high: float
    accuracy: Share
    accuracy_low: float
    accuracy_high: float
    seeds: NotEmpty[SeedScore]

    def __post_init__(self) -> None:
        require_interval(self.log_loss, self.log_loss_low, self.log_loss_high, "log_loss")
        require_interval(self.accuracy, self.accuracy_low, self.accuracy_high, "accuracy")

    def named(self, label: str) -> Mean:
        """The accuracy of what is called so, as pictures show it."""
        seeds = tuple(one.accuracy for one in self.seeds)
        return Mean(label, self.accuracy, self.accuracy_low, self.accuracy_high, seeds)


@dataclass(frozen=True, slots=True)
class Ranked:
    """A network that raced: all coefficients that give it, how far it came, and its score on validation there.

    `first` is its score in the first rung, the one in which all took part alike. `rung` counts from 0;
    `finalist` says that it was the last. `cost` is in the search's measure.
    """

    id: str
    coefficients: Coefficients
    region: Region
    network: Network
    cost: PositiveInt
    macs: PositiveInt
    rung: NonNegativeInt
    finalist: bool
    paper: bool
    first: Score
    score: Score


@dataclass(frozen=True, slots=True)
class ScoreDifference:
    """Two networks on the same images, by log loss, where lower is better and which decides, and by accuracy."""

    log_loss: PairedDifference
    accuracy: PairedDifference

    def __post_init__(self) -> None:
        for name, row in (("log_loss", self.log_loss), ("accuracy", self.accuracy)):
            require(row.low is not None, f"{name} has no interval")
        same = (self.log_loss.a, self.log_loss.b) == (self.accuracy.a, self.accuracy.b)
        require(same, "log_loss and accuracy are of other pairs")

    @property
    def a(self) -> str:
        """The first of the two."""
        return self.log_loss.a

    @property
    def b(self) -> str:
        """The other."""
        return self.log_loss.b

    @property
    def interval(self) -> tuple[float, float]:
        """Of the log loss. It is known of one seed, too: the images have an error."""
        assert self.log_loss.low is not None and self.log_loss.high is not None
        return self.log_loss.low, self.log_loss.high

    @property
    def accuracy_interval(self) -> tuple[float, float]:
        """Of the accuracy."""
        assert self.accuracy.low is not None and self.accuracy.high is not None
        return self.accuracy.low, self.accuracy.high


@dataclass(frozen=True, slots=True)
class Needed:
    """What it would take to tell a pair apart if the two differ as much as they seemed to, in four of five cases.

    `times`: how many times the seeds and the images, both. `seeds`: with these images alone, None where no number is
    enough. `hours` are this machine's, for `times` as many seeds on `times` as many images, at the training time used.
    """

    a: str
    b: str
    times: PositiveFloat
    seeds: PositiveInt | None
    hours: NonNegativeFloat


@dataclass(frozen=True, slots=True)
class Checked:
    """A network at phi = 2, matched in cost, and its score on the test images, which no choice has seen."""

    id: str
    coefficients: Coefficients
    phi: PositiveFloat
    network: Network
    cost: PositiveInt
    score: Score


@dataclass(frozen=True, slots=True)
class Check:
    """The found coefficients against the paper's at phi = 2. Both empty where they give the same network."""

    same: bool
    phi: PositiveFloat
    cost: PositiveInt
    networks: tuple[Checked, ...]
    difference: ScoreDifference | None

    def __post_init__(self) -> None:
        ids = [row.id for row in self.networks]
        wanted = [] if self.same else [FOUND, PAPER_ID]
        require(sorted(ids) == wanted, f"networks are {ids}, and same is {self.same}; they must be {wanted}")
        require((self.difference is None) == self.same, f"difference and same, {self.same}, do not agree")
        if self.difference is not None:
            require_known("an id of difference", [self.difference.a, self.difference.b], ids, "networks")


@dataclass(frozen=True, slots=True, kw_only=True)
class CoefficientSearch:
    """The coefficients that were found and their evidence. Its file begins with what `--coefficients` reads.

    Attributes:
        format: The name and version of the file's schema.
        alpha: The growth of depth for a step of phi.
        beta: The growth of width.
        gamma: The growth of resolution.
        run: The run's folder; docs/formats.md says what is in it.
        region: All coefficients that give the same network at phi = 1.
        base: The network that was scaled.
        base_cost: Its cost in the `measure`.
        measure: What cost is measured in: macs, activations or peak_bytes.
        growth: How many times the base's cost the networks that raced have.
        tolerance: The share by which their costs may be apart from that.
        networks: How many different networks of that cost there are in all.
        drawn: How those that raced were drawn from them, in words.
        seeds: How many trainings each network of the last rung had.
        ranking: The networks that raced, the best first.
        differences: Of each two networks of the last rung, in log loss and in accuracy, on the same images.
        alike: The ids of finalists that are not shown to differ from the answer when all pairs are counted.
        needed: What it would take to tell the answer from each of these, where that can be said.
        check: The coefficients against the paper's at phi = 2, on the test images, which no choice has seen.
        statement: What the numbers show, in sentences.
        score: The answer's score on the validation images.
        report: The page with all of it: report.html in the run's folder.
        record: What was asked and planned: the content of plan.json.
    """

    format: str = field(default=FORMAT, metadata=NOT_STORED)
    alpha: float
    beta: float
    gamma: float
    run: Path = field(metadata=NOT_STORED)
    region: Region
    base: Network
    base_cost: PositiveInt
    measure: Measure
    growth: PositiveFloat
    tolerance: PositiveFloat
    networks: PositiveInt
    drawn: str
    seeds: PositiveInt
    ranking: NotEmpty[Ranked]
    differences: tuple[ScoreDifference, ...]
    alike: tuple[str, ...]
    needed: tuple[Needed, ...]
    check: Check
    statement: tuple[str, ...]
    score: Score
    report: Path = field(metadata=NOT_STORED)
    record: CoefficientsRecord = field(metadata=PRIVATE, repr=False, compare=False)

    def __post_init__(self) -> None:
        ids = [row.id for row in self.ranking]
        require_unique("ranking has an id", ids)
        pairs = [name for row in (*self.differences, *self.needed) for name in (row.a, row.b)]
        require_known("an id of differences or needed", pairs, ids, "ranking")
        require_known("an id of alike", self.alike, ids, "ranking")
        best = self.ranking[0]
        require(
            self.coefficients == best.coefficients,
            "alpha, beta and gamma are not the coefficients of the first of ranking",
        )
        require(
            (self.score, self.region) == (best.score, best.region),
            "score or region is not that of the first of ranking",
        )
        require(best.finalist, f"finalist of {best.id}, the first of ranking, is false")
        require(sum(row.paper for row in self.ranking) == 1, "not one network of ranking is the paper's")
        if not self.ranking:
            raise ValueError("its ranking is empty")

    @property
    def coefficients(self) -> Coefficients:
        """The answer."""
        return Coefficients(self.alpha, self.beta, self.gamma)

    @property
    def best(self) -> Ranked:
        """The network whose coefficients are the answer."""
        return self.ranking[0]
