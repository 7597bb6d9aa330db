"""A finished search for a baseline against random search: the same multiply-adds, the same finals.

In place of the search's scores and semifinals, as many trainings of networks that are drawn evenly from its space as
cost the same multiply-adds as those really did (`bench.ranking` makes them); their best by the objective on validation
have the search's own finals: as many of them, for as many steps, with the same seeds. Both answers, and all finalists
of both, are compared on the same test images.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from budgetnet import Network
from budgetnet.cluster.executor import LocalExecutor
from budgetnet.cluster.pending import train_pending
from budgetnet.codec import to_plain
from budgetnet.data import ImageSet
from budgetnet.experiments.baseline.ranking import MeanDifference, RandomFinal, RandomSearchResult
from budgetnet.experiments.baseline.result import Baseline, BaselineRecord, Trainings, difference_of, final_of, ranked
from budgetnet.experiments.baseline.run import final_jobs, objective_of, trainings_of
from budgetnet.experiments.baseline.scoring import CandidateScoring
from budgetnet.parallel.progress import Progress
from budgetnet.statistics import OverSeeds, difference_interval
from budgetnet.training.predictions import train_and_test

BACKWARD = 3
"""Multiply-adds of a training step to those of its forward passes."""


@dataclass(frozen=True, slots=True)
class Sampled:
    """A network that was drawn, with the accuracy on validation that its own training reached."""

    id: str
    network: Network
    macs: int
    validation: float


def made_by(record: BaselineRecord, **more: object) -> str:
    """16 hex digits over all that trainings of a run's networks depend on, and over `more`: a folder's name."""
    plan, request = record.plan, record.request
    parts = (plan.space, request.budget, plan.recipe, plan.preprocessing, request.precision, plan.side_px)
    row = [record.data.fingerprint, record.seed, *map(to_plain, parts), more]
    return hashlib.sha256(json.dumps(row, sort_keys=True).encode()).hexdigest()[:16]


def search_macs(found: Baseline, validation: int) -> float:
    """Multiply-adds of all that a finished search did before its finals, with so many validation images."""
    plan = found.record.plan
    total = training_macs(plan.scores.steps, plan.batch, sum(row.macs for row in found.candidates), validation)
    if plan.semifinals is None:
        return total
    again = sum(row.macs for row in found.semifinals)
    return total + training_macs(plan.semifinals.steps, plan.batch, again, validation)


def training_macs(steps: int, batch: int, macs: float, validation: int) -> float:
    """Multiply-adds of a training and of its predictions, for a network of so many."""
    return (BACKWARD * steps * batch + validation) * macs


@dataclass(frozen=True, slots=True)
class RandomSearch:
    """A finished search and the networks that were drawn and trained for so many steps each, in place of it."""

    scoring: CandidateScoring
    found: Baseline
    drawn: Sequence[Sampled]
    steps: int
    images: ImageSet

    @property
    def search_macs(self) -> float:
        """Of the search's scores and semifinals."""
        return search_macs(self.found, len(self.images.indices("validation")))

    @property
    def training_macs(self) -> float:
        """Of one drawn network, on average."""
        mean = float(np.mean([one.macs for one in self.drawn]))
        batch = self.found.record.plan.batch
        return training_macs(self.steps, batch, mean, len(self.images.indices("validation")))

    @property
    def affordable(self) -> int:
        """Trainings that cost as much as the search."""
        return int(self.search_macs / self.training_macs)

    @property
    def finalists(self) -> Sequence[Sampled]:
        """The best that were paid for, as many as the search's. Ends the program where there are fewer."""
        objective = objective_of(self.found.record, self.scoring.space)
        paid, count = self.drawn[: self.affordable], len(self.found.finals) - 1
        if len(paid) < count:
            raise SystemExit(f"random search has {len(paid)} trainings and {count} finalists; give fewer --steps")
        return sorted(paid, key=lambda row: (-objective.of(row.validation, row.macs), row.id))[:count]

    def finals(self, out: Path, shown: Progress) -> RandomSearchResult:
        """Train the finalists as the search's were, and compare."""
        record, at = self.found.record, self.scoring.context
        plan = record.plan
        name = made_by(record, batch=plan.batch, steps=plan.finals.steps, seeds=plan.seeds)
        chosen = [(row.id, row.network) for row in self.finalists]
        jobs = final_jobs(record, chosen, dataclasses.replace(at, folder=str(out / name / "training")))
        here = LocalExecutor(at.device)
        train_pending(
            jobs,
            "random finals",
            here,
            jobs[0].context,
            here.slots(),
            shown,
            train_and_test,
            lambda job: job.predictions,
        )
        done, objective = trainings_of(jobs, self.images), objective_of(record, self.scoring.space)
        budget = record.request.budget
        rows = ranked([final_of(name, row, None, done[name], budget, objective) for name, row in chosen])
        ours, theirs = self._of_search(), [done[row.id] for row in rows]
        return RandomSearchResult(
            search_macs=self.search_macs,
            training_macs=self.training_macs,
            affordable=self.affordable,
            trainings=min(self.affordable, len(self.drawn)),
            finals=tuple(
                RandomFinal(row.id, row.macs, row.validation_accuracy, row.reward, row.accuracy) for row in rows
            ),
            winner=difference_of(self.found.winner, rows[0].id, ours[0], theirs[0]),
            all_finals=all_finals(ours, theirs),
        )

    def _of_search(self) -> list[Trainings]:
        """The final trainings of the search's finalists, the winner first."""
        rows = [(row.id, row.network) for row in self.found.finals[:-1]]
        done = trainings_of(final_jobs(self.found.record, rows, self.scoring.context), self.images)
        return [done[name] for name, _ in rows]


def all_finals(ours: Sequence[Trainings], theirs: Sequence[Trainings]) -> MeanDifference:
    """Mean accuracy of all finalists minus theirs on the same images, with its 95 % interval.

    E**2 = V_images + V_ours / n + V_theirs / n: V_images of the mean of per-image differences, the others of the
    networks' accuracies, with Welch's degrees of freedom for these two. What chance adds to single answers is in both,
    on the safe side.
    """
    left, right = map(_right_shares, (ours, theirs))
    each = left.mean(0) - right.mean(0)
    images = float(each.var(ddof=1)) / each.size
    spreads = [float(rows.mean(1).var(ddof=1)) / len(rows) if len(rows) > 1 else 0.0 for rows in (left, right)]
    networks, error = sum(spreads), math.sqrt(images + sum(spreads))
    parts = sum(spread**2 / (len(rows) - 1) for spread, rows in zip(spreads, (left, right), strict=True) if spread)
    degrees = (images + networks) ** 2 / parts if parts else math.inf
    found = OverSeeds(float(each.mean()), math.sqrt(images), math.sqrt(networks), error, degrees, each.size)
    low, high = difference_interval(found)
    return MeanDifference(found.mean, low, high)


def _right_shares(rows: Sequence[Trainings]) -> NDArray[np.float64]:
    """(networks, images): the share of the seeds that got an image right."""
    return np.stack([np.mean([test.right for test in row.tests], axis=0) for row in rows])
