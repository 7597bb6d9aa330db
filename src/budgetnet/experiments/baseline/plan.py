"""How the time of a baseline's search is shared: scores, semifinals and finals, each as a count, once."""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from budgetnet.budgets.budget import Budget
from budgetnet.budgets.feasible_space import Options, options_of
from budgetnet.budgets.search_space import Space
from budgetnet.cluster.executor import Executor, batch_for
from budgetnet.data import ImageSet, Preprocessing
from budgetnet.experiments.baseline.by_supernet import BySupernet, Candidate, judge
from budgetnet.experiments.baseline.by_training import ByTraining
from budgetnet.experiments.baseline.finals import (
    LEAST_SCORE_STEPS,
    finals_of,
    least_final_steps,
    least_finals,
    semifinals_of,
)
from budgetnet.experiments.baseline.scorer import Scorer, ScorerName
from budgetnet.experiments.baseline.teaching import Teaching, time_teaching
from budgetnet.networks import Network
from budgetnet.parallel.progress import Progress
from budgetnet.parallel.workers import ProcessGroup, Workers
from budgetnet.training.job import JobContext, Timing
from budgetnet.training.plan import TooShort, process_group_row
from budgetnet.training.recipe import Recipe
from budgetnet.training.stopwatch import TIMING_SECONDS
from budgetnet.training.train import FORWARD_RATE, SPARE_SHARE, shared_batch, with_steps
from budgetnet.training.trainer import TrainingConfig

FINALS_SHARE, SEMIFINALS_SHARE = 0.3, 0.2
"""Of the time that is left once everything is timed; the scores have the rest, and all that the semifinals leave."""
SUPERNET_SHARE = 0.75
"""Of the scores' time, for a supernet's training; its candidates have the rest."""
TIMED_NETWORKS = 4
"""Drawn ones, for the speed of trainings: the slowest counts for finals, the base's among them, the mean for scores."""
JUDGED = 2
"""Candidates that each worker is timed with; the first of them opens the images."""
TRIAL_SECONDS = 0.25
"""Of the study for each trial, while no worker has anything to do."""
LEAST_CANDIDATES, MOST_CANDIDATES = 4, 1000
SCORE_LENGTH = 1 / 16
"""Of the length of a final training what a candidate has that is scored by one, but at least `LEAST_SCORE_STEPS`: twice
as many say hardly more (docs/lab-log.md)."""
MEMORY_NETWORKS = 32
"""Drawn networks whose training must fit into memory."""
STARTS = 3
"""Of workers: for the scores by training, the semifinals and the finals. A supernet's are timed with it."""
MANY_STEPS = 1_000_000
"""More than are timed: the rate must not have fallen to 0, and the augmentation is that of a long training."""
PAGE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Draft:
    """What is to be planned: the config of the base without its steps; with a supernet, `batch` is its training's, of
    the whole team."""

    scorer: ScorerName
    options: Options
    context: JobContext
    group: ProcessGroup
    batch: int
    config: TrainingConfig

    def teaching(self, steps: int) -> Teaching:
        """A supernet's training of so many steps."""
        config = self.config
        return Teaching(self.options, self.context, config.recipe, config.preprocessing, config.seed, self.batch, steps)


def planned(
    draft: Draft,
    images: ImageSet,
    executor: Executor,
    began: float,
    time_seconds: float,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """The rows of plan.json that say how long everything is, for trials that run `where`.

    Raises a one-line `ValueError` where the time is too short for any of it.
    """
    workers, config = executor.slots(), draft.config
    speeds = _timed_trainings(draft, executor, progress)
    timed = _timed_supernet(draft, executor, workers, progress) if draft.scorer == "supernet" else None
    spent = time.monotonic() - began
    startup = STARTS * speeds.startup + (0.0 if timed is None else timed.startup)
    left = time_seconds * (1 - SPARE_SHARE) - spent - startup - PAGE_SECONDS
    finals = finals_of(config, images, speeds.slowest, workers, FINALS_SHARE * left)
    again = SEMIFINALS_SHARE * left
    semifinals = semifinals_of(config, images, speeds.mean, workers, again, finals, draft.options.count)
    seconds = (1 - FINALS_SHARE) * left - (semifinals["seconds"] if semifinals else 0.0)
    if timed is None:
        scores = _by_training(draft, images, speeds, workers, seconds, finals)
    else:
        scores = _by_supernet(draft, timed, workers, seconds)
    untrained = finals["config"]["steps"] < least_final_steps(config, images)
    if untrained or scores.candidates < LEAST_CANDIDATES or scores.steps < scores.least:
        shortest = least_finals(config, images, speeds.slowest, workers) / FINALS_SHARE
        needed = max(scores.seconds / (1 - FINALS_SHARE - SEMIFINALS_SHARE), shortest)
        raise TooShort(time_seconds, "for a search and final trainings", 1.2 * (time_seconds - left + needed))
    count = min(scores.candidates, MOST_CANDIDATES, draft.options.count)
    rows = {"candidates": count, "semifinals": semifinals, "finals": finals}
    return {**process_group_row(draft.group), **scores.rows, "workers": workers, **rows}


@dataclass(frozen=True, slots=True)
class _Speeds:
    """Images a second of one trial, over drawn networks and the base; how long workers take to start."""

    slowest: float
    mean: float
    startup: float


@dataclass(frozen=True, slots=True)
class _Supernet:
    """Images a second of a supernet's training, seconds of a candidate's score, how long workers take to start."""

    taught: float
    judged: float
    startup: float


@dataclass(frozen=True, slots=True)
class _Scores:
    """How many candidates are scored, after how many steps of which at least so many are needed; the rows of
    plan.json; the seconds that the fewest of both would take."""

    candidates: int
    steps: int
    least: int
    seconds: float
    rows: dict[str, Any]


def _timed_trainings(draft: Draft, executor: Executor, progress: Progress | None) -> _Speeds:
    networks = [draft.options.drawn("speed", context) for context in range(TIMED_NETWORKS)]
    rows = [_like(draft.config, draft.options.network(one)) for one in networks]
    found = executor.timed([draft.config, *rows], draft.context, progress)
    rates = [timing.single_process for timing in found.configs]
    # Candidates are many and each has equal steps: their mean time counts, so the harmonic mean of their rates.
    return _Speeds(min(rates), statistics.harmonic_mean(rates[1:]), found.startup_seconds)


def _timed_supernet(draft: Draft, executor: Executor, workers: int, progress: Progress | None) -> _Supernet:
    taught = _timed_teaching(draft, progress)
    judged, startup = _timed_judging(draft.teaching(1), executor, workers, progress)
    return _Supernet(taught.data_parallel, judged, 2 * startup)


def _by_training(
    draft: Draft, images: ImageSet, speeds: _Speeds, workers: int, time_seconds: float, finals: Mapping[str, Any]
) -> _Scores:
    batch = draft.config.batch
    answers = len(images.indices("validation")) / (FORWARD_RATE * speeds.mean)
    steps = max(LEAST_SCORE_STEPS, round(SCORE_LENGTH * finals["config"]["steps"]))

    def seconds(steps: int) -> float:
        """Of all places for one candidate."""
        return (steps * batch / speeds.mean + answers) / workers + TRIAL_SECONDS

    config = with_steps(draft.config, steps)
    row = {"batch": batch, "steps": steps, "warmup_steps": config.warmup_steps}
    rows = {
        "supernet": None,
        "candidate": {**row, "images_per_second": speeds.mean},
        "seconds_a_candidate": workers * (seconds(steps) - TRIAL_SECONDS),
    }
    least = LEAST_CANDIDATES * seconds(LEAST_SCORE_STEPS)
    return _Scores(int(time_seconds / seconds(steps)), steps, LEAST_SCORE_STEPS, least, rows)


def _by_supernet(draft: Draft, timed: _Supernet, workers: int, time_seconds: float) -> _Scores:
    batch, share = draft.batch, 1 - SUPERNET_SHARE
    steps = int(SUPERNET_SHARE * time_seconds * timed.taught / batch)
    each = timed.judged / workers + TRIAL_SECONDS
    rows = {
        "supernet": {"batch": batch, "steps": steps, "images_per_second": timed.taught},
        "candidate": None,
        "seconds_a_candidate": timed.judged,
    }
    least = max(LEAST_SCORE_STEPS * batch / timed.taught / SUPERNET_SHARE, LEAST_CANDIDATES * each / share)
    return _Scores(int(share * time_seconds / each), steps, LEAST_SCORE_STEPS, least, rows)


def _timed_teaching(draft: Draft, progress: Progress | None) -> Timing:
    group = draft.group
    with Workers(time_teaching, group.processes, draft.context.device, True, progress, group.threads) as workers:
        (found,) = workers.run([(draft.teaching(MANY_STEPS), 2 * TIMING_SECONDS)])
    assert found is not None
    return found


def _timed_judging(
    teaching: Teaching, executor: Executor, count: int, progress: Progress | None
) -> tuple[float, float]:
    """Seconds of a candidate's score, and how long workers take to start and to open everything."""
    jobs = [Candidate(teaching.options.drawn(teaching.seed, "timed", context), teaching) for context in range(count)]
    before = time.monotonic()
    with executor.workers(judge, teaching.context, count, progress) as workers:
        workers.run(jobs)
        startup = time.monotonic() - before
        found = workers.run(jobs * (JUDGED - 1))
    return max(row.seconds for row in found), startup


def _like(config: TrainingConfig, network: Network) -> TrainingConfig:
    return dataclasses.replace(config, id=network.name, network=network)


def scorer_of(plan: Mapping[str, Any], context: JobContext, images: ImageSet) -> Scorer:
    """The scorer that the plan says."""
    options = options_of(Space.from_json(plan["space"]), Budget.from_dict(plan["budget"]))
    recipe, preprocessing, seed = Recipe.from_dict(plan["recipe"]), Preprocessing(**plan["preprocessing"]), plan["seed"]
    if plan["scorer"] == "supernet":
        row = plan["supernet"]
        return BySupernet(Teaching(options, context, recipe, preprocessing, seed, row["batch"], row["steps"]))
    row = {name: plan["candidate"][name] for name in ("batch", "steps", "warmup_steps")}
    config = TrainingConfig("candidate", options.space.base, recipe, preprocessing, seed, **row)
    return ByTraining(options, context, config, images)


def draft_of(
    scorer: ScorerName,
    options: Options,
    images: ImageSet,
    recipe: Recipe,
    preprocessing: Preprocessing,
    context: JobContext,
    executor: Executor,
) -> Draft:
    """A draft with the recipe's batch, or less where memory is short.

    That of a supernet, which all processes share, is for its largest network; that of the trainings of single ones for
    the most demanding of some drawn networks.
    """
    base, most_bytes = options.space.base, options.budget.train_bytes
    largest = [options.network(options.largest())] if scorer == "supernet" else []
    batch, group = shared_batch(recipe, images, context.device, largest, most_bytes, single_process=False)
    drawn = [options.network(options.drawn("memory", number)) for number in range(MEMORY_NETWORKS)]
    alone = batch_for(executor, recipe, len(images.indices("train")), [base, *drawn], most_bytes)
    config = TrainingConfig("base", options.space.base, recipe, preprocessing, context.split_seed, alone, 1, 1)
    return Draft(scorer, options, context, group, batch, config)
