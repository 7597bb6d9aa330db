"""Progressive learning against one size of images, for equal processor seconds of one core.

    python -m bench.progressive DATA --macs 25M --pretrained lite0 --seconds 45 --out FILE.jsonl

    python -m bench.progressive DATA --macs 8M --strategy dWr --seconds 90 --ways whole trunk v2 --out FILE.jsonl

A way is rows of (share of the steps, share of the network's side, share of the augmentation); the last row is the
network's own size. A step is timed at each size, in turns and by the processor's clock; a way then gets the steps that
take as long as those of one size, so smaller images are more steps. The network is what `fit` finds, from nothing a
MobileNetV2. Validation images are scored at the network's size, by the moving average; test images are never looked at.
FILE gets a line a training, and what stands in it is not trained again. Source of the idea: Tan and Le, EfficientNetV2,
arXiv:2104.00298, section 4. Results: docs/lab-log.md.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.recipes import Bench
from bench.time_to_accuracy.spent import TRAINING_MACS
from budgetnet import Budget, cost, fit, open_images
from budgetnet.amounts import count
from budgetnet.data import needed_side_px, open_cache
from budgetnet.data.batches import Batch, TrainBatches
from budgetnet.experiments.bases import adapted_bases
from budgetnet.networks import Network, Px
from budgetnet.networks.scaling import FIT_STRATEGIES
from budgetnet.statistics import from_seeds, log_losses, mean_interval
from budgetnet.training.augmenting import AUTO, choose_augmentation, fitted
from budgetnet.training.evaluate import probabilities
from budgetnet.training.plan import preprocessing_for
from budgetnet.training.pretrained import base_of
from budgetnet.training.recipe import FINETUNE, MODERN, Recipe
from budgetnet.training.trainer import Trainer

Rows = tuple[tuple[float, float, float], ...]
WAYS: Mapping[str, Rows] = {
    "whole": ((1.0, 1.0, 1.0),),
    "trunk": ((0.25, 0.6, 1.0), (0.25, 0.8, 1.0), (0.5, 1.0, 1.0)),
    "v2": ((0.25, 0.55, 1.0), (0.25, 0.7, 1.0), (0.25, 0.85, 1.0), (0.25, 1.0, 1.0)),
    "v2-eased": ((0.25, 0.55, 0.4), (0.25, 0.7, 0.6), (0.25, 0.85, 0.8), (0.25, 1.0, 1.0)),
    "most": ((0.75, 0.6, 1.0), (0.25, 1.0, 1.0)),
}
"""`trunk` is small only before the rate falls; `v2` has four stages of equal length, as the paper; `v2-eased` draws
milder augmentation first, too."""
TIMED_STEPS = 9
LEAST_PX = 16


@dataclass(frozen=True, slots=True)
class Staged:
    """The batches of a training, each at the size of its step."""

    images: Any
    ends: tuple[int, ...]
    stages: tuple[TrainBatches, ...]

    @staticmethod
    def of(bench: Bench, trainer: Trainer, rows: Rows) -> Staged:
        """Those of a trainer, whose own are all of one size."""
        config = trainer.config
        drawn = config.augmentation_for(len(bench.images.indices("train")))
        stages = tuple(
            dataclasses.replace(
                trainer.batches,
                resolution_px=sized(config.network.resolution_px, size),
                augmentation=drawn.eased(eased),
            )
            for _, size, eased in rows
        )
        ends = tuple(round(share * config.steps) for share in accumulate(row[0] for row in rows))
        return Staged(bench.images, ends, stages)

    def batch_at(self, step: int) -> Batch:
        """The batch of a step, counted from 0."""
        place = next((place for place, end in enumerate(self.ends) if step < end), len(self.ends) - 1)
        return self.stages[place].batch_at(step)


def sized(px: Px, share: float) -> Px:
    """A share of a size, even numbers."""
    height, width = (max(LEAST_PX, 2 * round(side * share / 2)) for side in px)
    return height, width


def step_seconds(bench: Bench, network: Network, recipe: Recipe, sizes: Sequence[float]) -> dict[float, float]:
    """Processor seconds of a step at each share of the size: medians, in turns."""
    trainers = {size: bench.trainer("timed", network, recipe, 1000) for size in sizes}
    for size, trainer in trainers.items():
        trainer.batches = Staged.of(bench, trainer, ((1.0, size, 1.0),))  # pyright: ignore[reportAttributeAccessIssue]
    taken: dict[float, list[float]] = {size: [] for size in sizes}
    for _ in range(TIMED_STEPS):
        for size, trainer in trainers.items():
            before = time.process_time()
            trainer.advance(trainer.step + 1, trainer.config.schedule.trunk, lambda report: None)
            taken[size].append(time.process_time() - before)
    return {size: statistics.median(rows[2:]) for size, rows in taken.items()}


def trainings(given: argparse.Namespace, seed: int, known: set[tuple[str, int]]) -> Iterator[dict[str, Any]]:
    """One seed's: what each way comes to."""
    inherited, images = given.pretrained is not None, open_images(given.data, seed)
    base = base_of(given.pretrained) if inherited else "mobilenet_v2"
    *_, (_, _, adapted) = adapted_bases(images, [base], inherited)
    network = fit(adapted, Budget(macs=given.macs), given.strategy).network
    preprocessing = preprocessing_for(images, given.pretrained)
    pixels = open_cache(images, needed_side_px(network.resolution_px, preprocessing))
    recipe = FINETUNE if inherited else MODERN
    recipe = fitted(recipe, choose_augmentation(AUTO, recipe, images, pixels, seed))
    bench = Bench(images, pixels, seed, preprocessing, given.pretrained)
    seconds = step_seconds(bench, network, recipe, sorted({1.0} | {row[1] for way in given.ways for row in WAYS[way]}))
    for way in given.ways if seed % 2 == 0 else given.ways[::-1]:
        if (way, seed) in known:
            continue
        steps = int(given.seconds / sum(share * seconds[size] for share, size, _ in WAYS[way]))
        trainer = bench.trainer(way, network, recipe, steps)
        bench.inherit(trainer)
        trainer.batches = Staged.of(bench, trainer, WAYS[way])  # pyright: ignore[reportAttributeAccessIssue]
        cooldown, schedule, before = recipe.cooldown_steps(steps), trainer.config.schedule, time.process_time()
        trainer.advance(steps, lambda step: schedule.at(step, steps - cooldown, cooldown), lambda report: None)  # noqa: B023
        took, indices = time.process_time() - before, images.indices("validation")
        answers = probabilities(trainer.mean, images, pixels, indices, preprocessing)
        labels = np.asarray(images.labels)[indices]
        macs = sum(
            share * cost(dataclasses.replace(network, resolution_px=sized(network.resolution_px, size))).macs
            for share, size, _ in WAYS[way]
        )
        yield {
            "way": way,
            "seed": seed,
            "px": network.resolution_px,
            "steps": steps,
            "epochs": steps * trainer.config.batch / len(images.indices("train")),
            "training_macs": TRAINING_MACS * macs * steps * trainer.config.batch,
            "processor_seconds": took,
            "accuracy": float((answers.argmax(1) == labels).mean()),
            "log_loss": float(log_losses(answers, labels).mean()),
        }


def say(rows: Sequence[Mapping[str, Any]], ways: Sequence[str]) -> None:
    """Means, and the differences from one size, paired by seeds."""
    by_way = {way: {row["seed"]: row for row in rows if row["way"] == way} for way in ways}
    for way, found in by_way.items():
        means = (statistics.fmean(row[name] for row in found.values()) for name in ("accuracy", "log_loss", "epochs"))
        told = "{:.4f}, log loss {:.3f}, {:.1f} epochs".format(*means)
        seconds = statistics.fmean(row["processor_seconds"] for row in found.values())
        print(f"{way}: {told}, {seconds:.0f} processor seconds, {len(found)} seeds")
        seeds = sorted(found.keys() & by_way["whole"].keys())
        if way == "whole" or len(seeds) < 2:
            continue
        for name, over in (("accuracy", 100.0), ("log_loss", 1.0)):
            pairs = [over * (found[seed][name] - by_way["whole"][seed][name]) for seed in seeds]
            low, high = mean_interval(from_seeds(pairs))
            print(f"  {name}, minus whole: {statistics.fmean(pairs):+.3f} ({low:+.3f} to {high:+.3f})")


def main() -> None:
    """Train what is missing, seed by seed, and print the differences."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--macs", type=count, required=True)
    parser.add_argument("--pretrained", metavar="SOURCE")
    parser.add_argument("--strategy", choices=FIT_STRATEGIES, default="compound")
    parser.add_argument("--seconds", type=float, default=60.0, help="of the processor, for each training")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--ways", nargs="+", choices=tuple(WAYS), default=["whole", "trunk", "v2"])
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    torch.set_num_threads(1)
    lines = given.out.read_text(encoding="utf-8").splitlines() if given.out.exists() else []
    rows = [json.loads(line) for line in lines]
    for seed in given.seeds:
        for row in trainings(given, seed, {(row["way"], row["seed"]) for row in rows}):
            rows.append(row)
            with given.out.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
    say(rows, [way for way in given.ways if any(row["way"] == way for row in rows)])


if __name__ == "__main__":
    main()
