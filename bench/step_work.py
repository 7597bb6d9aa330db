"""How well a network's description says how long its training steps take: the weights in `budgetnet.training.speed`.

    python -m bench.step_work

Real steps (forward, backward, AdamW) of random images on one thread, the quickest of five; then least squares of
relative errors, without negative weights, of MACs alone, with activations, and with operations.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import nnls

import budgetnet
from budgetnet.costs.network_cost import computing
from budgetnet.networks import Network
from budgetnet.training.speed import ACTIVATION_WORK, OPERATION_WORK

FAMILIES = ("efficientnet_b0", "efficientnet_lite0", "mobilenet_v1", "mobilenet_v2", "mobilenet_v3_small")
SIZES = ((32, 4_000_000), (32, 8_000_000), (64, 8_000_000), (112, 25_000_000), (112, 60_000_000))
"""Pixels of the base, and multiply-adds that its width is scaled to."""
BATCH, STEPS = 32, 6


@dataclass(frozen=True)
class Row:
    """One network: what it computes for an image, and how long a step takes for an image."""

    network: Network
    seconds: float

    @property
    def parts(self) -> tuple[float, float, float]:
        """MACs, activations, and operations an image of the batch."""
        counts = computing(self.network)
        return counts.macs, counts.activations, counts.operations / BATCH


def timed(network: Network) -> Row:
    """The quickest of some steps, in processor time: other programs do not count."""
    model = budgetnet.build(network).train()
    optimiser = torch.optim.AdamW(model.parameters())
    inputs = torch.randn(BATCH, 3, *network.resolution_px).to(memory_format=torch.channels_last)
    labels = torch.randint(0, network.classes, (BATCH,))
    durations: list[float] = []
    for _ in range(STEPS):
        before = time.process_time()
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(model(inputs), labels).backward()
        optimiser.step()
        durations.append(time.process_time() - before)
    return Row(network, min(durations[1:]) / BATCH)


def fitted(rows: list[Row], columns: int) -> tuple[np.ndarray, np.ndarray]:
    """Weights of the first columns, in seconds, and predicted over measured for each row."""
    parts = np.array([row.parts[:columns] for row in rows])
    measured = np.array([row.seconds for row in rows])
    weights, _ = nnls(parts / measured[:, None], np.ones(len(rows)))
    return weights, parts @ weights / measured


def main() -> int:
    """Time, fit, print."""
    torch.set_num_threads(1)
    rows: list[Row] = []
    for name in FAMILIES:
        for px, macs in SIZES:
            base = budgetnet.adapt(budgetnet.network(name, classes=10), px, 1 if px == 32 else 0)
            rows.append(timed(budgetnet.fit(base, budgetnet.Budget(macs=macs), "width").network))
            counts = computing(rows[-1].network)
            print(f"{name:20} {px:4} px {counts.macs / 1e6:6.1f} M MACs {1e3 * rows[-1].seconds:8.3f} ms an image")
    for columns, what in ((1, "MACs"), (2, "and activations"), (3, "and operations")):
        weights, ratios = fitted(rows, columns)
        relative = ", ".join(f"{weight / weights[0]:.3g}" for weight in weights) if weights[0] else "no weight of MACs"
        off = np.maximum(ratios, 1 / ratios)
        print(f"{what}: weights {relative}; off by a factor of {np.median(off):.2f} (median), {off.max():.2f} (worst)")
    work = np.array([[1.0, ACTIVATION_WORK, OPERATION_WORK] @ np.array(row.parts) for row in rows])
    speeds = work / np.array([row.seconds for row in rows])
    print(
        f"work a second (training/speed.py): {np.median(speeds):.3g} (median), {speeds.min():.3g} to {speeds.max():.3g}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
