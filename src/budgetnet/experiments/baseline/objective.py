"""What a search for a baseline maximises: accuracy, with a soft preference for fewer multiply-adds.

    maximise   ACC(a) * (MACs(a) / T)**w      subject to every limit of the budget,      w = -0.07 unless given

Source: Tan et al., MnasNet, arXiv:1807.11626, section 3, equation 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from budgetnet.arguments import number
from budgetnet.budgets.search_space import Architecture

EXPONENT = -0.07
"""The usual w: with it, 5 % more accuracy is worth twice the multiply-adds (MnasNet, section 3)."""


@dataclass(frozen=True, slots=True)
class Score:
    """How good an architecture is: accuracy on validation, a share, and the mean log loss in nats."""

    accuracy: float
    log_loss: float


@dataclass(frozen=True, slots=True)
class Scored:
    """An architecture with its multiply-adds for one image, its score and the objective's value, the `reward`."""

    architecture: Architecture
    macs: int
    score: Score
    reward: float


@dataclass(frozen=True, slots=True)
class Objective:
    """ACC * (MACs / T)**w, T being `target_macs` and w the `exponent`, from -1 to 0, which is accuracy alone.

    Raises a one-line `ValueError` for another exponent. Source: MnasNet, arXiv:1807.11626, equation 2.

    >>> Objective(target_macs=100, exponent=0.0).of(accuracy=0.8, macs=50)
    0.8
    """

    target_macs: int
    exponent: float = EXPONENT

    def __post_init__(self) -> None:
        check_exponent(self.exponent)

    def of(self, accuracy: float, macs: int) -> float:
        """The objective's value for a network of this accuracy and this number of multiply-adds."""
        return accuracy * (macs / self.target_macs) ** self.exponent

    def scored(self, architecture: Architecture, macs: int, score: Score) -> Scored:
        """The architecture with its score and the objective's value."""
        return Scored(architecture, macs, score, self.of(score.accuracy, macs))


def best_of(scored: Sequence[Scored], count: int) -> tuple[Scored, ...]:
    """The best by reward, at most `count`; of equal ones the one with the lower log loss comes first."""
    return tuple(sorted(scored, key=lambda row: (-row.reward, row.score.log_loss, row.architecture.id))[:count])


def check_exponent(exponent: float) -> float:
    """The exponent as a number. Raises a one-line `ValueError` unless it is from -1 to 0."""
    exponent = exponent if isinstance(exponent, float) else number("exponent", exponent)
    if not -1 <= exponent <= 0:
        raise ValueError(f"exponent is {exponent:g}; give one from -1 to 0, where 0 is accuracy alone")
    return exponent
