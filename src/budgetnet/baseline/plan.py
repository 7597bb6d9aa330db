"""How the time of a baseline's search is shared: scores and finals, each as a count, once."""

from __future__ import annotations

import dataclasses
import itertools
import math
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from budgetnet.baseline.by_supernet import BySupernet, Candidate, candidate_errand, judge
from budgetnet.baseline.by_training import ByTraining
from budgetnet.baseline.scorer import Scorer, ScorerName
from budgetnet.baseline.teaching import Teaching, time_teaching
from budgetnet.budget import Budget, BudgetError, Fit, fit, nearest_miss
from budgetnet.learn.bases import SMALL_PX, adapted_bases, base_px, largest_px, map_rank
from budgetnet.learn.data import ImageSet, Preprocessing
from budgetnet.learn.leg import Leg, Place, Timing, whole_leg
from budgetnet.learn.plan import TooShort, team_row
from budgetnet.learn.progress import Progress
from budgetnet.learn.recipe import Recipe, guarded_batch
from budgetnet.learn.train import FORWARD_RATE, SPARE_SHARE, TIMING_SECONDS, shared_batch, with_steps
from budgetnet.learn.trainer import Course
from budgetnet.learn.where import Where
from budgetnet.learn.workers import Team, Workers
from budgetnet.scaling import PAPER, Coefficients
from budgetnet.search.options import Options, options_of
from budgetnet.search.space import Space, default_space
from budgetnet.spec import Network

FINALS_SHARE = 0.3
"""Of the time that is left once everything is timed; the scores have the rest."""
SUPERNET_SHARE = 0.5
"""Of the same, for a supernet's training; its candidates have what lies between."""
TIMED_NETWORKS = 4
"""Drawn ones, for the speed of trainings: the slowest counts for finals, the base's among them, the mean for scores."""
JUDGED = 2
"""Candidates that each worker is timed with; the first of them opens the images."""
TRIAL_SECONDS = 0.25
"""Of the study for each trial, while no worker has anything to do."""
LEAST_STEPS, LEAST_CANDIDATES, MOST_CANDIDATES = 10, 4, 1000
SCORE_LENGTH, LEAST_SCORE_STEPS = 1 / 16, 40
"""Of the length of a final training what a candidate has that is scored by one, but at least so many steps: fewer say
nothing, and twice as many hardly more (docs/lab-log.md)."""
FINALS = ((3, 3), (3, 2), (2, 2), (2, 1))
"""Finalists and seeds, the most first: so many that a training sees its images `LEAST_EPOCHS` times."""
MOST_FINALISTS = 7
"""Where places would have nothing to do in the last turn of the finals, more finalists take them."""
LEAST_EPOCHS = 12
OWN_SIZE = Coefficients(PAPER.alpha, math.sqrt(2 / PAPER.alpha), 1.0)
"""alpha * beta^2 = 2 with the paper's alpha: the resolution stays. CIFAR-10 at 18 px was a poor base for 8 M MACs; the
same at 32 px got 3.8 points more in equal steps (docs/lab-log.md)."""
MANY_STEPS = 1_000_000
"""More than are timed: the rate must not have fallen to 0, and the augmentation is that of a long training."""
PAGE_SECONDS = 5.0


def space_for(images: ImageSet, budget: Budget, base: str | Network) -> Space:
    """The usual space around a base, scaled to the budget from the images' own size.

    Strides are dropped as in a comparison: as few as leave a last map of 4 px. The compound rule scales it, unless the
    images are small and only a base of their own size has such a map: then depth and width share what it would have
    given the resolution. Raises `BudgetError` where no size of the base keeps the budget.
    """
    rules = (PAPER, OWN_SIZE) if base_px(images) < SMALL_PX else (PAPER,)
    fits: list[tuple[int, Fit]] = []
    failures: list[BudgetError] = []
    for coefficients, (_, dropped, row) in itertools.product(rules, adapted_bases(images, [base])):
        try:
            fits.append((dropped, fit(row, budget, coefficients=coefficients, largest_px=largest_px(images))))
        except BudgetError as error:
            failures.append(error)
    if not fits:
        raise nearest_miss(failures, budget)
    found = min(fits, key=lambda row: map_rank(row[0], row[1].network))[1].network
    return default_space(dataclasses.replace(found, name=found.name.partition(" ")[0]))


@dataclass(frozen=True, slots=True)
class Draft:
    """What is to be planned: the teaching and the course of the base, both without their steps."""

    scorer: ScorerName
    teaching: Teaching
    team: Team
    course: Course


def planned(
    draft: Draft, images: ImageSet, where: Where, began: float, time_seconds: float, progress: Progress | None = None
) -> dict[str, Any]:
    """The rows of plan.json that say how long everything is, for trials that run `where`.

    Raises a one-line `ValueError` where the time is too short for any of it.
    """
    workers, course = where.places(), draft.course
    speeds = _timed_trainings(draft, where, progress)
    timed = _timed_supernet(draft, where, workers, progress) if draft.scorer == "supernet" else None
    spent = time.monotonic() - began
    startup = speeds.startup + (0.0 if timed is None else timed.startup)
    left = time_seconds * (1 - SPARE_SHARE) - spent - startup - PAGE_SECONDS
    finals = finals_of(course, images, speeds.slowest, workers, FINALS_SHARE * left)
    if timed is None:
        scores = _by_training(draft, images, speeds, workers, left, finals)
    else:
        scores = _by_supernet(draft, timed, workers, left)
    if finals["course"]["steps"] < LEAST_STEPS or scores.candidates < LEAST_CANDIDATES or scores.steps < scores.least:
        needed = max(scores.seconds, _least_finals(course, images, speeds.slowest, workers) / FINALS_SHARE)
        raise TooShort(time_seconds, "for a search and final trainings", 1.2 * (time_seconds - left + needed))
    count = min(scores.candidates, MOST_CANDIDATES, draft.teaching.options.count)
    return {**team_row(draft.team), **scores.rows, "workers": workers, "candidates": count, "finals": finals}


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
    plan.json; the seconds that the fewest of both would take of the whole."""

    candidates: int
    steps: int
    least: int
    seconds: float
    rows: dict[str, Any]


def _timed_trainings(draft: Draft, where: Where, progress: Progress | None) -> _Speeds:
    networks = [draft.teaching.options.drawn("speed", place) for place in range(TIMED_NETWORKS)]
    rows = [_like(draft.course, draft.teaching.options.network(one)) for one in networks]
    found = where.timed([draft.course, *rows], draft.teaching.place, progress)
    rates = [timing.apart for timing in found.courses]
    # Candidates are many and each has equal steps: their mean time counts, so the harmonic mean of their rates.
    return _Speeds(min(rates), statistics.harmonic_mean(rates[1:]), found.startup_seconds)


def _timed_supernet(draft: Draft, where: Where, workers: int, progress: Progress | None) -> _Supernet:
    taught = _timed_teaching(draft, progress)
    judged, startup = _timed_judging(draft.teaching, where, workers, progress)
    return _Supernet(taught.together, judged, 2 * startup)


def _by_training(
    draft: Draft, images: ImageSet, speeds: _Speeds, workers: int, left: float, finals: Mapping[str, Any]
) -> _Scores:
    batch, share = draft.course.batch, 1 - FINALS_SHARE
    answers = len(images.indices("validation")) / (FORWARD_RATE * speeds.mean)
    steps = max(LEAST_SCORE_STEPS, round(SCORE_LENGTH * finals["course"]["steps"]))

    def seconds(steps: int) -> float:
        """Of all places for one candidate."""
        return (steps * batch / speeds.mean + answers) / workers + TRIAL_SECONDS

    course = with_steps(draft.course, steps)
    row = {"batch": batch, "steps": steps, "warmup_steps": course.warmup_steps}
    rows = {
        "supernet": None,
        "candidate": {**row, "images_per_second": speeds.mean},
        "seconds_a_candidate": workers * (seconds(steps) - TRIAL_SECONDS),
    }
    least = LEAST_CANDIDATES * seconds(LEAST_SCORE_STEPS) / share
    return _Scores(int(share * left / seconds(steps)), steps, LEAST_SCORE_STEPS, least, rows)


def _by_supernet(draft: Draft, timed: _Supernet, workers: int, left: float) -> _Scores:
    batch, share = draft.teaching.batch, 1 - FINALS_SHARE - SUPERNET_SHARE
    steps = int(SUPERNET_SHARE * left * timed.taught / batch)
    each = timed.judged / workers + TRIAL_SECONDS
    rows = {
        "supernet": {"batch": batch, "steps": steps, "images_per_second": timed.taught},
        "candidate": None,
        "seconds_a_candidate": timed.judged,
    }
    least = max(LEAST_STEPS * batch / timed.taught / SUPERNET_SHARE, LEAST_CANDIDATES * each / share)
    return _Scores(int(share * left / each), steps, LEAST_STEPS, least, rows)


def _timed_teaching(draft: Draft, progress: Progress | None) -> Timing:
    place, team = draft.teaching.place, draft.team
    long = dataclasses.replace(draft.teaching, steps=MANY_STEPS)
    with Workers(time_teaching, team.processes, place.device, True, progress, team.threads) as workers:
        (found,) = workers.run([(long, 2 * TIMING_SECONDS)])
    assert found is not None
    return found


def _timed_judging(teaching: Teaching, where: Where, count: int, progress: Progress | None) -> tuple[float, float]:
    """Seconds of a candidate's score, and how long workers take to start and to open everything."""
    jobs = [Candidate(teaching.options.drawn(teaching.seed, "timed", place), teaching) for place in range(count)]
    before = time.monotonic()
    with where.workers(judge, candidate_errand, teaching.place, count, progress) as workers:
        workers.run(jobs)
        startup = time.monotonic() - before
        found = workers.run(jobs * (JUDGED - 1))
    return max(row.seconds for row in found), startup


def _like(course: Course, network: Network) -> Course:
    return dataclasses.replace(course, id=network.name, network=network)


def finals_of(course: Course, images: ImageSet, slowest: float, workers: int, seconds: float) -> dict[str, Any]:
    """Finalists, seeds and steps of every final training: the base's beside the finalists', equal steps for all."""
    answers = _answer_seconds(images, slowest)

    def seconds_each(finalists: int, seeds: int) -> float:
        return seconds / _turns(finalists, seeds, workers) - answers

    enough = LEAST_EPOCHS * len(images.indices("train")) / slowest
    finalists, seeds = next((pair for pair in FINALS if seconds_each(*pair) >= enough), FINALS[-1])
    wide = range(finalists, MOST_FINALISTS + 1)
    finalists = max(more for more in wide if _turns(more, seeds, workers) == _turns(finalists, seeds, workers))
    each = seconds_each(finalists, seeds)
    steps = max(1, int(each * slowest / course.batch))
    planned_course = with_steps(course, steps)
    return {
        "finalists": finalists,
        "seeds": seeds,
        "images_per_second": slowest,
        "seconds_each": max(0.0, each),
        "course": {"batch": course.batch, "steps": steps, "warmup_steps": planned_course.warmup_steps},
        "cooldown_steps": planned_course.cooldown_steps,
    }


def _least_finals(course: Course, images: ImageSet, slowest: float, workers: int) -> float:
    return _turns(*FINALS[-1], workers) * (LEAST_STEPS * course.batch / slowest + _answer_seconds(images, slowest))


def _turns(finalists: int, seeds: int, workers: int) -> int:
    """In which so many workers make the trainings of the finalists and the base."""
    return math.ceil((finalists + 1) * seeds / workers)


def _answer_seconds(images: ImageSet, rate: float) -> float:
    return (len(images.indices("validation")) + len(images.indices("test"))) / (FORWARD_RATE * rate)


def scorer_of(plan: Mapping[str, Any], place: Place, images: ImageSet) -> Scorer:
    """The scorer that the plan says."""
    options = options_of(Space.from_json(plan["space"]), Budget.from_dict(plan["budget"]))
    recipe, preprocessing, seed = Recipe.from_dict(plan["recipe"]), Preprocessing(**plan["preprocessing"]), plan["seed"]
    if plan["scorer"] == "supernet":
        row = plan["supernet"]
        return BySupernet(Teaching(options, place, recipe, preprocessing, seed, row["batch"], row["steps"]))
    row = {name: plan["candidate"][name] for name in ("batch", "steps", "warmup_steps")}
    course = Course("candidate", options.space.base, recipe, preprocessing, seed, **row)
    return ByTraining(options, place, course, images)


def draft_of(
    scorer: ScorerName,
    options: Options,
    images: ImageSet,
    recipe: Recipe,
    preprocessing: Preprocessing,
    place: Place,
) -> Draft:
    """A draft with the recipe's batch, shared by all processes."""
    batch, team = shared_batch(recipe, images, place.device)
    seed = place.split_seed
    teaching = Teaching(options, place, recipe, preprocessing, seed, batch, 1)
    alone = guarded_batch(recipe, len(images.indices("train")))
    return Draft(scorer, teaching, team, Course("base", options.space.base, recipe, preprocessing, seed, alone, 1, 1))


def legs_of(plan: Mapping[str, Any], networks: Sequence[tuple[str, Network]], place: Place) -> tuple[Leg, ...]:
    """The final trainings of these (id, network), one seed after another, on the one split of the search.

    A seed is of the weights and the augmentation: other splits' test images would be known to the search.
    """
    finals = plan["finals"]
    recipe, preprocessing = Recipe.from_dict(plan["recipe"]), Preprocessing(**plan["preprocessing"])
    return tuple(
        whole_leg(
            Course(final_id(name, seed), network, recipe, preprocessing, plan["seed"] + seed, **finals["course"]),
            place,
            f"finals/{name}, seed {seed}",
            finals["cooldown_steps"],
        )
        for seed in range(finals["seeds"])
        for name, network in networks
    )


def final_id(name: str, seed: int) -> str:
    """The name of a final training's files."""
    return f"{name}-seed{seed}"
