"""What several seeds say of an accuracy or a difference: errors by hand, intervals that hold what they promise."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from budgetnet.statistics import (
    Z_95,
    accuracy_interval,
    difference_interval,
    holm,
    over_seeds,
    paired_difference,
    wilson,
)


def drawn(count: int, share: float, seed: int) -> NDArray[np.bool_]:
    return np.random.default_rng(seed).random(count) < share


def test_one_seed_is_a_paired_difference() -> None:
    ours, theirs = drawn(400, 0.9, 1), drawn(400, 0.8, 2)
    found = over_seeds([(np.arange(400), ours.astype(float) - theirs)])
    expected = paired_difference(ours, theirs)
    assert found.mean == pytest.approx(expected.value) and found.error_seeds is None
    assert found.degrees == math.inf and found.images == 400
    assert found.error_images == pytest.approx((expected.high - expected.low) / (2 * Z_95), rel=0.02)
    assert difference_interval(found) == pytest.approx((expected.low, expected.high), abs=0.002)


def test_one_seed_has_wilsons_interval() -> None:
    right = drawn(300, 0.95, 3)
    found = over_seeds([(np.arange(300), right.astype(float))])
    assert accuracy_interval(found) == pytest.approx(wilson(int(right.sum()), 300))


def test_seeds_of_other_images_add_up_and_seeds_of_the_same_do_not() -> None:
    """Three seeds on 3 x 200 images are 600 images; three that answer the same 200 alike are still 200."""
    values = [drawn(200, 0.5, seed).astype(float) for seed in range(3)]
    single_process = over_seeds([(np.arange(200) + 200 * place, one) for place, one in enumerate(values)])
    by_hand = math.sqrt(sum(one.var() / 200 for one in values)) / 3
    assert single_process.images == 600 and single_process.error_images == pytest.approx(by_hand, rel=0.01)
    same = over_seeds([(np.arange(200), values[0])] * 3)
    alone = over_seeds([(np.arange(200), values[0])])
    assert same.images == 200 and same.error_images == pytest.approx(alone.error_images)
    assert same.error_seeds == 0.0


def test_what_seeds_show_beyond_the_images_counts_with_few_degrees() -> None:
    values = [np.r_[np.ones(right), np.zeros(1000 - right)] for right in (700, 800, 900)]
    found = over_seeds([(np.arange(1000) + 1000 * place, one) for place, one in enumerate(values)])
    assert found.mean == pytest.approx(0.8)
    assert found.error_seeds == pytest.approx(0.1 / math.sqrt(3)) == found.standard_error
    assert 2 <= found.degrees < 2.1 and found.quantile == pytest.approx(4.2, abs=0.1)
    low, high = accuracy_interval(found)
    assert low < 0.62 and high > 0.9, "about 4.3 standard errors of 5.8 points"
    assert found.quantile > Z_95


@pytest.mark.parametrize(("noise", "least"), [(0.0, 0.93), (0.01, 0.93), (0.04, 0.86)])
def test_intervals_hold_the_true_difference(noise: float, least: float) -> None:
    """Images are drawn, and trainings are lucky or not: 95 in a hundred intervals should hold the truth, and do unless
    luck is far more than the images explain: then three seeds are too few to tell."""
    random = np.random.default_rng(0)
    held = 0
    for _ in range(600):
        seeds = []
        for place in range(3):
            ours, theirs = 0.85 + random.normal(0, noise), 0.80 + random.normal(0, noise)
            values = (random.random(300) < ours).astype(float) - (random.random(300) < theirs)
            seeds.append((np.arange(300) + 300 * place, values))
        low, high = difference_interval(over_seeds(seeds))
        held += low <= 0.05 <= high
    assert held / 600 > least


def test_answers_that_are_alike_do_not_make_an_interval_of_nothing() -> None:
    low, high = difference_interval(over_seeds([(np.arange(50), np.zeros(50))] * 2))
    assert low < 0.0 < high
    assert over_seeds([(np.arange(50), np.zeros(50))]).p_value == pytest.approx(1.0)


def test_a_mean_needs_values() -> None:
    for seeds in ([], [(np.arange(0), np.zeros(0))], [(np.arange(3), np.zeros(2))]):
        with pytest.raises(ValueError, match="at least one seed"):
            over_seeds(seeds)


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == (True, False, False, True)
    assert holm([0.06]) == (False,) and holm([0.04]) == (True,) and holm([]) == ()
    assert holm([0.04, 0.0]) == (True, True)
