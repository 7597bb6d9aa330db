"""Classifiers in TensorFlow Lite files: which network a file holds, its tensors under our names, its preprocessing.

Eight-bit weights come back as the real numbers that they stand for, which is within half a step of what was rounded;
floating ones as they are. BatchNorm is folded in such files: kernels go into the convolutions and biases into
BatchNorm's shift, whose scale is 1.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from budgetnet.codec import from_plain
from budgetnet.costs.planners.tflite_ops import SHIFT, TfliteOp
from budgetnet.model.build import Model
from budgetnet.model.checkpoints import checkpoint_preprocessing
from budgetnet.model.exported_names import NOTES
from budgetnet.model.files import SHARED
from budgetnet.model.layouts import IMAGENET_MEAN, IMAGENET_STD
from budgetnet.model.tflite_graph import Graph, PartError, Step, layer_numbers
from budgetnet.model.trust import Trust
from budgetnet.networks import Network, zoo

WIDTHS = (25, 35, 50, 75, 130, 140)
"""The widths in percent that networks are published with."""
BACKGROUND = "background"
"""Google's classifiers have a class of this name in front of their others."""
WITH_BACKGROUND = 1001
"""ImageNet's thousand classes and the background are so many."""
MOST_PIXEL, MOST_SIDE_PX = 255, 1 << 20
BILINEAR = ("mobilenet", "mnasnet")
"""Images of families whose names begin so are resized bilinearly; those of others bicubically. Source: the authors'
evaluations, as for their checkpoints."""
SAME_FACTOR = 1e-3
"""What a map is multiplied by may differ by this share between a file and a network."""


def tflite_tensors(graph: Graph) -> dict[str, Tensor]:
    """Kernels and biases in torch's axes and float32, named after their ops; the background's row is left out.

    Raises a one-line `ValueError` for numbers that are no weights, and for a file whose layers share theirs.
    """
    layers = graph.layers()
    claimed = sum(_bytes(graph, step) for step in layers)
    if claimed > SHARED * graph.file.bytes:
        raise ValueError(f"{graph.where} has layers that share their numbers and are more than the file; it is refused")
    tensors: dict[str, Tensor] = {}
    for step in layers:
        kernel, bias = layer_numbers(graph.file, step)
        if kernel.ndim == 4:
            kernel = kernel.transpose((3, 0, 1, 2) if step.name.startswith("depthwise") else (0, 3, 1, 2))
        if step is graph.steps[graph.last] and _has_background(graph):
            kernel, bias = kernel[1:], bias[1:]
        with np.errstate(over="ignore"):  # what float32 cannot hold is told with its tensor's name
            rows = {"weight": kernel.astype(np.float32), "bias": bias.astype(np.float32)}
        tensors |= {f"{step.name}.{name}": torch.from_numpy(np.ascontiguousarray(row)) for name, row in rows.items()}
    return tensors


def _bytes(graph: Graph, step: Step) -> int:
    numbers = None if step.kernel is None else graph.file.tensors[step.kernel].numbers
    return 0 if numbers is None else numbers.nbytes


def _has_background(graph: Graph) -> bool:
    """Whether the first class is the background: where labels say so, or there are ImageNet's classes and one more."""
    if graph.file.notes is not None:
        return False
    labels = graph.file.labels
    if labels is not None and len(labels) == graph.classes:
        return labels[0].strip().lower() == BACKGROUND
    return graph.classes == WITH_BACKGROUND


def tflite_classes(graph: Graph) -> tuple[str, ...] | None:
    """The names of the classes in the archive behind the model, where they are as many; None where it has none."""
    notes, labels = graph.file.notes, graph.file.labels
    if notes is not None:
        named = notes.get("classes")
        if not isinstance(named, list) or len(named) != graph.classes:
            raise ValueError(f"{NOTES} in {graph.where} is damaged: its classes do not match its network")
        return tuple(map(str, named))
    if labels is None or len(labels) != graph.classes:
        return None
    return tuple(label.strip() for label in labels[int(_has_background(graph)) :])


def tflite_shaped(network: Network, tensors: Mapping[str, Tensor], graph: Graph) -> Network:
    """The network with the classes and the input channels of a file."""
    return dataclasses.replace(network, classes=graph.classes - _has_background(graph), in_channels=graph.channels)


def tflite_network(graph: Graph) -> Network | None:
    """The network of a file at its size of images: what its notes say, or the zoo's that computes this; None for none.

    Of two that differ in padding and are the same at this size it is TensorFlow's form. Raises a one-line `ValueError`
    for notes that are damaged, or of another network.
    """
    notes = graph.file.notes
    if notes is not None:
        try:
            network = Network.from_json(json.dumps(notes.get("network")))
            graph.matched(network)
        except PartError as error:
            raise ValueError(f"{NOTES} in {graph.where} is of another network: {error}") from error
        except ValueError as error:
            raise ValueError(f"{NOTES} in {graph.where} is damaged: {error}") from error
        if (network.resolution_px, network.in_channels, network.classes) != (graph.px, graph.channels, graph.classes):
            raise ValueError(f"{NOTES} in {graph.where} is of another network: images or classes differ")
        return network
    layers = graph.layers()
    for row in _candidates(layers[0].channels, len(layers)):
        with contextlib.suppress(ValueError):  # it parts from the file, or cannot take its images
            graph.matched(row)
            return tflite_shaped(dataclasses.replace(row, resolution_px=graph.px), {}, graph)
    return None


def _candidates(first_channels: int, layers: int) -> Iterator[Network]:
    """Networks of the zoo with such a first layer and so many layers, TensorFlow's forms first."""
    rows = [row for row in map(zoo.network, zoo.names()) if _alike(row, first_channels, layers)]
    for name in zoo.WITH_WIDTH:
        sized = (zoo.network(f"{name}_{percent}") for percent in WIDTHS)
        rows += [row for row in sized if _alike(row, first_channels, layers)]
    yield from (row for row in rows if row.padding == "same")
    yield from (dataclasses.replace(row, padding="same", norm=zoo.TF_NORM) for row in rows if row.padding != "same")
    yield from (row for row in rows if row.padding != "same")


def _alike(row: Network, first_channels: int, layers: int) -> bool:
    return row.stem.channels == first_channels and sum(times for _, times in row.distinct_convs()) == layers


def tflite_translated(network: Network, tensors: Mapping[str, Tensor], graph: Graph) -> dict[str, Tensor]:
    """`tflite_tensors` under our names, for a network at any size of images.

    Raises a one-line `ValueError` for a network that does not compute what the file does.
    """
    try:
        matched = graph.matched(network)
    except ValueError as error:
        raise ValueError(f"{graph.where} does not fit {network.name}: {error}") from error
    rows: dict[str, Tensor] = {}
    for op, step in matched.values():
        if op.layer is None:
            rows |= _factor(graph, network, op, step)
            continue
        name, weight, bias = (
            op.name.removesuffix(".conv"),
            *(tensors[f"{step.name}.{what}"] for what in ("weight", "bias")),
        )
        if op.fused == "hard_sigmoid":
            bias = bias - SHIFT
        if not op.layer.norm:
            rows |= {f"{name}.weight": weight, f"{name}.bias": bias}
            continue
        rows |= {
            f"{name}.conv.weight": weight,
            f"{name}.norm.weight": torch.ones_like(bias),
            f"{name}.norm.bias": bias,
            f"{name}.norm.running_mean": torch.zeros_like(bias),
            # sqrt(variance + epsilon) is 1 in float32.
            f"{name}.norm.running_var": torch.full_like(bias, 1 - network.norm.eps),
        }
    return rows


def _factor(graph: Graph, network: Network, op: TfliteOp, step: Step) -> dict[str, Tensor]:
    """Swish's beta where it was trained. Raises the one-line `ValueError` for a factor that is another one."""
    assert op.factor is not None and step.factor is not None
    if (name := _trained_beta(network, op.name)) is not None:
        return {name: torch.tensor(step.factor, dtype=torch.float32)}
    if abs(step.factor - op.factor) > SAME_FACTOR * max(abs(op.factor), SAME_FACTOR):
        raise ValueError(
            f"{graph.where} does not fit {network.name}: {op.name} is {step.factor:g} and not {op.factor:g}"
        )
    return {}


def _trained_beta(network: Network, op_name: str) -> str | None:
    """The name of the parameter that an op multiplies by; None where it is no parameter."""
    if not op_name.endswith(".beta"):
        return None
    owner = op_name.removesuffix(".beta")
    above = owner.rpartition(".")[0]
    with torch.device("meta"):
        names = Model(network).state_dict()
    owners = (f"{owner}.activation", f"{above}.inner", f"{above}.gate", f"{owner}_activation", owner)
    return next((f"{one}.beta" for one in owners if f"{one}.beta" in names), None)


def tflite_preprocessing(graph: Graph, network: Network | None) -> Mapping[str, Any]:
    """Mean and std as the file has them, crop and interpolation as the network's authors evaluate.

    A file of ours says all of it. Floating inputs that nothing in the file normalises get the family's usual mean and
    std. Raises a one-line `ValueError` for pixels that are multiplied by other than numbers above 0.
    """
    if graph.file.notes is not None:
        stated = graph.file.notes.get("preprocessing")
        if not isinstance(stated, dict):
            raise ValueError(f"{NOTES} in {graph.where} is damaged: it has no preprocessing")
        return stated
    name = "" if network is None else network.name.removeprefix("tf_")
    usual = {"mean": IMAGENET_MEAN, "std": IMAGENET_STD, "crop_share": 0.875, "fit": "crop"}
    resized = {"interpolation": "bilinear" if name.startswith(BILINEAR) else "bicubic"}
    stated = {} if network is None else checkpoint_preprocessing(network, Path(graph.where))
    return {**usual, **resized, **stated, **_pixels(graph)}


def _pixels(graph: Graph) -> Mapping[str, tuple[float, ...]]:
    """scale * pixel + offset = (pixel / 255 - mean) / std."""
    if graph.pixels is None:
        return {}
    scale, offset = graph.pixels.scale, graph.pixels.offset
    if not bool(np.isfinite(scale).all() and np.isfinite(offset).all() and (scale > 0).all()):
        raise ValueError(f"{graph.where} multiplies pixels by other than numbers above 0")
    std = 1 / (MOST_PIXEL * scale)
    return {"mean": tuple((-offset * std).tolist()), "std": tuple(std.tolist())}


def tflite_side_px(graph: Graph) -> int | None:
    """The short side that a run's images were decoded to; None where the file does not say it."""
    side_px = None if graph.file.notes is None else graph.file.notes.get("side_px")
    if side_px is None:
        return None
    if isinstance(side_px, bool) or not isinstance(side_px, int) or not 0 < side_px <= MOST_SIDE_PX:
        raise ValueError(f"{NOTES} in {graph.where} is damaged: its side_px is no number of pixels")
    return side_px


def tflite_temperature(graph: Graph) -> float:
    """What logits are divided by before they become probabilities, where the file says it; else 1."""
    temperature = 1.0 if graph.file.notes is None else graph.file.notes.get("temperature")
    if isinstance(temperature, bool) or not isinstance(temperature, int | float) or not temperature > 0:
        raise ValueError(f"{NOTES} in {graph.where} is damaged: its temperature is no number above 0")
    return float(temperature)


def tflite_trust(graph: Graph) -> Trust | None:
    """When not to believe its answers, where the file says it. Raises a one-line `ValueError` for what says no such
    thing."""
    row = None if graph.file.notes is None else graph.file.notes.get("trust")
    return None if row is None else from_plain(Trust, row, f"trust in {NOTES} in {graph.where}")
