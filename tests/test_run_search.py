"""The search above a score: limits kept, nothing scored twice, and a search that is run again gives the same."""

from __future__ import annotations

import dataclasses
import math
import operator
from collections.abc import Sequence

import pytest
from support.spaces import BASE

from budgetnet import Budget
from budgetnet.budgets.feasible_space import FeasibleSpace
from budgetnet.budgets.search_space import Architecture, Space, StageSpace, default_space
from budgetnet.experiments.baseline.evolution import Evolution, Genes
from budgetnet.experiments.baseline.objective import Objective, Score, Scored, best_of
from budgetnet.experiments.baseline.search import SAMPLERS, OnResult, Sampler, Search, run_search

SPACE = default_space(BASE)
WHOLE = FeasibleSpace.of(SPACE, Budget(macs=10**9))
BUDGET = Budget(macs=3 * WHOLE.macs(WHOLE.smallest()))
FEASIBLE = FeasibleSpace.of(SPACE, BUDGET)


def search(trials: int = 24, sampler: Sampler = "evolution", **more: object) -> Search:
    return dataclasses.replace(Search(FEASIBLE, trials, 2, Objective(BUDGET.macs or 1), sampler), **more)


class Rule:
    """Scores by a rule that has a best answer, keeps every score, and remembers what it computed."""

    def __init__(self, kept: dict[str, Score] | None = None, dies_after: int | None = None, last_first: bool = False):
        self.kept = {} if kept is None else kept
        self.computed: list[str] = []
        self.dies_after, self.last_first = dies_after, last_first

    def __call__(self, architectures: Sequence[Architecture], on_result: OnResult) -> None:
        for row in reversed(architectures) if self.last_first else architectures:
            if row.id not in self.kept:
                if self.dies_after is not None and len(self.computed) >= self.dies_after:
                    raise KeyboardInterrupt
                self.computed.append(row.id)
                self.kept[row.id] = Score(self.accuracy(row), 1.0)
            on_result(row, self.kept[row.id])

    @staticmethod
    def accuracy(architecture: Architecture) -> float:
        return sum((row.kernel == 5) + (row.squeeze > 0) + (row.kind == "mbconv") for row in architecture.stages) / 6


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_candidate_keeps_the_budget_and_is_new(sampler: Sampler) -> None:
    rule, counts = Rule(), list[int]()
    found = run_search(search(50, sampler), rule, lambda rows: counts.append(len(rows)))
    assert len(found) == len({row.architecture.id for row in found}) == 50
    assert rule.computed == [row.architecture.id for row in found]
    assert all(FEASIBLE.fits(row.architecture) and row.macs == FEASIBLE.macs(row.architecture) for row in found)
    assert all(
        row.reward == pytest.approx(row.score.accuracy * (row.macs / (BUDGET.macs or 1)) ** -0.07) for row in found
    )
    assert counts == list(range(1, 51))


def test_evolution_finds_better_ones_than_its_first_generation() -> None:
    found = run_search(search(80), Rule())
    even = run_search(search(80, "random"), Rule())
    assert found[:20] == even[:20], "the first generation is drawn evenly"
    assert mean(found[-20:]) > mean(found[:20]) + 0.15
    assert mean(found[-20:]) > mean(even[-20:]) + 0.15


def mean(rows: Sequence[Scored]) -> float:
    return sum(row.score.accuracy for row in rows) / len(rows)


def test_parents_are_the_best_of_complete_generations() -> None:
    evolution, scored = Evolution.of(FEASIBLE, 0), run_search(search(30), Rule())
    assert evolution.parents(scored[:19]) == ()
    best = best_of(scored[:20], 20)
    assert evolution.parents(scored) == evolution.parents(best)
    assert [row.reward for row in best] == sorted((row.reward for row in scored[:20]), reverse=True)


def test_a_child_has_the_factors_of_its_parents_but_for_mutations() -> None:
    evolution, scored = Evolution.of(WHOLE, 0), run_search(search(20, space=WHOLE), Rule())
    one = evolution.parents(scored)[0]
    other = max(evolution.parents(scored), key=lambda genes: sum(map(operator.ne, genes, one)))

    def children(parents: Sequence[Genes]) -> list[Genes]:
        rows = [dataclasses.replace(scored[0], architecture=evolution.propose(parents, n)) for n in range(400)]
        return [evolution.parents([row] * 20)[0] for row in rows]

    changed = [sum(map(operator.ne, child, one)) for child in children([one] * 20)]
    assert 0.3 < sum(changed) / 400 < 1.0, "one factor is drawn again on average, and often as it was"
    crossed = children([one, other] * 10)
    mixed = [child for child in crossed if any(map(operator.ne, child, one)) and any(map(operator.ne, child, other))]
    assert len(mixed) > 100
    foreign = [sum(gene not in pair for gene, *pair in zip(child, one, other, strict=True)) for child in crossed]
    assert sum(foreign) / 400 < 1.0


@pytest.mark.parametrize("after", [22, 23])
def test_a_killed_search_repeats_nothing_and_gives_the_same(after: int) -> None:
    undisturbed = run_search(search(50), Rule())
    first = Rule(dies_after=after)  # between two batches, or within one of two
    with pytest.raises(KeyboardInterrupt):
        run_search(search(50), first)
    second = Rule(first.kept)
    assert run_search(search(50), second) == undisturbed
    assert len(first.computed) + len(second.computed) == 50
    assert run_search(search(50), Rule(second.kept, dies_after=0)) == undisturbed


def test_the_order_in_which_scores_come_changes_nothing() -> None:
    assert run_search(search(50, at_once=7), Rule(last_first=True)) == run_search(search(50, at_once=7), Rule())


def test_a_small_space_is_searched_whole_and_no_further() -> None:
    stage = StageSpace(kinds=("separable",), kernels=(3, 5), squeezes=(0.0,), widths=(1.0,), layers=(0,))
    space = FeasibleSpace.of(Space(BASE, (stage, stage)), Budget(macs=10**9))
    found = run_search(search(40, space=space), Rule())
    assert space.count == 4 == len(found)


def test_another_seed_is_another_search() -> None:
    assert run_search(search(4, seed=1), Rule()) != run_search(search(4), Rule())


def test_unknown_samplers_are_named() -> None:
    with pytest.raises(ValueError, match="choose one of evolution, random"):
        search(sampler="grid")  # pyright: ignore[reportArgumentType]


def test_the_objective() -> None:
    assert Objective(100).of(0.8, 100) == 0.8
    assert Objective(100).of(0.8, 50) == pytest.approx(0.8 * 2**0.07)
    assert Objective(100, 0.0).of(0.8, 50) == 0.8
    for exponent in (0.07, -1.5, math.nan):
        with pytest.raises(ValueError, match="give one from -1 to 0"):
            Objective(100, exponent)
