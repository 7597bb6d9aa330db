"""A solve of a few seconds whose plan is the same on every machine, to be killed and gone on with."""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from pathlib import Path
from typing import Any

from budgetnet import Budget, solve
from budgetnet.experiments.solve import Solution
from budgetnet.model.build import build
from budgetnet.model.weights import save_weights
from budgetnet.networks.zoo import network
from budgetnet.training.stopwatch import Clock
from support.executor import InlineExecutor
from support.simulated import SimulatedClock
from support.spaces import BASE, BUDGET

TESTS = Path(__file__).resolve().parents[1]


@dataclasses.dataclass(frozen=True)
class HurriedClock(SimulatedClock):
    """Plans for a fast machine; then every training is to be done in `hurry_seconds`, by the real clock."""

    hurry_seconds: float = 4.0

    def deadline(self, seconds: float) -> float | None:
        return time.time() + self.hurry_seconds


def solved(run: Path | str, source: str = "none", clock: Clock | None = None) -> Solution:
    """A race of more networks than two cores train at once, and a final training by both.

    A clock of another speed makes other numbers of steps of the same time.
    """
    bases = ["mobilenet_v1", "mobilenet_v2"] if source == "none" else None
    clock = clock or SimulatedClock(5e7)
    return solve("digits", Budget(macs=300_000), 900.0, run, bases=bases, pretrained=source, clock=clock)


def solved_quickly(run: Path | str, data: Path | str) -> Solution:
    """One small network in a rung, in this process, and a final training in a worker."""
    speed = 1.1e7  # of less, its few steps learn nothing, which is an error
    return solve(data, BUDGET, 600.0, run, bases=[BASE], clock=SimulatedClock(speed), cluster=InlineExecutor(speed))


def command(call: str) -> list[str]:
    """A program that makes this call of this module, in a process of its own."""
    program = (
        f"import sys; sys.path[:] = {[str(TESTS), *sys.path]!r}\n"
        f"from support.solves import HurriedClock, SimulatedClock, solved, solved_quickly\n{call}"
    )
    return [sys.executable, "-c", program]


def written_parent(folder: Path) -> str:
    """Weights of a small network to inherit from, in a file."""
    path = folder / "parent.safetensors"
    parent = dataclasses.replace(network("mobilenet_v1_25", classes=10, resolution_px=(32, 32)), in_channels=1)
    row = {"mean": [0.3], "std": [0.4], "crop_share": 1.0, "fit": "crop"}
    save_weights(path, build(parent, seed=7), [str(digit) for digit in range(10)], row)
    return str(path)


def planned(run: Path) -> dict[str, Any]:
    """The plan in a run's plan.json."""
    return json.loads((run / "plan.json").read_text())["plan"]
