"""Successive halving, and the choice among its finalists."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from budgetnet.experiments.race import race, survivors
from budgetnet.experiments.solve.choice import MOST_LOST, ValidationScores, choose_winner
from budgetnet.statistics import log_losses


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

    results = race(names, score, survivors(len(names)))
    assert [len(row) for row in results] == list(survivors(len(names)))
    ranked = sorted(names, key=lambda name: (-values[int(name[1:])], int(name[1:])))
    for going in asked[1:]:
        assert going == ranked[: len(going)]


@given(st.lists(st.floats(0, 1), min_size=2, max_size=12), st.data())
def test_the_incumbent_meets_the_best_of_the_others_in_the_last_rung(values: list[float], data: st.DataObject) -> None:
    names = [f"n{index}" for index in range(len(values))]
    incumbent = data.draw(st.sampled_from(names))
    kept = survivors(len(names))
    last = race(names, lambda rung, going: {name: values[int(name[1:])] for name in going}, kept, incumbent)[-1]
    others = sorted(set(names) - {incumbent}, key=lambda name: (-values[int(name[1:])], int(name[1:])))
    assert set(last) == {incumbent, others[0]}


def test_a_race_without_entrants_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        race([], lambda rung, going: {}, ())


def judged(*wrong: int, count: int = 1000, sure: float = 0.9) -> ValidationScores:
    """Every answer with the same probability of what it says: the true class, but where it is wrong."""
    answers = np.ones(count, bool)
    answers[list(wrong)] = False
    probabilities = np.where(answers[:, None], (sure, 1 - sure), (1 - sure, sure))
    return ValidationScores(answers, log_losses(probabilities, np.zeros(count, np.int64)))


def test_the_lowest_loss_wins_when_no_cheaper_one_is_as_good() -> None:
    choice = choose_winner({"a": judged(1), "b": judged(*range(40))}, {"a": 10, "b": 5})
    assert (choice.id, choice.best_id, choice.difference) == ("a", "a", None)
    assert "log loss" in choice.reason and "99.9 % right" in choice.reason


def test_how_sure_the_answers_are_decides_between_as_many_right_ones() -> None:
    both = {"a": judged(1, 2, sure=0.7), "b": judged(3, 4, sure=0.9)}
    assert choose_winner(both, {"a": 10, "b": 10}).id == "b"
    assert choose_winner({**both, "b": judged(3, 4, 5, sure=0.9)}, {"a": 10, "b": 10}).id == "b"


def test_a_cheaper_one_within_one_standard_error_and_half_a_point_wins() -> None:
    answers = {"big": judged(1, 2, 3), "small": judged(4, 5, 6, 7)}
    choice = choose_winner(answers, {"big": 10, "small": 5})
    assert (choice.id, choice.best_id) == ("small", "big")
    assert choice.difference is not None and choice.difference.value == pytest.approx(0.001)
    assert "50 % fewer MACs" in choice.reason
    assert choose_winner(answers, {"big": 100, "small": 91}).id == "big", "9 % fewer is not a saving"
    assert choose_winner(answers, {"big": 100, "small": 90}).id == "small"


def test_half_a_point_is_the_most_that_cheapness_costs() -> None:
    # On 20 images one standard error is far more than half a point: the error alone must not decide.
    answers = {"big": judged(1, count=20), "small": judged(2, 3, count=20)}
    assert MOST_LOST < 1 / 20
    assert choose_winner(answers, {"big": 10, "small": 5}).id == "big"


def test_equal_losses_go_to_the_cheaper_and_a_diverged_one_to_none() -> None:
    answers = {"big": judged(1, 2), "small": judged(3, 4)}
    assert choose_winner(answers, {"big": 10, "small": 5}).id == "small"
    assert choose_winner(answers, {"big": 100, "small": 99}).id == "small"
    lost = ValidationScores(answers["small"].right, np.full(1000, np.inf))
    assert choose_winner({"big": answers["big"], "small": lost}, {"big": 10, "small": 5}).id == "big"


def test_log_losses_of_answers_that_are_certain_wrong_or_no_numbers() -> None:
    answers = np.array([[1.0, 0.0], [0.25, 0.75], [np.nan, 0.5]], np.float32)
    assert log_losses(answers, np.array([0, 0, 1])).tolist() == pytest.approx([0.0, math.log(4), math.inf])
    assert log_losses(answers[:1], np.array([1]))[0] == pytest.approx(-math.log(1e-7))
