"""Folders of small networks with drawn weights, as trained runs leave them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from budgetnet.data import Preprocessing
from budgetnet.model.build import Model, build
from budgetnet.model.weights import save_weights
from budgetnet.networks import SWISH, Activation, Head, Network, Squeeze, Stage, Stem
from support.drawn import filled

CLASSES = ("cat", "dog", "tiger cat")


def small(activation: Activation = SWISH, squeeze: bool = True, classes: int = len(CLASSES)) -> Network:
    """A network of three stages, 40 x 48 px to a map of 5 x 6 cells."""
    se = Squeeze(0.25, inner=activation) if squeeze else None
    return Network(
        name="small",
        stem=Stem(8, activation=activation),
        stages=(
            Stage(8, activation=activation, squeeze=se),
            Stage(12, 2, stride=2, expansion=2.0, activation=activation, squeeze=se),
            Stage(16, 1, stride=2, expansion=2.0, activation=activation, squeeze=se),
        ),
        head=Head(24, activation=activation),
        resolution_px=(40, 48),
        classes=classes,
    )


def saved(folder: Path, model: Model, preprocessing: Preprocessing, classes: tuple[str, ...] = CLASSES) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    save_weights(folder / "weights.safetensors", model, classes, dataclasses.asdict(preprocessing))
    return folder


def drawn_model(network: Network, seed: int = 0) -> Model:
    model = filled(build(network), seed)
    assert isinstance(model, Model)
    return model


CROP = Preprocessing(crop_share=0.8, fit="crop")
