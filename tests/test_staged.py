"""The staged strategy: every limit kept, never worth less than joint, and no dial or pair of dials that gives more."""

from __future__ import annotations

import dataclasses
import itertools
import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from budgetnet import Budget, BudgetError, adapt, build, cost, fit, inherit, network
from budgetnet.budgets.budget import NO_MORE, ONE_BLOCK_MORE, TIME
from budgetnet.budgets.joint import JointSpace
from budgetnet.budgets.staged import StagedSpace, fit_staged
from budgetnet.costs.planners import Runtime
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


def worth(one: Network) -> float:
    """What is maximised, from the network alone: the logarithm of multiply-adds a block."""
    return math.log(cost(one).macs / sum(stage.repeats for stage in one.stages))


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


def test_another_block_must_bring_multiply_adds_of_its_own() -> None:
    base = adapt(network("mobilenet_v2", classes=10), (32, 32), 2)
    limits = Budget(weight_bytes=100_000, peak_activation_bytes=100_000, dtype="int8")
    joint = JointSpace(base, limits, largest_px=32)
    most, usual = StagedSpace(joint, StagedSpace.log_macs).largest(), StagedSpace(joint).largest()
    assert usual.blocks < most.blocks
    space = StagedSpace(joint)
    assert space.worth(usual) > space.worth(most) and space.macs(usual) > 0.8 * space.macs(most)
    certificate = fit(base, limits, "staged", largest_px=32).certificate
    rows = {row.dial: row for row in certificate.dials if ONE_BLOCK_MORE in row.breaks}
    assert rows and all(dial.endswith("depth") for dial in rows)
    assert {row.reason(str) for row in rows.values()} == {"has too few more multiply-adds for another block"}


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
    assert budget.check(found.network).fits and worth(found.network) >= worth(joint.network) - 1e-9
    space = space_of(base, budget, 28)
    here = space.largest(changes=100)
    assert space.network(here) == found.network
    most = worth(found.network) + 1e-9
    for dial in space.dials:
        back = space.turned(here, dial, -1)
        if back is not None and space.fault(back) is None and budget.check(space.network(back)).fits:
            assert worth(space.network(back)) <= most
    rows = {row.dial: row for row in found.certificate.dials}
    for dial in space.dials:
        further = space.turned(here, dial, 1)
        assert (dial.title in rows) == (further is not None)
        if further is None:
            continue
        row, fault, broken = rows[dial.title], space.fault(further), budget.check(space.network(further)).breaks
        if fault is None:
            more = ONE_BLOCK_MORE if space.macs(further) > found.cost.macs else NO_MORE
            assert row.breaks == (broken or (more,)) and row.reason(str)
            assert broken or worth(space.network(further)) <= most
            assert more == NO_MORE or broken or dial.part == "depth"
        else:
            assert row.next is None and row.reason(str) == fault
        for back in space.dials:
            both = space.turned(further, back, -1)
            if back != dial and both is not None and space.fault(both) is None:
                assert worth(space.network(both)) <= most or not budget.check(space.network(both)).fits


@settings(max_examples=40)
@given(st.sampled_from(sorted(BASES)), st.sampled_from(["deployed", "tflite_micro"]), st.data())
def test_a_turn_forward_is_undone_by_one_back(name: str, runtime: Runtime, data: st.DataObject) -> None:
    space = space_of(BASES[name], Budget(macs=400_000, dtype="int8", runtime=runtime), 28)
    here = space.start
    for _ in range(4):
        dial, by = data.draw(st.sampled_from(space.dials)), data.draw(st.sampled_from((1, -1)))
        new = space.turned(here, dial, by)
        if new is None:
            continue
        priced, bound = cost(space.network(new), dtype="int8", runtime=runtime), space.memory(new)
        assert bound.file_bytes == priced.weight_bytes
        assert 0.8 * priced.peak_activation_bytes < bound.arena_bytes <= priced.peak_activation_bytes
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
