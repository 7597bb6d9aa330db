"""Keras's applications of drawn numbers, run on torch: what our outputs are held against."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from budgetnet.model.weights import Weights

os.environ.setdefault("KERAS_BACKEND", "torch")  # read when keras is imported, which is late: it takes seconds

OUTSIDE = ("MobileNet", "MobileNetV2")
"""Their models take inputs in [-1, 1]; the others take pixels and normalise them inside."""
APPLICATIONS = {
    **{f"EfficientNetB{size}": f"tf_efficientnet_b{size}" for size in range(8)},
    **{f"EfficientNetV2B{size}": f"tf_efficientnetv2_b{size}" for size in range(4)},
    **{f"EfficientNetV2{size}": f"tf_efficientnetv2_{size.lower()}" for size in "SML"},
    "MobileNet": "mobilenet_v1",
    "MobileNetV2": "mobilenet_v2",
    "MobileNetV3Small": "tf_mobilenet_v3_small",
    "MobileNetV3Large": "tf_mobilenet_v3_large",
}
"""Keras's name: ours."""


def built(name: str, px: tuple[int | None, int | None], **options: Any) -> Any:
    """A model of Keras's applications for images of that height and width; its outputs are logits."""
    import keras

    options = {"weights": None, "classifier_activation": None, **options}
    return getattr(keras.applications, name)(input_shape=(*px, 3), **options)


def filled(model: Any, seed: int = 0) -> Any:
    """The model with every number drawn, running statistics too; pixels are normalised as for ImageNet, nearly."""
    generator = np.random.default_rng(seed)
    for weight in model.weights:
        name, shape = weight.path.rpartition("/")[2], tuple(weight.shape)
        if name == "count":
            continue
        if name in ("mean", "variance"):
            values = np.array([0.485, 0.456, 0.406] if name == "mean" else [0.05, 0.06, 0.07])
        elif name == "moving_variance":
            values = generator.random(shape) + 0.5
        elif len(shape) == 1:
            values = generator.normal(size=shape) * 0.3 + 0.7
        else:
            depthwise = len(shape) == 4 and shape[0] > 1 and shape[3] == 1
            values = generator.normal(size=shape) / np.sqrt(np.prod(shape[:2] if depthwise else shape[:-1]))
        weight.assign(values.astype(np.float32))
    return refreshed(model)


def copied(model: Any, weights: list[Any]) -> Any:
    """The model with another's weights."""
    model.set_weights(weights)
    return refreshed(model)


def refreshed(model: Any) -> Any:
    """The model with what its layers keep of their weights made anew: Normalization has a copy."""
    for layer in model.layers:
        if hasattr(layer, "finalize_state"):
            layer.finalize_state()
    return model


def pixels(height: int, width: int, seed: int = 1) -> NDArray[np.float32]:
    """Two images, (2, height, width, 3), of whole numbers from 0 to 255."""
    return np.random.default_rng(seed).integers(0, 256, (2, height, width, 3)).astype(np.float32)


def their_logits(model: Any, name: str, images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Keras's answer to pixels, with what its application wants done to them first."""
    import keras

    inputs = images / 127.5 - 1.0 if name in OUTSIDE else images
    return keras.ops.convert_to_numpy(model(inputs, training=False))


@torch.no_grad()
def our_logits(loaded: Weights, images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Our answer to pixels, with the preprocessing that came with the weights."""
    told = loaded.preprocessing
    mean, std = (torch.tensor(told[key], dtype=torch.float64)[:, None, None] for key in ("mean", "std"))
    inputs = torch.from_numpy(images).permute(0, 3, 1, 2).double() / 255
    return loaded.model(((inputs - mean) / std).float()).numpy()


def relative_error(ours: NDArray[np.float32], theirs: NDArray[np.float32]) -> float:
    """max |ours - theirs| / max |theirs|."""
    return float(np.abs(ours - theirs).max() / np.abs(theirs).max())


def written(model: Any, folder: Path) -> list[Path]:
    """The model's weights in each format that Keras 3 writes, and in that of Keras 2 for weights alone."""
    files = [folder / f"model{suffix}" for suffix in (".weights.h5", ".h5", ".keras")]
    model.save_weights(files[0])
    for file in files[1:]:
        model.save(file)
    return [*files, write_old_weights(model, folder / "old.h5")]


def write_old_weights(model: Any, file: Path) -> Path:
    """What Keras 2's `save_weights` writes to a .h5: the names of all layers, and of each layer's weights."""
    import h5py

    with h5py.File(file, "w") as group:
        group.attrs["layer_names"] = np.array([layer.name.encode() for layer in model.layers])
        group.attrs["keras_version"], group.attrs["backend"] = "2.4.0", "tensorflow"
        for layer in model.layers:
            inside = group.create_group(layer.name)
            names = [f"{layer.name}/{_old(layer, weight)}:0".encode() for weight in layer.weights]
            inside.attrs["weight_names"] = np.array(names)
            for name, weight in zip(names, layer.weights, strict=True):
                inside[name.decode()] = np.asarray(weight.numpy())
    return file


def _old(layer: Any, weight: Any) -> str:
    """Keras 2's name of a weight."""
    name = weight.path.rpartition("/")[2]
    return "depthwise_kernel" if type(layer).__name__ == "DepthwiseConv2D" and name == "kernel" else name
