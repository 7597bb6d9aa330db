"""Whether what is promised of microcontrollers holds for the files: flash and RAM of five families' networks.

    python -m bench.chips arduino_nano_33_ble visual_wake_words

Each family's network is fitted to the device, by one dial and by several, and written as an int8 file with drawn
weights: neither flash nor RAM depends on their values. The file is run by TensorFlow Lite Micro in the RAM that was
promised, and in less and less until it refuses.
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
from numpy.typing import NDArray

from budgetnet import BudgetError, build, cost, fit, network
from budgetnet.budgets.devices import budget_for
from budgetnet.data import default_preprocessing
from budgetnet.networks import Network
from budgetnet.networks.scaling import FitStrategy
from budgetnet.ship.rounded_job import in_eight_bits
from budgetnet.ship.tflite.eight_bits import TfliteEightBits
from budgetnet.ship.tflite.interpreters import allocates
from budgetnet.ship.tflite.steps import ModelWeights

BASES = ("efficientnet_b0", "efficientnet_lite0", "mobilenet_v1", "mobilenet_v2", "mobilenet_v3_small")
STEP = 0.0025
"""The RAM is lowered by this share of what was promised."""
MOST_LESS = 0.08
"""It is lowered by at most this share: a file that runs in still less was promised far too much."""


def file_of(made: Network) -> tuple[bytes, NDArray[np.uint8]]:
    """An int8 file of drawn weights, and an image of its size."""
    draw = np.random.default_rng(0)
    images = draw.integers(0, 256, (4, *made.resolution_px, made.in_channels), dtype=np.uint8)
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float()
    model = build(made, seed=0).eval()
    eight_bits = TfliteEightBits(made, ModelWeights(model, default_preprocessing(made.in_channels)))
    return eight_bits.file(*in_eight_bits(eight_bits, pixels)), images[0]


def least_arena_bytes(file: bytes, image: NDArray[np.uint8], promised: int) -> int:
    """The least RAM, in steps, in which the file still answers."""
    least = promised
    for share in np.arange(STEP, MOST_LESS, STEP).tolist():
        less = int(promised * (1 - share)) // 16 * 16
        if not allocates(file, image, less):
            break
        least = less
    return least


def main() -> None:
    """Print a row a device, family and strategy."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("devices", nargs="+")
    parser.add_argument("--classes", type=int, default=6)
    given = parser.parse_args()
    names = ("device", "family", "strategy", "px", "M multiply-adds", "flash: file, promised, limit")
    print(f"| {' | '.join(names)} | RAM: runs in, promised, limit |\n|{' --- |' * 7}")
    strategies: tuple[FitStrategy, ...] = ("compound", "joint")
    for device in given.devices:
        budget = budget_for(device)
        for base in BASES:
            for strategy in strategies:
                try:
                    found = fit(network(base, given.classes), budget, strategy)
                except BudgetError:
                    print(f"| {device} | {base} | {strategy} | nothing keeps the limits | | | |")
                    continue
                made = found.network
                file, image = file_of(made)
                price = cost(made, dtype=budget.dtype, runtime=budget.runtime)
                arena = price.peak_activation_bytes
                ran = f"{least_arena_bytes(file, image, arena):,}" if allocates(file, image, arena) else "does not run"
                height, width = made.resolution_px
                print(
                    f"| {device} | {base} | {strategy} | {height}x{width} | {price.macs / 1e6:.1f} | "
                    f"{len(file):,}, {price.weight_bytes:,}, {budget.weight_bytes or 0:,} | "
                    f"{ran}, {arena:,}, {budget.peak_activation_bytes or 0:,} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
