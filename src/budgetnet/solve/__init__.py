"""The main job: a budget and images in, the winner and its evidence out."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from budgetnet.budget import Budget, Fit
from budgetnet.learn.data import ImageSet, Pixels, open_cache, open_images
from budgetnet.learn.evaluate import Evaluation
from budgetnet.learn.leg import Leg, Place, run_leg
from budgetnet.learn.outcome import conclude, finished, write_split
from budgetnet.learn.plan import (
    course_of,
    data_row,
    load_plan,
    machine_row,
    only_one,
    preprocessing_for,
    preprocessing_row,
    run_folder,
    same_arguments,
    same_data,
    save_plan,
    side_px_for,
)
from budgetnet.learn.progress import Progress, Update, silent
from budgetnet.learn.recipe import Recipe, recipe_for, recipe_of
from budgetnet.learn.run import check_device, write_json
from budgetnet.learn.statistics import wilson
from budgetnet.learn.train import PRECISIONS, run_together
from budgetnet.learn.workers import Workers, workers_for
from budgetnet.scaling import STRATEGIES, Strategy
from budgetnet.search.race import race
from budgetnet.solve.candidates import BASES, Candidate, candidates
from budgetnet.solve.choice import Choice, choose_winner
from budgetnet.solve.plan import Clock, entrants_for, planned
from budgetnet.spec import Network, choose

LEAST_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Solution:
    """The winner and its evidence. `choice` says in a sentence why it is this one."""

    run: Path
    fit: Fit
    candidates: tuple[Candidate, ...]
    choice: str
    validation: Evaluation
    test: Evaluation
    report: Path


def solve(
    data: str | Path,
    budget: Budget,
    time_seconds: float = 900.0,
    out: Path | str | None = None,
    seed: int = 0,
    recipe: str | Recipe = "modern",
    bases: Sequence[str | Network] | None = None,
    strategies: Sequence[Strategy] | None = None,
    device: str = "cpu",
    precision: str = "float32",
    fresh: bool = False,
    progress: Progress | None = None,
) -> Solution:
    """The most accurate network that keeps the budget, trained within `time_seconds`.

    Candidates of every base and strategy are fitted, a diverse few race on the validation split,
    the winner trains for the rest of the time and is tested once on the held-out test split. The same
    call goes on where a killed one was; a finished run is read, not made again, unless `fresh`.
    Raises `BudgetError` where no network keeps the budget, `ValueError` for other bad input.
    """
    began = time.monotonic()
    if not math.isfinite(time_seconds) or time_seconds < LEAST_SECONDS:
        raise ValueError(f"time is {time_seconds!r} s; a race and a training need at least {LEAST_SECONDS:g} s")
    check_device(device)
    choose("precision", precision, PRECISIONS)
    asked = _Asked(
        str(data), budget, time_seconds, seed, recipe_of(recipe), tuple(bases or BASES), tuple(strategies or STRATEGIES)
    )
    run = run_folder(out, asked.data, {**asked.to_dict(), "precision": precision})
    with only_one(run, fresh):
        plan = load_plan(run, "solve")
        images = open_images(asked.data, seed, progress)
        fitted = recipe_for(asked.recipe, images.in_channels)
        if plan is not None:
            same_arguments(plan, {**asked.to_dict(), "precision": precision}, run)
            same_data(plan, images, run)
        workers = workers_for(device)
        entrants = len(plan["race"]["entrants"]) if plan else entrants_for(time_seconds, workers)
        found = candidates(images, budget, entrants, asked.bases, asked.strategies)
        raced = tuple(row for row in found if row.raced)
        if plan is not None and [row.id for row in raced] != [row["id"] for row in plan["race"]["entrants"]]:
            made_by = plan["machine"]["budgetnet"]
            raise ValueError(
                f"{run} was planned by budgetnet {made_by} with other candidates; use --fresh or another --out"
            )
        preprocessing = preprocessing_for(images)
        side_px = side_px_for([row.network for row in raced], images, preprocessing)
        pixels = open_cache(images, side_px, progress=progress)
        place = Place(asked.data, seed, side_px, str(run / "training"), device, precision)
        if plan is None:
            clock = Clock(began, time_seconds)
            steps = planned(raced, images, fitted, seed, place, clock, progress)
            row = {**asked.row(images, found), "recipe": fitted.to_dict(), "precision": precision, **steps}
            plan = save_plan(run, row)
        return _Run(run, plan, found, images, pixels, place, progress or silent).finish()


@dataclass(frozen=True, slots=True)
class _Asked:
    """The question, as the run's name and plan.json hold it."""

    data: str
    budget: Budget
    time_seconds: float
    seed: int
    recipe: Recipe
    bases: tuple[str | Network, ...]
    strategies: tuple[Strategy, ...]

    def to_dict(self) -> dict[str, Any]:
        return {
            "budget": self.budget.to_dict(),
            "time_seconds": self.time_seconds,
            "seed": self.seed,
            "recipe": self.recipe.to_dict(),
            "bases": [base if isinstance(base, str) else base.to_json() for base in self.bases],
            "strategies": list(self.strategies),
        }

    def row(self, images: ImageSet, found: Sequence[Candidate]) -> dict[str, Any]:
        return {
            "command": "solve",
            "data": data_row(self.data, images),
            **self.to_dict(),
            "preprocessing": preprocessing_row(preprocessing_for(images)),
            "machine": machine_row(),
            "candidates": [row.to_dict() for row in found],
        }


@dataclass(frozen=True, slots=True)
class _Run:
    """A planned run: what is done is read, what is missing is made."""

    run: Path
    plan: Mapping[str, Any]
    found: tuple[Candidate, ...]
    images: ImageSet
    pixels: Pixels
    place: Place
    progress: Progress

    def finish(self) -> Solution:
        began = time.monotonic()
        legs = self._raced()
        choice = self._choose(legs)
        raced = time.monotonic()
        winner = next(row for row in self.found if row.id == choice.id)
        final = self._leg(choice.id, "final", "final", self._entrant(choice.id)["final"])
        done = finished(self.run)
        if done is None:
            if not final.scores.exists():
                run_together(final, self.progress)
            write_split(self.run, self.images)
            write_json(
                self.run / "certificate.json", {"network": winner.network.name, **winner.fit.certificate.to_dict()}
            )
            now = time.monotonic()
            seconds = {"race": raced - began, "final": now - raced}
            extra = {"choice": choice.to_dict(), "race": self._scores(legs), "seconds": seconds}
            done = conclude(self.run, final, self.images, self.pixels, extra)
        from budgetnet.show.report import write_report

        report = write_report(self.run)
        return Solution(self.run, winner.fit, self.found, choice.reason, done.validation, done.test, report)

    def _raced(self) -> list[list[Leg]]:
        """The legs of every rung, all done. A rung that is finished is not run again."""
        rungs: list[list[Leg]] = []
        count = workers_for(self.place.device)
        total = sum(self.plan["race"]["kept"])
        with Workers(run_leg, count, self.place.device, progress=self.progress) as workers:

            def score(rung: int, ids: Sequence[str]) -> dict[str, float]:
                legs = [
                    self._leg(name, f"rung-{rung}", f"race/{name}", self._entrant(name)["rungs"][rung]) for name in ids
                ]
                done = sum(len(row) for row in rungs)
                rungs.append(legs)
                missing = [leg for leg in legs if not leg.scores.exists()]

                def tell(text: str) -> None:
                    self.progress(Update("race", done + sum(leg.scores.exists() for leg in legs), total, text))

                tell(f"rung {rung + 1}")
                workers.run(missing, lambda leg, _: tell(leg.course.id))
                return {leg.course.id: float(self._right(leg).mean()) for leg in legs}

            race([row["id"] for row in self.plan["race"]["entrants"]], score)
        return rungs

    def _choose(self, rungs: Sequence[Sequence[Leg]]) -> Choice:
        last = rungs[-1]
        macs = {row.id: row.fit.cost.macs for row in self.found}
        return choose_winner([leg.course.id for leg in last], {leg.course.id: self._right(leg) for leg in last}, macs)

    def _right(self, leg: Leg) -> NDArray[np.bool_]:
        """Which validation images the leg's model got right."""
        scores = np.load(leg.scores)
        answers, labels = scores["probabilities"], np.asarray(self.images.labels)[scores["indices"]]
        # A training that ran away answers NaN, which argmax takes for the first class: it is right nowhere.
        return (answers.argmax(1) == labels) & np.isfinite(answers).all(1)

    def _scores(self, rungs: Sequence[Sequence[Leg]]) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        for rung, legs in enumerate(rungs):
            for leg in legs:
                right = self._right(leg)
                low, high = wilson(int(right.sum()), len(right))
                steps = leg.trunk_until + leg.cooldown_steps
                row = {"id": leg.course.id, "rung": rung, "steps": steps, "accuracy": float(right.mean())}
                rows.append({**row, "low": low, "high": high})
        return rows

    def _entrant(self, name: str) -> Mapping[str, Any]:
        return next(row for row in self.plan["race"]["entrants"] if row["id"] == name)

    def _leg(self, name: str, file: str, phase: str, steps: Mapping[str, int]) -> Leg:
        course = course_of(self._entrant(name)["course"], self.plan)
        return Leg(course, self.place, file, phase, steps["trunk_until"], steps["cooldown_steps"])
