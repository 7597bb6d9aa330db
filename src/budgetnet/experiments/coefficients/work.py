"""A planned search for coefficients: what is done is read, what is missing is made."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from budgetnet.budgets.coefficient_space import Region
from budgetnet.budgets.coefficients_file import FILE
from budgetnet.cluster.missing import run_missing
from budgetnet.cluster.parcel import leg_errand
from budgetnet.cluster.where import Trials, Where
from budgetnet.codec import from_plain
from budgetnet.costs.network_cost import cost
from budgetnet.data import ImageSet
from budgetnet.experiments.coefficients.entrants import same_network
from budgetnet.experiments.coefficients.judging import (
    Answers,
    difference_of,
    differences_of,
    needed_for,
    on_test,
    on_validation,
    score_of,
)
from budgetnet.experiments.coefficients.plan import FOUND, PAPER_ID, check_legs, early_leg, entrant_of, last_legs
from budgetnet.experiments.coefficients.result import Check, Checked, CoefficientSearch, Ranked
from budgetnet.experiments.coefficients.statement import statement
from budgetnet.experiments.race import race
from budgetnet.networks import Network
from budgetnet.networks.scaling import PAPER, Coefficients
from budgetnet.parallel.progress import Progress
from budgetnet.runs.run import read_json, write_json
from budgetnet.training.answers import answers_path, train_and_test
from budgetnet.training.chance import check_any_learned
from budgetnet.training.leg import Leg, Place, run_leg
from budgetnet.training.outcome import clear
from budgetnet.training.plan import epochs_of


def shown(run: Path) -> CoefficientSearch:
    """The search that a finished run's files hold."""
    from budgetnet.experiments.coefficients.page import write_page

    clear(run / "training")
    found = CoefficientSearch.from_file(read_json(run / FILE), run, run / "report.html")
    write_page(run)
    return found


def _work(leg: Leg) -> bool:
    """A leg in a worker: those of the check answer the test images, too, and no others do."""
    return train_and_test(leg) if leg.phase.startswith("check/") else run_leg(leg)


@dataclass(frozen=True, slots=True)
class Work:
    """A planned search: what is done is read, what is missing is made."""

    run: Path
    plan: Mapping[str, Any]
    images: ImageSet
    place: Place
    where: Where
    progress: Progress

    def finish(self) -> CoefficientSearch:
        """The result, from wherever an earlier start was stopped."""
        count = self.where.places()
        with self.where.workers(_work, leg_errand, self.place, count, self.progress) as workers:
            answers = self._raced(workers)
            ranking = self._ranking(answers)
            if all(one.diverged for one in ranking[0].score.seeds):
                raise ValueError(
                    f"every finalist diverged; give another --recipe or --seed, and --fresh for {self.run}"
                )
            self._check_learned(ranking[0].id, answers[-1][ranking[0].id])
            check = self._checked(workers, ranking[0].id)
        self._write(ranking, answers[-1], check)
        return shown(self.run)

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

        race([row["id"] for row in self.plan["entrants"]], score, self.plan["incumbent"], self.plan["kept"][-1])
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
            region=from_plain(Region, row["region"], "the region of an entrant in plan.json"),
            network=network,
            cost=row["cost"],
            macs=cost(network).macs,
            rung=len(rungs) - 1,
            finalist=finalist,
            paper=name == self.plan["incumbent"],
            first=score_of(rungs[0][name]),
            score=score_of(rungs[-1][name]),
        )

    def _check_learned(self, name: str, answers: Sequence[Answers]) -> None:
        """Raise a one-line `ValueError` where the best of all learned nothing: then the order is chance."""
        epochs = epochs_of(entrant_of(self.plan, name)["last"]["course"], self.images)
        check_any_learned(f"{name}, the best of the race,", [one.chance for one in answers], epochs)

    def _checked(self, workers: Trials[Leg, bool], name: str) -> Check:
        found, paper = entrant_of(self.plan, name)["check"], self.plan["paper"]
        legs = check_legs(self.plan, self.place, name)
        networks = {who: rows[0].course.network for who, rows in legs.items()}
        if same_network(networks[FOUND], networks[PAPER_ID]):
            return Check(True, 2.0, paper["cost"], (), None)
        self._train(workers, "check", legs, answers_path)
        answers = {who: [on_test(leg, self.images) for leg in rows] for who, rows in legs.items()}
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
