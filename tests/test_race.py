"""Successive halving, and the choice among its finalists."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from budgetnet.search.race import race, survivors
from budgetnet.solve.choice import MOST_LOST, choose_winner


@given(st.integers(1, 200))
def test_rungs_halve_until_two_meet(entrants: int) -> None:
    rungs = survivors(entrants)
    assert rungs[0] == entrants
    assert rungs[-1] == min(entrants, 2)
    for before, after in itertools.pairwise(rungs):
        assert after == max(2, before // 2) and before > 2


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_the_better_part_goes_on_and_ties_keep_their_order(values: list[float]) -> None:
    names = [f"n{index}" for index in range(len(values))]
    asked: list[list[str]] = []

    def score(rung: int, going) -> dict[str, float]:
        asked.append(list(going))
        return {name: values[int(name[1:])] for name in going}

    results = race(names, score)
    assert [len(row) for row in results] == list(survivors(len(names)))
    ranked = sorted(names, key=lambda name: (-values[int(name[1:])], int(name[1:])))
    for going in asked[1:]:
        assert going == ranked[: len(going)]


@given(st.lists(st.floats(0, 1), min_size=2, max_size=12), st.data())
def test_the_incumbent_meets_the_best_of_the_others_in_the_last_rung(values: list[float], data: st.DataObject) -> None:
    names = [f"n{index}" for index in range(len(values))]
    incumbent = data.draw(st.sampled_from(names))
    last = race(names, lambda rung, going: {name: values[int(name[1:])] for name in going}, incumbent)[-1]
    others = sorted(set(names) - {incumbent}, key=lambda name: (-values[int(name[1:])], int(name[1:])))
    assert set(last) == {incumbent, others[0]}


def test_a_race_without_entrants_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        race([], lambda rung, going: {})


def right(*wrong: int, count: int = 1000) -> np.ndarray:
    answers = np.ones(count, bool)
    answers[list(wrong)] = False
    return answers


def test_the_best_score_wins_when_no_cheaper_one_is_as_good() -> None:
    choice = choose_winner(["a", "b"], {"a": right(1), "b": right(*range(40))}, {"a": 10, "b": 5})
    assert (choice.id, choice.best_id, choice.difference) == ("a", "a", None)


def test_a_cheaper_one_within_one_standard_error_and_half_a_point_wins() -> None:
    answers = {"big": right(1, 2, 3), "small": right(4, 5, 6, 7)}
    choice = choose_winner(["big", "small"], answers, {"big": 10, "small": 5})
    assert (choice.id, choice.best_id) == ("small", "big")
    assert choice.difference is not None and choice.difference.difference == pytest.approx(0.001)
    assert "50 % fewer MACs" in choice.reason
    assert choose_winner(["big", "small"], answers, {"big": 100, "small": 91}).id == "big", "9 % fewer is no saving"
    assert choose_winner(["big", "small"], answers, {"big": 100, "small": 90}).id == "small"


def test_half_a_point_is_the_most_that_cheapness_costs() -> None:
    # On 20 images one standard error is far more than half a point: the error alone must not decide.
    answers = {"big": right(1, count=20), "small": right(2, 3, count=20)}
    assert MOST_LOST < 1 / 20
    assert choose_winner(["big", "small"], answers, {"big": 10, "small": 5}).id == "big"


def test_equal_scores_go_to_the_cheaper() -> None:
    answers = {"big": right(1, 2), "small": right(3, 4)}
    assert choose_winner(["big", "small"], answers, {"big": 10, "small": 5}).id == "small"
