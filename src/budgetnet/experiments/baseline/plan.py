"""How the time of a baseline's search is shared: scores, semifinals and finals, each as counts, once.

    scores       many, 1/16 of a final training
    semifinals   16 or fewer, 1/4                        chosen by a model of all scores
    finals       the best of those and the base, whole   chosen by the objective of the semifinals

The best of many noisy scores is in part luck, so what goes on must prove itself again and for longer: successive
halving with few rungs, every training from nothing and by another seed. Source: Jamieson & Talwalkar, Non-stochastic
best arm identification, arXiv:1502.07943.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from budgetnet.budgets.feasible_space import FeasibleSpace
from budgetnet.budgets.search_space import Space
from budgetnet.cluster.executor import batch_for
from budgetnet.codec import NonNegativeFloat, PositiveFloat, PositiveInt
from budgetnet.data import ImageSet, Preprocessing
from budgetnet.data.images import check_channels
from budgetnet.experiments.baseline.default_space import space_for
from budgetnet.experiments.baseline.request import BaselineRequest
from budgetnet.experiments.experiment import Context
from budgetnet.experiments.timing import FORWARD_RATE
from budgetnet.networks import Network
from budgetnet.training.augmenting import Chosen, choose_augmentation, fitted
from budgetnet.training.plan import TooShort, preprocessing_for, side_px_for
from budgetnet.training.recipe import Recipe
from budgetnet.training.speed import least_steps
from budgetnet.training.trainer import TrainingConfig, TrainingSpec

FINALS_SHARE, SEMIFINALS_SHARE = 0.3, 0.2
"""The parts of the time that is left once everything is timed; the scores have the rest, and all that the semifinals
leave."""
TIMED_NETWORKS = 4
"""How many sampled networks are timed in training: the slowest counts for finals, the base's among them, the mean for
scores."""
PROPOSAL_SECONDS = 0.01
"""How long the search itself takes for each candidate, while no worker has anything to do (`python -m bench.scale
--driver 1000`)."""
LEAST_CANDIDATES, MOST_CANDIDATES = 4, 1000
SCORE_LENGTH, SEMIFINAL_LENGTH = 1 / 16, 1 / 4
"""The lengths of a candidate's training and a semifinal as parts of a final training's, but at least
`LEAST_SCORE_STEPS`: for scores twice as many steps tell hardly more (docs/lab-log.md)."""
LEAST_SCORE_STEPS = 40
"""The fewest steps of a training that only ranks: fewer say nothing (docs/lab-log.md)."""
MOST_SEMIFINALISTS = 16
FINALS = ((3, 3), (3, 2), (2, 2), (2, 1))
"""Finalists and seeds, the most first: the first pair by which a training sees its images `LEAST_EPOCHS` times."""
MOST_FINALISTS = 7
"""Where workers would have nothing to do in the last turn of the finals, more finalists take them."""
LEAST_EPOCHS = 12
MEMORY_NETWORKS = 32
"""How many sampled networks must fit into memory while they are trained."""
STARTS = 3
"""How often workers start: for the scores, the semifinals and the finals."""
PAGE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Rung:
    """Equal trainings of so many networks: the steps of each, the seconds of these, and of what it predicts then."""

    networks: PositiveInt
    trainings: PositiveInt
    steps: PositiveInt
    training_seconds: PositiveFloat
    prediction_seconds: NonNegativeFloat

    @property
    def seconds_each(self) -> float:
        """Of one training with its predictions."""
        return self.training_seconds + self.prediction_seconds

    def seconds(self, slots: int) -> float:
        """Of all, so many at a time."""
        return math.ceil(self.trainings / slots) * self.seconds_each


@dataclass(frozen=True, slots=True)
class BaselinePlan:
    """The space, how its networks are trained, and three rungs of trainings, `slots` at a time.

    The `recipe` draws only the kinds of `augmentation` that are on. `semifinals` is None where the time allows no more
    of them than there are finalists. In the finals the base is trained as often as each finalist, by as many `seeds`.
    `startup_seconds` is how long workers take to start, before each rung.
    """

    side_px: PositiveInt
    space: Space
    recipe: Recipe
    augmentation: tuple[Chosen, ...]
    preprocessing: Preprocessing
    batch: PositiveInt
    slots: PositiveInt
    seeds: PositiveInt
    startup_seconds: NonNegativeFloat
    scores: Rung
    semifinals: Rung | None
    finals: Rung

    def __post_init__(self) -> None:
        check_channels(self.preprocessing, self.space.base.in_channels, "the base takes")

    def config(self, name: str, network: Network, seed: int, rung: Rung) -> TrainingConfig:
        """A training of that network in a rung, called `name`."""
        return TrainingSpec(name, network, self.recipe, self.preprocessing, seed, self.batch).for_steps(rung.steps)

    @property
    def after_semifinals(self) -> float:
        """Seconds of what comes behind the semifinals."""
        return self.startup_seconds + self.finals.seconds(self.slots) + PAGE_SECONDS

    @property
    def after_scores(self) -> float:
        """Seconds of what comes behind the scores."""
        if self.semifinals is None:
            return self.after_semifinals
        return self.startup_seconds + self.semifinals.seconds(self.slots) + self.after_semifinals


def propose(request: BaselineRequest, context: Context) -> BaselinePlan:
    """The plan of a search: how many candidates, semifinals and finals there are, and for how many steps.

    Raises a one-line `ValueError` where the time is too short for any of it, and where no network of the space keeps
    the budget.
    """
    images, executor = context.images[0], context.executor
    default = request.space or space_for(images, request.budget, request.base)
    space = default.with_data(len(images.classes), images.in_channels)
    feasible = FeasibleSpace.of(space, request.budget)
    preprocessing = preprocessing_for(images)
    side_px = side_px_for([space.base], preprocessing)
    pixels = context.pixels(side_px)
    augmentation = choose_augmentation(request.augment, request.recipe, images, pixels, request.seed)
    recipe, train = fitted(request.recipe, augmentation), len(images.indices("train"))
    demanding = [space.base, *_sampled(feasible, "memory", MEMORY_NETWORKS)]
    batch = batch_for(executor, recipe, train, demanding, request.budget.train_bytes)

    specs = [
        TrainingSpec(network.name, network, recipe, preprocessing, request.seed, batch)
        for network in (space.base, *_sampled(feasible, "speed", TIMED_NETWORKS))
    ]
    measured = executor.timed(context.time.clock, specs, context.job_context(side_px, request.seed), context.progress)
    rates = [timing.single_process for timing in measured.configs]
    # Candidates are many and each has equal steps: their mean time counts, so the harmonic mean of their rates.
    slowest, mean = min(rates), statistics.harmonic_mean(rates[1:])
    other = STARTS * measured.startup_seconds + PAGE_SECONDS
    left, slots = context.time.left_seconds - other, executor.slots()

    seeds, finals = finals_of(images, batch, slowest, slots, FINALS_SHARE * left)
    semifinals = semifinals_of(images, batch, mean, slots, SEMIFINALS_SHARE * left, finals, feasible.count)
    seconds = (1 - FINALS_SHARE) * left - (semifinals.seconds(slots) if semifinals else 0.0)
    steps = max(LEAST_SCORE_STEPS, round(SCORE_LENGTH * finals.steps))
    candidates = int(seconds / _candidate_seconds(images, batch, mean, slots, steps))
    if finals.steps < least_steps(train, batch) or candidates < LEAST_CANDIDATES:
        scores = LEAST_CANDIDATES * _candidate_seconds(images, batch, mean, slots, LEAST_SCORE_STEPS)
        shortest = least_finals_seconds(images, batch, slowest, slots) / FINALS_SHARE
        least = max(scores / (1 - FINALS_SHARE - SEMIFINALS_SHARE), shortest)
        needed = context.time.needed(1, 1, other, least)
        raise TooShort(request.time_seconds, "for a search and final trainings", needed)
    count = min(candidates, MOST_CANDIDATES, feasible.count)
    return BaselinePlan(
        side_px=side_px,
        space=space,
        recipe=recipe,
        augmentation=augmentation,
        preprocessing=preprocessing,
        batch=batch,
        slots=slots,
        seeds=seeds,
        startup_seconds=measured.startup_seconds,
        scores=_rung(images, batch, mean, count, count, steps, ("validation",)),
        semifinals=semifinals,
        finals=finals,
    )


def _sampled(space: FeasibleSpace, purpose: str, count: int) -> list[Network]:
    return [space.network(space.sample(purpose, number)) for number in range(count)]


def _rung(
    images: ImageSet, batch: int, rate: float, networks: int, trainings: int, steps: int, predicted: Sequence[str]
) -> Rung:
    """At `rate` images a second of one worker; `predicted` are the splits that each predicts."""
    return Rung(networks, trainings, steps, steps * batch / rate, _prediction_seconds(images, rate, predicted))


def _prediction_seconds(images: ImageSet, rate: float, splits: Sequence[str]) -> float:
    return sum(len(images.indices(split)) for split in splits) / (FORWARD_RATE * rate)


def _candidate_seconds(images: ImageSet, batch: int, rate: float, slots: int, steps: int) -> float:
    """The part of the search's time that one candidate takes."""
    return _rung(images, batch, rate, 1, 1, steps, ("validation",)).seconds_each / slots + PROPOSAL_SECONDS


def finals_of(images: ImageSet, batch: int, rate: float, slots: int, seconds: float) -> tuple[int, Rung]:
    """Seeds and final trainings within so many seconds: the base's beside the finalists', equal steps for all."""
    predicting = _prediction_seconds(images, rate, ("validation", "test"))

    def seconds_each(finalists: int, seeds: int) -> float:
        return seconds / _turns(finalists, seeds, slots) - predicting

    enough = LEAST_EPOCHS * len(images.indices("train")) / rate
    finalists, seeds = next((pair for pair in FINALS if seconds_each(*pair) >= enough), FINALS[-1])
    finalists = as_many_as_fit(finalists, seeds, slots)
    steps = max(1, int(seconds_each(finalists, seeds) * rate / batch))
    trainings = (finalists + 1) * seeds
    return seeds, _rung(images, batch, rate, finalists, trainings, steps, ("validation", "test"))


def as_many_as_fit(finalists: int, seeds: int, slots: int) -> int:
    """At least `finalists`, and as many more as are trained in the same number of turns."""
    wide = range(finalists, MOST_FINALISTS + 1)
    return max(more for more in wide if _turns(more, seeds, slots) == _turns(finalists, seeds, slots))


def least_finals_seconds(images: ImageSet, batch: int, rate: float, slots: int) -> float:
    """Seconds of the fewest and shortest finals."""
    steps = least_steps(len(images.indices("train")), batch)
    return _turns(*FINALS[-1], slots) * _rung(images, batch, rate, 1, 1, steps, ("validation", "test")).seconds_each


def _turns(finalists: int, seeds: int, slots: int) -> int:
    """How many trainings of the finalists and the base each worker makes, at most."""
    return math.ceil((finalists + 1) * seeds / slots)


def semifinals_of(
    images: ImageSet,
    batch: int,
    rate: float,
    slots: int,
    seconds: float,
    finals: Rung,
    most: int = MOST_SEMIFINALISTS,
) -> Rung | None:
    """How many candidates are trained once more, and for how long, in at most this many seconds of all workers.

    None where no more could be than there are finalists. `most`: of the space.
    """
    steps = max(LEAST_SCORE_STEPS, round(SEMIFINAL_LENGTH * finals.steps))
    each = _rung(images, batch, rate, 1, 1, steps, ("validation",)).seconds_each
    networks = min(most, MOST_SEMIFINALISTS, slots * int(seconds / each))
    if networks <= finals.networks:
        return None
    return _rung(images, batch, rate, networks, networks, steps, ("validation",))
