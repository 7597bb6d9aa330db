"""What moves the weights: optimisers, the learning rate at a step, the moving average."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from budgetnet.training.recipe import Recipe

MANY_CLASSES, FEW_VIEWS = 16, 4
"""Classes are many where there are this many for each image of a step, and are seen rarely where all steps have at most
this many images of each: see `rare_class_eps`. With 2 images of each class it was worth 0.1 nats, with 7 it cost as
much (docs/lab-log.md); nothing between was measured."""


class RMSpropTF(torch.optim.Optimizer):
    """RMSprop as TensorFlow has it, with momentum; the paper's optimiser.

        v <- rho * v + (1 - rho) * g**2,   v starts at 1
        m <- mu * m + rate * g / sqrt(v + eps)
        p <- p - m

    torch's own has eps outside the root, v from 0 and the rate outside the momentum: with
    eps = 0.001 these are other optimisers. Source: arXiv:1905.11946, section 5.2.
    """

    def __init__(
        self,
        params: Any,
        lr: float,
        rho: float = 0.9,
        momentum: float = 0.9,
        eps: float = 1e-3,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, {"lr": lr, "rho": rho, "momentum": momentum, "eps": eps, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """One update of every parameter that has a gradient."""
        assert closure is None, "no step here is evaluated twice"
        for group in self.param_groups:
            for param in (param for param in group["params"] if param.grad is not None):
                state = self.state[param]
                if not state:
                    state["square"] = torch.ones_like(param)
                    state["momentum"] = torch.zeros_like(param)
                grad = param.grad.add(param, alpha=group["weight_decay"]) if group["weight_decay"] else param.grad
                state["square"].mul_(group["rho"]).addcmul_(grad, grad, value=1 - group["rho"])
                root = state["square"].add(group["eps"]).sqrt_()
                state["momentum"].mul_(group["momentum"]).addcdiv_(grad, root, value=group["lr"])
                param.sub_(state["momentum"])


def rare_class_eps(classes: int, batch: int, steps: int) -> float | None:
    """AdamW's epsilon for the classifier of a training that sees few images of each of many classes; else None.

        1 / sqrt(batch * classes)   where classes > 16 * batch and batch * steps < 4 * classes

    While nothing is known, a step's gradient is -1 / batch at the bias of a class for each image of it, and 1 / classes
    at all others: this is their root mean square. AdamW divides a gradient by its own past size, so with the usual
    epsilon a class whose first image is still to come moves down by the whole rate at every step, and one whose image
    came hardly moves any more: classes end up as far apart as their first images were in time. That is noise, and
    after one epoch more of it than of what was learned (docs/lab-log.md); more images of each class make it good. With
    this epsilon a class that waits moves sqrt(batch / classes) as fast at most. A training that sees each image four
    times, as those that are planned by time do, never has it: it is for the epochs that a user asks for.
    """
    few = classes > MANY_CLASSES * batch and batch * steps < FEW_VIEWS * classes
    return 1.0 / math.sqrt(batch * classes) if few else None


def optimiser_of(
    model: nn.Module, recipe: Recipe, rate: float, classifier_eps: float | None = None
) -> torch.optim.Optimizer:
    """The recipe's optimiser; weight decay on kernels and matrices only, not on biases, BatchNorm or beta.

    `classifier_eps`: AdamW's epsilon for the parameters of `model.classifier`, where it is another than the recipe's.
    """
    own = classifier_eps is not None and recipe.optimiser == "adamw"
    named = [(name, param) for name, param in model.named_parameters() if param.requires_grad]
    rest = [param for name, param in named if not (own and name.startswith("classifier."))]
    groups = _decayed(rest, recipe)
    if own:
        classifier = [param for name, param in named if name.startswith("classifier.")]
        groups += [{**group, "eps": classifier_eps} for group in _decayed(classifier, recipe)]
    if recipe.optimiser == "rmsprop":
        return RMSpropTF(groups, lr=rate, momentum=recipe.momentum, eps=recipe.eps)
    if recipe.optimiser == "sgd":
        return torch.optim.SGD(groups, lr=rate, momentum=recipe.momentum, nesterov=True)
    return torch.optim.AdamW(groups, lr=rate, betas=(recipe.momentum, 0.999), eps=recipe.eps, foreach=True)


def _decayed(params: Iterable[nn.Parameter], recipe: Recipe) -> list[dict[str, Any]]:
    params = list(params)
    return [
        {"params": [param for param in params if param.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [param for param in params if param.ndim <= 1], "weight_decay": 0.0},
    ]


@dataclass(frozen=True, slots=True)
class Schedule:
    """The learning rate at a step, for a trunk of `steps` and any cool-down that leaves it.

    trunk     rate * min(1, (step + 1) / warmup) * final_rate**(step / steps)
    cool-down the trunk's rate where it was left, falling in a line to 0
    """

    rate: float
    steps: int
    warmup: int
    final_rate: float = 1.0

    def trunk(self, step: int) -> float:
        """Before any cool-down."""
        return self.rate * min(1.0, (step + 1) / max(self.warmup, 1)) * self.final_rate ** (step / max(self.steps, 1))

    def at(self, step: int, cooldown_start: int, cooldown_steps: int) -> float:
        """At a step of a cool-down of `cooldown_steps` that starts at `cooldown_start`."""
        if step < cooldown_start:
            return self.trunk(step)
        left = cooldown_start + cooldown_steps - step
        return self.trunk(cooldown_start) * left / (cooldown_steps + 1)


@torch.no_grad()
def average(average_of: Iterable[Tensor], current: Iterable[Tensor], step: int, horizon_steps: float) -> None:
    """The moving average in place: a <- decay * a + (1 - decay) * w for every float tensor.

    decay = min(1 - 1 / horizon, (1 + step) / (10 + step)): the second, TensorFlow's warm-up
    correction, keeps the first weights from lingering. Counters are copied.
    """
    decay = min(1.0 - 1.0 / max(horizon_steps, 1.0), (1 + step) / (10 + step))
    for mean, now in zip(average_of, current, strict=True):
        if mean.dtype.is_floating_point:
            mean.lerp_(now, 1.0 - decay)
        else:
            mean.copy_(now)
