"""Races replayed from scores of trainings that were all made: what each form of race costs, and what it finds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.random_search import BACKWARD
from bench.ranking import tau
from budgetnet import cost
from budgetnet.data import ImageSet
from budgetnet.experiments.coefficients.scoring import Answers, difference_of, on_test, on_validation, score_of
from budgetnet.training.job import TrainingJob

REPLAYS = 2000
Floats = NDArray[np.float64]
Trainings = Mapping[str, Sequence[Sequence[TrainingJob]]]
"""For each candidate, for each seed, a job for each mark in order."""


@dataclass(frozen=True, slots=True)
class Rung:
    """So many take part, each scored at the `mark`-th place of its training, as the mean of so many seeds."""

    count: int
    mark: int
    seeds: int = 1


@dataclass(frozen=True, slots=True)
class Form:
    """A race: its rungs, of trainings from nothing or from the base's weights. The last rung's best is the winner."""

    name: str
    rungs: tuple[Rung, ...]
    inherited: bool = False


def forms_for(candidates: int, seeds: int) -> tuple[Form, ...]:
    """The races that are compared, the first of them no race: all candidates in full, with all seeds."""
    few, fewer = max(2, candidates // 4), 2
    half = max(2, candidates // 2)
    return (
        Form("all in full", (Rung(candidates, 4, seeds),)),
        Form("all in full, one seed", (Rung(candidates, 4),)),
        Form("1/8, 1/4, in full", (Rung(candidates, 1), Rung(half, 2), Rung(few, 4, seeds))),
        Form("1/16, 1/8, 1/4, in full", (Rung(candidates, 0), Rung(half, 1), Rung(few, 2), Rung(fewer, 4, seeds))),
        Form("1/16, 1/8, 1/4 all seeds", (Rung(candidates, 0), Rung(half, 1), Rung(few, 2, seeds))),
        Form("1/16, 1/8 all seeds", (Rung(candidates, 0), Rung(few, 1, seeds))),
        Form("inherited: 1/16, 1/8, 1/4 all seeds", (Rung(candidates, 0), Rung(half, 1), Rung(few, 2, seeds)), True),
        Form("inherited: 1/16, 1/8 all seeds", (Rung(candidates, 0), Rung(few, 1, seeds)), True),
        Form("inherited: 1/16 all seeds", (Rung(candidates, 0, seeds),), True),
    )


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """What trainings scored and cost: `losses` (candidates, seeds, marks) on validation; MACs of each job by steps."""

    losses: Floats
    trunk_macs: Floats
    cooldown_macs: Floats
    """(candidates, marks): of the trunk from the beginning to the mark; of the cool-down and the score there."""


def table_of(trainings: Trainings, images: ImageSet) -> Table:
    """The scores of every training at every mark, and what each costs."""
    losses = [
        [[float(on_validation(job, images).losses.mean()) for job in one] for one in rows]
        for rows in trainings.values()
    ]
    validation = len(images.indices("validation"))
    trunk, down = [], []
    for rows in trainings.values():
        jobs = rows[0]
        macs = cost(jobs[0].config.network).macs
        a_step = BACKWARD * macs * jobs[0].config.batch
        trunk.append([job.trunk_until * a_step for job in jobs])
        down.append([job.cooldown_steps * a_step + macs * validation for job in jobs])
    return Table(np.array(losses), np.array(trunk), np.array(down))


def replayed(form: Form, table: Table, generator: np.random.Generator) -> tuple[int, float]:
    """(the winner, the multiply-adds) of one race, in which every candidate's seeds come in an order drawn anew."""
    candidates, seeds, _ = table.losses.shape
    order = np.array([generator.permutation(seeds) for _ in range(candidates)])
    spent, going = 0.0, np.arange(candidates)
    reached = np.zeros((candidates, seeds))  # multiply-adds of the trunk that are paid for
    scores = np.zeros(candidates)
    for rung in form.rungs:
        going = going[: rung.count]
        for one in going:
            mine = order[one, : rung.seeds]
            scores[one] = table.losses[one, mine, rung.mark].mean()
            trunk = table.trunk_macs[one, rung.mark]
            spent += float((trunk - reached[one, mine]).sum() + len(mine) * table.cooldown_macs[one, rung.mark])
            reached[one, mine] = trunk
        going = going[np.argsort(scores[going], kind="stable")]
    return int(going[0]), spent


def judged(
    forms: Sequence[Form], first_macs: float, plain: Trainings, heirs: Trainings, images: ImageSet
) -> dict[str, Any]:
    """What every form costs and finds, and how well each mark orders the candidates.

    `first_macs` is what the weights cost that the heirs begin from.
    """
    tables = {False: table_of(plain, images), True: table_of(heirs, images)}
    tests = {name: [on_test(jobs[-1], images) for jobs in rows] for name, rows in plain.items()}
    names, truth = list(plain), tables[False].losses[:, :, -1].mean(1)
    best = int(truth.argmin())
    gaps = [_gap(names[best], name, tests) for name in names]
    rows = [_form_row(form, tables[form.inherited], first_macs * form.inherited, best, gaps) for form in forms]
    for row in rows:
        row["times_less"] = rows[0]["macs"] / row["macs"]
    return {
        "networks": [
            {"id": name, **_network(plain[name]), "log_loss": float(loss), **gap, **_score(tests[name])}
            for name, loss, gap in zip(names, truth, gaps, strict=True)
        ],
        "first_macs": first_macs,
        "by_chance": {name: float(np.mean([gap[name] for gap in gaps])) for name in ("inside", "lost")},
        "forms": rows,
        "tau": {"plain": _taus(tables[False], truth), "inherited": _taus(tables[True], truth)},
    }


def _taus(table: Table, truth: Floats) -> list[float]:
    """Kendall's tau of one seed's log losses with the full trainings' means, at each mark, mean over seeds."""
    _, seeds, marks = table.losses.shape
    return [float(np.mean([tau(table.losses[:, seed, mark], truth) for seed in range(seeds)])) for mark in range(marks)]


def _network(rows: Sequence[Sequence[TrainingJob]]) -> dict[str, Any]:
    network = rows[0][-1].config.network
    return {"macs": cost(network).macs, "depth": network.depth, "resolution_px": network.resolution_px}


def _score(tests: Sequence[Answers]) -> dict[str, float]:
    found = score_of(tests)
    return {"test": found.accuracy, "low": found.accuracy_low, "high": found.accuracy_high}


def _gap(best: str, name: str, tests: Mapping[str, Sequence[Answers]]) -> dict[str, Any]:
    """Test accuracy of the best minus this one's, and whether this one lies inside the interval of the difference."""
    if best == name:
        return {"lost": 0.0, "inside": True}
    found = difference_of(best, name, tests[best], tests[name])
    return {"lost": found.accuracy, "inside": found.accuracy_low <= 0.0}


def _form_row(
    form: Form, table: Table, first_macs: float, best: int, gaps: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    generator = np.random.default_rng(0)
    found = [replayed(form, table, generator) for _ in range(REPLAYS)]
    winners = [winner for winner, _ in found]
    return {
        "name": form.name,
        "macs": first_macs + math.fsum(macs for _, macs in found) / len(found),
        "same": float(np.mean([winner == best for winner in winners])),
        "inside": float(np.mean([gaps[winner]["inside"] for winner in winners])),
        "lost": float(np.mean([gaps[winner]["lost"] for winner in winners])),
    }
