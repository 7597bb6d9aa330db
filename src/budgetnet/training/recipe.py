"""Recipes: how a network is trained, as data. A recipe is a row with its source; nothing here runs."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from budgetnet.codec import NonNegativeFloat, PositiveFloat, PositiveInt, Share
from budgetnet.data.augment import Augmentation
from budgetnet.networks import Network, Norm, check_share, choose

OptimiserKind = Literal["adamw", "rmsprop", "sgd"]
ScheduleKind = Literal["trapezoid", "exponential"]


@dataclass(frozen=True, slots=True)
class Recipe:
    """One way to train, as data. Shares are of all steps.

    Attributes:
        name: The recipe's name.
        optimiser: "adamw", "rmsprop" or "sgd".
        batch: Images a step.
        learning_rate: The peak rate for `batch` images. It follows a smaller batch by the root of the ratio (AdamW) or
            in proportion (RMSprop, SGD).
        weight_decay: The optimiser's.
        augmentation: What is drawn at most.
        source: Where the recipe comes from.
        momentum: The optimiser's, or AdamW's first beta.
        eps: The optimiser's.
        schedule: "trapezoid" (warm-up, constant, linear cool-down to 0) or "exponential" (warm-up, then falling to
            `final_rate` of the peak by the last step, with the cool-down on top).
        warmup_share: The share of steps in which the rate grows from 0.
        cooldown_share: The share of steps in which the rate falls to 0.
        final_rate: See `schedule`.
        ema_share: The horizon of the weights' moving average; 0 for none.
        label_smoothing: In [0, 1).
        clip_norm: The most that the norm of a gradient may be; None for no limit.
        dropout: The rate in place of the network's own; None leaves that.
        drop_path: The rate of stochastic depth in place of the network's own; None leaves that.
        zero_classifier: Whether the classifier starts at 0. The paper's 1 / sqrt(classes) is meant for 1000 classes;
            with few of them the first loss is far above log(classes).
        full_epochs: A training of fewer epochs draws milder augmentation, by the root of its share of them; 0 for
            always the same.
        frozen_norm: Whether BatchNorm keeps the statistics that came with pretrained weights.

    Raises:
        ValueError: A choice is unknown, or a share is not in [0, 1).
    """

    name: str
    optimiser: OptimiserKind
    batch: PositiveInt
    learning_rate: PositiveFloat
    weight_decay: NonNegativeFloat
    augmentation: Augmentation
    source: str
    momentum: Share = 0.9
    eps: PositiveFloat = 1e-8
    schedule: ScheduleKind = "trapezoid"
    warmup_share: float = 0.03
    cooldown_share: float = 0.4
    final_rate: PositiveFloat = 1.0
    ema_share: float = 0.0
    label_smoothing: float = 0.1
    clip_norm: PositiveFloat | None = None
    dropout: Share | None = None
    drop_path: Share | None = None
    zero_classifier: bool = False
    full_epochs: NonNegativeFloat = 0.0
    frozen_norm: bool = False

    def __post_init__(self) -> None:
        choose("optimiser", self.optimiser, get_args(OptimiserKind))
        choose("schedule", self.schedule, get_args(ScheduleKind))
        for what in ("warmup_share", "cooldown_share", "ema_share", "label_smoothing"):
            check_share(what, getattr(self, what))

    def rate_for(self, batch: int) -> float:
        """The peak learning rate for a batch of another size.

        Args:
            batch: Images a step.

        Returns:
            The rate.
        """
        ratio = batch / self.batch
        return self.learning_rate * (math.sqrt(ratio) if self.optimiser == "adamw" else ratio)

    def cooldown_steps(self, steps: int) -> int:
        """In how many of the last steps the rate falls to 0.

        Args:
            steps: All steps of the training.

        Returns:
            At most `steps`.
        """
        return min(steps, round(self.cooldown_share * steps))

    def augmentation_for(self, epochs: float) -> Augmentation:
        """What is drawn in a training of this length: eased by sqrt(epochs / full_epochs).

        Args:
            epochs: How many times each image is seen.

        Returns:
            The augmentation.
        """
        if not self.full_epochs:
            return self.augmentation
        return self.augmentation.eased(min(1.0, math.sqrt(epochs / self.full_epochs)))


PAPER = Recipe(
    name="paper",
    optimiser="rmsprop",
    batch=256,
    learning_rate=0.016,
    weight_decay=1e-5,
    eps=1e-3,
    schedule="exponential",
    # 0.97 every 2.4 epochs over 350 epochs; a shorter run falls as far.
    final_rate=0.97 ** (350 / 2.4),
    warmup_share=5 / 350,
    cooldown_share=0.02,
    # Decay 0.9999 at 4096 images a step is 32 epochs of 350.
    ema_share=32 / 350,
    augmentation=Augmentation(crop_scale=(0.08, 1.0), crop_ratio=(3 / 4, 4 / 3), flip=0.5, randaugment=(2, 9)),
    source="arXiv:1905.11946, section 5.2; the authors' main.py (batch, epsilon, EMA, decay by epochs)",
)

MODERN = Recipe(
    name="modern",
    optimiser="adamw",
    batch=64,
    learning_rate=4e-3,
    weight_decay=0.05,
    momentum=0.9,
    warmup_share=0.03,
    cooldown_share=0.5,
    ema_share=0.01,
    clip_norm=2.0,
    dropout=0.2,
    drop_path=0.0,
    zero_classifier=True,
    full_epochs=100,
    augmentation=Augmentation(
        crop_scale=(0.35, 1.0), crop_ratio=(3 / 4, 4 / 3), flip=0.5, brightness=0.3, contrast=0.3, saturation=0.3
    ),
    source="chosen by measurement: docs/lab-log.md",
)

FINETUNE = dataclasses.replace(
    MODERN,
    name="finetune",
    learning_rate=5e-4,
    weight_decay=0.01,
    warmup_share=0.05,
    frozen_norm=True,
    # Colours are what pretrained weights know: only position is changed, as much in a training of any length.
    augmentation=Augmentation(crop_scale=(0.6, 1.0), crop_ratio=(3 / 4, 4 / 3), flip=0.5),
    full_epochs=0,
)

RECIPES: Mapping[str, Recipe] = {recipe.name: recipe for recipe in (PAPER, MODERN, FINETUNE)}


def recipe_of(name: str | Recipe) -> Recipe:
    """The recipe of that name; a recipe is itself. Raises `ValueError` that names the choices."""
    if isinstance(name, Recipe):
        return name
    choose("recipe", name, tuple(RECIPES))
    return RECIPES[name]


def guarded_batch(recipe: Recipe, train_images: int) -> int:
    """The batch for a data set: the recipe's, but at least 16 steps an epoch, and at least 8 images.

    Fewer than 8 images make BatchNorm's statistics useless.
    """
    return max(min(8, train_images), min(recipe.batch, train_images // 16))


def guarded_norm(norm: Norm, steps: int) -> Norm:
    """BatchNorm whose running statistics settle in the run: a window of at most a twentieth of its steps.

    TensorFlow's 0.01 remembers 100 steps, longer than a short run's whole cool-down.
    """
    return dataclasses.replace(norm, momentum=min(0.5, max(norm.momentum, 20 / max(steps, 1))))


def trained_network(network: Network, recipe: Recipe, steps: int) -> Network:
    """The network as the recipe trains it: its dropout, stochastic depth and guarded BatchNorm."""
    dropout = network.head.dropout if recipe.dropout is None else recipe.dropout
    return dataclasses.replace(
        network,
        head=dataclasses.replace(network.head, dropout=dropout),
        drop_path=network.drop_path if recipe.drop_path is None else recipe.drop_path,
        norm=guarded_norm(network.norm, steps),
    )
