"""A tiny network of drawn weights as a weights file, which exports in no time and answers far from evenly."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from budgetnet.model.build import Model
from budgetnet.model.weights import save_weights
from support.networks import SQUEEZED

NETWORK = dataclasses.replace(SQUEEZED, name="tiny", in_channels=1, classes=10, resolution_px=(16, 16))
"""Squeeze-and-excitation and Swish, the size of the embedded digits."""
PREPROCESSING = {"mean": [0.4], "std": [0.25]}


def saved(folder: Path, model: Model) -> Path:
    """A weights file of a model of `NETWORK` in the folder."""
    file = folder / "tiny.safetensors"
    save_weights(file, model, list("0123456789"), PREPROCESSING)
    return file
