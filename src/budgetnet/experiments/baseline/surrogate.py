"""The semifinalists, from the noisy scores of many: a surrogate, an additive model of all scores over the space.

    score(a) ~ mean + sum over stages and factors of what the factor's value adds

A score says as much about the network's values as about luck, and hundreds of others share each of these values. So the
fitted value ranks better than the score itself, and also ranks networks that nobody has scored. Ridge regression, its
penalty by leaving one out. Source: Hoerl and Kennard, Technometrics 12 (1970); Wen et al., Neural Predictor for Neural
Architecture Search, arXiv:1912.00848, for the use of predictions. What it is worth: docs/lab-log.md.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from budgetnet.budgets.feasible_space import FeasibleSpace
from budgetnet.budgets.search_space import Architecture, FactorValue
from budgetnet.experiments.baseline.objective import Objective, Scored, best_of

PENALTIES = tuple(10.0**power for power in (-1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0))
LEAST_SCORES = 20
"""A model of dozens of values needs at least this many scores."""
CLIMB_STEPS = 300
Floats = NDArray[np.float64]
Value = tuple[int, str, FactorValue]
"""A value of a factor is told by the number of its stage, the factor's name, and the value itself."""


@dataclass(frozen=True, slots=True, eq=False)
class Additive:
    """A fitted model: what each value adds to the `mean`, over how often it occurred (`shares`)."""

    mean: float
    columns: Mapping[Value, int]
    shares: Floats
    adds: Floats

    def of(self, architecture: Architecture) -> float:
        """The score that the model expects. What a value adds that no scored network had is not known: nothing."""
        row = np.zeros(len(self.shares))
        row[[self.columns[value] for value in _values(architecture) if value in self.columns]] = 1.0
        return self.mean + float((row - self.shares) @ self.adds)


def additive_model(architectures: Sequence[Architecture], scores: Sequence[float]) -> Additive | None:
    """The model of these scores; None where it predicts those that are left out no better than their mean does.

    Better is a squared error that is lower by more than one standard error: luck has a little of its own.
    """
    if len(scores) < LEAST_SCORES:
        return None
    rows = [set(_values(one)) for one in architectures]
    columns = {value: at for at, value in enumerate(sorted(set[Value]().union(*rows), key=repr))}
    table = np.array([[value in row for value in columns] for row in rows], dtype=np.float64)
    shares, targets = table.mean(0), np.asarray(scores, dtype=np.float64)
    left, sizes, right = np.linalg.svd(table - shares, full_matrices=False)
    along = left.T @ (targets - targets.mean())
    errors = [_left_out(left, sizes, along, targets, penalty) for penalty in PENALTIES]
    best = int(np.argmin([each.mean() for each in errors]))
    gains = ((targets - targets.mean()) / (1 - 1 / len(targets))) ** 2 - errors[best]
    if gains.mean() <= gains.std(ddof=1) / math.sqrt(len(gains)):
        return None
    penalty = PENALTIES[best]
    return Additive(float(targets.mean()), columns, shares, right.T @ (sizes / (sizes**2 + penalty) * along))


def _values(architecture: Architecture) -> Iterator[Value]:
    for index, choice in enumerate(architecture.stages):
        for name, value in dataclasses.asdict(choice).items():
            yield index, name, value


def _left_out(left: Floats, sizes: Floats, along: Floats, targets: Floats, penalty: float) -> Floats:
    """Squared error of each score by the model of the others: residual / (1 - leverage)."""
    kept = sizes**2 / (sizes**2 + penalty)
    fitted = targets.mean() + left @ (kept * along)
    leverage = (left**2) @ kept + 1 / len(targets)
    return ((targets - fitted) / np.maximum(1 - leverage, 1e-9)) ** 2


def select_semifinalists(
    space: FeasibleSpace, scored: Sequence[Scored], objective: Objective, count: int, seed: int
) -> tuple[Architecture, ...]:
    """At most `count` networks that keep the budget, for a longer training.

    Half are the scored ones that are best by the model's accuracy; the others were not scored: the model predicts them
    to be better, by steps from these. Without a model they are the best scored ones by their own objective.
    """
    model = additive_model([row.architecture for row in scored], [row.score.accuracy for row in scored])
    if model is None:
        return tuple(row.architecture for row in best_of(scored, count))
    found = {row.architecture.id: row.architecture for row in scored}

    def predicted_reward(one: Architecture) -> float:
        return objective.of(model.of(one), space.macs(one))

    best = sorted(found.values(), key=lambda one: (-predicted_reward(one), one.id))
    chosen = best[: count - count // 2]
    for start in best[: count // 2]:
        predicted = [one for one in _climb(space, start, predicted_reward, seed) if one.id not in found]
        if predicted:
            found[predicted[-1].id] = predicted[-1]
            chosen.append(predicted[-1])
    return tuple(chosen)


def _climb(
    space: FeasibleSpace, start: Architecture, predicted_reward: Callable[[Architecture], float], seed: int
) -> Iterator[Architecture]:
    """Networks that keep the budget, each predicted to be better than the one before, by one factor of one stage after
    another."""
    now, best = start, predicted_reward(start)
    for attempt in range(CLIMB_STEPS):
        near = space.mutated(now, seed, "predicted", start.id, attempt)
        value = predicted_reward(near)
        if value > best and space.fits(near):
            now, best = near, value
            yield now
