"""Recipes side by side on one network, one machine and the same steps; the test split is never looked at.

    python -m bench.recipes DATA --resolution 72 --steps 600 [--width 1.0] [--variants modern,sgd]

MobileNetV2 at a width and resolution, on one thread. A quarter of the train split is taken out of
training and joins the validation split, so that differences show: its accuracy is printed for the
moving average and for the last weights, with the standard error. Results: docs/lab-log.md.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import time
from collections.abc import Mapping

import numpy as np
import torch
from accelerate import Accelerator

from budgetnet import network, open_images
from budgetnet.learn.data import Augmentation, ImageSet, default_preprocessing, open_cache
from budgetnet.learn.evaluate import probabilities
from budgetnet.learn.recipe import MODERN, Recipe, guarded_batch
from budgetnet.learn.trainer import Course, Trainer
from budgetnet.scaling import Scaling, resize

TORCHVISION = Recipe(
    name="torchvision",
    optimiser="sgd",
    batch=64,
    learning_rate=0.045,
    weight_decay=4e-5,
    schedule="exponential",
    final_rate=0.98**300,
    warmup_share=0.0,
    cooldown_share=0.0,
    label_smoothing=0.0,
    augmentation=Augmentation(crop_scale=(0.08, 1.0), flip=0.5),
    source="torchvision references/classification, README: MobileNetV2",
)
COLOUR = MODERN.augmentation


def _variants() -> Mapping[str, Recipe]:
    change, colour = dataclasses.replace, COLOUR
    return {
        "torchvision": TORCHVISION,
        "modern": MODERN,
        "paper-classifier": change(MODERN, zero_classifier=False),
        "rate-4e-3": change(MODERN, learning_rate=4e-3),
        "batch-32": change(MODERN, batch=32),
        "cutmix": change(MODERN, augmentation=change(colour, cutmix_alpha=1.0)),
        "mixup": change(MODERN, augmentation=change(colour, mixup_alpha=0.2)),
        "small-crops": change(MODERN, augmentation=change(colour, crop_scale=(0.15, 1.0), rotate_degrees=10.0)),
        "plain-crops": change(MODERN, augmentation=Augmentation(crop_scale=(0.35, 1.0), flip=0.5)),
        "decay-0.2": change(MODERN, weight_decay=0.2),
        "short-cooldown": change(MODERN, cooldown_share=0.2),
    }


def held_out(images: ImageSet) -> ImageSet:
    """The same images, a quarter of the train split moved to validation."""
    split = np.array(images.split)
    train = images.indices("train")
    split[np.random.default_rng(5).permutation(train)[: len(train) // 4]] = 1
    return dataclasses.replace(images, split=tuple(split.tolist()))


def main() -> None:
    """Train each variant and print its line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data")
    parser.add_argument("--resolution", type=int, required=True)
    parser.add_argument("--width", type=float, default=1.0)
    parser.add_argument("--steps", type=int, required=True, help="of 64 images; a smaller batch takes more")
    parser.add_argument("--variants", default=",".join(_variants()))
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    images = held_out(open_images(asked.data))
    row = network("mobilenet_v2", len(images.classes), asked.resolution)
    row = dataclasses.replace(resize(row, Scaling(width=asked.width)), in_channels=images.in_channels)
    for name in asked.variants.split(","):
        recipe = _variants()[name]
        batch = guarded_batch(recipe, len(images.indices("train")))
        steps = asked.steps * 64 // batch
        preprocessing = default_preprocessing(images.in_channels)
        warmup = max(1, round(recipe.warmup_share * steps))
        course = Course(name, row, recipe, preprocessing, asked.seed, batch, steps, warmup)
        pixels = open_cache(images, asked.resolution)
        trainer = Trainer(course, images, pixels, Accelerator(cpu=True))
        cooldown = round(recipe.cooldown_share * steps)
        schedule, start = course.schedule, steps - cooldown
        losses: list[float] = []
        began = time.process_time()
        trainer.advance(
            steps,
            lambda step, schedule=schedule, start=start, cooldown=cooldown: schedule.at(step, start, cooldown),
            lambda report, losses=losses: losses.append(report.loss),
        )
        seconds = time.process_time() - began
        indices = images.indices("validation")
        labels = np.asarray(images.labels)[indices]
        shares = [
            float((probabilities(model, images, pixels, indices, preprocessing).argmax(1) == labels).mean())
            for model in (trainer.mean, trainer.model)
        ]
        error = math.sqrt(shares[1] * (1 - shares[1]) / len(indices))
        average = f"{100 * shares[0]:.1f}" if recipe.ema_share else "-"
        print(
            f"{name:<16} steps {steps} epochs {steps * batch / len(images.indices('train')):.0f}"
            f" loss {np.mean(losses[-30:]):.3f} average {average} last {100 * shares[1]:.1f}"
            f" (s.e. {100 * error:.1f}) {steps * batch / seconds:.0f} images a second",
            flush=True,
        )


if __name__ == "__main__":
    main()
