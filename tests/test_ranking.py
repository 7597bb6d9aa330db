"""What a ranking is worth: tau and its interval, and the multiply-adds that a supernet cost."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from test_baseline import BUDGET, teaching

from bench.random_search import BACKWARD, supernet_macs
from bench.ranking import interval, tau


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


def test_the_supernet_costs_all_its_networks(tmp_path: Path) -> None:
    job = teaching(tmp_path, steps=3)
    macs = [sum(BUDGET.price(network).macs for network in job.sandwich(step)) for step in range(3)]
    assert supernet_macs(job) == pytest.approx(BACKWARD * job.batch * sum(macs))
