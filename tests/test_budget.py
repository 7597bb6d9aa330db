"""A fit keeps every limit and its next network does not: for any budget, base and strategy, and against brute force."""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Iterable
from functools import cache
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from support.quick import quick_for
from support.timing import TIMING

from budgetnet import adapt, scale
from budgetnet.budgets.budget import LIMITS, Budget, BudgetError, Certificate, Fit, LimitRow, used
from budgetnet.budgets.fit import fit
from budgetnet.budgets.path import LEAST_PHI, Path
from budgetnet.costs.latency import TimedDType
from budgetnet.costs.network_cost import cost
from budgetnet.networks import Head, Network, Stage, Stem, zoo
from budgetnet.networks.scaling import STRATEGIES, Coefficients, Strategy

B0 = zoo.network("efficientnet_b0")
BASES = tuple(name for name in zoo.names() if not name.startswith("tf_"))
DTYPES = ("float32", "float16", "int8")
TIMED_DTYPES: tuple[TimedDType, ...] = ("float32", "int8")

# A stem of 40 and a stage of 44 channels round to one number at some widths and apart at others, so
# that the skip between them, with the map that it holds, comes and goes.
DIPPING = Network(
    "dipping",
    Stem(40),
    (Stage(44, 1, expansion=6.0), Stage(52, 1, stride=2, expansion=6.0), Stage(60, 2, expansion=3.0)),
    Head(channels=64),
    (48, 48),
    classes=10,
)


def nameless(network: Network) -> Network:
    return dataclasses.replace(network, name="-")


def check_fit(found: Fit, base: Network, budget: Budget, strategy: Strategy, **more: Any) -> None:
    """All that a fit promises."""
    price = budget.price(found.network)
    assert found.cost == price and found.strategy == strategy
    amounts = used(price, budget)
    assert set(amounts) == set(budget.limits())
    for row in found.certificate.limits:
        assert (row.used, row.limit) == (amounts[row.name], getattr(budget, row.name))
        assert row.left == row.limit - row.used >= 0
    assert found.certificate.fits and found.network == scale(base, found.phi, strategy)
    path = Path(base, strategy, **more)
    assert path.start(found.phi) == found.phi
    following = found.certificate.next
    if following is None:
        assert more and found.certificate.end == path.end and path.after(found.phi) is None
        return
    assert path.after(found.phi) == following.phi and following.network == path.at(following.phi)
    assert following.breaks and budget.check(following.network).breaks == following.breaks


@st.composite
def budgets(draw: st.DrawFn, names: tuple[str, ...] = LIMITS) -> dict[str, Any]:
    """Limits as multiples of what the base uses, dtype and batch."""
    chosen = draw(st.lists(st.sampled_from(names), min_size=1, max_size=3, unique=True))
    shares = {name: draw(st.floats(-5.0, 3.0)) for name in chosen}
    dtypes = TIMED_DTYPES if "latency_us" in shares else DTYPES
    return {"shares": shares, "dtype": draw(st.sampled_from(dtypes)), "batch": draw(st.sampled_from([1, 8]))}


def timed(names: Iterable[str], dtype: TimedDType) -> dict[str, Any]:
    """What a budget with these limits needs beside them."""
    return {"timing": dataclasses.replace(TIMING, dtype=dtype)} if "latency_us" in names else {}


def budget_of(base: Network, wish: dict[str, Any]) -> Budget:
    setting = {"dtype": wish["dtype"], "batch": wish["batch"], **timed(wish["shares"], wish["dtype"])}
    whole = used(cost(base, wish["batch"], wish["dtype"]), Budget(**dict.fromkeys(wish["shares"], 1), **setting))
    return Budget(**{name: max(1, int(whole[name] * 2.0**share)) for name, share in wish["shares"].items()}, **setting)


@settings(max_examples=25)
@pytest.mark.parametrize("strategy", quick_for(STRATEGIES, ("compound", "resolution", "tiny")))
@given(name=st.sampled_from(BASES), wish=budgets(), px=st.sampled_from([None, 32, 75, 96]))
def test_any_budget_gets_the_largest_network_or_the_reason(
    strategy: Strategy, name: str, wish: dict[str, Any], px: int | None
) -> None:
    base = zoo.network(name) if px is None else adapt(zoo.network(name), px)
    budget = budget_of(base, wish)
    try:
        found = fit(base, budget, strategy)
    except BudgetError as error:
        certificate = budget.check(error.smallest)
        assert error.smallest == Path(base, strategy).at(LEAST_PHI)
        assert error.limit in certificate.breaks
        row = certificate.binding
        assert (row.name, -row.left) == (error.limit, error.excess)
    except ValueError as error:
        last = Path(base, strategy).at(Path(base, strategy).last_phi)
        assert budget.check(last).fits
        assert "a limit that would bind is" in str(error)
    else:
        check_fit(found, base, budget, strategy)


@pytest.mark.slow
@settings(max_examples=400)
@pytest.mark.parametrize("strategy", STRATEGIES)
@given(name=st.sampled_from(BASES), wish=budgets(), px=st.integers(16, 320))
def test_any_budget_many_times(strategy: Strategy, name: str, wish: dict[str, Any], px: int) -> None:
    base = adapt(zoo.network(name), px)
    budget = budget_of(base, wish)
    try:
        found = fit(base, budget, strategy, largest_px=2 * px)
    except BudgetError as error:
        assert budget.check(error.smallest).breaks
    else:
        check_fit(found, base, budget, strategy, largest_px=2 * px)


@cache
def whole_path(base: Network, strategy: Strategy) -> list[tuple[float, Network]]:
    return list(itertools.takewhile(lambda row: row[0] <= 0.0, Path(base, strategy).networks()))


MICRO: dict[str, Any] = {"dtype": "int8", "runtime": "tflite_micro"}


@cache
def amounts(base: Network, strategy: Strategy, name: str, micro: bool = False) -> list[int]:
    """A limit's amount of every network of the path up to the base."""
    budget = Budget(**{name: 1}, **(MICRO if micro else {}), **timed([name], "int8" if micro else "float32"))
    return [used(budget.price(network), budget)[name] for _, network in whole_path(base, strategy)]


@pytest.mark.parametrize("name", ["peak_activation_bytes", "peak_bytes"])
def test_the_peaks_of_the_dipping_base_do_fall_along_its_path(name: str) -> None:
    """Else what follows would not test the walk."""
    row = amounts(DIPPING, "width", name)
    assert any(two < one for one, two in itertools.pairwise(row))


def test_an_arena_falls_along_a_path_where_padding_needs_no_copy() -> None:
    row = amounts(adapt(zoo.network("mobilenet_v3_small"), 64), "compound", "peak_activation_bytes", micro=True)
    assert any(two < one for one, two in itertools.pairwise(row))


@pytest.mark.parametrize(
    ("base", "strategy", "micro"),
    [
        (DIPPING, "width", False),
        (DIPPING, "compound", False),
        (DIPPING, "tiny", False),
        pytest.param(adapt(zoo.network("mobilenet_v3_small"), 64), "tiny", False, marks=pytest.mark.slow),
        (DIPPING, "width", True),
        pytest.param(adapt(zoo.network("efficientnet_b0"), 64), "compound", True, marks=pytest.mark.slow),
        (adapt(zoo.network("mobilenet_v3_small"), 64), "compound", True),
        pytest.param(adapt(zoo.network("ghostnet"), 48), "tiny", True, marks=pytest.mark.slow),
    ],
    ids=lambda value: value.name if isinstance(value, Network) else str(value),
)
@settings(max_examples=50)
@given(data=st.data())
def test_fit_is_what_brute_force_finds(base: Network, strategy: Strategy, micro: bool, data: st.DataObject) -> None:
    names = data.draw(st.lists(st.sampled_from(LIMITS), min_size=1, max_size=2, unique=True))
    rows = [amounts(base, strategy, name, micro) for name in names]
    limits = []
    for row in rows:  # around real amounts, where one byte decides; below those of the base, where the table ends
        limit = data.draw(st.sampled_from(row)) + data.draw(st.sampled_from([-1, 0, 1]))
        assume(0 < limit < row[-1] * 0.8)
        limits.append(limit)
    fitting = [
        index
        for index in range(len(rows[0]))
        if all(row[index] <= limit for row, limit in zip(rows, limits, strict=True))
    ]
    budget = Budget(
        **dict(zip(names, limits, strict=True)),
        **(MICRO if micro else {}),
        **timed(names, "int8" if micro else "float32"),
    )
    if not fitting:
        with pytest.raises(BudgetError):
            fit(base, budget, strategy)
        return
    phi, network = whole_path(base, strategy)[fitting[-1]]
    found = fit(base, budget, strategy)
    assert (found.phi, found.network) == (phi, network)


def test_a_budget_exactly_at_a_network_is_that_network() -> None:
    price = cost(B0)
    found = fit(B0, Budget(macs=price.macs))
    assert nameless(found.network) == nameless(B0)
    assert found.certificate.limits == (LimitRow("macs", price.macs, price.macs, 0),)
    assert found.certificate.next is not None and 0.0 < found.certificate.next.phi < 1e-6
    smaller = fit(B0, Budget(macs=price.macs - 1))
    assert smaller.cost.macs < price.macs and smaller.certificate.next is not None
    assert nameless(smaller.certificate.next.network) == nameless(B0)


def test_more_limits_never_give_more() -> None:
    alone = fit(B0, Budget(macs=60_000_000))
    both = fit(B0, Budget(macs=60_000_000, params=1_500_000))
    assert both.phi < alone.phi
    assert both.certificate.binding.name == "params"
    assert both.certificate.next is not None and both.certificate.next.breaks == ("params",)


def test_other_coefficients_walk_another_path() -> None:
    coefficients = Coefficients(1.0, 1.4, 1.0)
    found = fit(B0, Budget(macs=100_000_000), coefficients=coefficients)
    assert found.network == scale(B0, found.phi, "compound", coefficients)
    assert found.network.depth == B0.depth and found.network.resolution_px == B0.resolution_px


def test_dtype_and_batch_are_those_of_the_limits() -> None:
    one = fit(B0, Budget(peak_activation_bytes=2**20, dtype="int8"))
    four = fit(B0, Budget(peak_activation_bytes=2**20, dtype="int8", batch=4))
    assert (one.cost.dtype, one.cost.batch, four.cost.batch) == ("int8", 1, 4)
    assert four.phi < one.phi
    assert fit(B0, Budget(peak_activation_bytes=4 * 2**20)).network == one.network


def test_train_bytes_are_those_of_the_greediest_recipe() -> None:
    budget = Budget(train_bytes=1, batch=16)
    price = budget.price(adapt(B0, 64))
    amount = used(price, budget)["train_bytes"]
    assert amount == max(price.train_bytes(16, optimiser, ema=True) for optimiser in ("sgd", "adamw", "rmsprop"))


@pytest.mark.parametrize(
    ("strategy", "budget", "says"),
    [
        ("compound", Budget(macs=10_000), ["no network on the compound path of efficientnet_b0 keeps macs <= 10,000"]),
        (
            "compound",
            Budget(macs=10_000),
            ["phi = -10, 56x56 px, 7 blocks", "3,371,744", "337 times the limit", "fewer classes"],
        ),
        ("resolution", Budget(params=5_000_000), ["has params 5,288,548, 1.06 times the limit"]),
        ("depth", Budget(macs=10**9, params=10), ["macs <= 1,000,000,000 and params <= 10", "has params"]),
    ],
)
def test_a_budget_that_nothing_meets(strategy: Strategy, budget: Budget, says: list[str]) -> None:
    with pytest.raises(BudgetError) as raised:
        fit(B0, budget, strategy)
    assert all(words in str(raised.value) for words in says), str(raised.value)
    assert "\n" not in str(raised.value)
    assert isinstance(raised.value, ValueError)


def test_of_several_limits_the_one_missed_most_is_named() -> None:
    with pytest.raises(BudgetError) as raised:
        fit(B0, Budget(macs=3_000_000, params=100_000, weight_bytes=10))
    assert raised.value.limit == "weight_bytes"
    assert raised.value.excess == cost(raised.value.smallest).weight_bytes - 10


@pytest.mark.parametrize(
    ("strategy", "budget", "says"),
    [
        ("compound", Budget(macs=10**15), "a limit that would bind is macs below 270,114,364,560"),
        ("resolution", Budget(params=6_000_000), "a limit that would bind is macs below"),
        ("depth", Budget(peak_activation_bytes=10**9), "a limit that would bind is macs below"),
        ("tiny", Budget(macs=400_000_000), "take another strategy, since tiny only shrinks"),
    ],
)
def test_a_budget_that_does_not_bind_names_a_limit_that_would(strategy: Strategy, budget: Budget, says: str) -> None:
    with pytest.raises(ValueError) as raised:
        fit(B0, budget, strategy)
    assert not isinstance(raised.value, BudgetError)
    assert says in str(raised.value) and "\n" not in str(raised.value)


def test_the_limit_that_is_named_does_bind() -> None:
    with pytest.raises(ValueError) as raised:
        fit(B0, Budget(params=6_000_000), "resolution")
    named = int(str(raised.value).split("macs below ")[1].split(" ")[0].rstrip(",").replace(",", ""))
    found = fit(B0, Budget(params=6_000_000, macs=named - 1), "resolution")
    assert found.certificate.next is not None and found.certificate.next.breaks == ("macs",)


def test_largest_px_ends_the_path_with_a_reason() -> None:
    base = adapt(B0, 64)
    found = fit(base, Budget(macs=10**12), largest_px=128)
    assert found.network.resolution_px == (128, 128)
    assert found.certificate.next is None
    assert found.certificate.end == "the next network's shorter side is above 128 px, the largest allowed"
    binding = fit(base, Budget(macs=20_000_000), largest_px=128)
    check_fit(binding, base, Budget(macs=20_000_000), "compound", largest_px=128)
    tiny = fit(base, Budget(macs=10**12), "tiny", largest_px=128)
    assert nameless(tiny.network) == nameless(base) and "tiny only shrinks" in str(tiny.certificate.end)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({}, "a budget needs at least one limit: macs, params, weight_bytes"),
        ({"dtype": "int8", "batch": 4}, "a budget needs at least one limit"),
        ({"macs": 0}, "macs is 0; it must be an integer of at least 1"),
        ({"params": -3}, "params is -3"),
        ({"macs": 6e7 + 0.5}, "macs is 60000000.5; it must be an integer"),
        ({"macs": float("inf")}, "macs is inf"),
        ({"peak_bytes": "4M"}, "peak_bytes: '4M' could be two sizes"),
        ({"macs": True}, "macs is True"),
        ({"macs": 1, "dtype": "bfloat16"}, "dtype is 'bfloat16'; choose one of float32, float16, int8"),
        ({"macs": 1, "batch": 0}, "batch is 0"),
    ],
)
def test_what_is_no_budget_is_one_line(fields: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError) as raised:
        Budget(**fields)
    assert says in str(raised.value) and "\n" not in str(raised.value)


def test_a_base_must_be_a_network() -> None:
    with pytest.raises(ValueError, match=r"base is 'efficientnet_b0'; it must be a Network"):
        fit("efficientnet_b0", Budget(macs=1))  # pyright: ignore[reportArgumentType]  # what is tested


def test_check_judges_a_network_by_itself() -> None:
    verdict = Budget(macs=300_000_000, params=6_000_000).check(B0)
    assert not verdict.fits and verdict.breaks == ("macs",)
    assert verdict.limits[0] == LimitRow("macs", 300_000_000, 385_814_752, -85_814_752)
    assert verdict.binding.share == pytest.approx(1.286, abs=0.001)
    assert (verdict.next, verdict.end) == (None, None)
    assert Budget(macs=400_000_000).check(B0).fits


def test_json_gives_budgets_and_certificates_back() -> None:
    budget = Budget(macs=50_000_000, peak_activation_bytes=2**20, dtype="int8", batch=2)
    assert Budget.from_dict(json.loads(json.dumps(budget.to_dict()))) == budget
    assert budget.to_dict() == {"macs": 50_000_000, "peak_activation_bytes": 2**20, "dtype": "int8", "batch": 2}
    micro = dataclasses.replace(budget, batch=1, runtime="tflite_micro")
    assert micro.to_dict() == {**budget.to_dict(), "batch": 1, "runtime": "tflite_micro"}
    assert Budget.from_dict(micro.to_dict()) == micro
    certificate = micro.check(B0)
    assert certificate.runtime == "tflite_micro" and Certificate.from_dict(certificate.to_dict()) == certificate
    certificates = [
        fit(B0, budget).certificate,
        budget.check(B0),
        Certificate(fit(B0, budget).certificate.limits, end="x"),
    ]
    for certificate in certificates:
        assert Certificate.from_dict(json.loads(json.dumps(certificate.to_dict()))) == certificate
    assert list(certificates[0].to_dict()) == ["limits", "next", "end"]
    with pytest.raises(ValueError, match=r"a budget has no flops; it has macs, params"):
        Budget.from_dict({"flops": 3})
    with pytest.raises(ValueError, match=r"the certificate is damaged: a certificate needs at least one limit"):
        Certificate.from_dict({"limits": []})
