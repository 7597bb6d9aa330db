"""How the time of a baseline's search is shared: the supernet, the candidates, the finals, each as a count, once."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from budgetnet.baseline.scoring import Candidate, candidate_errand, judge
from budgetnet.baseline.teaching import Teaching, time_teaching
from budgetnet.budget import Budget, BudgetError, Fit, fit, nearest_miss
from budgetnet.learn.bases import adapted_bases, largest_px, map_rank
from budgetnet.learn.data import ImageSet, Preprocessing
from budgetnet.learn.leg import Leg, Place, Timing
from budgetnet.learn.plan import TooShort, team_row
from budgetnet.learn.progress import Progress
from budgetnet.learn.recipe import Recipe, guarded_batch
from budgetnet.learn.train import FORWARD_RATE, SPARE_SHARE, TIMING_SECONDS, shared_batch, with_steps
from budgetnet.learn.trainer import Course
from budgetnet.learn.where import Where
from budgetnet.learn.workers import Team, Workers
from budgetnet.search.options import Options, options_of
from budgetnet.search.space import Space, default_space
from budgetnet.spec import Network

SUPERNET_SHARE, SEARCH_SHARE = 0.5, 0.2
"""Of the time that is left once everything is timed; the finals have the rest."""
TIMED_NETWORKS = 2
"""Drawn ones, for the speed of a final training: the slowest counts, and the base's beside them."""
JUDGED = 2
"""Candidates that each worker is timed with; the first of them opens the images."""
TRIAL_SECONDS = 0.25
"""Of the study for each trial, while no worker has anything to do."""
LEAST_STEPS, LEAST_CANDIDATES, MOST_CANDIDATES = 10, 4, 1000
FINALS = ((3, 3), (3, 2), (2, 2), (2, 1))
"""Finalists and seeds, the most first: so many that a training sees its images `LEAST_EPOCHS` times."""
LEAST_EPOCHS = 12
MANY_STEPS = 1_000_000
"""More than are timed: the rate must not have fallen to 0, and the augmentation is that of a long training."""
PAGE_SECONDS = 5.0


def space_for(images: ImageSet, budget: Budget, base: str | Network) -> Space:
    """The usual space around a base, scaled by the compound rule to the budget from the images' own size.

    Strides are dropped as in a comparison: as few as leave a last map of 4 px. Raises `BudgetError` where no size of
    the base keeps the budget.
    """
    fits: list[tuple[int, Fit]] = []
    failures: list[BudgetError] = []
    for _, dropped, row in adapted_bases(images, [base]):
        try:
            fits.append((dropped, fit(row, budget, largest_px=largest_px(images))))
        except BudgetError as error:
            failures.append(error)
    if not fits:
        raise nearest_miss(failures, budget)
    found = min(fits, key=lambda row: map_rank(row[0], row[1].network))[1].network
    return default_space(dataclasses.replace(found, name=found.name.partition(" ")[0]))


@dataclass(frozen=True, slots=True)
class Draft:
    """What is to be planned: the teaching and the finals' course of the base, both without their steps."""

    teaching: Teaching
    team: Team
    course: Course


def planned(
    draft: Draft, images: ImageSet, where: Where, began: float, time_seconds: float, progress: Progress | None = None
) -> dict[str, Any]:
    """The rows of plan.json that say how long everything is, for trials that run `where`.

    Raises a one-line `ValueError` where the time is too short for any of it.
    """
    workers = where.places()
    taught = _timed_teaching(draft, progress)
    judged, startup = _timed_judging(draft.teaching, where, workers, progress)
    courses = [draft.course, *(_like(draft.course, network) for network in _drawn(draft.teaching.options))]
    trained = where.timed(courses, draft.teaching.place, progress)
    slowest = min(timing.apart for timing in trained.courses)
    spent = time.monotonic() - began
    left = time_seconds * (1 - SPARE_SHARE) - spent - 3 * startup - PAGE_SECONDS
    teaching, course = draft.teaching, draft.course
    steps = int(SUPERNET_SHARE * left * taught.together / teaching.batch)
    candidates = int(SEARCH_SHARE * left / (judged / workers + TRIAL_SECONDS))
    finals = _finals(course, images, slowest, workers, (1 - SUPERNET_SHARE - SEARCH_SHARE) * left)
    if steps < LEAST_STEPS or candidates < LEAST_CANDIDATES or finals["course"]["steps"] < LEAST_STEPS:
        least = max(
            LEAST_STEPS * teaching.batch / taught.together / SUPERNET_SHARE,
            LEAST_CANDIDATES * (judged / workers + TRIAL_SECONDS) / SEARCH_SHARE,
            _least_finals(course, images, slowest, workers) / (1 - SUPERNET_SHARE - SEARCH_SHARE),
        )
        what = "for a supernet, a search and final trainings"
        raise TooShort(time_seconds, what, 1.2 * (time_seconds - left + least))
    return {
        **team_row(draft.team),
        "supernet": {"batch": teaching.batch, "steps": steps, "images_per_second": taught.together},
        "workers": workers,
        "candidates": min(candidates, MOST_CANDIDATES, teaching.options.count),
        "seconds_a_candidate": judged,
        "finals": finals,
    }


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


def _drawn(options: Options) -> list[Network]:
    return [options.network(options.drawn("speed", place)) for place in range(TIMED_NETWORKS)]


def _like(course: Course, network: Network) -> Course:
    return dataclasses.replace(course, id=network.name, network=network)


def _finals(course: Course, images: ImageSet, slowest: float, workers: int, seconds: float) -> dict[str, Any]:
    """Finalists, seeds and steps of every final training: the base's beside the finalists', equal steps for all."""
    answers = _answer_seconds(images, slowest)

    def seconds_each(finalists: int, seeds: int) -> float:
        return seconds / math.ceil((finalists + 1) * seeds / workers) - answers

    enough = LEAST_EPOCHS * len(images.indices("train")) / slowest
    finalists, seeds = next((pair for pair in FINALS if seconds_each(*pair) >= enough), FINALS[-1])
    each = seconds_each(finalists, seeds)
    steps = max(1, int(each * slowest / course.batch))
    planned_course = with_steps(course, steps)
    return {
        "finalists": finalists,
        "seeds": seeds,
        "images_per_second": slowest,
        "seconds_each": max(0.0, each),
        "course": {"batch": course.batch, "steps": steps, "warmup_steps": planned_course.warmup_steps},
        "cooldown_steps": min(steps, round(course.recipe.cooldown_share * steps)),
    }


def _least_finals(course: Course, images: ImageSet, slowest: float, workers: int) -> float:
    finalists, seeds = FINALS[-1]
    waves = math.ceil((finalists + 1) * seeds / workers)
    return waves * (LEAST_STEPS * course.batch / slowest + _answer_seconds(images, slowest))


def _answer_seconds(images: ImageSet, rate: float) -> float:
    return (len(images.indices("validation")) + len(images.indices("test"))) / (FORWARD_RATE * rate)


def teaching_of(plan: Mapping[str, Any], place: Place) -> Teaching:
    """The supernet's training that the plan says."""
    space, budget = Space.from_json(plan["space"]), Budget.from_dict(plan["budget"])
    row = plan["supernet"]
    recipe, preprocessing = Recipe.from_dict(plan["recipe"]), Preprocessing(**plan["preprocessing"])
    return Teaching(options_of(space, budget), place, recipe, preprocessing, plan["seed"], row["batch"], row["steps"])


def draft_of(options: Options, images: ImageSet, recipe: Recipe, preprocessing: Preprocessing, place: Place) -> Draft:
    """A draft with the recipe's batch, shared by all processes."""
    batch, team = shared_batch(recipe, images, place.device)
    seed = place.split_seed
    teaching = Teaching(options, place, recipe, preprocessing, seed, batch, 1)
    alone = guarded_batch(recipe, len(images.indices("train")))
    return Draft(teaching, team, Course("base", options.space.base, recipe, preprocessing, seed, alone, 1, 1))


def legs_of(plan: Mapping[str, Any], networks: Sequence[tuple[str, Network]], place: Place) -> tuple[Leg, ...]:
    """The final trainings of these (id, network), one seed after another, on the one split of the search.

    A seed is of the weights and the augmentation: other splits' test images would be known to the search.
    """
    finals = plan["finals"]
    recipe, preprocessing = Recipe.from_dict(plan["recipe"]), Preprocessing(**plan["preprocessing"])
    row, down = finals["course"], finals["cooldown_steps"]
    return tuple(
        Leg(
            Course(final_id(name, seed), network, recipe, preprocessing, plan["seed"] + seed, **row),
            place,
            "final",
            f"finals/{name}, seed {seed}",
            row["steps"] - down,
            down,
        )
        for seed in range(finals["seeds"])
        for name, network in networks
    )


def final_id(name: str, seed: int) -> str:
    """The name of a final training's files."""
    return f"{name}-seed{seed}"
