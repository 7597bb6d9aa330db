"""The search for a baseline: Optuna's samplers propose architectures, a score judges them, a study keeps every trial.

    maximise   ACC(a) * (MACs(a) / T)**w      subject to every limit of the budget,      w = -0.07 unless given

Source: Tan et al., MnasNet, arXiv:1807.11626, section 3, equation 2. Every trial is in the study's database as soon as
it is scored, its batch done or not, so that a killed search scores only what it has not.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, cast

from budgetnet.arguments import number
from budgetnet.budgets.feasible_space import Options
from budgetnet.budgets.search_space import FACTORS, Architecture, Factors
from budgetnet.experiments.baseline.study import STUDY, beating, open_study, retry_lost
from budgetnet.networks import choose

if TYPE_CHECKING:
    from optuna.distributions import CategoricalDistribution
    from optuna.samplers import BaseSampler
    from optuna.study import Study
    from optuna.trial import FrozenTrial, Trial

Sampler = Literal["evolution", "tpe", "random"]
SAMPLERS: tuple[Sampler, ...] = ("evolution", "tpe", "random")
EXPONENT = -0.07
"""w, unless given: 5 % more accuracy are worth twice the multiply-adds (MnasNet, section 3)."""
POPULATION = 20


@dataclass(frozen=True, slots=True)
class Objective:
    """ACC * (MACs / T)**w, T being `target_macs` and w the `exponent`, from -1 to 0, which is accuracy alone.

    Raises a one-line `ValueError` for another exponent. Source: MnasNet, arXiv:1807.11626, equation 2.
    """

    target_macs: int
    exponent: float = EXPONENT

    def __post_init__(self) -> None:
        check_exponent(self.exponent)

    def of(self, accuracy: float, macs: int) -> float:
        """What a network of so many multiply-adds is worth."""
        return accuracy * (macs / self.target_macs) ** self.exponent


def check_exponent(exponent: float) -> float:
    """The exponent as a number. Raises a one-line `ValueError` unless it is from -1 to 0."""
    exponent = exponent if isinstance(exponent, float) else number("exponent", exponent)
    if not -1 <= exponent <= 0:
        raise ValueError(f"exponent is {exponent:g}; give one from -1 to 0, where 0 is accuracy alone")
    return exponent


@dataclass(frozen=True, slots=True)
class Score:
    """How good an architecture is: accuracy on validation, a share, and the mean log loss in nats."""

    accuracy: float
    log_loss: float


@dataclass(frozen=True, slots=True)
class Scored:
    """A trial that is done."""

    architecture: Architecture
    macs: int
    score: Score
    reward: float


Told = Callable[[Architecture, Score], None]
Scores = Callable[[Sequence[Architecture], Told], object]
"""Scores several architectures at once, and tells each score as soon as it is known."""


@dataclass(frozen=True, slots=True)
class Search:
    """What a search is a function of: how many trials it scores, `at_once` of them side by side, how it proposes them.

    `identity` names what the scores depend on besides (data, weights): a study of another is refused. `study` is the
    name that it has in its database.
    """

    options: Options
    trials: int
    at_once: int
    objective: Objective
    sampler: Sampler = "evolution"
    seed: int = 0
    identity: str = ""
    study: str = STUDY

    def __post_init__(self) -> None:
        choose("sampler", self.sampler, SAMPLERS)

    @property
    def name(self) -> str:
        """16 hex digits over the options and the identity."""
        space, budget = self.options.space.to_json(), self.options.budget.to_dict()
        row = (space, budget, self.objective.target_macs, self.objective.exponent, self.seed, self.identity)
        return hashlib.sha256(json.dumps(row).encode()).hexdigest()[:16]


def judged(architecture: Architecture, macs: int, score: Score, objective: Objective) -> Scored:
    """A score with what the objective makes of it."""
    return Scored(architecture, macs, score, objective.of(score.accuracy, macs))


def run_search(
    search: Search, scores: Scores, storage: str, done: Callable[[Sequence[Scored]], None] | None = None
) -> tuple[Scored, ...]:
    """Score `search.trials` architectures, and give all in the order in which they were proposed.

    `storage` is a database's URL, as sqlite:////path/study.db. What it holds of this search counts; trials that were
    running when a process died are run again, finished ones never. `done` is told all after each. Fewer come back
    where the space within the budget has no more. Raises a one-line `ValueError` for the study of another search.
    """
    study = open_study(storage, search.study, search.name)
    retry_lost(study)
    proposals = _Proposals(search, study)
    found = list(proposals.scored())
    while len(found) < search.trials:
        # To the end of a whole batch: what is proposed next must not depend on which of a batch was lost.
        batch = proposals.ask(min(search.at_once - len(found) % search.at_once, search.trials - len(found)))
        if not batch:
            break
        trials = {architecture.id: trial for trial, architecture in batch}

        def told(architecture: Architecture, score: Score, trials: Mapping[str, Trial] = trials) -> None:
            _tell(search, study, trials[architecture.id], architecture, score)
            if done:
                done(tuple(proposals.scored()))

        with beating(study, list(trials.values())):
            scores([architecture for _, architecture in batch], told)
        found = list(proposals.scored())
    return tuple(found)


def _tell(search: Search, study: Study, trial: Trial, architecture: Architecture, score: Score) -> None:
    macs = search.options.macs(architecture)
    trial.set_user_attr("score", {"accuracy": score.accuracy, "log_loss": score.log_loss})
    study.tell(trial, search.objective.of(score.accuracy, macs))


class _Proposals:
    """Turns what a sampler says into architectures that keep the budget and are not known yet.

    What breaks the budget or is known is replaced by a neighbour that does not, since a sampler cannot know limits on
    the whole network. The first generation is drawn from all that keep the budget.
    """

    def __init__(self, search: Search, study: Study) -> None:
        self.search, self.study = search, study
        stages = range(len(search.options.stages))
        self.factors: list[dict[Any, Factors]] = [search.options.factors(index) for index in stages]
        self.distributions = dict(self._distributions())

    def scored(self) -> Iterator[Scored]:
        """Every finished trial, in the order in which they were proposed."""
        for trial in self._trials("COMPLETE"):
            architecture = self._architecture(trial)
            score = Score(**trial.user_attrs["score"])
            yield judged(architecture, self.search.options.macs(architecture), score, self.search.objective)

    def ask(self, count: int) -> list[tuple[Trial, Architecture]]:
        """So many trials, or fewer where the space is exhausted."""
        waiting = len(self._trials("WAITING"))  # those that were lost come back before any other
        taken = {self._architecture(trial).id for state in ("COMPLETE", "WAITING") for trial in self._trials(state)}
        batch: list[tuple[Trial, Architecture]] = []
        while len(batch) < count:
            if len(batch) >= waiting:
                proposed = self._proposed(taken, len(taken))
                if proposed is None:
                    break
                taken.add(proposed.id)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of heartbeats without Optuna's own loop: `_beating` has them
                trial = self.study.ask(cast("dict[str, Any]", self.distributions))
            batch.append((trial, Architecture.from_rows(trial.user_attrs["architecture"])))
        return batch

    def _proposed(self, taken: set[str], number: int) -> Architecture | None:
        """The architecture of the trial of that number, as a waiting trial of the study; None where there is no more.

        The sampler proposes in a copy of the study in memory, which has the finished trials in the order of proposal:
        what was only proposed is no trial, and what was lost and run again makes no difference.
        """
        import optuna

        search, options = self.search, self.search.options
        copy = optuna.create_study(direction="maximize", sampler=self._sampler(number))
        copy.add_trials(self._trials("COMPLETE"))
        asked = copy.ask(cast("dict[str, Any]", self.distributions))
        even = number < POPULATION or search.sampler == "random"
        found = options.drawn(search.seed, "even", number) if even else self._of_parameters(asked.params)
        noted = copy.get_trials(deepcopy=False)[asked.number].system_attrs  # a generation, of evolution
        if found.id in taken or not options.fits(found):
            repaired = options.repaired(found, taken, search.seed, "near", number)
            if repaired is None:
                return None
            found = repaired
        self.study.add_trial(
            optuna.create_trial(
                state=optuna.trial.TrialState.WAITING,
                params=dict(self._parameters(found)),
                distributions=cast("dict[str, Any]", self.distributions),
                user_attrs={"architecture": found.to_rows(), "number": number},
                system_attrs=dict(noted),
            )
        )
        return found

    def _sampler(self, number: int) -> BaseSampler:
        """A sampler of its own for each trial: after a kill it must not matter how many numbers the last one drew."""
        import optuna

        seed = int.from_bytes(hashlib.sha256(repr((self.search.seed, number)).encode()).digest()[:4], "big")
        if self.search.sampler == "tpe":
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return optuna.samplers.TPESampler(seed=seed, n_startup_trials=POPULATION, multivariate=True)
        return optuna.samplers.NSGAIISampler(population_size=POPULATION, seed=seed)

    def _trials(self, state: str) -> list[FrozenTrial]:
        """The study's trials of a state, in the order of proposal."""
        import optuna

        found = self.study.get_trials(deepcopy=False, states=(optuna.trial.TrialState[state],))
        return sorted(found, key=lambda trial: trial.user_attrs["number"])

    def _architecture(self, trial: FrozenTrial) -> Architecture:
        return Architecture.from_rows(trial.user_attrs["architecture"])

    def _distributions(self) -> Iterator[tuple[str, CategoricalDistribution]]:
        from optuna.distributions import CategoricalDistribution

        for index, rows in enumerate(self.factors):
            for place, name in enumerate(FACTORS):
                values = tuple(dict.fromkeys(row[place] for row in rows.values()))
                yield f"{index}.{name}", CategoricalDistribution(values)

    def _parameters(self, architecture: Architecture) -> Mapping[str, Any]:
        rows = (self.factors[index][choice] for index, choice in enumerate(architecture.stages))
        return {
            f"{index}.{name}": value for index, row in enumerate(rows) for name, value in zip(FACTORS, row, strict=True)
        }

    def _of_parameters(self, parameters: Mapping[str, Any]) -> Architecture:
        space = self.search.options.space
        return Architecture(
            tuple(
                space.choice(index, cast("Factors", tuple(parameters[f"{index}.{name}"] for name in FACTORS)))
                for index in range(len(self.factors))
            )
        )
