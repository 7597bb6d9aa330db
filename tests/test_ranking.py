"""What a ranking is worth: tau and its interval, and random search of the same cost."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from support.baseline_search import record_of
from support.simulated import LEARNED

from bench.random_search import all_finals, made_by
from bench.ranking import interval, tau
from budgetnet import Budget
from budgetnet.data import open_images
from budgetnet.experiments.baseline.result import Trainings
from budgetnet.training.predictions import TestPredictions


def test_tau_of_equal_opposite_and_constant_orders() -> None:
    row = np.array([0.1, 0.5, 0.2, 0.9])
    assert tau(row, 2 * row) == 1.0
    assert tau(row, -row) == -1.0
    assert tau(np.ones(4), row) == 0.0
    assert tau(np.array([1.0, 2.0, 3.0]), np.array([1.0, 3.0, 2.0])) == pytest.approx(1 / 3)


def test_the_interval_says_how_few_networks_there_are() -> None:
    generator = np.random.default_rng(0)
    wide, narrow = (
        interval(truth + generator.normal(0, 1, count), truth)
        for count, truth in ((12, generator.normal(0, 1, 12)), (200, generator.normal(0, 1, 200)))
    )
    assert narrow[1] - narrow[0] < 0.2 < wide[1] - wide[0]
    assert 0.3 < narrow[0] < 0.5 < narrow[1] < 0.7  # tau of a correlation of 0.71 is 0.5


def trainings(*accuracies: float, images: int = 2000) -> list[Trainings]:
    """One training of each network, right on the first images."""
    return [
        Trainings((TestPredictions(0, np.arange(images), np.arange(images) < accuracy * images, False, LEARNED),), ())
        for accuracy in accuracies
    ]


def test_finals_that_differ_among_themselves_say_less() -> None:
    alike, single_process = (
        all_finals(trainings(*ours), trainings(0.5, 0.5, 0.5)) for ours in ((0.6,) * 3, (0.5, 0.6, 0.7))
    )
    assert alike.difference == pytest.approx(0.1) and single_process.difference == pytest.approx(0.1)
    assert 0 < alike.low < alike.difference < alike.high
    assert single_process.low < 0 < single_process.high, "three networks 10 points apart do not show a difference of 10"
    one = all_finals(trainings(0.6), trainings(0.5))
    rows = [dataclasses.astuple(found) for found in (one, alike)]
    assert rows[0] == pytest.approx(rows[1]), "of one network alone the images are all that is known"


def test_trainings_are_shared_by_what_makes_them() -> None:
    images = open_images("digits", 0)
    record = record_of(images)
    name = made_by(record, steps=10)
    assert name == made_by(record_of(images, exponent=0.0, time_seconds=7.0), steps=10)
    others = [
        made_by(record, steps=11),
        made_by(record_of(images, precision="bfloat16"), steps=10),
        made_by(record_of(images, budget=Budget(macs=10**6)), steps=10),
        made_by(dataclasses.replace(record, plan=dataclasses.replace(record.plan, side_px=16)), steps=10),
    ]
    assert len({name, *others}) == 5
