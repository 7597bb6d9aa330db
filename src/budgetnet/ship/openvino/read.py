"""Reads an exported OpenVINO folder and answers with it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from budgetnet.reading import file_content
from budgetnet.ship.channels_first import channels_first
from budgetnet.ship.exported import NumberType
from budgetnet.ship.notes import Notes
from budgetnet.ship.openvino.folder import EXACT, GRAPH, WEIGHTS, notes_in
from budgetnet.ship.openvino.quiet import quiet_openvino

MOST_GRAPH_BYTES = 64 << 20
"""A graph of more bytes is not read: that of the largest network of the zoo has some two million."""
MOST_BYTES = 4 << 30
OPS = frozenset(
    (
        *("Add", "Clamp", "Concat", "Const", "Convert", "Convolution", "FakeQuantize", "Gather", "Gelu"),
        *("GroupConvolution", "HardSigmoid", "HSigmoid", "HSwish", "MatMul", "MaxPool", "Multiply", "Pad"),
        *("Parameter", "ReLU", "ReduceMean", "Reshape", "Result", "ShapeOf", "Sigmoid", "SoftMax", "Swish", "Tanh"),
    )
)
"""The ops of the folders that are exported. None reads a file or runs without an end. A hard sigmoid is HSigmoid as
torch's converter has it, and HardSigmoid as ONNX's, from which int8 is made."""


@dataclass(frozen=True, slots=True, eq=False)
class OpenvinoRunner:
    """An OpenVINO folder on the processor, on one thread."""

    notes: Notes
    compiled: Any
    dtype: NumberType

    def logits(self, images: Iterable[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """The logits of images (h, w, c) in pixels of 0 to 255: (n, classes)."""
        return self.notes.logits(logits_by_openvino(self.compiled, images))


def opened(path: Path, reference: bool = False) -> OpenvinoRunner:
    """A folder that `export` wrote. Raises a one-line `ValueError` for another, and for a damaged one.

    OpenVINO has one kind of kernels, so `reference` says nothing here.
    """
    text = file_content(path / GRAPH, MOST_GRAPH_BYTES)
    weights = file_content(path / WEIGHTS, MOST_BYTES)
    if b"<!" in text:
        raise ValueError(f"{path / GRAPH} defines entities, which no exported file does")
    try:
        graph = ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise ValueError(f"{path / GRAPH} is no OpenVINO file, or is cut short: {error}") from error
    notes = notes_in(path, graph, {GRAPH: text, WEIGHTS: weights})
    _check(path, graph, len(weights), notes)
    dtype: NumberType = "int8" if graph.find("layers/layer[@type='FakeQuantize']") is not None else "float32"
    try:
        return OpenvinoRunner(notes, compiled(quiet_openvino().Core().read_model(text, weights)), dtype)
    except Exception as error:  # OpenVINO's own kinds have no common one
        raise ValueError(f"{path} is damaged: {str(error).strip().splitlines()[-1]}") from error


def compiled(model: Any) -> Any:
    """A graph on the processor, on one thread, as exactly as it is meant."""
    return quiet_openvino().Core().compile_model(model, "CPU", {**EXACT, "INFERENCE_NUM_THREADS": 1})


def logits_by_openvino(compiled: Any, images: Iterable[NDArray[np.uint8]]) -> NDArray[np.float32]:
    """The logits of images (h, w, c) in pixels of 0 to 255: (n, classes)."""
    return np.concatenate([compiled(pixels)[0].copy() for pixels in channels_first(images)])


def _check(path: Path, graph: ElementTree.Element, size: int, notes: Notes) -> None:
    """Raise a one-line `ValueError` for what no exported folder has, before memory is taken."""
    layers = graph.findall("layers/layer")
    if strange := sorted({layer.get("type", "") for layer in graph.iter("layer")} - OPS):
        raise ValueError(f"{path / GRAPH} has {', '.join(strange)}, which no exported file has")
    for layer in layers:
        data = layer.find("data")
        if layer.get("type") == "Const":
            try:
                start, length = (int("" if data is None else data.get(key, "")) for key in ("offset", "size"))
            except ValueError:
                start, length = 0, size + 1
            if start < 0 or length < 0 or start + length > size:
                raise ValueError(f"{path} is damaged: {WEIGHTS} is shorter than its graph says, or cut short")
    network = notes.network
    shapes = [
        "" if (data := layer.find("data")) is None else data.get("shape", "")
        for layer in layers
        if layer.get("type") == "Parameter"
    ]
    if [shape.replace(" ", "") for shape in shapes] != [f"?,{network.in_channels},{_px(notes)}"]:
        raise ValueError(f"{path} is damaged: its input is not what its notes say")


def _px(notes: Notes) -> str:
    return ",".join(map(str, notes.network.resolution_px))
