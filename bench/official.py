"""Networks with their published weights on the same labelled images, paired: the first minus each of the others.

    python -m bench.official ../shared/data/imagenet-samples lite0 ../shared/weights/*.tflite

Every source answers with the preprocessing that came with it. The images are a folder with a labels.csv that has the
columns `file` and `class_index`, of ImageNet's classes.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

from budgetnet import cost, predict
from budgetnet.model.sources import imagenet_classes
from budgetnet.model.weights import load_model
from budgetnet.statistics import paired_difference, wilson
from budgetnet.training.predict import Prediction


def right(source: str, folder: Path) -> list[bool]:
    """Which images a source gets right, in the order of labels.csv."""
    with (folder / "labels.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    names, answers = imagenet_classes(), predict(source, [folder / row["file"] for row in rows])
    return [
        isinstance(answer, Prediction) and answer.label == names[int(row["class_index"])]
        for answer, row in zip(answers, rows, strict=True)
    ]


def main() -> None:
    """Print a row a source."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("sources", nargs="+")
    asked = parser.parse_args()
    first: list[bool] | None = None
    print("| weights | network | px | million MACs | top-1, % (95 %) | the first minus it, points (95 %, paired) |")
    print("| --- | --- | --- | --- | --- | --- |")
    for source in asked.sources:
        network, found = load_model(source).network, right(source, asked.folder)
        first = found if first is None else first
        low, high = wilson(sum(found), len(found))
        gap = paired_difference(first, found)
        paired = "" if first is found else f"{100 * gap.value:+.1f} ({100 * gap.low:+.1f} to {100 * gap.high:+.1f})"
        share = f"{100 * sum(found) / len(found):.1f} ({100 * low:.1f} to {100 * high:.1f})"
        px, macs = network.resolution_px[0], cost(network).macs / 1e6
        print(f"| {Path(source).name} | {network.name} | {px} | {macs:.0f} | {share} | {paired} |", flush=True)


if __name__ == "__main__":
    main()
