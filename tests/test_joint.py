"""The joint strategy: it is what brute force finds, more of a limit never gives less, each dial says why it stays."""

from __future__ import annotations

import dataclasses
import itertools
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from budgetnet import Budget, BudgetError, adapt, fit, frontier, network
from budgetnet.budgets.budget import BAND, NARROW_HEAD, NO_MORE, TIME
from budgetnet.budgets.dials import DIALS, Position
from budgetnet.budgets.joint import TAU, JointSpace, distance_from_line
from budgetnet.costs.network_cost import cost
from budgetnet.costs.planners import Runtime
from budgetnet.networks import Head, Network, Stage, Stem, zoo

# A stem of 40 and a stage of 44 channels round to one number at some widths and apart at others, so that the skip
# between them, with the map that it holds, comes and goes: memory is not monotone in the width.
SMALL = Network(
    "small",
    Stem(16),
    (Stage(20, 1, expansion=4.0), Stage(24, 2, stride=2, expansion=4.0), Stage(28, 1, stride=2, expansion=3.0)),
    Head(channels=40),
    (24, 24),
    classes=5,
)
BASES = {
    "small": SMALL,
    "tall": dataclasses.replace(SMALL, name="tall", resolution_px=(20, 28)),
    "hidden": dataclasses.replace(SMALL, name="hidden", head=Head(channels=24, hidden=40)),
    "headless": dataclasses.replace(SMALL, name="headless", head=Head(channels=None)),
}
LIMITED = ("macs", "params", "weight_bytes", "peak_activation_bytes", "peak_bytes")


def positions(space: JointSpace) -> list[Position]:
    counts = [range(space.dials.count(dial)) for dial in DIALS]
    return [Position(*indices) for indices in itertools.product(*counts)]


def kept(space: JointSpace) -> dict[Position, int]:
    """Every position that keeps the limits, with its multiply-adds, by pricing each network."""
    made = ((at, space.dials.network(at)) for at in positions(space))
    return {at: cost(one).macs for at, one in made if wide_enough(one, space.base) and space.budget.check(one).fits}


def wide_enough(one: Network, base: Network) -> bool:
    """Whether the head is as wide as the last stage, or as the base's own if that is less."""
    head = one.head.channels
    return head is None or head >= min(one.stages[-1].channels, base.head.channels or 0)


@st.composite
def budgets(draw: st.DrawFn) -> Budget:
    names = draw(st.lists(st.sampled_from(LIMITED), min_size=1, max_size=3, unique=True))
    whole = cost(SMALL, 1, "int8")
    shares = {name: draw(st.floats(0.1, 0.6)) for name in names}
    # All of these spaces are bounded: multiply-adds end every dial.
    shares.setdefault("macs", 0.6)
    return Budget(**{name: max(1, int(getattr(whole, name) * share)) for name, share in shares.items()}, dtype="int8")


@settings(max_examples=4)
@pytest.mark.parametrize("name", BASES)
@given(budget=budgets(), tau=st.sampled_from([0.4, 1.0, TAU, 3.0]))
def test_it_is_what_brute_force_finds(name: str, budget: Budget, tau: float) -> None:
    space = JointSpace(BASES[name], budget, largest_px=28, tau=tau)
    every = kept(space)
    near = {at: macs for at, macs in every.items() if space.in_band(at)}
    found = space.largest
    assert (found is None) == (not near)
    if found is not None:
        most = max(near.values())
        peaks = {
            at: cost(space.dials.network(at), 1, "int8").peak_activation_bytes
            for at, macs in near.items()
            if macs == most
        }
        assert found == min(peaks, key=lambda at: (peaks[at], at.indices))


@pytest.mark.slow
@settings(max_examples=6)
@pytest.mark.parametrize("name", ["small", "tall"])
@given(budget=budgets())
def test_it_is_what_brute_force_finds_by_another_runtimes_memory(name: str, budget: Budget) -> None:
    whole = cost(SMALL, 1, "int8", "tflite_micro")
    shares = {limit: value / getattr(cost(SMALL, 1, "int8"), limit) for limit, value in budget.limits().items()}
    limits: dict[str, Any] = {limit: int(share * getattr(whole, limit)) for limit, share in shares.items()}
    space = JointSpace(BASES[name], Budget(**limits, dtype="int8", runtime="tflite_micro"), largest_px=36)
    near = {at: macs for at, macs in kept(space).items() if space.in_band(at)}
    found = space.largest
    assert (found is None) == (not near)
    assert found is None or near[found] == max(near.values())


@settings(max_examples=3)
@pytest.mark.parametrize("name", ["small", "hidden"])
@given(budget=budgets())
def test_the_frontier_is_what_brute_force_finds(name: str, budget: Budget) -> None:
    space = JointSpace(BASES[name], budget, largest_px=28, tau=math.inf)
    every = list(kept(space))
    expected = {at for at in every if not any(at <= other and at != other for other in every)}
    assert set(space.frontier()) == expected


@settings(max_examples=40)
@given(st.sampled_from(sorted(BASES)), st.data())
def test_sums_of_parts_are_the_networks_own(name: str, data: st.DataObject) -> None:
    space = JointSpace(BASES[name], Budget(macs=3_000_000), largest_px=40)
    at = Position(*(data.draw(st.integers(0, space.dials.count(dial) - 1)) for dial in DIALS))
    assert space.macs(at) == cost(space.dials.network(at)).macs


@pytest.mark.parametrize("runtime", ["deployed", "tflite_micro"])
@settings(max_examples=20)
@given(name=st.sampled_from(sorted(BASES)), data=st.data())
def test_bounds_of_memory_are_near_and_never_above(name: str, runtime: Runtime, data: st.DataObject) -> None:
    space = JointSpace(BASES[name], Budget(macs=3_000_000, dtype="int8", runtime=runtime), largest_px=40)
    at = Position(*(data.draw(st.integers(0, space.dials.count(dial) - 1)) for dial in DIALS))
    at = dataclasses.replace(at, head=max(at.head, min(space.least_heads[at.width], space.dials.count("head") - 1)))
    bound, priced = space.memory(at), cost(space.dials.network(at), 1, "int8", runtime)
    assert bound.file_bytes == priced.weight_bytes
    assert bound.arena_bytes <= priced.peak_activation_bytes
    if at.head == space.least_heads[at.width]:
        assert bound.arena_bytes > 0.8 * priced.peak_activation_bytes


def test_dials_hold_every_setting_once_and_in_order() -> None:
    base = zoo.network("efficientnet_b0")
    dials = JointSpace(base, Budget(macs=400_000_000)).dials
    for settings_of in (dials.depths, dials.widths, dials.sizes):
        assert len({setting.value for setting in settings_of}) == len(settings_of)
        assert all(left.high == right.low for left, right in itertools.pairwise(settings_of))
        assert any(setting.low <= 0.0 <= setting.high for setting in settings_of)
    assert [stage.repeats for stage in base.stages] in [list(setting.value) for setting in dials.depths]
    own = base.stem.channels, tuple(stage.channels for stage in base.stages)
    assert own in [setting.value for setting in dials.widths]
    assert base.resolution_px in [setting.value for setting in dials.sizes]
    assert (base.head.channels, None) in dials.heads


THREE = Budget(macs=60_000_000, weight_bytes=250_000, peak_activation_bytes=250_000, dtype="int8")


@pytest.mark.parametrize("name", ["efficientnet_lite0", "mobilenet_v2", "mobilenet_v3_small"])
def test_a_certificate_says_why_each_dial_stays(name: str) -> None:
    base = adapt(network(name, classes=6), (84, 112))
    found = fit(base, THREE, "joint", largest_px=224)
    assert found.phi is None and found.strategy == "joint" and found.certificate.fits
    space = JointSpace(base, THREE, largest_px=224)
    at = space.largest
    assert at is not None and space.dials.network(at) == found.network
    assert [row.dial for row in found.certificate.dials] == list(DIALS)
    for row in found.certificate.dials:
        if row.next is None:
            assert row.end and not row.breaks
            continue
        turned = at.turned(row.dial)  # pyright: ignore[reportArgumentType]
        broken = THREE.check(space.dials.network(turned)).breaks
        assert row.breaks == broken + (() if space.in_band(turned) else (BAND,)), "nothing else holds it"
        assert row.reason(str) and row.at == space.dials.words(row.dial, getattr(at, row.dial))  # pyright: ignore


@settings(max_examples=30)
@given(st.sampled_from(sorted(BASES)), budgets())
def test_no_dial_is_said_to_bring_no_more_where_it_does(name: str, budget: Budget) -> None:
    try:
        found = fit(BASES[name], budget, "joint", largest_px=28)
    except BudgetError:
        return
    space = JointSpace(BASES[name], budget, largest_px=28)
    at = space.largest
    assert at is not None
    for row in found.certificate.dials:
        if NO_MORE in row.breaks:
            assert space.macs(at.turned(row.dial)) <= found.cost.macs  # pyright: ignore[reportArgumentType]


def test_a_width_that_needs_a_wider_head_says_so() -> None:
    budget = Budget(macs=1_204_269, params=12_781, weight_bytes=11_068, dtype="int8")
    rows = [fit(BASES["hidden"], budget, "joint", largest_px=px).certificate.dials for px in (20, 24, 28)]
    widths = [row for dials in rows for row in dials if row.dial == "width" and row.breaks == (NARROW_HEAD,)]
    assert widths and widths[0].reason(str) == "needs a wider head"


def test_it_fills_several_limits_better_than_any_single_dial() -> None:
    base = adapt(network("efficientnet_lite0", classes=6), (84, 112))
    single = []
    for strategy in ("compound", "width", "depth", "resolution", "dWr"):
        try:
            single.append(fit(base, THREE, strategy, largest_px=224).cost.macs)
        except BudgetError:
            continue
    assert fit(base, THREE, "joint", largest_px=224).cost.macs > 1.4 * max(single)


@settings(max_examples=15)
@given(budgets(), st.sampled_from(LIMITED), st.floats(1.0, 1.5))
def test_more_of_a_limit_never_gives_less(budget: Budget, name: str, factor: float) -> None:
    def most(given_budget: Budget) -> int:
        try:
            return fit(SMALL, given_budget, "joint", largest_px=28).cost.macs
        except BudgetError:
            return 0

    limit = getattr(budget, name)
    if limit is not None:
        assert most(dataclasses.replace(budget, **{name: int(limit * factor)})) >= most(budget)


def test_obstacles_are_limits_too() -> None:
    base = adapt(network("mobilenet_v2", classes=6), 32)

    def slow(one: Network) -> tuple[str, ...]:
        return (TIME,) if cost(one).macs > 1_000_000 else ()

    found = fit(base, THREE, "joint", largest_px=64, obstacles=slow)
    assert 950_000 < found.cost.macs <= 1_000_000
    assert TIME in found.certificate.hindrances


def test_what_keeps_nothing_is_one_line() -> None:
    base = network("mobilenet_v2", classes=1000)
    with pytest.raises(
        BudgetError, match=r"of the four dials of mobilenet_v2 keeps params <= 100: the smallest"
    ) as error:
        fit(base, Budget(params=100), "joint")
    assert "\n" not in str(error.value) and error.value.limit == "params"
    with pytest.raises(ValueError, match="strategy is 'jointly'"):
        fit(base, THREE, "jointly")  # pyright: ignore[reportArgumentType]


def test_the_public_frontier_has_networks_that_keep_the_limits() -> None:
    budget = Budget(macs=300_000, weight_bytes=40_000, peak_activation_bytes=16_384, dtype="int8")
    found = frontier(SMALL, budget, largest_px=28)
    assert found and all(budget.check(one).fits for one in found)


@given(
    st.lists(st.tuples(st.floats(-3, 3), st.floats(0, 2)), min_size=3, max_size=3),
    st.tuples(*[st.just(0.0) | st.floats(0.05, 0.5)] * 3).filter(any),
)
def test_the_distance_from_the_line_is_the_least_of_all_points(
    sides: list[tuple[float, float]], line: tuple[float, float, float]
) -> None:
    box = tuple((low, low + length) for low, length in sides)
    found = distance_from_line(box, line)

    def distance(t: float) -> float:
        gaps = (max(low - t * v, 0.0, t * v - high) for (low, high), v in zip(box, line, strict=True))
        return math.sqrt(sum(gap**2 for gap in gaps))

    tried = [distance(step / 20) for step in range(-2000, 2001)]
    assert found <= min(tried) + 1e-9
    assert found >= min(tried) - 0.05
