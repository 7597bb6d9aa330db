"""From a network (a description) to a model (a torch module)."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Final

import torch
from torch import Tensor, nn

from budgetnet import networks as spec
from budgetnet.arguments import MOST_SEED, integer, of_kind
from budgetnet.model.layers import Block, ConvNorm, activation, block_module


class Model(nn.Module):
    """A classifier that is built from a network: images (n, in_channels, h, w) to logits (n, classes).

    The size of the images may differ from the network's resolution; the network's cost holds at its own resolution
    only.

    Attributes:
        network: The description that it was built from.
    """

    def __init__(self, network: spec.Network) -> None:
        super().__init__()
        self.network: Final = network
        rates = network.drop_rates()
        self.stem = ConvNorm(network.stem_conv, network.norm, network.padding)
        self.stem_pool = nn.MaxPool2d(3, 2, 1) if network.stem.pool else None
        self.stages = nn.ModuleList(
            nn.Sequential(*(block_module(block, next(rates)) for block in blocks)) for blocks in network.stage_blocks()
        )
        self.head = ConvNorm(network.head_conv, network.norm) if network.head_conv else None
        self.pool = nn.AdaptiveAvgPool2d(1)
        hidden = network.hidden_linear
        self.hidden = _hidden(hidden, network.norm) if hidden else None
        self.hidden_activation = activation(hidden.activation) if hidden and not hidden.norm else None
        self.dropout = nn.Dropout(network.head.dropout)
        self.classifier = nn.Linear(network.features, network.classes)

    def features(self, images: Tensor) -> Tensor:
        """The inputs of the classifier.

        Args:
            images: (n, in_channels, h, w).

        Returns:
            (n, features).
        """
        x = self.first(images)
        for stage in self.stages:
            x = stage(x)
        return self._neck(x)

    def forward(self, images: Tensor) -> Tensor:
        """The logits.

        Args:
            images: (n, in_channels, h, w), preprocessed as the weights need it.

        Returns:
            (n, classes).
        """
        return self.classifier(self.dropout(self.features(images)))

    def maps(self, images: Tensor, names: Collection[str]) -> tuple[Tensor, dict[str, Tensor]]:
        """The logits and named intermediate maps. Gradients flow through the maps.

        Args:
            images: (n, in_channels, h, w).
            names: "stem", "stages.I" (the output of a stage), "stages.I.J" (the output of a block) or "head".

        Returns:
            Logits (n, classes), and each map (n, channels, h, w) by its name.

        Raises:
            ValueError: There is no such map; the message lists the names.
        """
        if unknown := sorted(set(names) - set(self.map_names())):
            raise ValueError(f"no map {', '.join(unknown)}; choose from {', '.join(self.map_names())}")
        x = self.first(images)
        found = {"stem": x}
        for i, stage in enumerate(self.stages):
            for j, block in enumerate(stage.children()):
                x = block(x)
                found[f"stages.{i}.{j}"] = x
            found[f"stages.{i}"] = x
        if self.head is not None:
            found["head"] = x = self.head(x)
        logits = self.classifier(self.dropout(self._pooled(x)))
        return logits, {name: found[name] for name in names}

    def blocks(self, stage: int) -> list[Block]:
        """The blocks of a stage, in the order in which they run.

        Args:
            stage: The index of the stage.

        Returns:
            The modules.
        """
        return [block for block in self.get_submodule(f"stages.{stage}").children() if isinstance(block, Block)]

    def map_names(self) -> tuple[str, ...]:
        """The names that `maps` takes.

        Returns:
            The names, from the image to the head.
        """
        stages = enumerate(self.network.stages)
        inner = (f"stages.{i}{tail}" for i, row in stages for tail in ("", *(f".{j}" for j in range(row.repeats))))
        return ("stem", *inner, *(("head",) if self.head is not None else ()))

    def first(self, images: Tensor) -> Tensor:
        """What the first stage reads.

        Args:
            images: (n, in_channels, h, w).

        Returns:
            The stem's map, pooled where the network pools it.
        """
        x = self.stem(images)
        return x if self.stem_pool is None else self.stem_pool(x)

    def _neck(self, x: Tensor) -> Tensor:
        return self._pooled(x if self.head is None else self.head(x))

    def _pooled(self, x: Tensor) -> Tensor:
        x = self.pool(x)
        if isinstance(self.hidden, ConvNorm):
            return self.hidden(x).flatten(1)
        x = x.flatten(1)
        return x if self.hidden is None or self.hidden_activation is None else self.hidden_activation(self.hidden(x))


def _hidden(row: spec.Conv, norm: spec.Norm) -> nn.Linear | ConvNorm:
    """The layer between the global average and the classifier: linear, or 1x1 with BatchNorm."""
    return ConvNorm(row, norm) if row.norm else nn.Linear(row.in_channels, row.out_channels)


def model_of(what: str, value: object) -> Model:
    """The value, if it is a model of ours. Raises a one-line `TypeError` that says how one is got."""
    return of_kind(what, value, Model, "a Model, as budgetnet.build(network) gives")


def build(network: spec.Network, seed: int | None = None) -> Model:
    """The torch model of a network, with new weights, in channels_last memory.

    Convolutions are drawn from N(0, sqrt(2 / fan_out)), linear layers from U(-1, 1) / sqrt(outputs). Source: the
    authors' efficientnet_model.py, conv_kernel_initializer and dense_kernel_initializer.

    Args:
        network: Any network.
        seed: What the weights are a function of; the global random state then stays as it is. Unless given, the global
            state is used.

    Returns:
        The model, in training mode as torch makes modules.

    Raises:
        ValueError: The seed is below 0 or too large.
        TypeError: The network is not a `Network`.

    Example:
        >>> import budgetnet, torch
        >>> model = budgetnet.build(budgetnet.network("mobilenet_v3_small", classes=10, resolution_px=32), seed=0)
        >>> tuple(model.eval()(torch.zeros(2, 3, 32, 32)).shape)
        (2, 10)
    """
    spec.network_of("network", network)
    seed = None if seed is None else integer("seed", seed, 0, MOST_SEED)
    with torch.random.fork_rng(devices=[], enabled=seed is not None):
        if seed is not None:
            torch.manual_seed(seed)
        model = Model(network)
        initialise(model)
    return model.to(memory_format=torch.channels_last)


@torch.no_grad()
def initialise(model: nn.Module) -> None:
    """Convolutions N(0, sqrt(2 / fan_out)), linear layers U(-1, 1) / sqrt(outputs), biases 0.

    fan_out = kernel**2 * out_channels / groups. BatchNorm keeps scale 1 and shift 0. Source: the
    authors' efficientnet_model.py, conv_kernel_initializer and dense_kernel_initializer; for
    depthwise kernels fan_out is kernel**2, as there, for the TensorFlow kernel's last axis is 1.
    """
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            fan_out = math.prod(module.kernel_size) * module.out_channels / module.groups
            nn.init.normal_(module.weight, 0.0, math.sqrt(2.0 / fan_out))
        elif isinstance(module, nn.Linear):
            bound = 1.0 / math.sqrt(module.out_features)
            nn.init.uniform_(module.weight, -bound, bound)
        if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)
