"""A path is the list of the distinct networks of a strategy: none missing, none twice, phi exact to the last bit."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
from pathlib import Path as File

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.quick import quick_for

from budgetnet import adapt, scale
from budgetnet.budgets.path import LEAST_PHI, MOST_PHI, Path, first_float, step, without_skips
from budgetnet.costs.network_cost import cost
from budgetnet.networks import Network, zoo
from budgetnet.networks.scaling import STRATEGIES, Coefficients, Strategy

PUBLISHED = json.loads((File(__file__).parent / "goldens" / "published.json").read_text(encoding="utf-8"))
B0 = zoo.network("efficientnet_b0")
BASES = (
    "efficientnet_b0",
    "efficientnet_lite2",
    "mobilenet_v1",
    "mobilenet_v2",
    "mobilenet_v3_small",
    "mobilenet_v3_large",
)

paths = st.builds(
    lambda name, strategy, px: Path(adapt(zoo.network(name), px), strategy),
    st.sampled_from(BASES),
    st.sampled_from(STRATEGIES),
    st.sampled_from([32, 75, 96, 224]),
)


def nameless(network: Network) -> Network:
    return dataclasses.replace(network, name="-")


def phi_on(path: Path, share: float) -> float:
    return LEAST_PHI + share * (path.last_phi - LEAST_PHI)


@given(paths, st.floats(0.0, 1.0))
def test_a_start_is_the_smallest_phi_of_its_network(path: Path, share: float) -> None:
    phi = phi_on(path, share)
    start = path.start(phi)
    assert start <= phi
    assert nameless(path.at(start)) == nameless(path.at(phi))
    if start > LEAST_PHI:
        assert nameless(path.at(math.nextafter(start, -math.inf))) != nameless(path.at(phi))
    assert path.start(start) == start


@given(paths, st.floats(0.0, 1.0))
def test_neighbours_are_neighbours(path: Path, share: float) -> None:
    phi = phi_on(path, share)
    following = path.after(phi)
    if following is None:
        assert nameless(path.at(path.last_phi)) == nameless(path.at(phi))
        return
    assert following > phi
    assert path.start(following) == following
    assert nameless(path.at(math.nextafter(following, -math.inf))) == nameless(path.at(phi))
    before = path.before(following)
    assert before is not None and path.start(before) == path.start(phi)


def test_the_first_network_has_none_before_it_and_the_last_none_after() -> None:
    for strategy in STRATEGIES:
        path = Path(B0, strategy)
        assert path.before(LEAST_PHI) is None
        assert path.after(path.last_phi) is None


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_fine_grid_sees_no_network_that_the_walk_does_not(strategy: Strategy) -> None:
    path = Path(adapt(B0, 96), strategy)
    walked = {path.integers(phi) for phi, _ in itertools.takewhile(lambda item: item[0] <= 0.0, path.networks(-2.0))}
    grid = {path.integers(-2.0 + 2.0 * i / 4000) for i in range(4001)}
    assert grid <= walked
    assert len(walked) > 5


def test_the_walk_is_in_order_without_repeats_up_to_the_end() -> None:
    rows = list(Path(zoo.network("mobilenet_v3_small"), "tiny").networks())
    assert rows[0][0] == LEAST_PHI
    assert [phi for phi, _ in rows] == sorted({phi for phi, _ in rows})
    assert nameless(rows[-1][1]) == nameless(zoo.network("mobilenet_v3_small"))
    assert len({nameless(network) for _, network in rows}) == len(rows)
    price = [cost(network) for _, network in rows]
    assert all(one.macs <= two.macs and one.params <= two.params for one, two in itertools.pairwise(price))


@pytest.mark.parametrize("px", [75, 224])
def test_the_base_is_on_its_path_whatever_its_size(px: int) -> None:
    base = adapt(B0, px)
    path = Path(base)
    start = path.start(0.0)
    assert start <= 0.0 and nameless(path.at(start)) == nameless(base)
    following = path.after(0.0)
    assert following is not None and 0.0 < following < 1e-6


def test_tiny_ends_at_the_base() -> None:
    path = Path(B0, "tiny")
    assert path.last_phi == 0.0
    assert "tiny only shrinks" in path.end
    assert Path(B0).end == "the path ends at phi = 10"


@given(st.sampled_from(STRATEGIES), st.integers(64, 448))
def test_largest_px_ends_the_path_at_the_last_network_within_it(strategy: Strategy, largest_px: int) -> None:
    base = adapt(B0, (64, 80))
    path = Path(base, strategy, largest_px=largest_px)
    whole = Path(base, strategy)
    last = path.at(path.last_phi)
    assert min(last.resolution_px) <= largest_px
    if path.last_phi == whole.last_phi:
        return
    following = whole.at(math.nextafter(path.last_phi, math.inf))
    assert min(following.resolution_px) > largest_px
    assert str(largest_px) in path.end


def test_a_base_above_largest_px_says_what_to_do() -> None:
    with pytest.raises(ValueError, match=r"starts at 224 px, above largest_px 64; .*adapt\(efficientnet_b0, 64\)"):
        Path(B0, "width", largest_px=64)


@pytest.mark.parametrize("phi", [-10.1, 10.1, math.nan])
def test_a_phi_off_the_path_is_refused(phi: float) -> None:
    with pytest.raises(ValueError, match=r"the path of efficientnet_b0 runs from -10 to 10"):
        Path(B0).at(phi)
    with pytest.raises(ValueError, match=r"it must be at least -10 and at most 10"):
        step(B0, phi)


def test_a_name_is_no_network() -> None:
    with pytest.raises(ValueError, match=r"base is 'efficientnet_b0'; it must be a Network"):
        Path("efficientnet_b0")  # pyright: ignore[reportArgumentType]  # what is tested


def test_coefficients_belong_to_compound() -> None:
    with pytest.raises(ValueError, match="coefficients belong to the compound strategy"):
        Path(B0, "width", Coefficients(1.3, 1.1, 1.1))


@given(st.floats(-1e6, 1e6), st.floats(1e-300, 1e6))
def test_first_float_is_exact(edge: float, below: float) -> None:
    low = edge - below
    if low < edge:
        assert first_float(low, edge + 1.0, lambda value: value >= edge) == edge


@given(paths, st.floats(0.0, 1.0))
def test_first_finds_where_a_property_begins(path: Path, share: float) -> None:
    wanted = cost(path.at(phi_on(path, share))).macs
    asked: list[Network] = []

    def holds(network: Network) -> bool:
        asked.append(nameless(network))
        return cost(network).macs >= wanted

    first = path.first(holds)
    assert first is not None and cost(path.at(first)).macs >= wanted
    assert len(asked) == len(set(asked)) <= 80
    if first > LEAST_PHI:
        assert cost(path.at(math.nextafter(first, -math.inf))).macs < wanted


def test_first_at_the_ends() -> None:
    assert Path(B0).first(lambda _: True) == LEAST_PHI
    assert Path(B0).first(lambda _: False) is None


@pytest.mark.parametrize(
    ("phi", "excess"), [(float(p), e) for p, e in PUBLISHED["formula_after_rounding"]["rows"]["none or even"].items()]
)
def test_the_real_cost_against_the_formulas_promise(phi: float, excess: str) -> None:
    row = step(B0, phi)
    assert f"{100 * row.excess:+.0f}%" == excess
    assert row.nominal_ratio == 2.0**phi
    assert row.network == scale(B0, phi)
    assert row.cost == cost(row.network)


def test_just_above_0_costs_48_percent_more_at_once() -> None:
    following = Path(B0).after(0.0)
    assert following is not None
    assert step(B0, following).excess == pytest.approx(0.476, abs=0.001)


@settings(max_examples=60)
@given(paths, st.floats(0.0, 1.0), st.floats(0.0, 1.0), st.integers(1, 16))
def test_without_skips_is_a_lower_bound_that_never_falls(path: Path, one: float, other: float, batch: int) -> None:
    """What `fit` bisects on. Train bytes too, whose graph is a different one without skips."""
    low, high = (path.at(min(phi_on(path, share), 4.0)) for share in sorted((one, other)))
    for name in ("macs", "params", "weight_bytes", "peak_activation_bytes", "peak_bytes", "train_bytes"):
        bounds = [amount(without_skips(network), name, batch) for network in (low, high)]
        assert bounds[0] <= bounds[1], name
        assert bounds[1] <= amount(high, name, batch), name


def amount(network: Network, name: str, batch: int) -> int:
    price = cost(network, batch)
    return price.train_bytes(batch, "adamw", ema=True) if name == "train_bytes" else getattr(price, name)


@pytest.mark.parametrize("strategy", quick_for(("compound", "depth", "width"), ("compound", "depth")))
def test_what_steps_at_one_factor_steps_together(strategy: Strategy) -> None:
    """Between steps lies a real range of phi, not what a rounding tolerance leaves."""
    initial = [phi for phi, _ in itertools.takewhile(lambda item: item[0] < 3.0, Path(B0, strategy).networks(-1.0))]
    assert min(two - one for one, two in itertools.pairwise(initial)) > 1e-7


def test_the_ends_are_what_the_docs_say() -> None:
    assert (LEAST_PHI, MOST_PHI) == (-10.0, 10.0)
