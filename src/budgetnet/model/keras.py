"""Keras's applications: which network a file holds, its tensors under our names, and its preprocessing.

The order of the layers is the map: all that a `.weights.h5` tells, and what Keras itself goes by.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from budgetnet.model.hdf5 import KerasFile, KerasLayer
from budgetnet.model.layouts import IMAGENET_MEAN, IMAGENET_STD
from budgetnet.networks import Conv, Network, Norm, zoo

HALF = (0.5,) * 3
"""Inputs in [-1, 1] have this mean and this std."""
CROP_PADDING = 32
"""EfficientNet's evaluation sees size / (size + 32) of the image. Source: tensorflow/tpu, its preprocessing.py."""
HEAD = ("hidden", "classifier")
"""The modules of ours that a model without its top (include_top=False) does not have."""
EPSILON = 1e-7
"""The least deviation that Keras divides by is this: `Normalization.call`, `backend.epsilon`."""

SUFFIXES: Mapping[str, Mapping[str, str]] = {
    "batch_normalization": {
        "gamma": "weight",
        "beta": "bias",
        "moving_mean": "running_mean",
        "moving_variance": "running_var",
    },
    "conv2d": {"kernel": "weight", "bias": "bias"},
    "dense": {"kernel": "weight", "bias": "bias"},
    "depthwise_conv2d": {"kernel": "weight", "depthwise_kernel": "weight", "bias": "bias"},
}


@dataclass(frozen=True, slots=True)
class Application:
    """Networks of Keras's applications: the zoo's names, and what Keras's form of them is.

    All have SAME padding and BatchNorm's epsilon 0.001. `mean` and `std` (of pixel / 255) and `bare`, for a model
    without its preprocessing layers, are what Keras says that inputs are; EfficientNet's file has its own.
    `crop_share` None: size / (size + 32). Cropping and resizing are those of the weights' evaluation.
    """

    networks: tuple[str, ...]
    momentum: float
    mean: tuple[float, ...]
    std: tuple[float, ...]
    interpolation: Literal["bilinear", "bicubic"]
    crop_share: float | None
    source: str
    bare: tuple[float, ...] | None = None


APPLICATIONS: tuple[Application, ...] = (
    Application(
        tuple(f"tf_efficientnet_b{size}" for size in range(8)),
        0.01,
        IMAGENET_MEAN,
        IMAGENET_STD,
        "bicubic",
        None,
        "keras, applications/efficientnet.py",
    ),
    Application(
        tuple(f"tf_efficientnetv2_b{size}" for size in range(4)),
        0.1,
        IMAGENET_MEAN,
        IMAGENET_STD,
        "bicubic",
        None,
        "keras, applications/efficientnet_v2.py: Rescaling and Normalization",
        bare=HALF,
    ),
    Application(
        tuple(f"tf_efficientnetv2_{size}" for size in "sml"),
        0.1,
        (128 / 255,) * 3,
        (128 / 255,) * 3,
        "bicubic",
        1.0,
        "keras, applications/efficientnet_v2.py: pixel / 128 - 1; crop as timm has it",
        bare=HALF,
    ),
    Application(
        tuple(f"mobilenet_v1{width}" for width in ("", "_75", "_50", "_25")),
        0.01,
        HALF,
        HALF,
        "bilinear",
        0.875,
        "keras, applications/mobilenet.py; crop as in tensorflow/models, slim inception_preprocessing.py",
    ),
    Application(
        tuple(f"mobilenet_v2{width}" for width in ("", "_140", "_130", "_75", "_50", "_35")),
        0.001,
        HALF,
        HALF,
        "bilinear",
        0.875,
        "keras, applications/mobilenet_v2.py; crop as in slim",
    ),
    Application(
        tuple(f"tf_mobilenet_v3_{size}{width}" for size in ("small", "large") for width in ("", "_75")),
        0.001,
        HALF,
        HALF,
        "bilinear",
        0.875,
        "keras, applications/mobilenet_v3.py: pixel / 127.5 - 1; crop as in slim",
    ),
)


def keras_tensors(file: KerasFile) -> dict[str, Tensor]:
    """Tensors in torch's shapes, named CLASS_NUMBER.weight and so on, numbered within a class; no preprocessing.

    Kernels: height x width x in x out -> out x in x height x width; a depthwise one's in x multiplier -> one
    axis; dense in x out -> out x in.
    """
    counts: Counter[str] = Counter()
    tensors: dict[str, Tensor] = {}
    for layer in file.layers:
        if layer.kind in SUFFIXES:
            start = f"{layer.kind}_{counts[layer.kind]}"
            counts[layer.kind] += 1
            tensors |= {f"{start}.{SUFFIXES[layer.kind][name]}": _turned(layer, name) for name in layer.variables}
    return tensors


def _turned(layer: KerasLayer, name: str) -> Tensor:
    tensor = layer.variables[name]
    if layer.kind == "dense" and tensor.ndim == 2:
        tensor = tensor.T
    elif layer.kind == "conv2d" and tensor.ndim == 4:
        tensor = tensor.permute(3, 2, 0, 1)
    elif layer.kind == "depthwise_conv2d" and tensor.ndim == 4:
        tensor = tensor.permute(2, 3, 0, 1).flatten(0, 1).unsqueeze(1)
    return tensor.contiguous()


def keras_shaped(network: Network, tensors: Mapping[str, Tensor]) -> Network:
    """The network with the classes of the last layer and the channels of the first, where those are told."""
    kernel, last = tensors.get("conv2d_0.weight"), _last_kernel(tensors)
    channels = kernel.shape[1] if kernel is not None and kernel.ndim == 4 else network.in_channels
    return dataclasses.replace(
        network,
        classes=network.classes if last is None else last.shape[0],
        in_channels=channels or network.in_channels,
    )


def _last_kernel(tensors: Mapping[str, Tensor]) -> Tensor | None:
    """The classifier's kernel: of the one Dense layer, or of the last Conv2D; None where it has no biases."""
    convs = [name for name in tensors if name.startswith("conv2d_")]
    last = "dense_0" if "dense_0.weight" in tensors else max(convs, key=_number, default="").partition(".")[0]
    kernel = tensors.get(f"{last}.weight")
    return None if kernel is None or kernel.ndim < 2 or not len(kernel) or f"{last}.bias" not in tensors else kernel


def keras_translated(network: Network, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """`keras_tensors` under our names; those that the network has no place for keep their own."""
    dense = sum(name.startswith("dense_") and name.endswith(".weight") for name in tensors)
    initial = {keras_name: ours for ours, keras_name, _ in _pairs(network, dense)}
    rows: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        start, _, suffix = name.rpartition(".")
        rows[f"{initial.get(start, start)}.{suffix}"] = tensor
    return rows


def _pairs(network: Network, dense: int) -> Iterator[tuple[str, str, Conv | None]]:
    """(our module, their layer, its convolution if it is one). The last `dense` layers are Dense, not Conv2D 1x1."""
    rows = list(zip(_places(network), network.convs(), strict=True))
    counts: Counter[str] = Counter()

    def next_of(kind: str) -> str:
        counts[kind] += 1
        return f"{kind}_{counts[kind] - 1}"

    for index, (ours, conv) in enumerate(rows):
        kind = "dense" if index >= len(rows) - dense else "depthwise_conv2d" if conv.groups > 1 else "conv2d"
        yield f"{ours}.conv" if conv.norm else ours, next_of(kind), conv
        if conv.norm:
            yield f"{ours}.norm", next_of("batch_normalization"), None


def _places(network: Network) -> Iterator[str]:
    """The model's module of each of `Network.convs`."""
    yield "stem"
    for i, blocks in enumerate(network.stage_blocks()):
        for j, block in enumerate(blocks):
            start = f"stages.{i}.{j}"
            yield from (f"{start}.{name}" for name in block.part_names)
    parts = {"head": network.head_conv, "hidden": network.hidden_linear, "classifier": network.classifier}
    yield from (name for name, conv in parts.items() if conv)


def keras_application(where: str, tensors: Mapping[str, Tensor]) -> tuple[Network, Application] | None:
    """The network of the zoo, in Keras's form, that has just these tensors, and its row; None where none has.

    Without a classifier (include_top=False) it is the network that has all the others. Raises a one-line `ValueError`
    for a model that computes otherwise than ours whatever its shapes are, and for an unknown one without a classifier.
    """
    if not any(name.startswith("depthwise") for name in tensors):
        raise ValueError(
            f"{where} has no depthwise convolution and is not an EfficientNet or MobileNet; "
            "Keras's ResNet50 is not read: "
            "its strides are in the first 1x1 convolution of a block, so it computes otherwise than ours"
        )
    dense = int("dense_0.weight" in tensors)
    for row in APPLICATIONS:
        for name in row.networks:
            network = keras_shaped(zoo.network(name), tensors)
            if _fits(network, dense, tensors) or _fits(network, dense, tensors, HEAD):
                norm = Norm(eps=1e-3, momentum=row.momentum)
                return dataclasses.replace(network, padding="same", norm=norm), row
    if _last_kernel(tensors) is None:
        raise ValueError(
            f"{where} has no classifier (Keras's include_top=False) and is not one of Keras's applications"
        )
    return None


def _number(name: str) -> int:
    return int(name.partition(".")[0].rpartition("_")[2])


def _fits(network: Network, dense: int, tensors: Mapping[str, Tensor], without: tuple[str, ...] = ()) -> bool:
    """Whether the kernels and biases, all of them, are the network's but for those of some of our modules."""
    pairs = [
        (keras_name, conv) for ours, keras_name, conv in _pairs(network, dense) if ours.partition(".")[0] not in without
    ]
    norms = {keras_name for keras_name, conv in pairs if conv is None}
    sizes = {
        f"{keras_name}.weight": (conv.out_channels, conv.weights) for keras_name, conv in pairs if conv is not None
    }
    biases = {f"{keras_name}.bias" for keras_name, conv in pairs if conv is not None and conv.bias}
    found = {
        name: (tensor.shape[0], tensor.numel())
        for name, tensor in tensors.items()
        if tensor.ndim > 1 and name.endswith(".weight")
    }
    others = {name for name in tensors if name not in found and name.partition(".")[0] not in norms}
    return found == sizes and others == biases


def keras_preprocessing(where: str, file: KerasFile, network: Network, row: Application) -> dict[str, Any]:
    """Mean, std, crop and interpolation, with the layers inside of the model that normalise folded in.

    Raises a one-line `ValueError` for a Normalization layer without a mean and a variance for each channel.
    """
    mean, std = row.mean, row.std
    layer = next((layer for layer in file.layers if layer.kind == "normalization"), None)
    if layer is not None:
        mean, std = _normalised(where, layer, file.rescalings)
    elif row.bare is not None and file.rescalings == 0:
        mean = std = row.bare
    side = network.resolution_px[0]
    share = side / (side + CROP_PADDING) if row.crop_share is None else row.crop_share
    return {"mean": mean, "std": std, "crop_share": share, "fit": "crop", "interpolation": row.interpolation}


def _normalised(where: str, layer: KerasLayer, rescalings: int | None) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and std of a Normalization layer, (x - mean) / sqrt(variance).

    Keras's own ImageNet weights of EfficientNet have the deviation for the variance, so its model for them divides
    by sqrt(deviation) once more, in a second Rescaling. Where a file does not tell its layers, those very numbers do.
    """
    mean, variance = (layer.variables.get(name, torch.empty(0)).double() for name in ("mean", "variance"))
    if mean.shape != (3,) or variance.shape != (3,) or not bool(((mean + variance).isfinite() & (variance > 0)).all()):
        raise ValueError(f"{where} has a layer {layer.name} without a mean and a variance for each of three channels")
    deviation = torch.tensor(IMAGENET_STD, dtype=variance.dtype)
    twice = torch.allclose(variance, deviation, atol=1e-4) if rescalings is None else rescalings > 1
    std = variance.sqrt().clamp(min=EPSILON) * (deviation.sqrt() if twice else 1.0)
    return tuple(mean.tolist()), tuple(std.tolist())
