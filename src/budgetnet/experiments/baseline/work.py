"""A planned search for a baseline: what is done is read, what is missing is made."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from budgetnet.atomic_write import written_aside
from budgetnet.budgets.feasible_space import FeasibleSpace, hypervolume
from budgetnet.budgets.search_space import Architecture
from budgetnet.cluster.executor import Executor
from budgetnet.cluster.pending import train_pending
from budgetnet.data import ImageSet
from budgetnet.experiments.baseline import result
from budgetnet.experiments.baseline.evolution import POPULATION
from budgetnet.experiments.baseline.finals import final_jobs, semifinal_jobs
from budgetnet.experiments.baseline.objective import Objective, Scored, best_of
from budgetnet.experiments.baseline.plan import scoring_of
from budgetnet.experiments.baseline.result import BASE, Baseline, Final, Trainings
from budgetnet.experiments.baseline.scoring import CandidateScoring, score_of
from budgetnet.experiments.baseline.search import Search, run_search
from budgetnet.experiments.baseline.surrogate import select_semifinalists
from budgetnet.networks import Network
from budgetnet.parallel.progress import Progress, Update
from budgetnet.runs.run import read_json, write_json
from budgetnet.training.chance import check_any_learned
from budgetnet.training.job import JobContext, TrainingJob, run_job
from budgetnet.training.outcome import clear
from budgetnet.training.plan import epochs_of
from budgetnet.training.predictions import predictions_of, read_validation_predictions

LEAST_BATCHES = 10
"""A search on many workers has at least this many batches: within a batch no candidate learns from another."""


@dataclass(frozen=True, slots=True)
class Work:
    """A run with its plan: `finish` makes what is missing, in order: search, semifinals, finals."""

    run: Path
    plan: Mapping[str, Any]
    images: ImageSet
    context: JobContext
    executor: Executor
    progress: Progress

    def finish(self) -> Baseline:
        """The result, from wherever an earlier start was stopped."""
        scoring = scoring_of(self.plan, self.context, self.images)
        scored = self._search(scoring)
        again = self._semifinals(scoring.space, scored)
        best = [row.architecture for row in best_of(again or scored, self.plan["finals"]["finalists"])]
        jobs = final_jobs(self.plan, [*_networks(scoring.space, best), (BASE, scoring.space.space.base)], self.context)
        train_pending(jobs, "finals", self.executor, self.context, self.plan["workers"], self.progress)
        self._write(scoring, scored, again, trainings_of(jobs, self.images))
        return shown(self.run)

    def _search(self, scoring: CandidateScoring) -> tuple[Scored, ...]:
        """Every candidate with its score: as many at once as were planned, however many workers there are now."""
        search = search_of(self.plan, scoring.space)
        with scoring.open(self.executor, search.at_once, self.progress) as score_batch:
            return run_search(search, score_batch, self._report_search(search))

    def _semifinals(self, space: FeasibleSpace, scored: Sequence[Scored]) -> tuple[Scored, ...]:
        """The semifinalists, each with the score of a longer training; none where none were planned."""
        row = self.plan["semifinals"]
        if row is None:
            return ()
        objective = objective_of(self.plan, space)
        best = select_semifinalists(space, scored, objective, row["networks"], self.plan["seed"])
        jobs = semifinal_jobs(self.plan, _networks(space, best), self.context)
        most = self.plan["workers"]
        train_pending(
            jobs, "semifinals", self.executor, self.context, most, self.progress, run_job, lambda job: job.scores
        )
        scores = [score_of(read_validation_predictions(job, self.images)[0]) for job in jobs]
        return tuple(objective.scored(one, space.macs(one), score) for one, score in zip(best, scores, strict=True))

    def _report_search(self, search: Search) -> Callable[[Sequence[Scored]], None]:
        def report(found: Sequence[Scored]) -> None:
            best = max(found, key=lambda row: row.reward)
            text = f"the best so far {100 * best.score.accuracy:.1f} % at {best.macs / 1e6:.2f} M MACs"
            self.progress(Update("search", len(found), search.trials, text))

        return report

    def _write(
        self,
        scoring: CandidateScoring,
        scored: Sequence[Scored],
        again: Sequence[Scored],
        done: Mapping[str, Trainings],
    ) -> None:
        """network.json, then baseline.json: where that is, the run is finished."""
        space = scoring.space
        objective = objective_of(self.plan, space)
        scores = {row.architecture.id: row.score.accuracy for row in scored}
        found = result.ranked(
            [
                result.final_of(name, network, scores.get(name), done[name], space.budget, objective)
                for name, network in _networks(space, [row.architecture for row in again or scored])
                if name in done
            ]
        )
        base = result.final_of(BASE, space.space.base, None, done[BASE], space.budget, objective)
        winner, epochs = found[0], epochs_of(self.plan["finals"]["config"], self.images)
        check_any_learned(winner.id, [test.chance for test in done[winner.id].tests], epochs)
        with written_aside(self.run / "network.json") as aside:
            aside.write_text(winner.network.to_json() + "\n", encoding="utf-8")
        made = self._result(scoring, scored, again, [*found, base], done)
        write_json(self.run / "baseline.json", made.to_file())

    def _result(
        self,
        scoring: CandidateScoring,
        scored: Sequence[Scored],
        again: Sequence[Scored],
        finals: Sequence[Final],
        done: Mapping[str, Trainings],
    ) -> Baseline:
        objective, winner = objective_of(self.plan, scoring.space), finals[0]
        made = Baseline(
            run=self.run,
            winner=winner.id,
            scored_by=scoring.name,
            target_macs=objective.target_macs,
            exponent=objective.exponent,
            networks_in_space=scoring.space.space.count,
            candidates=result.candidates_of(scored),
            semifinals=result.semifinals_of(again),
            hypervolume=hypervolume([(row.macs, row.score.accuracy) for row in scored], objective.target_macs),
            finals=tuple(finals),
            against_base=result.against(done[winner.id], done[BASE]),
            test_images=len(done[BASE].tests[0].indices),
            statement=(),
            report=self.run / "report.html",
        )
        return result.with_statement(made, self.plan)


def _networks(space: FeasibleSpace, rows: Sequence[Architecture]) -> list[tuple[str, Network]]:
    return [(row.id, space.network(row)) for row in rows]


def trainings_of(jobs: Sequence[TrainingJob], images: ImageSet) -> dict[str, Trainings]:
    """What the final trainings of each network answered, in the order of the jobs."""
    grouped: dict[str, list[TrainingJob]] = {}
    for job in jobs:
        grouped.setdefault(job.config.id.rpartition("-seed")[0], []).append(job)
    return {
        name: Trainings(tuple(predictions_of(job, images) for job in rows), tuple(_right(job, images) for job in rows))
        for name, rows in grouped.items()
    }


def _right(job: TrainingJob, images: ImageSet) -> NDArray[np.bool_]:
    """Which validation images a final training got right; none where it diverged."""
    if not job.scores.exists():
        return np.zeros(len(images.indices("validation")), np.bool_)
    return read_validation_predictions(job, images)[0].right


def objective_of(plan: Mapping[str, Any], space: FeasibleSpace) -> Objective:
    """The plan's, whose T is the budget's limit of MACs, or the base's where there is none."""
    return Objective(space.budget.macs or space.budget.price(space.space.base).macs, plan["exponent"])


def search_of(plan: Mapping[str, Any], space: FeasibleSpace) -> Search:
    """The search that the plan says."""
    return Search(
        space=space,
        trials=plan["candidates"],
        at_once=min(plan["workers"], max(POPULATION, plan["candidates"] // LEAST_BATCHES)),
        objective=objective_of(plan, space),
        sampler=plan["sampler"],
        seed=plan["seed"],
    )


def shown(run: Path) -> Baseline:
    """The result that a finished run's files hold, and its page."""
    from budgetnet.experiments.baseline.page import write_page

    clear(run / "training")
    found = Baseline.from_file(read_json(run / "baseline.json"), run, run / "report.html")
    write_page(run)
    return found
