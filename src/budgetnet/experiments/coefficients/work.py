"""A planned search for coefficients: what is done is read, what is missing is made."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from budgetnet.budgets.coefficient_space import Region
from budgetnet.budgets.coefficients_file import FILE
from budgetnet.cluster.executor import Executor, Trials
from budgetnet.cluster.parcel import job_errand
from budgetnet.cluster.pending import run_pending
from budgetnet.codec import from_plain
from budgetnet.costs.network_cost import cost
from budgetnet.data import ImageSet
from budgetnet.experiments.coefficients.entrants import same_network
from budgetnet.experiments.coefficients.plan import FOUND, PAPER_ID, check_legs, early_leg, entrant_of, last_legs
from budgetnet.experiments.coefficients.result import Check, Checked, CoefficientSearch, Ranked
from budgetnet.experiments.coefficients.scoring import (
    Answers,
    difference_of,
    differences_of,
    needed_for,
    on_test,
    on_validation,
    score_of,
)
from budgetnet.experiments.coefficients.statement import statement
from budgetnet.experiments.race import race
from budgetnet.networks import Network
from budgetnet.networks.scaling import PAPER, Coefficients
from budgetnet.parallel.progress import Progress
from budgetnet.runs.run import read_json, write_json
from budgetnet.training.chance import check_any_learned
from budgetnet.training.job import JobContext, TrainingJob, run_job
from budgetnet.training.outcome import clear
from budgetnet.training.plan import epochs_of
from budgetnet.training.predictions import predictions_path, train_and_test


def shown(run: Path) -> CoefficientSearch:
    """The search that a finished run's files hold."""
    from budgetnet.experiments.coefficients.page import write_page

    clear(run / "training")
    found = CoefficientSearch.from_file(read_json(run / FILE), run, run / "report.html")
    write_page(run)
    return found


def _work(job: TrainingJob) -> bool:
    """A job in a worker: those of the check answer the test images, too, and no others do."""
    return train_and_test(job) if job.phase.startswith("check/") else run_job(job)


@dataclass(frozen=True, slots=True)
class Work:
    """A planned search: what is done is read, what is missing is made."""

    run: Path
    plan: Mapping[str, Any]
    images: ImageSet
    context: JobContext
    executor: Executor
    progress: Progress

    def finish(self) -> CoefficientSearch:
        """The result, from wherever an earlier start was stopped."""
        count = self.executor.places()
        with self.executor.workers(_work, job_errand, self.context, count, self.progress) as workers:
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

    def _raced(self, workers: Trials[TrainingJob, bool]) -> list[dict[str, list[Answers]]]:
        """The answers of every rung, by entrant; several seeds in the last. A rung that is done is not run again."""
        rungs: list[dict[str, list[Answers]]] = []
        last = len(self.plan["kept"]) - 1

        def score(rung: int, ids: Sequence[str]) -> dict[str, float]:
            if rung < last:
                jobs = {name: (early_leg(self.plan, self.context, name, rung),) for name in ids}
            else:
                jobs = {name: last_legs(self.plan, self.context, name) for name in ids}
            self._train(workers, f"rung {rung + 1} of {last + 1}", jobs, lambda job: job.scores)
            rungs.append({name: [on_validation(job, self.images) for job in rows] for name, rows in jobs.items()})
            return {name: -score_of(rows).log_loss for name, rows in rungs[-1].items()}

        race([row["id"] for row in self.plan["entrants"]], score, self.plan["incumbent"], self.plan["kept"][-1])
        return rungs

    def _train(
        self,
        workers: Trials[TrainingJob, bool],
        what: str,
        jobs: Mapping[str, Sequence[TrainingJob]],
        done: Callable[[TrainingJob], Path],
    ) -> None:
        """Every job that is not done, seed by seed."""
        rows = [job for seed in zip(*jobs.values(), strict=True) for job in seed]
        run_pending(rows, what, workers, self.progress, done)

    def _ranking(self, rungs: Sequence[Mapping[str, Sequence[Answers]]]) -> tuple[Ranked, ...]:
        """Those that came farthest first, and of these the lowest log loss."""
        context = {name: rung for rung, rows in enumerate(rungs) for name in rows}
        found = [self._ranked(name, rungs[: rung + 1], rung == len(rungs) - 1) for name, rung in context.items()]
        return tuple(sorted(found, key=lambda row: (-row.rung, row.score.log_loss, row.id)))

    def _ranked(self, name: str, rungs: Sequence[Mapping[str, Sequence[Answers]]], finalist: bool) -> Ranked:
        row = entrant_of(self.plan, name)
        network = Network.from_json(json.dumps(row["last"]["config"]["network"]))
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
        epochs = epochs_of(entrant_of(self.plan, name)["last"]["config"], self.images)
        check_any_learned(f"{name}, the best of the race,", [one.chance for one in answers], epochs)

    def _checked(self, workers: Trials[TrainingJob, bool], name: str) -> Check:
        found, paper = entrant_of(self.plan, name)["check"], self.plan["paper"]
        jobs = check_legs(self.plan, self.context, name)
        networks = {who: rows[0].config.network for who, rows in jobs.items()}
        if same_network(networks[FOUND], networks[PAPER_ID]):
            return Check(True, 2.0, paper["cost"], (), None)
        self._train(workers, "check", jobs, predictions_path)
        answers = {who: [on_test(job, self.images) for job in rows] for who, rows in jobs.items()}
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
