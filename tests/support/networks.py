"""Small networks of our own, for budgets of a few multiply-adds."""

from __future__ import annotations

import dataclasses

from budgetnet.networks import RELU, SWISH, Head, Network, Squeeze, Stage, Stem

PLAIN = Network(
    "plain",
    Stem(8, stride=2, activation=RELU),
    (Stage(8, expansion=2.0, activation=RELU), Stage(16, stride=2, expansion=2.0, activation=RELU)),
    Head(24, activation=RELU),
    resolution_px=(32, 32),
)
SQUEEZED = dataclasses.replace(
    PLAIN,
    name="squeezed",
    stages=tuple(dataclasses.replace(stage, squeeze=Squeeze(0.25), activation=SWISH) for stage in PLAIN.stages),
)
GROWABLE = dataclasses.replace(
    PLAIN,
    stages=(
        Stage(16, expansion=2.0, activation=RELU),
        Stage(32, repeats=2, stride=2, expansion=2.0, activation=RELU),
    ),
    head=Head(64, activation=RELU),
    resolution_px=(16, 16),
)
"""Small enough to double in every dimension within twice the digits' own size."""
