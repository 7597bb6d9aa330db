"""The supernet's training: the sandwich rule with in-place distillation, in the processes of this machine together.

Each step draws networks of all that keep the budget. The largest of them learns from the labels; the smallest with its
blocks, and two others of those drawn, learn from both labels and its answers:

    L = (CE(z_largest, y) + sum over 3 others of (CE(z, y) + KL(softmax(z_largest) || softmax(z))) / 2) / 4

BigNAS takes the largest of the whole space. Here it would break the budget several times over and take most of each
step, and no candidate would read most of what it learns. There the others learn from answers alone; in a training as
short as a laptop allows, the largest knows little for much of it, and candidates stay behind what labels teach them.

Source: Yu et al., BigNAS, arXiv:2003.11142, sections 3.1 and 3.2; Yu & Huang, arXiv:1903.05134, sections 3.2 and 3.3.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor
from torch.nn import functional

from budgetnet.atomic_write import written_aside
from budgetnet.budgets.feasible_space import Options
from budgetnet.budgets.search_space import Architecture
from budgetnet.data import ImageSet, Pixels, Preprocessing, TrainBatches
from budgetnet.model.files import save_tensors
from budgetnet.model.supernet import Supernet
from budgetnet.networks import Network
from budgetnet.parallel.progress import Update
from budgetnet.parallel.workers import hold_stop, report, stopping
from budgetnet.runs.run import append_event
from budgetnet.training.job import CHECKPOINT_SECONDS, EVENT_SECONDS, JobContext, Timing, accelerator_for, opened
from budgetnet.training.optimise import Schedule, optimiser_of
from budgetnet.training.recipe import Recipe
from budgetnet.training.trainer import StepReport, exchange, loss_of, of_all, seed_of

DRAWN, OTHERS = 8, 2
"""Networks drawn for a step, and how many of them learn beside their largest."""
LABELS = 0.5
"""The labels' part of what the others learn from; the rest is the largest's answers."""
PHASE = "supernet"
TIMED_STEPS = 4
"""At least: blocks are drawn anew for each, and a step's time goes with them."""


@dataclass(frozen=True, slots=True)
class Teaching:
    """All that the supernet's weights are a function of, but for the images and the process group."""

    options: Options
    context: JobContext
    recipe: Recipe
    preprocessing: Preprocessing
    seed: int
    batch: int
    steps: int

    @property
    def folder(self) -> Path:
        """The supernet's own."""
        return Path(self.context.folder).parent / "supernet"

    @property
    def weights(self) -> Path:
        """The shared tensors: there once the training is done."""
        return self.folder / "supernet.safetensors"

    @property
    def schedule(self) -> Schedule:
        """Warm-up and constant rate; the cool-down follows."""
        rate, warmup = self.recipe.rate_for(self.batch), max(1, round(self.recipe.warmup_share * self.steps))
        return Schedule(rate, self.steps, warmup, self.recipe.final_rate)

    @property
    def cooldown_steps(self) -> int:
        """Of all steps, the last, in which the rate falls to 0."""
        return self.recipe.cooldown_steps(self.steps)

    def rate(self, step: int) -> float:
        """The learning rate of a step."""
        return self.schedule.at(step, self.steps - self.cooldown_steps, self.cooldown_steps)

    def sandwich(self, step: int) -> tuple[Network, ...]:
        """The networks of a step: the largest, the smallest, two others."""
        return tuple(map(self.options.network, sandwich_of(self.options, self.seed, step)))


def sandwich_of(options: Options, seed: int, step: int) -> tuple[Architecture, ...]:
    """Of a few that keep the budget, drawn evenly, the largest, the smallest with its blocks, and two others."""
    drawn = [options.drawn(seed, "sandwich", step, context) for context in range(DRAWN)]
    largest = max(drawn, key=options.macs)
    others = [one for one in drawn if one is not largest][:OTHERS]
    return largest, options.smallest_like(largest), *others


def supernet_of(teaching: Teaching) -> Supernet:
    """The supernet before its first step."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(teaching.seed)
        supernet = Supernet(teaching.options.space.base, teaching.options.rows())
    if teaching.recipe.zero_classifier:
        torch.nn.init.zeros_(supernet.classifier.weight)
    return supernet.to(memory_format=torch.channels_last)


class Teacher:
    """The moving parts of the training in this process; processes share each step's batch and draw alike."""

    def __init__(self, teaching: Teaching, images: ImageSet, pixels: Pixels, accelerator: Accelerator) -> None:
        self.teaching, self.accelerator = teaching, accelerator
        self.rank, self.world = accelerator.process_index, accelerator.num_processes
        self.step, self.stop = 0, False
        base, batch = teaching.options.space.base, max(1, teaching.batch // self.world)
        count = len(images.indices("train"))
        augmentation = teaching.recipe.augmentation_for(teaching.steps * teaching.batch / count)
        self.batches = TrainBatches(
            images,
            pixels,
            batch,
            base.resolution_px,
            teaching.preprocessing,
            augmentation,
            teaching.seed,
            accelerator.device,
        )
        self.supernet = supernet_of(teaching).to(accelerator.device)
        optimiser = optimiser_of(self.supernet, teaching.recipe, teaching.schedule.rate)
        self.optimiser = accelerator.prepare(optimiser)

    def advance(self, until: int, after: Callable[[StepReport], None]) -> None:
        """Take steps until `self.step` is `until`; `after` is called behind each."""
        self.supernet.train()
        while self.step < until:
            rate = self.teaching.rate(self.step)
            loss, accuracy = self._take_step(rate)
            self.step += 1
            after(StepReport(self.step, loss, accuracy, rate))

    def _take_step(self, rate: float) -> tuple[float, float]:
        teaching, recipe = self.teaching, self.teaching.recipe
        torch.manual_seed(seed_of(teaching.seed, self.step, self.rank))
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.optimiser.zero_grad(set_to_none=True)
        batch = self.batches.batch_at(self.step * self.world + self.rank)
        largest, *others = teaching.sandwich(self.step)
        logits = self._forward(batch.inputs, largest, recipe.dropout or 0.0)
        loss = loss_of(logits, batch, recipe.label_smoothing)
        share = 1 / (1 + len(others))
        self.accelerator.backward(share * loss)  # one network's activations at a time
        taught = logits.detach().log_softmax(1)
        for network in others:
            answers = self._forward(batch.inputs, network, 0.0)
            distilled = functional.kl_div(answers.log_softmax(1), taught, reduction="batchmean", log_target=True)
            told = loss_of(answers, batch, recipe.label_smoothing)
            self.accelerator.backward(share * (LABELS * told + (1 - LABELS) * distilled))
        self.stop = stopping()
        if self.world > 1:
            self.stop = exchange(self.supernet, self.world, self.stop)
        if recipe.clip_norm is not None:
            self.accelerator.clip_grad_norm_(self.supernet.parameters(), recipe.clip_norm)
        self.optimiser.step()
        right = (logits.argmax(1) == batch.labels).float().mean()
        return float(loss.detach()), float(right)

    def _forward(self, inputs: Tensor, network: Network, dropout: float) -> Tensor:
        with self.accelerator.autocast():
            return self.supernet(inputs, network, dropout).float()

    def save(self, path: Path) -> None:
        """The whole state; only the first process writes."""
        if self.accelerator.is_main_process:
            state = {
                "step": self.step,
                "supernet": self.supernet.state_dict(),
                "optimiser": self.optimiser.state_dict(),
            }
            with written_aside(path) as aside:
                torch.save(state, aside)

    def load(self, path: Path) -> None:
        """Go on from a checkpoint."""
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        self.supernet.load_state_dict(state["supernet"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.step = int(state["step"])


def teach(teaching: Teaching) -> bool:
    """Train the supernet to its end, from its newest checkpoint; True from the process that wrote the weights."""
    images, pixels = opened(teaching.context.data, teaching.context.split_seed, teaching.context.side_px)
    teacher = Teacher(teaching, images, pixels, accelerator_for(teaching.context))
    teaching.folder.mkdir(parents=True, exist_ok=True)
    checkpoint = teaching.folder / "supernet.pt"
    with hold_stop():
        if checkpoint.exists():
            teacher.load(checkpoint)
        teacher.advance(teaching.steps, _after(teacher, checkpoint))
    if not teacher.accelerator.is_main_process:
        return False
    save_tensors(teaching.weights, teacher.supernet.state_dict())
    checkpoint.unlink(missing_ok=True)
    return True


def _after(teacher: Teacher, checkpoint: Path) -> Callable[[StepReport], None]:
    """What follows a step: an event and a word of progress now and then, a checkpoint by the clock."""
    teaching, first, main = teacher.teaching, teacher.step, teacher.accelerator.is_main_process
    began = said = saved = time.monotonic()
    events = Path(teaching.context.folder).parent / "events.jsonl"
    loss, accuracy = None, None
    train_images = len(teacher.batches.images.indices("train"))

    def after(step: StepReport) -> None:
        nonlocal said, saved, loss, accuracy
        loss = step.loss if loss is None else 0.9 * loss + 0.1 * step.loss
        accuracy = step.accuracy if accuracy is None else 0.9 * accuracy + 0.1 * step.accuracy
        now = time.monotonic()
        if main and (now - said > EVENT_SECONDS or step.step == teaching.steps):
            said = now
            epoch = step.step * teaching.batch / train_images
            row = {"kind": "step", "phase": PHASE, "step": step.step, "loss": loss, "accuracy": accuracy}
            row |= {"epoch": epoch, "learning_rate": step.learning_rate, "seconds": now - began}
            append_event(events, row)
            text = f"loss {loss:.3f}, accuracy {100 * accuracy:.1f} % of the largest, epoch {epoch:.1f}"
            report(Update(PHASE, step.step - first, teaching.steps - first, text))
        if now - saved > CHECKPOINT_SECONDS and step.step < teaching.steps:
            saved = now
            teacher.save(checkpoint)
        if teacher.stop:
            teacher.save(checkpoint)
            os._exit(0)  # not an exception: the parent has gone on without us

    return after


def time_teaching(job: tuple[Teaching, float]) -> Timing | None:
    """Images a second of the supernet's training, all processes at once, over so many seconds; the first answers."""
    began = time.monotonic()
    teaching, seconds = job
    images, pixels = opened(teaching.context.data, teaching.context.split_seed, teaching.context.side_px)
    teacher = Teacher(teaching, images, pixels, accelerator_for(teaching.context))

    def take(steps: int) -> float:
        before = time.perf_counter()
        teacher.advance(teacher.step + steps, lambda step: None)
        return time.perf_counter() - before

    take(1)
    # Processes that exchange gradients must take equally many steps, or the last waits for ever: no own clocks.
    slowest = float(of_all(teacher.accelerator, take(TIMED_STEPS) / TIMED_STEPS).max())
    steps = max(TIMED_STEPS, round(seconds / slowest))
    rate = steps * teaching.batch / float(of_all(teacher.accelerator, take(steps)).max())
    spent = time.monotonic() - began
    return Timing(rate, rate, spent) if teacher.accelerator.is_main_process else None
