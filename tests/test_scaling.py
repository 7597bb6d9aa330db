"""One dial: published formulas, rounding as a family states it, and nothing that moves against the dial."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from budgetnet import adapt, scale
from budgetnet.networks import Head, Network, Rounding, Stage, Stem, zoo
from budgetnet.networks.scaling import (
    PAPER,
    STRATEGIES,
    Coefficients,
    Integers,
    Scaling,
    Strategy,
    factors,
    integers,
    resize,
    rounding,
    source,
)

PUBLISHED = json.loads((Path(__file__).parent / "goldens" / "published.json").read_text(encoding="utf-8"))
B0 = zoo.network("efficientnet_b0")
BASES = (
    "efficientnet_b0",
    "efficientnet_lite2",
    "mobilenet_v1",
    "mobilenet_v2",
    "mobilenet_v3_small",
    "mobilenet_v3_large",
    "ghostnet",
)


def phis(strategy: Strategy) -> st.SearchStrategy[float]:
    return st.floats(-10.0, 0.0 if strategy == "tiny" else 10.0)


def numbers(row: Integers) -> list[int]:
    """The integers one after the other."""
    ends = [row.head or 0, row.hidden or 0, *row.resolution_px]
    return [row.stem, *row.channels, *row.repeats, *ends]


def test_the_paper_formula() -> None:
    assert factors(2.0) == Scaling(1.2**2, 1.1**2, 1.15**2)
    assert PAPER.growth == pytest.approx(1.2 * 1.21 * 1.3225)
    assert factors(0.0, "compound", Coefficients(2.0, 1.0, 1.0)) == Scaling()


@pytest.mark.parametrize("strategy", [name for name in STRATEGIES if name != "compound"])
@given(phi=st.floats(-10.0, 0.0))
def test_every_other_strategy_nominally_costs_2_to_the_phi(strategy: Strategy, phi: float) -> None:
    assert factors(phi, strategy).nominal_cost == pytest.approx(2.0**phi)


def test_one_dimension_strategies_touch_one_dimension() -> None:
    assert factors(2.0, "depth") == Scaling(depth=4.0)
    assert factors(2.0, "width") == Scaling(width=2.0)
    assert factors(2.0, "resolution") == Scaling(resolution=2.0)


def test_dwr_shares_as_published() -> None:
    scaling = factors(3.0, "dWr")
    # d = s**0.1, w = s**0.4, r = s**0.05 for a compute factor s.
    assert dataclasses.astuple(scaling) == pytest.approx((8**0.1, 8**0.4, 8**0.05))


def test_tiny_is_the_least_squares_fit_of_the_published_rows() -> None:
    rows = [(w, d, px / 224) for w, d, px in (row["coefficients"] for row in PUBLISHED["tinynet"]["rows"].values())]
    ratios = [math.log2(d * w**2 * r**2) for w, d, r in rows]
    here = factors(-1.0, "tiny")

    def error(exponent: float, values: list[float]) -> float:
        return sum((math.log2(value) - exponent * ratio) ** 2 for value, ratio in zip(values, ratios, strict=True))

    for factor, values in ((here.depth, [d for _, d, _ in rows]), (here.resolution, [r for *_, r in rows])):
        exponent = -math.log2(factor)
        assert error(exponent, values) < min(error(exponent + 0.01, values), error(exponent - 0.01, values))
    # Below a base, resolution and depth keep more than compound scaling gives them: width pays.
    assert here.width < here.resolution < here.depth


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_strategy_names_its_source(strategy: Strategy) -> None:
    assert source(strategy).startswith("arXiv:")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((0.0, "wide"), "strategy is 'wide'; choose one of compound, depth, width, resolution, dWr, tiny"),
        ((math.nan,), "phi is nan; it must be a finite number"),
        ((math.inf, "depth"), "phi is inf; it must be a finite number"),
        ((1e6,), "phi is 1000000.0; its factors are too large"),
        ((0.1, "tiny"), "the tiny strategy only shrinks"),
        ((0.0, "width", Coefficients(1.3, 1.1, 1.1)), "coefficients belong to the compound strategy, not to width"),
    ],
)
def test_what_cannot_be_scaled_is_one_line(arguments: Any, says: str) -> None:
    with pytest.raises(ValueError) as raised:
        scale(B0, *arguments)
    assert says in str(raised.value) and "\n" not in str(raised.value)


@pytest.mark.parametrize("values", [(1.0, 1.0, 1.0), (0.9, 1.2, 1.2), (math.nan, 1.1, 1.1), (math.inf, 1.0, 1.0)])
def test_coefficients_that_do_not_grow_are_refused(values: tuple[float, float, float]) -> None:
    with pytest.raises(ValueError, match="all must be at least 1, and one above 1"):
        Coefficients(*values)


@pytest.mark.parametrize("name", BASES)
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_phi_0_is_the_base_itself(name: str, strategy: Strategy) -> None:
    assert scale(zoo.network(name), 0.0, strategy) == zoo.network(name)


@pytest.mark.parametrize("strategy", STRATEGIES)
@given(data=st.data(), name=st.sampled_from(BASES), px=st.integers(8, 400), stem=st.integers(1, 50))
def test_nothing_moves_against_the_dial(strategy: Strategy, data: st.DataObject, name: str, px: int, stem: int) -> None:
    """Also for bases that are not multiples of anything: bisection along a path needs it."""
    base = adapt(zoo.network(name), (px, px + 13))
    base = dataclasses.replace(base, stem=dataclasses.replace(base.stem, channels=stem))
    low, high = sorted((data.draw(phis(strategy)), data.draw(phis(strategy))))
    rule = rounding(base, strategy)
    rows = [integers(base, factors(phi, strategy), rule) for phi in (low, high)]
    assert all(one <= other for one, other in zip(*map(numbers, rows), strict=True))
    if low <= 0.0 <= high:
        middle = numbers(integers(base, Scaling(), rule))
        assert all(
            one <= two <= three for one, two, three in zip(numbers(rows[0]), middle, numbers(rows[1]), strict=True)
        )


@given(st.floats(-10.0, 10.0), st.sampled_from(BASES), st.integers(8, 400))
def test_floors_hold(phi: float, name: str, px: int) -> None:
    network = scale(adapt(zoo.network(name), px), phi)
    assert min(stage.repeats for stage in network.stages) >= 1
    assert min(network.stem.channels, *(stage.channels for stage in network.stages)) >= 8
    assert min(network.resolution_px) >= min(px, 16 if px < 64 else 32)


def test_scaling_changes_only_what_it_says() -> None:
    network = scale(B0, 3.3)
    stages = tuple(
        dataclasses.replace(stage, channels=base.channels, repeats=base.repeats)
        for stage, base in zip(network.stages, B0.stages, strict=True)
    )
    ends = {
        "stem": dataclasses.replace(network.stem, channels=32),
        "head": dataclasses.replace(network.head, channels=1280),
    }
    assert dataclasses.replace(network, name=B0.name, stages=stages, resolution_px=(224, 224), **ends) == B0


def test_lite_keeps_stem_head_and_the_ends_repeats() -> None:
    lite = scale(zoo.network("efficientnet_lite0"), 4.0)
    assert (lite.stem.channels, lite.head.channels) == (32, 1280)
    assert (lite.stages[0].repeats, lite.stages[-1].repeats) == (1, 1)
    assert lite.stages[1].repeats == math.ceil(2 * 1.2**4)


def test_the_depth_rounding_is_the_strategys() -> None:
    up = resize(B0, Scaling(depth=1.2))
    nearest = resize(B0, Scaling(depth=1.2), dataclasses.replace(B0.rounding, depth="nearest"))
    assert [stage.repeats for stage in up.stages] == [2, 3, 3, 4, 4, 5, 2]
    assert [stage.repeats for stage in nearest.stages] == PUBLISHED_TINYNET_A_REPEATS
    assert rounding(B0, "tiny").depth == rounding(B0, "dWr").depth == "nearest"
    assert rounding(B0, "depth").depth == rounding(B0, "compound").depth == "up"


PUBLISHED_TINYNET_A_REPEATS = [1, 2, 2, 4, 4, 5, 1]  # "A: [1,2,2,4,4,5,1]", published.json, tinynet, note


def test_resolution_rounds_to_even_unless_said() -> None:
    assert factors(1.0).resolution * 224 == pytest.approx(257.6)
    assert scale(B0, 1.0).resolution_px == (258, 258)
    by_32 = dataclasses.replace(B0, rounding=Rounding(resolution_multiple=32))
    assert scale(by_32, 1.0).resolution_px == (256, 256)
    assert scale(dataclasses.replace(B0, resolution_px=(96, 160)), 1.0).resolution_px == (110, 184)


def test_adapt_sets_the_resolution_and_drops_the_first_strides() -> None:
    small = adapt(B0, 32, 2)
    assert small.resolution_px == (32, 32)
    assert small.stem.stride == 1
    assert [stage.stride for stage in small.stages] == [1, 1, 2, 2, 1, 2, 1]
    assert adapt(B0, (96, 64)).resolution_px == (96, 64)
    assert adapt(B0, 224) == B0
    assert scale(small, -1.0).stem.stride == 1


@pytest.mark.parametrize("dropped", [-1, 6, 1.5])
def test_adapt_refuses_strides_that_are_not_there(dropped: Any) -> None:
    with pytest.raises(ValueError, match=r"efficientnet_b0 has 0 to 5 to drop"):
        adapt(B0, 32, dropped)


def test_a_small_custom_network_scales() -> None:
    tiny = Network("t", Stem(4), (Stage(6),), Head(), (10, 10), classes=2)
    assert scale(tiny, -10.0).resolution_px == (10, 10)
    assert (scale(tiny, -10.0).stem.channels, scale(tiny, -10.0).stages[0].channels) == (4, 6)
    assert scale(tiny, 10.0).stages[0].channels == 16  # 6 * 1.1**10 = 15.6
