"""The module of a file that takes plain pixels: the normalisation, then the model with BatchNorm folded."""

from __future__ import annotations

from functools import partial
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from budgetnet.data.images import MOST_PIXEL, Preprocessing, check_channels
from budgetnet.model.build import Model
from budgetnet.model.deployed import deployed

INPUT, OUTPUT, PROBABILITIES = "image", "logits", "probabilities"
"""What a file's input and output are called, where a format has names for them."""
INSIDE = "model."
"""The model's modules have this before their names, for it is a module of `PlainPixels`."""


class PlainPixels(nn.Module):
    """model((pixel / 255 - mean) / std): uint8 (n, channels, h, w) to logits (n, classes), for exporters to trace.

    Attributes:
        model: The model as it is deployed. Its tensors lie in the usual order: of channels_last ones an exporter makes
            strides, and of strides ops that copy.
    """

    factor: Tensor
    shift: Tensor

    def __init__(self, model: Model, preprocessing: Preprocessing) -> None:
        super().__init__()
        check_channels(preprocessing, model.network.in_channels)
        self.model: Final = deployed(model).to(memory_format=torch.contiguous_format)
        mean, std = (torch.tensor(row, dtype=torch.float64) for row in (preprocessing.mean, preprocessing.std))
        self.register_buffer("factor", (1 / (MOST_PIXEL * std)).float()[:, None, None])
        self.register_buffer("shift", (-mean / std).float()[:, None, None])

    def forward(self, image: Tensor) -> Tensor:
        """The logits of pixels."""
        return self.model(image.float() * self.factor + self.shift)

    def example(self) -> Tensor:
        """What it takes; two images, for of one an exporter would make a constant."""
        network = self.model.network
        return torch.zeros((2, network.in_channels, *network.resolution_px), dtype=torch.uint8)

    @torch.inference_mode()
    def layers(self, image: Tensor) -> dict[str, NDArray[np.float32]]:
        """What each convolution and linear layer of the model makes of pixels, in the order in which they run."""
        made: dict[str, NDArray[np.float32]] = {}

        def note(name: str, layer: nn.Module, read: tuple[Tensor, ...], output: Tensor) -> None:
            made[name] = output.numpy().copy()

        layers = [row for row in self.model.named_modules() if isinstance(row[1], nn.Conv2d | nn.Linear)]
        hooks = [layer.register_forward_hook(partial(note, name)) for name, layer in layers]
        try:
            self(image)
        finally:
            for hook in hooks:
                hook.remove()
        return made
