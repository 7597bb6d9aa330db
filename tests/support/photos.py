"""Fixtures: a folder of small images of noise, and a run that answers them as its network was initialised."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import budgetnet

CLASSES = ("bird", "cat", "dog")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run's folder with the weights of a network as it was initialised."""
    from budgetnet.data import default_preprocessing
    from budgetnet.model.build import build
    from budgetnet.model.weights import save_weights

    folder = tmp_path_factory.mktemp("run")
    network = budgetnet.network("mobilenet_v3_small", classes=len(CLASSES), resolution_px=32)
    save_weights(folder / "weights.safetensors", build(network), CLASSES, dataclasses.asdict(default_preprocessing(3)))
    (folder / "network.json").write_text(network.to_json(), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve images of noise for each class."""
    folder = tmp_path_factory.mktemp("photos")
    draw = np.random.default_rng(0)
    for name in CLASSES:
        (folder / name).mkdir()
        for index in range(12):
            pixels = draw.integers(0, 256, (40, 40, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{index:02d}.png")
    return folder
