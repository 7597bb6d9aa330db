"""A planned search for a baseline: what is done is read, what is missing is made."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from budgetnet.baseline import result
from budgetnet.baseline.plan import legs_of, teaching_of
from budgetnet.baseline.result import BASE, Baseline, Final, Trainings
from budgetnet.baseline.scoring import Candidate, Judged, candidate_errand, judge
from budgetnet.baseline.teaching import PHASE, Teaching, teach
from budgetnet.budget import Budget
from budgetnet.learn.answers import answered
from budgetnet.learn.data import ImageSet
from budgetnet.learn.leg import Leg, Place
from budgetnet.learn.missing import train_missing
from budgetnet.learn.outcome import clear
from budgetnet.learn.progress import Progress, Update
from budgetnet.learn.run import read_json, write_json
from budgetnet.learn.statistics import right_of
from budgetnet.learn.where import Trials, Where
from budgetnet.learn.workers import Team, Workers
from budgetnet.search.baseline import POPULATION, Scored, Scores, Search, Told, run_search
from budgetnet.search.options import hypervolume
from budgetnet.search.space import Architecture
from budgetnet.search.study import STUDY, forget_study
from budgetnet.writing import written_aside

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
    """A run with its plan: `finish` makes what is missing, in order: supernet, search, finals, result."""

    run: Path
    plan: Mapping[str, Any]
    budget: Budget
    images: ImageSet
    place: Place
    team: Team
    where: Where
    study: Studied
    progress: Progress

    def finish(self) -> Baseline:
        """The result, from wherever an earlier start was stopped."""
        teaching = teaching_of(self.plan, self.place)
        self._teach(teaching)
        scored = self._search(teaching)
        best = result.finalists(scored, self.plan["finals"]["finalists"])
        networks = [(row.architecture.id, teaching.options.network(row.architecture)) for row in best]
        legs = legs_of(self.plan, [*networks, (BASE, teaching.options.space.base)], self.place)
        train_missing(legs, "finals", self.where, self.place, self.plan["workers"], self.progress)
        self._write(teaching, scored, best, self._trainings(legs))
        return shown(self.run)

    def _teach(self, teaching: Teaching) -> None:
        if teaching.weights.exists():
            return
        self.progress(Update(PHASE, 0, teaching.steps, f"{teaching.options.count:.2g} networks share its weights"))
        device, team = self.place.device, self.team
        with Workers(teach, team.processes, device, True, self.progress, team.threads) as workers:
            workers.run([teaching])

    def _search(self, teaching: Teaching) -> tuple[Scored, ...]:
        """Every candidate with its score: so many at once as were planned, whatever places there now are."""
        search = dataclasses.replace(search_of(self.plan, teaching), study=self.study.name)
        with self.where.workers(judge, candidate_errand, self.place, search.at_once, self.progress) as workers:
            return run_search(search, scores_by(workers, teaching), self.study.storage, self._tell_search(search))

    def _tell_search(self, search: Search) -> Callable[[Sequence[Scored]], None]:
        def tell(found: Sequence[Scored]) -> None:
            best = max(found, key=lambda row: row.reward)
            text = f"the best so far {100 * best.score.accuracy:.1f} % at {best.macs / 1e6:.2f} M MACs"
            self.progress(Update("search", len(found), search.trials, text))

        return tell

    def _trainings(self, legs: Sequence[Leg]) -> dict[str, Trainings]:
        """The trainings of each network, the finalists in the order of the search, then the base."""
        grouped: dict[str, list[Leg]] = {}
        for leg in legs:
            grouped.setdefault(leg.course.id.rpartition("-seed")[0], []).append(leg)
        return {
            name: Trainings(tuple(map(answered, rows)), tuple(map(self._right, rows))) for name, rows in grouped.items()
        }

    def _right(self, leg: Leg) -> NDArray[np.bool_]:
        """Which validation images a final training got right; none where it diverged."""
        if not leg.scores.exists():
            return np.zeros(len(self.images.indices("validation")), np.bool_)
        with np.load(leg.scores) as rows:
            answers, indices = rows["probabilities"], rows["indices"]
        return right_of(answers, np.asarray(self.images.labels)[indices])

    def _write(
        self, teaching: Teaching, scored: Sequence[Scored], best: Sequence[Scored], done: Mapping[str, Trainings]
    ) -> None:
        """network.json, then baseline.json: where that is, the run is finished."""
        options, target = teaching.options, target_macs(self.budget, teaching)
        found = [
            result.final_of(
                row.architecture.id,
                options.network(row.architecture),
                row.score.accuracy,
                done[row.architecture.id],
                self.budget,
                target,
            )
            for row in best
        ]
        found.sort(key=lambda row: (-row.reward, row.macs, row.id))
        base = result.final_of(BASE, options.space.base, None, done[BASE], self.budget, target)
        winner = found[0]
        with written_aside(self.run / "network.json") as aside:
            aside.write_text(winner.network.to_json() + "\n", encoding="utf-8")
        made = self._result(teaching, scored, [*found, base], done)
        write_json(self.run / "baseline.json", made.to_file())

    def _result(
        self, teaching: Teaching, scored: Sequence[Scored], finals: Sequence[Final], done: Mapping[str, Trainings]
    ) -> Baseline:
        target, winner = target_macs(self.budget, teaching), finals[0]
        made = Baseline(
            run=self.run,
            winner=winner.id,
            network=winner.network,
            target_macs=target,
            networks_in_space=teaching.options.space.count,
            candidates=result.candidates_of(scored),
            hypervolume=hypervolume([(row.macs, row.score.accuracy) for row in scored], target),
            finals=tuple(finals),
            against_base=result.against(done[winner.id], done[BASE]),
            test_images=len(done[BASE].tests[0].indices),
            statement=(),
            report=self.run / "report.html",
        )
        return result.with_statement(made, self.plan["finals"]["seeds"])


def target_macs(budget: Budget, teaching: Teaching) -> int:
    """T of the objective: the budget's limit of MACs, or the base's where there is none."""
    return budget.macs or budget.price(teaching.options.space.base).macs


def search_of(plan: Mapping[str, Any], teaching: Teaching) -> Search:
    """The search that the plan says."""
    return Search(
        options=teaching.options,
        trials=plan["candidates"],
        at_once=min(plan["workers"], max(POPULATION, plan["candidates"] // LEAST_BATCHES)),
        target_macs=target_macs(teaching.options.budget, teaching),
        sampler=plan["sampler"],
        seed=plan["seed"],
        identity=f"{plan['data']['fingerprint']}, supernet of {teaching.steps} steps",
    )


def scores_by(trials: Trials[Candidate, Judged], teaching: Teaching) -> Scores:
    """The supernet's scores as a search asks for them."""

    def scores(architectures: Sequence[Architecture], told: Told) -> None:
        jobs = [Candidate(row, teaching) for row in architectures]
        trials.run(jobs, lambda job, judged: told(job.architecture, judged.score))

    return scores


def shown(run: Path) -> Baseline:
    """The result that a finished run's files hold, and its page."""
    from budgetnet.show.baseline.page import write_page

    clear(run / "training")
    row = read_json(run / "baseline.json")
    return Baseline.from_file(row, run, write_page(run))
