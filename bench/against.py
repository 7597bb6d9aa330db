"""A run against a rival, on the same test images.

    python -m bench.against RUN FILE.npz
    python -m bench.against RUN OTHER_RUN

RUN is a finished run, FILE.npz what `bench.mobilenet_v2` wrote for the same images and seed, OTHER_RUN another
finished run on them. Prints both accuracies with Wilson's interval and the paired difference with its own.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from budgetnet.data import open_cache, open_images
from budgetnet.runs.record import read_header
from budgetnet.runs.run import load_run
from budgetnet.statistics import paired_difference, wilson
from budgetnet.training.evaluate import probabilities


def run_answers(run: Path) -> tuple[str, list[str], NDArray[np.bool_]]:
    """(name, test files, which of them its network gets right) of a finished run."""
    header, loaded = read_header(run), load_run(run)
    images = open_images(header.data.data, header.seed)
    indices = images.indices("test")
    pixels = open_cache(images, loaded.side_px)
    answers = probabilities(loaded.model, images, pixels, indices, loaded.preprocessing)
    labels = np.asarray(images.labels)[indices]
    return loaded.network.name, [images.files[index] for index in indices], answers.argmax(1) == labels


def rival_answers(rival: Path, run: Path) -> tuple[str, list[str], NDArray[np.bool_]]:
    """The same of a rival; labels of a file's images are those of the run's data."""
    if rival.is_dir():
        return run_answers(rival)
    header, file = read_header(run), np.load(rival)
    images = open_images(header.data.data, header.seed)
    labels = np.asarray(images.labels)[images.indices("test")]
    files = file["files"].tolist()
    right = file["probabilities"].argmax(1) == labels if len(files) == len(labels) else np.zeros(len(files), bool)
    return "MobileNetV2, torchvision's recipe", files, right


def main() -> None:
    """Answer the test split and compare image by image."""
    run, rival = Path(sys.argv[1]), Path(sys.argv[2])
    name, files, ours = run_answers(run)
    other, same, theirs = rival_answers(rival, run)
    if files != same:
        raise SystemExit("the two were tested on other images: give both the same data and seed")
    for what, right in ((name, ours), (other, theirs)):
        low, high = wilson(int(right.sum()), len(right))
        print(f"{what}: {100 * right.mean():.2f} % ({100 * low:.1f} to {100 * high:.1f})")
    paired = paired_difference(ours, theirs)
    interval = f"{100 * paired.low:+.2f} to {100 * paired.high:+.2f}"
    print(f"paired difference: {100 * paired.value:+.2f} points ({interval})")


if __name__ == "__main__":
    main()
