"""Which pretrained parent serves a small budget: trainings of equal epochs, each inherited from a parent of its family.

    python -m bench.parents DATA lite0 ../shared/weights/mobilenet_v1_0.25_128_quant.tflite --limits 8M --out FOLDER

Of each parent its own network is scaled to the limits (the best single dial, the most multiply-adds), takes its weights
and is trained; the differences are paired over seeds, with their 95 % intervals (t). Limits are multiply-adds, or a
device's. Killed, it goes on where it was; what lies in FOLDER is counted.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

from bench.joint import single
from bench.strategy_accuracy import compared, described, limits_of
from budgetnet import Budget, Network, adapt, cost, open_images
from budgetnet.model.weights import load_model

COUNT = ("k", "M", "G")
"""Multiply-adds are written with one of these behind them."""


def main() -> None:
    """Train a network of each parent, seed by seed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("parents", nargs="+")
    parser.add_argument("--limits", default="8M")
    parser.add_argument("--px", default="84x112")
    parser.add_argument("--epochs", type=float, default=8.0)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    height, width = map(int, given.px.split("x"))
    classes = len(open_images(given.data, 0).classes)
    budget = Budget(macs=given.limits) if given.limits.endswith(COUNT) else limits_of(given.limits)
    rows: dict[str, tuple[Network, str]] = {}
    for parent in given.parents:
        base = adapt(dataclasses.replace(load_model(parent).network, classes=classes), (height, width))
        one = single(base, budget, 2 * max(height, width))
        if one is None:
            print(f"{Path(parent).stem}: nothing of its family keeps the limits on a single dial")
            continue
        rows[Path(parent).stem] = one.network, parent
        print(f"{Path(parent).stem} ({one.strategy}): {cost(one.network).macs / 1e6:.1f} M; {described(one.network)}")
    compared(given.data, rows, given.epochs, given.seeds, given.out)


if __name__ == "__main__":
    main()
