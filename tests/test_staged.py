"""The staged strategy: every limit kept, never less than joint, and no dial or pair of dials that gives more."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from budgetnet import Budget, BudgetError, adapt, build, cost, fit, inherit, network
from budgetnet.budgets.budget import NO_MORE, TIME
from budgetnet.budgets.joint import JointSpace
from budgetnet.budgets.staged import StagedSpace, fit_staged
from budgetnet.networks import Head, Network, Stage, Stem

LIMITS = Budget(macs=60_000_000, weight_bytes=250_000, peak_activation_bytes=250_000, dtype="int8")
FEW = Budget(macs=250_000, weight_bytes=12_000, dtype="int8")
SMALL = Network(
    "small",
    Stem(16),
    (Stage(16, 1), Stage(24, 2, kernel=5, stride=2, expansion=4.0), Stage(32, 1, stride=2, expansion=3.0)),
    Head(channels=48, hidden=64),
    (24, 24),
    classes=5,
)
BASES = {
    "mbconv": SMALL,
    "separable": dataclasses.replace(
        SMALL,
        stages=tuple(Stage(one.channels, one.repeats, stride=one.stride, kind="separable") for one in SMALL.stages),
    ),
    "falling": dataclasses.replace(SMALL, stages=(Stage(32, 1), *SMALL.stages[1:])),
    "headless": dataclasses.replace(SMALL, head=Head(channels=None)),
}


def space_of(base: Network, budget: Budget, largest_px: int) -> StagedSpace:
    return StagedSpace(JointSpace(base, budget, largest_px=largest_px))


@pytest.mark.parametrize("name", ["mobilenet_v1", "mobilenet_v3_small"])
def test_it_uses_what_four_dials_leave(name: str) -> None:
    base = adapt(network(name, classes=6), (84, 112))
    joint = fit(base, LIMITS, "joint", largest_px=224)
    staged = fit(base, LIMITS, "staged", largest_px=224)
    assert staged.phi is None and staged.strategy == "staged" and staged.certificate.fits
    assert staged.cost.macs > 1.25 * joint.cost.macs
    widths = [stage.channels for stage in staged.network.stages]
    assert all(before <= behind for before, behind in itertools.pairwise(widths))
    assert {stage.kernel for stage in staged.network.stages} <= {stage.kernel for stage in base.stages}


@st.composite
def budgets(draw: st.DrawFn) -> Budget:
    whole = cost(SMALL, dtype="int8")
    shares = {name: draw(st.floats(0.25, 0.9)) for name in ("macs", "weight_bytes", "peak_activation_bytes")}
    limits: dict[str, Any] = {name: int(share * getattr(whole, name)) for name, share in shares.items()}
    return Budget(**limits, dtype="int8")


@settings(max_examples=4, deadline=None)
@pytest.mark.parametrize("name", BASES)
@given(budget=budgets())
def test_no_dial_and_no_two_dials_give_more(name: str, budget: Budget) -> None:
    base = BASES[name]
    try:
        joint = fit(base, budget, "joint", largest_px=28)
    except BudgetError:
        with pytest.raises(BudgetError):
            fit(base, budget, "staged", largest_px=28)
        return
    found = fit_staged(base, budget, largest_px=28, changes=100)
    assert budget.check(found.network).fits and found.cost.macs >= joint.cost.macs
    space = space_of(base, budget, 28)
    here = space.largest(changes=100)
    assert space.network(here) == found.network
    rows = {row.dial: row for row in found.certificate.dials}
    for dial in space.dials:
        further = space.turned(here, dial, 1)
        assert (dial.title in rows) == (further is not None)
        if further is None:
            continue
        row, fault, broken = rows[dial.title], space.fault(further), budget.check(space.network(further)).breaks
        if fault is None:
            assert row.breaks == (broken or (NO_MORE,)) and row.reason(str)
            assert broken or space.macs(further) <= found.cost.macs
        else:
            assert row.next is None and row.reason(str) == fault
        for back in space.dials:
            both = space.turned(further, back, -1)
            if back != dial and both is not None and space.fault(both) is None:
                assert space.macs(both) <= found.cost.macs or not budget.check(space.network(both)).fits


@settings(max_examples=40)
@given(st.sampled_from(sorted(BASES)), st.data())
def test_a_turn_forward_is_undone_by_one_back(name: str, data: st.DataObject) -> None:
    space = space_of(BASES[name], Budget(macs=400_000), 28)
    here = space.start
    for _ in range(4):
        dial, by = data.draw(st.sampled_from(space.dials)), data.draw(st.sampled_from((1, -1)))
        new = space.turned(here, dial, by)
        if new is None:
            continue
        priced = cost(space.network(new), dtype="int8")
        assert space.macs(new) == priced.macs, "sums of parts are the network's own"
        assert sum(part.params for part in space.parts(new)) == priced.params
        whole = float(space.base.stages[dial.stage or 0].expansion).is_integer()
        if dial.part != "expansion" or whole:
            assert space.turned(new, dial, -1 if by == 1 else 1) == here
        changed = [before != behind for before, behind in zip(here.stages, new.stages, strict=True)]
        assert sum(changed) == (dial.stage is not None)
        here = new


def test_a_hidden_layer_keeps_its_ratio_to_the_head() -> None:
    found = fit(SMALL, FEW, "staged", largest_px=28)
    own = JointSpace(SMALL, FEW, largest_px=28).dials.heads
    assert (found.network.head.channels, found.network.head.hidden) in own
    assert found == fit(SMALL, FEW, "staged", largest_px=28), "the same limits give the same network"


def test_obstacles_hold_it_like_limits() -> None:
    def slow(one: Network) -> tuple[str, ...]:
        return (TIME,) if cost(one).macs > 200_000 else ()

    limits = Budget(macs=10**9, weight_bytes=10**6)
    found = fit(SMALL, limits, "staged", largest_px=28, obstacles=slow)
    assert found.cost.macs <= 200_000
    assert TIME in found.certificate.hindrances


def test_weights_of_the_base_are_inherited() -> None:
    parent = build(SMALL, seed=0)
    found = fit(SMALL, FEW, "staged", largest_px=28).network
    images = torch.randn(32, 3, *found.resolution_px, generator=torch.Generator().manual_seed(0))
    child = inherit(build(found), parent, images)
    assert child.network == found and torch.isfinite(child(images)).all()
