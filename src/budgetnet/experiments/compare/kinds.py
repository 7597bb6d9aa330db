"""The questions that a comparison answers, and who takes part in each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

from budgetnet.data import ImageSet
from budgetnet.draw.wording import listed
from budgetnet.experiments.compare.ablation import ablations
from budgetnet.experiments.compare.entrants import BASE, FAMILIES, Entered, families
from budgetnet.experiments.compare.request import CompareRequest, Question
from budgetnet.experiments.compare.scalings import scalings
from budgetnet.networks import Network, choose
from budgetnet.networks.scaling import FIT_STRATEGIES, FitStrategy


def bases_of(
    question: Question, networks: Sequence[str | Network] | None, strategy: FitStrategy
) -> tuple[str | Network, ...]:
    """The bases that a question is asked about; those of everybody unless given.

    Raises a one-line `ValueError` for none, for several where there can be one, and for a strategy where all are asked.
    """
    choose("question", question, get_args(Question))
    choose("strategy", strategy, FIT_STRATEGIES)
    if networks is None:
        networks = FAMILIES if question == "families" else (BASE,)
    if not networks or (question == "families" and len(networks) < 2):
        raise ValueError("give at least two networks to compare (solve takes one)")
    names = [base if isinstance(base, str) else base.name for base in networks]
    if twice := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
        raise ValueError(f"{listed(twice)} {'is' if len(twice) == 1 else 'are'} given more than once; give each once")
    if question != "families" and len(networks) > 1:
        raise ValueError(f"{question} is asked about one base, but {len(networks)} networks were given; give one")
    if question == "scaling" and strategy != "compound":
        raise ValueError(f"scaling compares the strategies themselves, but {strategy} was asked for; leave it out")
    return tuple(networks)


def entrants_of(request: CompareRequest, images: ImageSet, bases: Sequence[str | Network], inherited: bool) -> Entered:
    """Who takes part, of these bases, and who cannot; raises as `families` does."""
    budget, strategy, coefficients = request.budget, request.strategy, request.coefficients
    if request.question == "scaling":
        return scalings(images, budget, bases[0], inherited, request.start_share, coefficients)
    if request.question == "ablation":
        return ablations(images, budget, bases[0], strategy, inherited, coefficients)
    return families(images, budget, bases, strategy, inherited, coefficients)
