"""How the time of a baseline's search is shared: scores, semifinals and finals, each as a count, once."""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from budgetnet.budgets.budget import Budget
from budgetnet.budgets.feasible_space import FeasibleSpace
from budgetnet.budgets.search_space import Space
from budgetnet.cluster.executor import Executor, batch_for
from budgetnet.data import ImageSet, Preprocessing
from budgetnet.experiments.baseline.finals import (
    LEAST_SCORE_STEPS,
    finals_of,
    least_final_steps,
    least_finals,
    semifinals_of,
)
from budgetnet.experiments.baseline.scoring import CandidateScoring
from budgetnet.networks import Network
from budgetnet.parallel.progress import Progress
from budgetnet.training.job import JobContext
from budgetnet.training.plan import TooShort
from budgetnet.training.recipe import Recipe
from budgetnet.training.train import FORWARD_RATE, SPARE_SHARE, with_steps
from budgetnet.training.trainer import TrainingConfig

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
SCORE_LENGTH = 1 / 16
"""The length of a candidate's training as a part of a final training's, but at least `LEAST_SCORE_STEPS`: twice as many
steps tell hardly more (docs/lab-log.md)."""
MEMORY_NETWORKS = 32
"""How many sampled networks must fit into memory while they are trained."""
STARTS = 3
"""How often workers start: for the scores, the semifinals and the finals."""
PAGE_SECONDS = 5.0


def config_for(
    space: FeasibleSpace,
    images: ImageSet,
    recipe: Recipe,
    preprocessing: Preprocessing,
    context: JobContext,
    executor: Executor,
) -> TrainingConfig:
    """How the base is trained, steps to be filled in, with the recipe's batch, or less where memory is short for the
    most demanding of some sampled networks."""
    base = space.space.base
    networks = [space.network(space.sample("memory", number)) for number in range(MEMORY_NETWORKS)]
    count, most = len(images.indices("train")), space.budget.train_bytes
    batch = batch_for(executor, recipe, count, [base, *networks], most)
    return TrainingConfig("base", base, recipe, preprocessing, context.split_seed, batch, 1, 1)


def planned(
    space: FeasibleSpace,
    config: TrainingConfig,
    context: JobContext,
    images: ImageSet,
    executor: Executor,
    began: float,
    time_seconds: float,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """The rows of plan.json that say how long everything is, for trials that run on `executor`.

    Raises a one-line `ValueError` where the time is too short for any of it.
    """
    workers = executor.slots()
    speeds = _timed_trainings(space, config, context, executor, progress)
    spent = time.monotonic() - began
    left = time_seconds * (1 - SPARE_SHARE) - spent - STARTS * speeds.startup - PAGE_SECONDS
    finals = finals_of(config, images, speeds.slowest, workers, FINALS_SHARE * left)
    semifinals = semifinals_of(config, images, speeds.mean, workers, SEMIFINALS_SHARE * left, finals, space.count)
    seconds = (1 - FINALS_SHARE) * left - (semifinals["seconds"] if semifinals else 0.0)
    steps = max(LEAST_SCORE_STEPS, round(SCORE_LENGTH * finals["config"]["steps"]))
    candidates = int(seconds / _candidate_seconds(config, images, speeds.mean, workers, steps))
    if finals["config"]["steps"] < least_final_steps(config, images) or candidates < LEAST_CANDIDATES:
        scores = LEAST_CANDIDATES * _candidate_seconds(config, images, speeds.mean, workers, LEAST_SCORE_STEPS)
        shortest = least_finals(config, images, speeds.slowest, workers) / FINALS_SHARE
        needed = max(scores / (1 - FINALS_SHARE - SEMIFINALS_SHARE), shortest)
        raise TooShort(time_seconds, "for a search and final trainings", 1.2 * (time_seconds - left + needed))
    row = {"batch": config.batch, "steps": steps, "warmup_steps": with_steps(config, steps).warmup_steps}
    return {
        "candidate": {**row, "images_per_second": speeds.mean},
        "seconds_a_candidate": _training_seconds(config, images, speeds.mean, steps),
        "workers": workers,
        "candidates": min(candidates, MOST_CANDIDATES, space.count),
        "semifinals": semifinals,
        "finals": finals,
    }


@dataclass(frozen=True, slots=True)
class _Speeds:
    """Images a second of one trial, over sampled networks and the base; how long workers take to start."""

    slowest: float
    mean: float
    startup: float


def _timed_trainings(
    space: FeasibleSpace, config: TrainingConfig, context: JobContext, executor: Executor, progress: Progress | None
) -> _Speeds:
    samples = [space.network(space.sample("speed", number)) for number in range(TIMED_NETWORKS)]
    found = executor.timed([config, *(_like(config, network) for network in samples)], context, progress)
    rates = [timing.single_process for timing in found.configs]
    # Candidates are many and each has equal steps: their mean time counts, so the harmonic mean of their rates.
    return _Speeds(min(rates), statistics.harmonic_mean(rates[1:]), found.startup_seconds)


def _training_seconds(config: TrainingConfig, images: ImageSet, rate: float, steps: int) -> float:
    """How long one worker trains a candidate and predicts the validation images."""
    return steps * config.batch / rate + len(images.indices("validation")) / (FORWARD_RATE * rate)


def _candidate_seconds(config: TrainingConfig, images: ImageSet, rate: float, workers: int, steps: int) -> float:
    """The part of the search's time that one candidate takes."""
    return _training_seconds(config, images, rate, steps) / workers + PROPOSAL_SECONDS


def _like(config: TrainingConfig, network: Network) -> TrainingConfig:
    return dataclasses.replace(config, id=network.name, network=network)


def scoring_of(plan: Mapping[str, Any], context: JobContext, images: ImageSet) -> CandidateScoring:
    """How the plan says that candidates are scored."""
    space = FeasibleSpace.of(Space.from_json(plan["space"]), Budget.from_dict(plan["budget"]))
    recipe, preprocessing = Recipe.from_dict(plan["recipe"]), Preprocessing(**plan["preprocessing"])
    row = {name: plan["candidate"][name] for name in ("batch", "steps", "warmup_steps")}
    config = TrainingConfig("candidate", space.space.base, recipe, preprocessing, plan["seed"], **row)
    return CandidateScoring(space, context, config, images)
