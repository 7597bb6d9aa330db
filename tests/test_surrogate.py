"""What a model of noisy scores is worth: it ranks better than they do, and knows when it knows nothing."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy.stats import kendalltau
from support.spaces import BUDGET, SMALL

from budgetnet.budgets.feasible_space import FeasibleSpace
from budgetnet.budgets.search_space import Architecture
from budgetnet.experiments.baseline.objective import Objective, Score, Scored, best_of
from budgetnet.experiments.baseline.surrogate import additive_model, select_semifinalists

SPACE = FeasibleSpace.of(SMALL, BUDGET)
OBJECTIVE = Objective(BUDGET.macs or 1)
WORTH = {"kind": {"mbconv": 0.05, "fused": 0.02, "separable": 0.0}, "kernel": {3: 0.0, 5: 0.03}}


def truth(one: Architecture) -> float:
    """Half by its values, a little by two of them together, which no additive model knows."""
    own = sum(WORTH["kind"][stage.kind] + WORTH["kernel"][stage.kernel] + 0.01 * stage.repeats for stage in one.stages)
    return 0.4 + own + 0.01 * (one.stages[0].kind == one.stages[1].kind)


def samples(count: int, seed: int = 0) -> list[Architecture]:
    found: dict[str, Architecture] = {}
    for number in range(100 * count):
        one = SPACE.sample(seed, number)
        found.setdefault(one.id, one)
        if len(found) == count:
            break
    return list(found.values())


def scored(count: int, noise: float, seed: int = 0) -> list[Scored]:
    luck = np.random.default_rng(seed).normal(0, noise, count)
    return [
        OBJECTIVE.scored(one, SPACE.macs(one), Score(truth(one) + float(extra), 1.0))
        for one, extra in zip(samples(count, seed), luck, strict=True)
    ]


def test_the_model_ranks_better_than_the_scores_that_it_is_of() -> None:
    rows = scored(120, noise=0.05)
    model = additive_model([row.architecture for row in rows], [row.score.accuracy for row in rows])
    assert model is not None
    true = [truth(row.architecture) for row in rows]
    own = kendalltau([row.score.accuracy for row in rows], true).statistic
    assert kendalltau([model.of(row.architecture) for row in rows], true).statistic > own + 0.15
    others = samples(60, seed=7)
    assert kendalltau([model.of(one) for one in others], [truth(one) for one in others]).statistic > own


def test_luck_alone_has_no_model() -> None:
    rows = samples(60)
    found = [additive_model(rows, list(np.random.default_rng(seed).normal(0.5, 0.1, 60))) for seed in range(20)]
    assert sum(model is None for model in found) >= 14, "leaving one out sees through most of them"
    assert additive_model(rows, [0.5] * 60) is None
    assert additive_model(rows[:19], [truth(one) for one in rows[:19]]) is None, "too few"


def test_without_noise_the_fit_is_what_was_scored() -> None:
    rows = samples(100)
    model = additive_model(rows, [truth(one) for one in rows])
    assert model is not None
    assert [model.of(one) for one in rows] == pytest.approx([truth(one) for one in rows], abs=0.02)


@pytest.mark.slow
def test_half_of_the_semifinalists_are_predicted_and_all_keep_the_budget() -> None:
    rows = scored(60, noise=0.05)
    found = select_semifinalists(SPACE, rows, OBJECTIVE, 16, seed=0)
    known = {row.architecture.id for row in rows}
    predicted = [one for one in found if one.id not in known]
    assert len({one.id for one in found}) == len(found) and 9 <= len(found) <= 16
    assert found[:8] and all(one.id in known for one in found[:8]) and predicted
    assert all(SPACE.fits(one) for one in found)
    mean = np.mean([OBJECTIVE.of(truth(one), SPACE.macs(one)) for one in predicted])
    lucky = [row.architecture for row in best_of(rows, 16)]
    assert mean > np.mean([OBJECTIVE.of(truth(one), SPACE.macs(one)) for one in lucky])
    assert found == select_semifinalists(SPACE, rows[::-1], OBJECTIVE, 16, seed=0), "a function of what was scored"


def test_without_a_model_the_best_scores_count() -> None:
    rows = [dataclasses.replace(row, score=Score(0.5, 1.0)) for row in scored(40, noise=0.0)]
    assert select_semifinalists(SPACE, rows, OBJECTIVE, 6, seed=0) == tuple(
        row.architecture for row in best_of(rows, 6)
    )
