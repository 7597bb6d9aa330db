"""A tiny network of drawn weights as a weights file, which exports in no time and answers far from evenly."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import torch

from budgetnet.model.build import Model
from budgetnet.model.weights import load_model, save_weights
from support.networks import SQUEEZED

NETWORK = dataclasses.replace(SQUEEZED, name="tiny", in_channels=1, classes=10, resolution_px=(16, 16))
"""Squeeze-and-excitation and Swish, the size of the embedded digits."""
PREPROCESSING = {"mean": [0.4], "std": [0.25]}


def saved(folder: Path, model: Model) -> Path:
    """A weights file of a model of `NETWORK` in the folder."""
    file = folder / "tiny.safetensors"
    save_weights(file, model, list("0123456789"), PREPROCESSING)
    return file


def drawn_pixels(count: int, channels: int = 1, side_px: int = 16) -> np.ndarray:
    """Images of drawn pixels: (n, side, side, channels)."""
    return np.random.default_rng(0).integers(0, 256, (count, side_px, side_px, channels), np.uint8)


def by_torch(weights: Path, images: np.ndarray) -> np.ndarray:
    """What the model makes of images that are normalised as in training."""
    inputs = (torch.from_numpy(images).permute(0, 3, 1, 2) / 255 - PREPROCESSING["mean"][0]) / PREPROCESSING["std"][0]
    with torch.inference_mode():
        return load_model(weights).model.eval()(inputs).numpy()
