"""Training steps: a model, its optimiser and moving average, moved from one step to another.

Everything random is a function of (seed, step), so that a training stopped anywhere and gone on
with from a checkpoint gives the same bits as one left alone, for one count of processes and threads.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from budgetnet.codec import NonNegativeInt, PositiveInt, require
from budgetnet.data import ImageSet, Pixels, Preprocessing
from budgetnet.data.augment import Augmentation
from budgetnet.data.batches import Batch, TrainBatches
from budgetnet.data.images import check_channels
from budgetnet.model.build import Model, build
from budgetnet.model.files import AGAIN, load_checkpoint, load_tensors, save_checkpoint
from budgetnet.networks import Network
from budgetnet.parallel.workers import stopping
from budgetnet.training.optimise import Schedule, average, optimiser_of, rare_class_eps
from budgetnet.training.recipe import Recipe, trained_network

if TYPE_CHECKING:
    from accelerate import Accelerator

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class TrainingSpec:
    """A training whose length is not known yet: all that it is a function of, but for the images and its steps."""

    id: str
    network: Network
    recipe: Recipe
    preprocessing: Preprocessing
    seed: NonNegativeInt
    batch: PositiveInt

    def __post_init__(self) -> None:
        check_channels(self.preprocessing, self.network.in_channels)

    def for_steps(self, steps: int, warmup_steps: int | None = None) -> TrainingConfig:
        """The training of so many steps; its warm-up is the recipe's share of them, unless given."""
        warmup = max(1, round(self.recipe.warmup_share * steps)) if warmup_steps is None else warmup_steps
        same = (self.id, self.network, self.recipe, self.preprocessing, self.seed, self.batch)
        return TrainingConfig(*same, steps=steps, warmup_steps=warmup)


@dataclass(frozen=True, slots=True)
class TrainingConfig(TrainingSpec):
    """A training of known length: what plan.json keeps of it.

    `steps` are those of the whole training, trunk and cool-down, if it is not dropped on the way.
    """

    steps: PositiveInt
    warmup_steps: PositiveInt

    def __post_init__(self) -> None:
        TrainingSpec.__post_init__(self)
        kept = self.warmup_steps <= self.steps
        require(kept, f"warmup_steps is {self.warmup_steps}, more than steps, {self.steps}")

    def epochs(self, train_images: int) -> float:
        """How often it sees each of so many training images."""
        return self.steps * self.batch / train_images

    @property
    def schedule(self) -> Schedule:
        """The learning rate of the trunk, for this batch."""
        rate = self.recipe.rate_for(self.batch)
        return Schedule(rate, self.steps, self.warmup_steps, self.recipe.final_rate)

    @property
    def cooldown_steps(self) -> int:
        """Of the whole training, by the recipe."""
        return self.recipe.cooldown_steps(self.steps)

    def augmentation_for(self, train_images: int) -> Augmentation:
        """What is drawn in this training: milder where it sees its images only a few times."""
        return self.recipe.augmentation_for(self.epochs(train_images))


@dataclass(frozen=True, slots=True)
class StepReport:
    """Figures of one step: the loss and the share of right answers in its (augmented) batch."""

    step: int
    loss: float
    accuracy: float
    learning_rate: float


class Trainer:
    """The moving parts of one training in this process. Mutable by nature: `step` counts up.

    The accelerator's processes share each step's batch, unless this one is to train `alone`. `stop`
    turns true behind the same step in all of them when one was asked to stop. What the first process sets `ask_left` to
    before a step, all have as `asked_left` behind it.
    """

    def __init__(
        self, config: TrainingConfig, images: ImageSet, pixels: Pixels, accelerator: Accelerator, alone: bool = False
    ) -> None:
        self.config = config
        self.accelerator = accelerator
        self.rank, self.world = (0, 1) if alone else (accelerator.process_index, accelerator.num_processes)
        self.step = 0
        self.stop = False
        self.ask_left = self.asked_left = 0
        # Process r of w takes batch w * step + r of batches w times smaller: together the step's batch.
        self.batches = TrainBatches(
            images,
            pixels,
            max(1, config.batch // self.world),
            config.network.resolution_px,
            config.preprocessing,
            config.augmentation_for(len(images.indices("train"))),
            config.seed,
            accelerator.device,
        )
        network = trained_network(config.network, config.recipe, config.steps)
        self.model: Model = initial_model(network, config).to(accelerator.device)
        self.mean: Model = initial_model(network, config).to(accelerator.device).requires_grad_(False)
        eps = rare_class_eps(config.network.classes, config.batch, config.steps)
        optimiser = optimiser_of(self.model, config.recipe, config.schedule.rate, eps)
        self.wrapped: nn.Module = self.model
        if self.world > 1 and accelerator.device.type != "cpu":
            self.wrapped, self.optimiser = accelerator.prepare(self.model, optimiser)
        else:
            self.optimiser = accelerator.prepare(optimiser)

    def advance(
        self, until: int | Callable[[], int], rate_at: Callable[[int], float], after: Callable[[StepReport], None]
    ) -> None:
        """Take steps until `self.step` is `until`, or what that says then; `after` is called behind each."""
        self.wrapped.train()
        if self.config.recipe.frozen_norm:
            for module in self.model.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
        while self.step < (until if isinstance(until, int) else until()):
            rate = rate_at(self.step)
            loss, accuracy = self._take_step(rate)
            self.step += 1
            after(StepReport(self.step, loss, accuracy, rate))

    def _take_step(self, rate: float) -> tuple[float, float]:
        config, accelerator = self.config, self.accelerator
        torch.manual_seed(seed_of(config.seed, self.step, self.rank))
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        # Before the forward pass: old gradients must not live beside the activations.
        self.optimiser.zero_grad(set_to_none=True)
        batch = self.batches.batch_at(self.step * self.world + self.rank)
        with accelerator.autocast():
            logits = self.wrapped(batch.inputs)
        loss = loss_of(logits.float(), batch, config.recipe.label_smoothing)
        accelerator.backward(loss)
        self._exchange()
        if config.recipe.clip_norm is not None:
            accelerator.clip_grad_norm_(self.wrapped.parameters(), config.recipe.clip_norm)
        self.optimiser.step()
        if config.recipe.ema_share:
            average(
                self._tensors(self.mean), self._tensors(self.model), self.step, config.recipe.ema_share * config.steps
            )
        right = (logits.argmax(1) == batch.labels).float().mean()
        return float(loss.detach()), float(right)

    def _exchange(self) -> None:
        """The mean of all processes' gradients, in one piece, and what one of them has to say to all.

        On a GPU DistributedDataParallel sees to the gradients.
        """
        self.stop, self.asked_left = stopping(), self.ask_left
        if self.world == 1:
            return
        if self.wrapped is self.model:
            said = exchange(self.model, self.world, (float(self.stop), float(self.ask_left)))
        else:
            said = [float(of_all(self.accelerator, float(value)).sum()) for value in (self.stop, self.ask_left)]
        self.stop, self.asked_left = said[0] > 0, round(said[1])

    @staticmethod
    def _tensors(model: Model) -> list[Tensor]:
        return list(model.state_dict().values())

    @property
    def result(self) -> Model:
        """The model to use: the moving average where the recipe has one."""
        return self.mean if self.config.recipe.ema_share else self.model

    def save(self, path: Path) -> None:
        """The whole state, written aside and renamed; only the first process writes."""
        if not self.accelerator.is_main_process:
            return
        state = {
            "step": self.step,
            "model": self.model.state_dict(),
            "mean": self.mean.state_dict(),
            "optimiser": self.optimiser.state_dict(),
        }
        save_checkpoint(path, state)

    def begin_from(self, path: Path) -> None:
        """Take the weights of a safetensors file instead of the drawn ones; before the first step.

        Only the first process reads it, and of a checkpoint too: the run's folder may lie on its machine alone.
        """
        tensors = shared(self.accelerator, lambda: load_tensors(path)[0])
        for model in (self.model, self.mean):
            model.load_state_dict(tensors)

    def load(self, path: Path) -> None:
        """Go on from a checkpoint of this config. Raises a one-line `ValueError` for a file that is none."""
        state = shared(self.accelerator, lambda: load_checkpoint(path))
        try:
            self.model.load_state_dict(state["model"])
            self.mean.load_state_dict(state["mean"])
            self.optimiser.load_state_dict(state["optimiser"])
            self.step = int(state["step"])
        except (RuntimeError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise ValueError(f"{path} is not a checkpoint of this training; {AGAIN}") from error


def initial_model(network: Network, config: TrainingSpec) -> Model:
    """The model before the first step: a function of the network, the recipe and the seed."""
    model = build(network, config.seed)
    if config.recipe.zero_classifier:
        torch.nn.init.zeros_(model.classifier.weight)
    return model


def loss_of(logits: Tensor, batch: Batch, label_smoothing: float) -> Tensor:
    """Cross entropy with label smoothing: logits (n, classes) -> a scalar. Mixed targets are taken as given."""
    target = batch.labels if batch.targets is None else batch.targets
    return functional.cross_entropy(logits, target, label_smoothing=label_smoothing)


def seed_of(*values: object) -> int:
    """A 63-bit seed that is a pure function of the values, the same on every machine."""
    return int.from_bytes(hashlib.sha256(repr(values).encode()).digest()[:8], "big") >> 1


@torch.no_grad()
def exchange(model: nn.Module, world: int, said: Sequence[float] = ()) -> list[float]:
    """Give every process the mean of all processes' gradients, and the sums of what each has `said`.

    By hand on the CPU: DistributedDataParallel's buckets change after the first step, and the order of its sums with
    them, so that a resumed training of three processes or more would have other bits.
    """
    gradients = [param.grad for param in model.parameters() if param.grad is not None]
    flags = torch.tensor(list(said), device=gradients[0].device)
    flat = torch.cat([*(gradient.reshape(-1) for gradient in gradients), flags])
    torch.distributed.all_reduce(flat)
    sums = flat[len(flat) - len(said) :].tolist()
    flat.div_(world)
    parts = flat[: len(flat) - len(said)].split([each.numel() for each in gradients])
    for gradient, part in zip(gradients, parts, strict=True):
        gradient.copy_(part.view(gradient.shape))
    return sums


def of_all(accelerator: Accelerator, value: float) -> Tensor:
    """The values of all processes, in order."""
    values = accelerator.gather(torch.tensor([value], device=accelerator.device))
    assert isinstance(values, Tensor)
    return values


def shared(accelerator: Accelerator, make: Callable[[], Value]) -> Value:
    """What `make` returns in the first process, in all of them."""
    from accelerate.utils import broadcast_object_list

    box = [make() if accelerator.is_main_process else None]
    broadcast_object_list(box)
    return cast(Value, box[0])


LONG_FIRST_STEP = 4.0
"""A first step that takes longer than this many times the seconds of a timing is the only one."""


def images_per_second(trainer: Trainer, seconds: float, at_least: int = 3) -> float:
    """Images a second of this process's training steps, by the median step; the first two warm up.

    Where already the first step takes four times the `seconds`, that step is the answer: it tells what matters, that
    the network is slow, and more of them would not be told in time. Steps are real ones, so the trainer is spent: throw
    it away.
    """
    durations: list[float] = []

    def take(steps: int) -> None:
        for _ in range(steps):
            before = time.perf_counter()
            trainer.advance(trainer.step + 1, trainer.config.schedule.trunk, lambda report: None)
            durations.append(time.perf_counter() - before)

    # Processes that exchange gradients must take equally many steps, or the last waits for ever: no own clocks.
    take(1)
    first = float(of_all(trainer.accelerator, durations[0]).max())
    if first > LONG_FIRST_STEP * seconds:
        return trainer.config.batch / first
    take(1 + at_least)
    slowest = float(of_all(trainer.accelerator, float(np.median(durations[2:]))).max())
    take(max(0, math.ceil(seconds / slowest) - at_least))
    return trainer.config.batch / float(np.median(durations[2:]))
