"""A run against the network to beat, on the same test images.

    python -m bench.against RUN FILE.npz

RUN is a finished run of `budgetnet solve`, FILE.npz what `bench.mobilenet_v2` wrote for the same
images and seed. Prints both accuracies with Wilson's interval and the paired difference with its own.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from budgetnet.learn.data import open_cache, open_images
from budgetnet.learn.evaluate import probabilities
from budgetnet.learn.run import load_run, read_json
from budgetnet.learn.statistics import paired_difference, wilson


def main() -> None:
    """Answer the test split with the run's weights and compare image by image."""
    run, rival = Path(sys.argv[1]), np.load(sys.argv[2])
    plan, loaded = read_json(run / "plan.json"), load_run(run)
    images = open_images(plan["data"]["path"], plan["seed"])
    indices = images.indices("test")
    files = [images.files[index] for index in indices]
    if files != rival["files"].tolist():
        raise SystemExit("the two were tested on other images: give both the same data and seed")
    pixels = open_cache(images, loaded.side_px)
    answers = probabilities(loaded.model, images, pixels, indices, loaded.preprocessing)
    labels = np.asarray(images.labels)[indices]
    ours, theirs = answers.argmax(1) == labels, rival["probabilities"].argmax(1) == labels
    for name, right in ((loaded.network.name, ours), ("MobileNetV2, torchvision's recipe", theirs)):
        low, high = wilson(int(right.sum()), len(right))
        print(f"{name}: {100 * right.mean():.2f} % ({100 * low:.1f} to {100 * high:.1f})")
    paired = paired_difference(ours, theirs)
    interval = f"{100 * paired.low:+.2f} to {100 * paired.high:+.2f}"
    print(f"paired difference: {100 * paired.difference:+.2f} points ({interval})")


if __name__ == "__main__":
    main()
