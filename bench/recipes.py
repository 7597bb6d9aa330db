"""Recipes and candidates side by side, for equal seconds of one core or equal steps; the test split is never looked at.

    python -m bench.recipes DATA --macs 8000000 --candidates mobilenet_v1-dWr-2 --seconds 300 --variants modern,old

    python -m bench.recipes DATA --macs 25000000 --pretrained lite0 --candidates tf_efficientnet_lite0-dWr \\
        --variants finetune

The networks are candidates of `budgetnet solve DATA --macs ...`, by their ids; with --pretrained they inherit. The
split is by `--seed`; what is printed is the accuracy on the validation split, for the moving average and for the last
weights, with the standard error. Pin two of these to a core each (taskset -c 0, taskset -c 1) to use two. Results:
docs/lab-log.md.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from accelerate import Accelerator

from budgetnet import Budget, inherit, open_images
from budgetnet.data import ImageSet, Pixels, Preprocessing, needed_side_px, open_cache
from budgetnet.data.augment import Augmentation
from budgetnet.experiments.solve.candidates import BASES, candidates
from budgetnet.model.build import Model
from budgetnet.networks import Network
from budgetnet.training.evaluate import probabilities
from budgetnet.training.plan import preprocessing_for
from budgetnet.training.pretrained import base_of, fitting_images
from budgetnet.training.recipe import FINETUNE, MODERN, PAPER, Recipe, guarded_batch
from budgetnet.training.trainer import StepReport, Trainer, TrainingConfig

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
TIMED_STEPS = 12


def _variants() -> Mapping[str, Recipe]:
    change = dataclasses.replace
    given = change(MODERN, full_epochs=0.0)
    mild = change(given, augmentation=Augmentation(crop_scale=(0.6, 1.0), flip=0.5))
    rates = {f"mild-rate-{rate}": change(mild, learning_rate=float(rate)) for rate in ("2e-3", "8e-3", "16e-3")}
    return {
        "torchvision": TORCHVISION,
        "modern": MODERN,
        "paper": PAPER,
        "old": change(given, learning_rate=2e-3),
        "full-augmentation": given,
        "mild": mild,
        **rates,
        "paper-classifier": change(MODERN, zero_classifier=False),
        "batch-32": change(MODERN, batch=32),
        "cutmix": change(MODERN, augmentation=change(COLOUR, cutmix_alpha=1.0)),
        "mixup": change(MODERN, augmentation=change(COLOUR, mixup_alpha=0.2)),
        "decay-0.2": change(MODERN, weight_decay=0.2),
        "short-cooldown": change(MODERN, cooldown_share=0.2),
        **_finetuning(),
    }


def _finetuning() -> Mapping[str, Recipe]:
    change = dataclasses.replace
    full = change(FINETUNE, augmentation=MODERN.augmentation)
    rates = {f"finetune-rate-{rate}": change(FINETUNE, learning_rate=float(rate)) for rate in ("25e-5", "1e-3", "2e-3")}
    return {
        "finetune": FINETUNE,
        **rates,
        "finetune-mixup": change(FINETUNE, augmentation=change(FINETUNE.augmentation, mixup_alpha=0.2)),
        "finetune-full": full,
        "finetune-full-from-40": change(full, full_epochs=40.0),
        "finetune-eased": change(full, full_epochs=100.0),
        "finetune-eased-rate-1e-3": change(full, learning_rate=1e-3, full_epochs=100.0),
        "finetune-batch-32": change(FINETUNE, batch=32),
        "finetune-norm-trained": change(FINETUNE, frozen_norm=False),
    }


@dataclass(frozen=True, slots=True)
class Bench:
    """What all trainings here share."""

    images: ImageSet
    pixels: Pixels
    seed: int
    preprocessing: Preprocessing
    pretrained: str | None

    def trainer(self, name: str, network: Network, recipe: Recipe, steps: int) -> Trainer:
        """A fresh training of so many steps."""
        batch = guarded_batch(recipe, len(self.images.indices("train")))
        warmup = max(1, round(recipe.warmup_share * steps))
        config = TrainingConfig(name, network, recipe, self.preprocessing, self.seed, batch, steps, warmup)
        return Trainer(config, self.images, self.pixels, Accelerator(cpu=True))

    def inherit(self, trainer: Trainer) -> None:
        """Begin the training from the pretrained weights, if there are any."""
        if self.pretrained is not None:
            inherit(trainer.model, self.pretrained, fitting_images(trainer.config, self.images, self.pixels))
            trainer.mean.load_state_dict(trainer.model.state_dict())

    def steps_in(self, seconds: float, network: Network, recipe: Recipe) -> int:
        """How many steps so many seconds of this core are, by a few timed ones."""
        trainer = self.trainer("timed", network, recipe, 1000)
        trainer.advance(3, trainer.config.schedule.trunk, lambda report: None)
        before = time.process_time()
        trainer.advance(3 + TIMED_STEPS, trainer.config.schedule.trunk, lambda report: None)
        return int(seconds * TIMED_STEPS / (time.process_time() - before))

    def line(self, name: str, network: Network, recipe: Recipe, steps: int) -> str:
        """Train, and say how it went."""
        trainer = self.trainer(name, network, recipe, steps)
        self.inherit(trainer)
        cooldown, schedule = round(recipe.cooldown_share * steps), trainer.config.schedule
        reports: list[StepReport] = []
        began = time.process_time()
        trainer.advance(steps, lambda step: schedule.at(step, steps - cooldown, cooldown), reports.append)
        rate = steps * trainer.config.batch / (time.process_time() - began)
        mean, last = (self._accuracy(model) for model in (trainer.mean, trainer.model))
        epochs = steps * trainer.config.batch / len(self.images.indices("train"))
        tail = reports[-200:]
        error = math.sqrt(last * (1 - last) / len(self.images.indices("validation")))
        average = f"{100 * mean:.1f}" if recipe.ema_share else "-"
        return (
            f"{name:<44} steps {steps} epochs {epochs:.1f} {rate:.0f} images/s"
            f" loss {np.mean([each.loss for each in tail]):.3f}"
            f" train {100 * np.mean([each.accuracy for each in tail]):.1f}"
            f" validation {average} last {100 * last:.1f} (s.e. {100 * error:.1f})"
        )

    def _accuracy(self, model: Model) -> float:
        indices = self.images.indices("validation")
        answers = probabilities(model, self.images, self.pixels, indices, self.preprocessing)
        return float((answers.argmax(1) == np.asarray(self.images.labels)[indices]).mean())


def main() -> None:
    """Train each candidate with each variant and print its line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data")
    parser.add_argument("--macs", type=int, required=True)
    parser.add_argument("--candidates", required=True)
    parser.add_argument("--variants", default=",".join(_variants()))
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--steps", type=int, help="instead of seconds")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--pretrained", metavar="SOURCE")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    images = open_images(asked.data, asked.seed)
    bases = BASES if asked.pretrained is None else (base_of(asked.pretrained),)
    found = candidates(images, Budget(macs=asked.macs), 2, bases, inherited=asked.pretrained is not None)
    rows = {row.id: row.network for row in found}
    preprocessing = preprocessing_for(images, asked.pretrained)
    for candidate in asked.candidates.split(","):
        network = rows[candidate]
        pixels = open_cache(images, needed_side_px(network.resolution_px, preprocessing))
        bench = Bench(images, pixels, asked.seed, preprocessing, asked.pretrained)
        for name in asked.variants.split(","):
            recipe = _variants()[name]
            steps = asked.steps or bench.steps_in(asked.seconds, network, recipe)
            print(bench.line(f"{candidate} {name}", network, recipe, steps), flush=True)


if __name__ == "__main__":
    main()
