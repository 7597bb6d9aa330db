"""A finished search for a baseline against random search: the same multiply-adds, the same finals.

In place of the search's scores and semifinals, as many trainings of networks that are drawn evenly from its space as
cost the same multiply-adds (`bench.ranking` has made them); their best by the objective on validation have the search's
own finals: as many of them, for as many steps, with the same seeds. Both answers, and all finalists of both, are
compared on the same test images.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from budgetnet import Network
from budgetnet.baseline.by_supernet import CALIBRATION_IMAGES, MOST_IMAGES, BySupernet
from budgetnet.baseline.finals import final_legs
from budgetnet.baseline.result import Trainings, against, final_of
from budgetnet.baseline.scorer import Scorer
from budgetnet.baseline.teaching import Teaching, sandwich_of
from budgetnet.baseline.work import objective_of, search_of, trainings_of
from budgetnet.learn.answers import right_over_seeds
from budgetnet.learn.data import ImageSet
from budgetnet.learn.missing import train_missing
from budgetnet.learn.progress import Progress
from budgetnet.learn.run import read_json
from budgetnet.learn.statistics import difference_interval, on_one_split, paired_over_seeds
from budgetnet.learn.where import Here
from budgetnet.search.options import Options

BACKWARD = 3
"""Multiply-adds of a training step to those of its forward passes."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """A network that was drawn, with the accuracy on validation that its own training reached."""

    id: str
    network: Network
    macs: int
    validation: float


def search_macs(plan: Mapping[str, Any], scorer: Scorer, mean_macs: float, validation: int) -> float:
    """Multiply-adds of everything before the finals, for candidates of so many and so many validation images."""
    semifinals = plan["semifinals"]
    again = 0.0
    if semifinals:
        again = semifinals["networks"] * training_macs(semifinals["course"], mean_macs, validation)
    if isinstance(scorer, BySupernet):
        each = (CALIBRATION_IMAGES + min(MOST_IMAGES, validation)) * mean_macs
        return supernet_macs(scorer.teaching) + plan["candidates"] * each + again
    return plan["candidates"] * training_macs(plan["candidate"], mean_macs, validation) + again


def training_macs(course: Mapping[str, Any], mean_macs: float, validation: int) -> float:
    """Multiply-adds of a training and of its answers, for a network of so many."""
    return (BACKWARD * course["steps"] * course["batch"] + validation) * mean_macs


def supernet_macs(teaching: Teaching) -> float:
    """Multiply-adds of the supernet's training, by a hundred of its steps."""
    some = range(0, teaching.steps, max(1, teaching.steps // 100))
    return BACKWARD * teaching.steps * teaching.batch * sandwich_macs(teaching.options, teaching.seed, some)


def sandwich_macs(options: Options, seed: int, steps: Sequence[int]) -> float:
    """Mean multiply-adds of the networks of such a step, for one image."""
    return sum(options.macs(one) for step in steps for one in sandwich_of(options, seed, step)) / len(steps)


def random_search(
    plan: Mapping[str, Any],
    scorer: Scorer,
    drawn: Sequence[Drawn],
    steps: int,
    out: Path,
    images: ImageSet,
    shown: Progress,
) -> dict[str, Any]:
    """What the search's multiply-adds reach without a search; `drawn` were trained for so many steps.

    Where fewer were trained than could be paid for, all of them count, and random search has spent less.
    """
    mean_macs, validation = float(np.mean([one.macs for one in drawn])), len(images.indices("validation"))
    course = {"steps": steps, "batch": plan["finals"]["course"]["batch"]}
    one, whole = training_macs(course, mean_macs, validation), search_macs(plan, scorer, mean_macs, validation)
    objective, paid = objective_of(plan, scorer.options), drawn[: int(whole / one)]
    best = sorted(paid, key=lambda row: (-objective.of(row.validation, row.macs), row.id))
    place = dataclasses.replace(scorer.place, folder=str(out / search_of(plan, scorer).name / "training"))
    chosen = [(row.id, row.network) for row in best[: plan["finals"]["finalists"]]]
    legs = final_legs(plan, chosen, place)
    train_missing(legs, "random finals", Here(place.device), place, plan["workers"], shown)
    done = trainings_of(legs, images)
    finals = [final_of(name, network, None, done[name], scorer.options.budget, objective) for name, network in chosen]
    finals.sort(key=lambda row: (-row.reward, row.macs, row.id))
    theirs = [done[row.id] for row in finals]
    ours = _of_search(plan, scorer, images)
    names = ("id", "macs", "validation_accuracy", "reward", "accuracy")
    return {
        "search_macs": whole,
        "training_macs": one,
        "affordable": int(whole / one),
        "trainings": len(paid),
        "finals": [{name: getattr(row, name) for name in names} for row in finals],
        "winner": dataclasses.asdict(against(ours[0], theirs[0])),
        "all_finals": _all_finals(ours, theirs),
    }


def _of_search(plan: Mapping[str, Any], scorer: Scorer, images: ImageSet) -> list[Trainings]:
    """The final trainings of the search's finalists, the winner first."""
    rows = read_json(Path(scorer.place.folder).parent / "baseline.json")["finals"][:-1]
    networks = [(row["id"], Network.from_json(json.dumps(row["network"]))) for row in rows]
    done = trainings_of(final_legs(plan, networks, scorer.place), images)
    return [done[name] for name, _ in networks]


def _all_finals(ours: Sequence[Trainings], theirs: Sequence[Trainings]) -> dict[str, float]:
    """Mean accuracy of all finalists minus theirs, rank by rank: networks differ as seeds do."""
    left, right = (right_over_seeds([test for row in rows for test in row.tests]) for rows in (ours, theirs))
    found = on_one_split(paired_over_seeds(left, right), len(left))
    low, high = difference_interval(found)
    return {"difference": found.mean, "low": low, "high": high}
