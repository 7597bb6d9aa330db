"""Small spaces for searches of a baseline, and what draws others."""

from __future__ import annotations

from hypothesis import strategies as st

from budgetnet import Budget
from budgetnet.budgets.search_space import KINDS, Space, StageSpace
from budgetnet.networks import RELU, Head, Network, Squeeze, Stage, Stem

BASE = Network(
    "small",
    Stem(8, stride=1, activation=RELU),
    (
        Stage(8, repeats=1, expansion=1.0, activation=RELU),
        Stage(16, repeats=2, stride=2, expansion=3.0, squeeze=Squeeze(0.25), activation=RELU),
    ),
    Head(16, activation=RELU),
    resolution_px=(8, 8),
    classes=10,
    in_channels=1,
)
LOOSE = Budget(macs=10**9)
BUDGET = Budget(macs=150_000)
SMALL = Space(BASE, (StageSpace(expansions=(1.0, 2.0)), StageSpace(expansions=(2.0, 3.0))))


def subsets(values: tuple[object, ...]) -> st.SearchStrategy[tuple[object, ...]]:
    return st.lists(st.sampled_from(values), min_size=1, max_size=len(values), unique=True).map(tuple)


stage_spaces = st.builds(
    StageSpace,
    kinds=subsets(KINDS),
    kernels=subsets((1, 3, 5)),
    squeezes=subsets((0.0, 0.25, 0.5)),
    expansions=subsets((1.0, 2.0, 4.0)),
    widths=subsets((0.5, 1.0, 1.5)),
    layers=subsets((-1, 0, 1)),
)
spaces = st.tuples(stage_spaces, stage_spaces).map(lambda stages: Space(BASE, stages))
