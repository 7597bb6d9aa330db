"""How the time of a solve is shared, as counts of steps: made once, kept in plan.json."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from budgetnet.learn.data import ImageSet, Preprocessing
from budgetnet.learn.leg import Place, Timing
from budgetnet.learn.plan import course_row, team_row
from budgetnet.learn.progress import Progress
from budgetnet.learn.recipe import Recipe
from budgetnet.learn.train import (
    SPARE_SHARE,
    evaluation_seconds,
    shared_batch,
    timed,
    validation_seconds,
    with_steps,
)
from budgetnet.learn.trainer import Course
from budgetnet.learn.workers import Team, workers_for
from budgetnet.search.race import survivors
from budgetnet.solve.candidates import Candidate

RACE_SHARE = 0.3
"""Of the time: what the race takes. The winner goes on from its own part of it."""
CORE_SECONDS_AN_ENTRANT = 100.0
MOST_ENTRANTS = 12
ENOUGH_STEPS = 0.6
"""Of the steps that a race and a final training give the winner: so many for every entrant make a race needless."""
RUNG_COOLDOWN_SHARE = 0.3
"""Of a rung's steps: the short cool-down before its score."""


@dataclass(frozen=True, slots=True)
class Clock:
    """When the solve began and how long it may take, in seconds of `time.monotonic`."""

    began: float
    seconds: float

    @property
    def left_seconds(self) -> float:
        """What is left now, less a spare part for steps slower than the timed ones."""
        return self.seconds * (1 - SPARE_SHARE) - (time.monotonic() - self.began)


def entrants_for(time_seconds: float, workers: int) -> int:
    """How many candidates a race can tell apart: max(2, core-seconds of the race / 100), at most 12."""
    return min(MOST_ENTRANTS, max(2, int(RACE_SHARE * time_seconds * workers / CORE_SECONDS_AN_ENTRANT)))


def drafted(
    raced: Sequence[Candidate],
    images: ImageSet,
    recipe: Recipe,
    preprocessing: Preprocessing,
    seed: int,
    device: str,
) -> tuple[list[Course], Team]:
    """The candidates' courses, their steps not yet known, and the team that shares a batch."""
    batch, team = shared_batch(recipe, images, device)
    return [Course(row.id, row.network, recipe, preprocessing, seed, batch, 1, 1) for row in raced], team


def planned(
    drafts: Sequence[Course],
    images: ImageSet,
    place: Place,
    team: Team,
    clock: Clock,
    progress: Progress | None = None,
    incumbent: str | None = None,
) -> dict[str, Any]:
    """The rows "race", "final" and of the team for plan.json: every candidate's steps in every rung and at the end.

    Candidates get equal time, not equal steps: the budget of time is the user's, and a faster
    network sees more images in it. Where each has a core and gets about as far on it as the winner of a race would, all
    are trained to the end and compared then, for early scores favour what has least to recover; `final` is then None.
    Raises `ValueError` where the time is gone before any training.
    """
    measured = timed(drafts, place, team, progress)
    timings = measured.courses
    evaluation = max(evaluation_seconds(images, timing) for timing in timings)
    # Workers start twice more: for the race and for the final training.
    left = clock.left_seconds - 2 * measured.startup_seconds - evaluation
    if left < 2.0:
        needed = 2 * (clock.seconds - clock.left_seconds) + 20
        raise ValueError(f"{clock.seconds:g} s are gone before training could start; give at least {needed:.0f} s")
    race_seconds = min(RACE_SHARE * clock.seconds, 0.5 * left)
    counts = survivors(len(drafts))
    workers = workers_for(place.device)
    waves = [-(-count // workers) for count in counts]
    seconds = [race_seconds / len(counts) / wave for wave in waves]
    validation = len(images.indices("validation"))
    entrants = [
        entrant_row(draft, timing, seconds, left - race_seconds, validation)
        for draft, timing in zip(drafts, timings, strict=True)
    ]
    final: dict[str, Any] | None = {"seconds": left - race_seconds, "learns": ["train", "validation"]}
    whole_seconds = left + measured.startup_seconds  # there is no final training that workers would start for
    whole = [whole_row(draft, timing, whole_seconds) for draft, timing in zip(drafts, timings, strict=True)]
    if len(drafts) <= workers and _get_as_far(whole, entrants):
        entrants, race_seconds, final = whole, whole_seconds, None
    return {
        **team_row(team),
        "race": {
            "seconds": race_seconds,
            "kept": list(counts),
            "incumbent": incumbent,
            "images_per_second": {
                draft.id: {"apart": timing.apart, "together": timing.together}
                for draft, timing in zip(drafts, timings, strict=True)
            },
            "entrants": entrants,
        },
        "final": final,
    }


def _get_as_far(whole: Sequence[Mapping[str, Any]], raced: Sequence[Mapping[str, Any]]) -> bool:
    steps = ((one["course"]["steps"], other["course"]["steps"]) for one, other in zip(whole, raced, strict=True))
    return all(one >= ENOUGH_STEPS * other for one, other in steps)


def whole_row(draft: Course, timing: Timing, seconds: float) -> dict[str, Any]:
    """An entrant's course and steps where its only rung is the whole training, on one core."""
    steps = max(2, int(seconds * timing.apart / draft.batch))
    cooldown = min(steps - 1, round(draft.recipe.cooldown_share * steps))
    return {
        "id": draft.id,
        "course": course_row(with_steps(draft, steps)),
        "rungs": [{"trunk_until": steps - cooldown, "cooldown_steps": cooldown}],
        "final": None,
    }


def entrant_row(
    draft: Course, timing: Timing, rung_seconds: Sequence[float], final_seconds: float, validation: int
) -> dict[str, Any]:
    """One entrant's course and its steps: where each rung leaves the trunk, and the end.

    A rung's seconds pay for the score on the `validation` images too.
    """
    rungs: list[dict[str, int]] = []
    trunk = 0
    for seconds in rung_seconds:
        left = seconds - validation_seconds(validation, timing)
        steps = max(2, int(left * timing.apart / draft.batch))
        cooldown = max(1, round(RUNG_COOLDOWN_SHARE * steps))
        trunk += steps - cooldown
        rungs.append({"trunk_until": trunk, "cooldown_steps": cooldown})
    final_steps = max(2, int(final_seconds * timing.together / draft.batch))
    total = trunk + final_steps
    cooldown = min(final_steps - 1, round(draft.recipe.cooldown_share * total))
    warmup = max(1, min(round(draft.recipe.warmup_share * total), rungs[0]["trunk_until"] // 2))
    course = with_steps(draft, total, warmup)
    return {
        "id": draft.id,
        "course": course_row(course),
        "rungs": rungs,
        "final": {"trunk_until": total - cooldown, "cooldown_steps": cooldown},
    }
