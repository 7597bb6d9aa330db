"""Rows of a comparison, with numbers that a test chooses."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from budgetnet.experiments.compare.result import Compared, SeedScore
from budgetnet.inspect.turns import Measurement
from budgetnet.statistics import wilson
from support.networks import PLAIN

ALONE = Measurement(1.8, 1.9, 2.1, 500, 1, 1, "cpu", True, 0.0, 2.0, "processor", 1.01)
"""Milliseconds of a machine that was ours."""


def scored(seed: int, accuracy: float) -> SeedScore:
    """The test of one training, on 200 images."""
    right = round(200 * accuracy)
    return SeedScore(seed, right, 200, right / 200, *wilson(right, 200), False, True)


def compared(name: str, accuracy: float, seeds: Sequence[SeedScore] | None = None, **changes: Any) -> Compared:
    """A network that answers so many of 400 test images of two seeds; `changes` are other fields."""
    low, high = wilson(400 * accuracy, 400)
    row = Compared(
        id=name,
        label=name,
        base=name,
        strategy="compound",
        phi=0.0,
        dropped_strides=0,
        network=PLAIN,
        design="designed",
        blocks="blocks",
        accuracy=accuracy,
        low=low,
        high=high,
        error_images=0.01,
        error_seeds=0.01,
        seeds=tuple(seeds or (scored(seed, accuracy) for seed in (0, 1))),
        params=30_000,
        macs=1_000_000,
        activations=100_000,
        weight_bytes=120_000,
        peak_activation_bytes=5_000,
        peak_bytes=125_000,
        binding="macs",
        share=0.9,
        measurement=ALONE,
        images_per_second=100.0,
        batch=64,
        steps=100,
        epochs=5.0,
        recipe="modern",
        parent=None,
        published_top1=None,
        published_source=None,
        training_seconds=None,
        origin="by hand",
    )
    return dataclasses.replace(row, **changes)
