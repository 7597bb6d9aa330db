"""The simulated executor: lengths that one can add up, what is conserved, and a real cluster beside it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.simulate import Load, Site, against_reality, simulated


def test_lengths_that_one_can_add_up() -> None:
    one = simulated(Site(2, 1), Load([[10.0] * 4, [1.0, 5.0]]))
    assert (one.wall, one.useful, one.lost, one.trials, one.attempts) == (25.0, 46.0, 0.0, 6, 6)
    started = simulated(Site(2, 1, send_seconds=3.0, start_seconds=2.0), Load([[10.0] * 4]))
    assert started.wall == 25.0 and started.lost == 10.0, "once a node, once a place"
    shared = simulated(Site(1, 2, send_seconds=3.0, start_seconds=2.0), Load([[10.0] * 4]))
    assert shared.wall == 25.0
    serial = simulated(Site(4, 1), Load([[1.0] * 4] * 2, lambda trial: 0.5 * trial, 0.25))
    assert serial.wall == pytest.approx(0.5 * sum(range(8)) + 2 * (1.0 + 4 * 0.25))
    assert serial.driver == pytest.approx(0.5 * sum(range(8)) + 2.0)


def test_a_lost_node_costs_what_ran_on_it() -> None:
    quiet = simulated(Site(4, 2), Load([[3600.0] * 40]))
    rough = simulated(Site(4, 2, node_hours=3.0), Load([[3600.0] * 40]))
    assert quiet.lost == 0.0 and rough.nodes_lost > 0
    assert 0.0 < rough.lost <= rough.nodes_lost * 2 * 3600.0 and rough.wall > quiet.wall
    assert 0 < rough.attempts - 40 <= 2 * rough.nodes_lost
    kept = simulated(Site(4, 2, node_hours=3.0), Load([[3600.0] * 40], keep_seconds=60.0))
    assert kept.lost <= kept.nodes_lost * 2 * 60.0 and kept.wall < rough.wall


def test_stragglers_hold_a_batch_up() -> None:
    batches = [[10.0] * 8] * 20
    slow = simulated(Site(8, 1, slow_share=0.05, slow_times=4.0), Load(batches))
    held = (slow.wall - 200.0) / 30.0
    assert held == pytest.approx(round(held)) and 20 * (1 - 0.95**8) * 0.4 < held < 20 * (1 - 0.95**8) * 1.8


@given(
    st.lists(st.lists(st.floats(0.1, 100.0), min_size=1, max_size=9), min_size=1, max_size=5),
    st.integers(1, 4),
    st.integers(1, 3),
    st.floats(0.0, 0.5),
    st.sampled_from([0.05, 1.0, float("inf")]),
    st.sampled_from([5.0, float("inf")]),
)
@settings(max_examples=60)
def test_every_trial_counts_once_and_time_is_conserved(
    batches: list[list[float]], nodes: int, places: int, failed: float, hours: float, keep: float
) -> None:
    site = Site(nodes, places, 1.0, 0.5, hours, 30.0, 0.1, 3.0, failed)
    found = simulated(site, Load(batches, lambda trial: 0.01 * trial, 0.02, keep))
    total = sum(map(sum, batches))
    assert found.trials == sum(map(len, batches)) <= found.attempts
    assert found.useful == pytest.approx(total) and found.lost >= 0.0
    assert found.useful + found.lost <= site.places * found.wall + 1e-6
    assert found.wall >= max(total / site.places, sum(max(batch) for batch in batches)) - 1e-9
    assert found == simulated(site, Load(batches, lambda trial: 0.01 * trial, 0.02, keep)), (
        "the same seed, the same answer"
    )


@pytest.mark.slow
def test_it_is_what_two_real_nodes_do() -> None:
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'budgetnet[cluster]'")
    real, played = against_reality([0.2, 1.0, 0.4, 0.8, 0.6, 0.3] * 3, 4)
    assert played < real < 1.25 * played + 1.0
