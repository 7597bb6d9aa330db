"""Coefficients for the user's own data: the true space, a race, and a check at phi = 2."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from budgetnet.coefficients.entrants import Entrants, base_of, drawn_words, entrants_for, entrants_of, same_network
from budgetnet.coefficients.judging import (
    Answers,
    difference_of,
    differences_of,
    needed_for,
    on_test,
    on_validation,
    score_of,
)
from budgetnet.coefficients.plan import (
    FOUND,
    MOST_FINALISTS,
    PAPER_ID,
    check_legs,
    early_leg,
    entrant_of,
    last_legs,
    planned,
)
from budgetnet.coefficients.result import Check, Checked, CoefficientSearch, Ranked, region_of
from budgetnet.coefficients.statement import statement
from budgetnet.cost import cost
from budgetnet.learn.answers import answers_path, train_and_test
from budgetnet.learn.cluster import Cluster
from budgetnet.learn.data import ImageSet, open_cache
from budgetnet.learn.leg import Leg, Place, run_leg
from budgetnet.learn.missing import run_missing
from budgetnet.learn.opening import opened_run
from budgetnet.learn.outcome import clear
from budgetnet.learn.parcel import leg_errand
from budgetnet.learn.plan import (
    check_time,
    data_row,
    machine_row,
    only_one,
    preprocessing_for,
    preprocessing_row,
    run_folder,
    save_plan,
    side_px_for,
    start_anew,
    team_of,
)
from budgetnet.learn.progress import Progress, silent
from budgetnet.learn.recipe import Recipe, guarded_batch, recipe_for, recipe_of
from budgetnet.learn.run import read_json, write_json
from budgetnet.learn.train import check_computing
from budgetnet.learn.trainer import Course
from budgetnet.learn.where import Trials, Where, check_trials, trials_on
from budgetnet.scaling import PAPER, Coefficients
from budgetnet.search.answer import FILE
from budgetnet.search.race import race
from budgetnet.search.regions import MEASURES, Measure
from budgetnet.spec import Network, check_integer, choose

BASE = "efficientnet_b0"
COMMAND = "search coefficients"


def search_coefficients(
    data: str | Path,
    base: str | Network = BASE,
    growth: float = 2.0,
    tolerance: float = 0.05,
    measure: Measure = "macs",
    candidates: int = 24,
    seeds: int = 3,
    time_seconds: float = 2700.0,
    seed: int = 0,
    recipe: str | Recipe = "modern",
    out: Path | str | None = None,
    device: str = "cpu",
    precision: str = "float32",
    fresh: bool = False,
    progress: Progress | None = None,
    cluster: Cluster | None = None,
) -> CoefficientSearch:
    """alpha, beta and gamma for these images: which network of `growth` times the base's cost is the most accurate.

    The candidates are distinct integer networks (`search.regions.space`), at most `candidates`, drawn as
    `search.draw.draw` does, and fewer where the time is short. They race by successive halving on the validation
    images; the last 2 to 4, with the network nearest to the paper's choice among them, are trained `seeds` times. Then
    the found and the paper's coefficients are compared at phi = 2 on the test images. A zoo's base is adapted to the
    images; a `Network` keeps its size and strides. Trainings run on a Ray `cluster` where one is given, else here.

    The same call goes on where a killed one was; a finished search is read, not made again, unless `fresh`.
    Raises a one-line `ValueError` for bad input, an empty space and too little time.
    """
    began = time.monotonic()
    _check(candidates, seeds, time_seconds, measure, device, precision)
    check_trials(cluster, precision)
    asked = {
        "base": base if isinstance(base, str) else base.to_json(),
        "growth": growth,
        "tolerance": tolerance,
        "measure": measure,
        "candidates": candidates,
        "seeds": seeds,
        "time_seconds": time_seconds,
        "seed": seed,
        "recipe": recipe_of(recipe).to_dict(),
        "precision": precision,
    }
    run = run_folder(out, str(data), {"command": COMMAND, **asked})
    with only_one(run):
        opened = opened_run(run, COMMAND, FILE, asked, str(data), fresh, cluster, progress)
        if opened.finished:
            return _shown(run)
        plan, images = opened.plan, opened.images
        if plan is not None:
            team_of(plan, run)  # says where the machine has other cores than the plan's
        preprocessing = preprocessing_for(images)
        with trials_on(cluster, device) as where:
            entrants = None
            if plan is None:
                most = entrants_for(candidates, time_seconds, where.places())
                entrants = entrants_of(images, base_of(images, base), growth, tolerance, measure, most)
                side_px = side_px_for(_all_networks(entrants), preprocessing)
            else:
                side_px = plan["side_px"]
            open_cache(images, side_px, progress=progress)
            place = Place(str(data), seed, side_px, str(run / "training"), device, precision)
            if fresh:
                start_anew(run)
            if entrants is not None:
                fitted = recipe_for(recipe_of(recipe), images.in_channels)
                row = _row(str(data), images, {**asked, "recipe": fitted.to_dict()}, entrants, side_px)
                batch = guarded_batch(fitted, len(images.indices("train")))
                draft = Course("draft", entrants.space.base, fitted, preprocessing, seed, batch, 1, 1)
                steps = planned(entrants, draft, images, seeds, place, where, began, time_seconds, progress)
                plan = save_plan(run, {**row, "preprocessing": preprocessing_row(preprocessing), **steps})
            assert plan is not None
            return _Run(run, plan, images, place, where, progress or silent).finish()


def _check(candidates: int, seeds: int, time_seconds: float, measure: str, device: str, precision: str) -> None:
    check_integer("candidates", candidates, 2)
    check_integer("seeds", seeds)
    check_time(time_seconds)
    choose("measure", measure, MEASURES)
    check_computing(device, precision)


def _row(data: str, images: ImageSet, asked: Mapping[str, Any], entrants: Entrants, side_px: int) -> dict[str, Any]:
    """What plan.json says besides the steps."""
    return {
        "command": COMMAND,
        "data": data_row(data, images),
        **asked,
        "machine": machine_row(),
        "side_px": side_px,
        "network": json.loads(entrants.space.base.to_json()),
        "base_cost": entrants.space.base_cost,
        "networks": len(entrants.space.candidates),
        "drawn": drawn_words(entrants, asked["candidates"]),
    }


def _all_networks(entrants: Entrants) -> list[Network]:
    rows = [network for row in entrants.rows for network in (row.candidate.network, row.check.network)]
    return [*rows, entrants.paper.network]


def _shown(run: Path) -> CoefficientSearch:
    """The search that a finished run's files hold."""
    from budgetnet.show.coefficients.page import write_page

    clear(run / "training")
    return CoefficientSearch.from_file(read_json(run / FILE), run, write_page(run))


def _work(leg: Leg) -> bool:
    """A leg in a worker: those of the check answer the test images, too, and no others do."""
    return train_and_test(leg) if leg.phase.startswith("check/") else run_leg(leg)


@dataclass(frozen=True, slots=True)
class _Run:
    """A planned search: what is done is read, what is missing is made."""

    run: Path
    plan: Mapping[str, Any]
    images: ImageSet
    place: Place
    where: Where
    progress: Progress

    def finish(self) -> CoefficientSearch:
        count = self.where.places()
        with self.where.workers(_work, leg_errand, self.place, count, self.progress) as workers:
            answers = self._raced(workers)
            ranking = self._ranking(answers)
            if all(one.diverged for one in ranking[0].score.seeds):
                raise ValueError(
                    f"every finalist diverged; give another --recipe or --seed, and --fresh for {self.run}"
                )
            check = self._checked(workers, ranking[0].id)
        self._write(ranking, answers[-1], check)
        return _shown(self.run)

    def _raced(self, workers: Trials[Leg, bool]) -> list[dict[str, list[Answers]]]:
        """The answers of every rung, by entrant; several seeds in the last. A rung that is done is not run again."""
        rungs: list[dict[str, list[Answers]]] = []
        last = len(self.plan["kept"]) - 1

        def score(rung: int, ids: Sequence[str]) -> dict[str, float]:
            if rung < last:
                legs = {name: (early_leg(self.plan, self.place, name, rung),) for name in ids}
            else:
                legs = {name: last_legs(self.plan, self.place, name) for name in ids}
            self._train(workers, f"rung {rung + 1} of {last + 1}", legs, lambda leg: leg.scores)
            rungs.append({name: [on_validation(leg, self.images) for leg in rows] for name, rows in legs.items()})
            return {name: -score_of(rows).log_loss for name, rows in rungs[-1].items()}

        race([row["id"] for row in self.plan["entrants"]], score, self.plan["incumbent"], MOST_FINALISTS)
        return rungs

    def _train(
        self, workers: Trials[Leg, bool], what: str, legs: Mapping[str, Sequence[Leg]], done: Callable[[Leg], Path]
    ) -> None:
        """Every leg that is not done, seed by seed."""
        rows = [leg for seed in zip(*legs.values(), strict=True) for leg in seed]
        run_missing(rows, what, workers, self.progress, done)

    def _ranking(self, rungs: Sequence[Mapping[str, Sequence[Answers]]]) -> tuple[Ranked, ...]:
        """Those that came farthest first, and of these the lowest log loss."""
        place = {name: rung for rung, rows in enumerate(rungs) for name in rows}
        found = [self._ranked(name, rungs[: rung + 1], rung == len(rungs) - 1) for name, rung in place.items()]
        return tuple(sorted(found, key=lambda row: (-row.rung, row.score.log_loss, row.id)))

    def _ranked(self, name: str, rungs: Sequence[Mapping[str, Sequence[Answers]]], finalist: bool) -> Ranked:
        row = entrant_of(self.plan, name)
        network = Network.from_json(json.dumps(row["last"]["course"]["network"]))
        return Ranked(
            id=name,
            coefficients=_coefficients(row),
            region=region_of(row["region"]),
            network=network,
            cost=row["cost"],
            macs=cost(network).macs,
            rung=len(rungs) - 1,
            finalist=finalist,
            paper=name == self.plan["incumbent"],
            first=score_of(rungs[0][name]),
            score=score_of(rungs[-1][name]),
        )

    def _checked(self, workers: Trials[Leg, bool], name: str) -> Check:
        found, paper = entrant_of(self.plan, name)["check"], self.plan["paper"]
        legs = check_legs(self.plan, self.place, name)
        networks = {who: rows[0].course.network for who, rows in legs.items()}
        if same_network(networks[FOUND], networks[PAPER_ID]):
            return Check(True, 2.0, paper["cost"], (), None)
        self._train(workers, "check", legs, answers_path)
        answers = {who: [on_test(leg) for leg in rows] for who, rows in legs.items()}
        chosen = {FOUND: _coefficients(entrant_of(self.plan, name)), PAPER_ID: PAPER}
        rows = {FOUND: found, PAPER_ID: paper}
        return Check(
            same=False,
            phi=2.0,
            cost=paper["cost"],
            networks=tuple(
                Checked(who, chosen[who], row["phi"], networks[who], row["cost"], score_of(answers[who]))
                for who, row in rows.items()
            ),
            difference=difference_of(FOUND, PAPER_ID, answers[FOUND], answers[PAPER_ID]),
        )

    def _write(self, ranking: tuple[Ranked, ...], last: Mapping[str, Sequence[Answers]], check: Check) -> None:
        """coefficients.json: where that is, the search is finished."""
        differences = differences_of(last, [row.id for row in ranking if row.finalist])
        best, seeds = ranking[0], self.plan["seeds"]
        alike = tuple(row.b for row in differences if row.a == best.id and not row.stands)
        each, workers = self.plan["seconds"]["last"], self.plan["processes"]
        asked = (needed_for(row, seeds, each, workers) for row in differences if row.a == best.id and not row.stands)
        needed = tuple(row for row in asked if row is not None)
        result = CoefficientSearch(
            run=self.run,
            coefficients=best.coefficients,
            region=best.region,
            base=Network.from_json(json.dumps(self.plan["network"])),
            **{name: self.plan[name] for name in ("base_cost", "measure", "growth", "tolerance", "networks", "drawn")},
            seeds=seeds,
            ranking=ranking,
            differences=differences,
            alike=alike,
            needed=needed,
            check=check,
            statement=statement(ranking, differences, alike, needed, check),
            report=self.run / "report.html",
        )
        write_json(self.run / FILE, result.to_file())


def _coefficients(row: Mapping[str, Any]) -> Coefficients:
    return Coefficients(row["alpha"], row["beta"], row["gamma"])
