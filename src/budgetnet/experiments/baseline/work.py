"""A planned search for a baseline: what is done is read, what is missing is made."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from budgetnet.atomic_write import written_aside
from budgetnet.budgets.feasible_space import Options, hypervolume
from budgetnet.budgets.search_space import Architecture
from budgetnet.cluster.executor import Executor
from budgetnet.cluster.pending import train_pending
from budgetnet.data import ImageSet
from budgetnet.experiments.baseline import result
from budgetnet.experiments.baseline.finals import final_legs, semifinal_legs
from budgetnet.experiments.baseline.plan import scorer_of
from budgetnet.experiments.baseline.result import BASE, Baseline, Final, Trainings
from budgetnet.experiments.baseline.scorer import Scorer, score_of
from budgetnet.experiments.baseline.search import POPULATION, Objective, Scored, Search, judged, run_search
from budgetnet.experiments.baseline.study import STUDY, forget_study
from budgetnet.experiments.baseline.surrogate import best_of, worth_a_longer_look
from budgetnet.networks import Network
from budgetnet.parallel.progress import Progress, Update
from budgetnet.parallel.workers import ProcessGroup
from budgetnet.runs.run import read_json, write_json
from budgetnet.training.chance import check_any_learned
from budgetnet.training.job import JobContext, TrainingJob, run_job
from budgetnet.training.outcome import clear
from budgetnet.training.plan import epochs_of
from budgetnet.training.predictions import predictions_of, read_validation_predictions, train_and_test

STUDY_FILE = "study.db"
LEAST_BATCHES = 10
"""Of a search on many places: of whom all are proposed at once, none learned from another."""


@dataclass(frozen=True, slots=True)
class Studied:
    """Where the study of a run lies: the URL, and its name there, for a database may hold those of several runs."""

    storage: str
    name: str

    @staticmethod
    def of(run: Path, storage: str | None) -> Studied:
        """A file of the run; or in a database a study named after the run's folder and the one that it is in."""
        if storage is None:
            return Studied(f"sqlite:///{(run / STUDY_FILE).resolve()}", STUDY)
        return Studied(storage, "/".join(run.resolve().parts[-2:]))

    def forget(self) -> None:
        """Remove it, if it is there: the run starts anew."""
        forget_study(self.storage, self.name)


@dataclass(frozen=True, slots=True)
class Work:
    """A run with its plan: `finish` makes what is missing, in order: what scores need, search, semifinals, finals."""

    run: Path
    plan: Mapping[str, Any]
    images: ImageSet
    context: JobContext
    group: ProcessGroup
    executor: Executor
    study: Studied
    progress: Progress

    def finish(self) -> Baseline:
        """The result, from wherever an earlier start was stopped."""
        scorer = scorer_of(self.plan, self.context, self.images)
        scorer.prepare(self.group, self.progress)
        scored = self._search(scorer)
        again = self._semifinals(scorer, scored)
        best = [row.architecture for row in best_of(again or scored, self.plan["finals"]["finalists"])]
        jobs = final_legs(self.plan, [*_networks(scorer, best), (BASE, scorer.options.space.base)], self.context)
        train_pending(
            jobs,
            "finals",
            self.executor,
            self.context,
            self.plan["workers"],
            self.progress,
            train_and_test,
            lambda job: job.predictions,
        )
        self._write(scorer, scored, again, trainings_of(jobs, self.images))
        return shown(self.run)

    def _search(self, scorer: Scorer) -> tuple[Scored, ...]:
        """Every candidate with its score: so many at once as were planned, whatever places there now are."""
        search = dataclasses.replace(search_of(self.plan, scorer), study=self.study.name)
        with scorer.scores(self.executor, search.at_once, self.progress) as scores:
            return run_search(search, scores, self.study.storage, self._tell_search(search))

    def _semifinals(self, scorer: Scorer, scored: Sequence[Scored]) -> tuple[Scored, ...]:
        """What is worth it, each with the score of a longer training; nothing where none were planned."""
        row = self.plan["semifinals"]
        if row is None:
            return ()
        options, objective = scorer.options, objective_of(self.plan, scorer.options)
        best = worth_a_longer_look(
            options, scored, objective, row["networks"], self.plan["seed"], scorer.single_process
        )
        jobs = semifinal_legs(self.plan, _networks(scorer, best), self.context)
        most = self.plan["workers"]
        train_pending(
            jobs, "semifinals", self.executor, self.context, most, self.progress, run_job, lambda job: job.scores
        )
        scores = [score_of(read_validation_predictions(job, self.images)[0]) for job in jobs]
        return tuple(judged(one, options.macs(one), score, objective) for one, score in zip(best, scores, strict=True))

    def _tell_search(self, search: Search) -> Callable[[Sequence[Scored]], None]:
        def tell(found: Sequence[Scored]) -> None:
            best = max(found, key=lambda row: row.reward)
            text = f"the best so far {100 * best.score.accuracy:.1f} % at {best.macs / 1e6:.2f} M MACs"
            self.progress(Update("search", len(found), search.trials, text))

        return tell

    def _write(
        self,
        scorer: Scorer,
        scored: Sequence[Scored],
        again: Sequence[Scored],
        done: Mapping[str, Trainings],
    ) -> None:
        """network.json, then baseline.json: where that is, the run is finished."""
        options, objective = scorer.options, objective_of(self.plan, scorer.options)
        scores = {row.architecture.id: row.score.accuracy for row in scored}
        found = result.ranked(
            [
                result.final_of(name, network, scores.get(name), done[name], options.budget, objective)
                for name, network in _networks(scorer, [row.architecture for row in again or scored])
                if name in done
            ]
        )
        base = result.final_of(BASE, options.space.base, None, done[BASE], options.budget, objective)
        winner, epochs = found[0], epochs_of(self.plan["finals"]["config"], self.images)
        check_any_learned(winner.id, [test.chance for test in done[winner.id].tests], epochs)
        with written_aside(self.run / "network.json") as aside:
            aside.write_text(winner.network.to_json() + "\n", encoding="utf-8")
        made = self._result(scorer, scored, again, [*found, base], done)
        write_json(self.run / "baseline.json", made.to_file())

    def _result(
        self,
        scorer: Scorer,
        scored: Sequence[Scored],
        again: Sequence[Scored],
        finals: Sequence[Final],
        done: Mapping[str, Trainings],
    ) -> Baseline:
        objective, winner = objective_of(self.plan, scorer.options), finals[0]
        made = Baseline(
            run=self.run,
            winner=winner.id,
            scored_by=scorer.name,
            target_macs=objective.target_macs,
            exponent=objective.exponent,
            networks_in_space=scorer.options.space.count,
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


def _networks(scorer: Scorer, rows: Sequence[Architecture]) -> list[tuple[str, Network]]:
    return [(row.id, scorer.options.network(row)) for row in rows]


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


def objective_of(plan: Mapping[str, Any], options: Options) -> Objective:
    """The plan's, whose T is the budget's limit of MACs, or the base's where there is none."""
    return Objective(options.budget.macs or options.budget.price(options.space.base).macs, plan["exponent"])


def search_of(plan: Mapping[str, Any], scorer: Scorer) -> Search:
    """The search that the plan says."""
    return Search(
        options=scorer.options,
        trials=plan["candidates"],
        at_once=min(plan["workers"], max(POPULATION, plan["candidates"] // LEAST_BATCHES)),
        objective=objective_of(plan, scorer.options),
        sampler=plan["sampler"],
        seed=plan["seed"],
        identity=f"{plan['data']['fingerprint']}, {scorer.name}",
    )


def shown(run: Path) -> Baseline:
    """The result that a finished run's files hold, and its page."""
    from budgetnet.experiments.baseline.page import write_page

    clear(run / "training")
    found = Baseline.from_file(read_json(run / "baseline.json"), run, run / "report.html")
    write_page(run)
    return found
