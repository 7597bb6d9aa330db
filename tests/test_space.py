"""The space of a baseline's search: exact JSON, distinct networks, what keeps a budget, and bad spaces in one line."""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.spaces import BASE, LOOSE, spaces

from budgetnet import Budget, adapt, network
from budgetnet.budgets.feasible_space import FeasibleSpace, front, hypervolume
from budgetnet.budgets.search_space import KINDS, Architecture, Space, StageSpace, default_space


@given(spaces)
def test_json_gives_the_same_space_back(space: Space) -> None:
    assert Space.from_json(space.to_json()) == space


@given(spaces)
def test_choices_that_differ_are_networks_that_differ(space: Space) -> None:
    feasible = FeasibleSpace.of(space, LOOSE)
    assert feasible.count == space.count
    for index, choices in enumerate(feasible.stages):
        stages = {space.stage(index, choice) for choice in choices}
        assert len(stages) == len(choices) == len(space.choices(index))
        assert all(space.choice(index, factors) == choice for choice, factors in feasible.factors(index).items())


@given(spaces, st.integers(0, 100))
def test_macs_by_stages_are_those_of_the_network(space: Space, seed: int) -> None:
    feasible = FeasibleSpace.of(space, LOOSE)
    found = feasible.sample(seed)
    assert feasible.macs(found) == LOOSE.price(feasible.network(found)).macs
    assert Architecture.from_rows(json.loads(json.dumps(found.to_rows()))) == found


@settings(max_examples=30)
@given(spaces)
def test_the_smallest_is_the_smallest(space: Space) -> None:
    feasible = FeasibleSpace.of(space, LOOSE)
    every = itertools.islice((Architecture(stages) for stages in itertools.product(*feasible.stages)), 2000)
    assert feasible.macs(feasible.smallest()) <= min(map(feasible.macs, every))


@pytest.mark.slow
@settings(max_examples=15)
@given(spaces, st.floats(1.0, 3.0))
def test_only_choices_that_no_network_within_the_budget_has_are_left_out(space: Space, share: float) -> None:
    whole = FeasibleSpace.of(space, LOOSE)
    budget = Budget(macs=int(share * whole.macs(whole.smallest())))
    feasible = FeasibleSpace.of(space, budget)
    for index, choices in enumerate(whole.stages):
        for choice in choices:
            others = [rows if place != index else (choice,) for place, rows in enumerate(whole.stages)]
            least = FeasibleSpace(space, budget, tuple(others)).smallest()
            if choice not in feasible.stages[index]:
                assert whole.macs(least) > budget.macs


@pytest.mark.slow
@settings(max_examples=30)
@given(spaces, st.integers(0, 20))
def test_samples_and_repairs_keep_the_budget(space: Space, seed: int) -> None:
    whole = FeasibleSpace.of(space, LOOSE)
    budget = Budget(macs=int(1.5 * whole.macs(whole.smallest())))
    feasible = FeasibleSpace.of(space, budget)
    found = feasible.sample(seed)
    assert feasible.fits(found) and found == feasible.sample(seed)
    near = feasible.repaired(whole.sample(seed), {found.id}, seed)
    assert near is None or (feasible.fits(near) and near.id != found.id)


def test_samples_are_uniform() -> None:
    space = Space(
        BASE, (StageSpace(kinds=("separable",), squeezes=(0.0,), kernels=(3, 5), widths=(1.0,), layers=(0, 1)),) * 2
    )
    feasible = FeasibleSpace.of(space, LOOSE)
    found = [feasible.sample(seed).id for seed in range(1600)]
    counts = [found.count(name) for name in set(found)]
    assert feasible.count == len(counts) == 16
    assert min(counts) > 60 and max(counts) < 150  # 100 each, standard deviation 9.7


def test_the_default_space_holds_its_base() -> None:
    base = adapt(network("efficientnet_b0", classes=10), 32, 2)
    space = default_space(base)
    values = [(row.kernels, row.squeezes, row.widths, row.layers) for row in space.stages]
    assert values == [((3, 5), (0.0, 0.25), (0.75, 1.0, 1.25), (-1, 0, 1))] * 7
    assert [row.kinds for row in space.stages] == [KINDS] * 5 + [("mbconv", "separable")] * 2
    assert all(
        any(space.stage(index, choice) == stage for choice in space.choices(index))
        for index, stage in enumerate(base.stages)
    )
    assert space.network(FeasibleSpace.of(space, LOOSE).sample(0)).resolution_px == base.resolution_px


def test_a_space_is_edited_as_a_file() -> None:
    row = json.loads(default_space(BASE).to_json())
    row["stages"][0] = {"kinds": ["fused"], "widths": [1]}
    found = Space.from_json(json.dumps(row))
    assert found.stages[0] == StageSpace(kinds=("fused",), widths=(1.0,))
    assert found.with_data(3, 3).base == dataclasses.replace(BASE, classes=3, in_channels=3)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda row: row["stages"].pop(), "has 1 stages, and its base small 2"),
        (lambda row: row["stages"][1].update(kinds=[]), r"stages\[1\]: the space is empty: a stage has no kinds"),
        (lambda row: row["stages"][0].update(kinds=["dense"]), "block is 'dense'; choose one of mbconv, fused"),
        (lambda row: row["stages"][0].update(kernels=[4]), "kernel is 4; it must be odd"),
        (lambda row: row["stages"][0].update(squeezes=[2]), "squeezes has 2; each must be a number from 0 to 1"),
        (lambda row: row["stages"][0].update(expansions=["6"]), "expansions has '6'"),
        (lambda row: row["stages"][0].update(layers=[0.5]), "layers has 0.5"),
        (lambda row: row["stages"][0].update(widths=1), "must be a list of values"),
        (lambda row: row["stages"][0].update(depth=[1]), "has no 'depth'; it has kinds, kernels"),
        (lambda row: row.update(more=1), "and nothing else"),
        (lambda row: row.update(format="budgetnet.network.v1"), "is not a space file"),
        (lambda row: row.update(base={}), "not a network file"),
    ],
)
def test_bad_spaces_are_one_line(change: Callable[[dict[str, Any]], object], words: str) -> None:
    row = json.loads(default_space(BASE).to_json())
    change(row)
    with pytest.raises(ValueError, match=words) as error:
        Space.from_json(json.dumps(row))
    assert "\n" not in str(error.value)


def test_an_impossible_budget_is_one_line() -> None:
    with pytest.raises(ValueError, match="no network of the space keeps macs <= 100: its smallest has macs") as error:
        FeasibleSpace.of(default_space(BASE), Budget(macs=100))
    assert "\n" not in str(error.value)


def test_the_front_and_its_hypervolume() -> None:
    points = [(2.0, 0.5), (1.0, 0.4), (3.0, 0.5), (1.0, 0.3), (4.0, 0.9), (2.0, 0.5)]
    assert front(points) == (1, 0, 4)
    assert hypervolume(points, 5.0) == pytest.approx((0.4 * 1 + 0.5 * 2 + 0.9 * 1) / 5)
    assert hypervolume(points, 3.0) == pytest.approx((0.4 * 1 + 0.5 * 1) / 3)
    assert hypervolume([], 3.0) == 0.0
