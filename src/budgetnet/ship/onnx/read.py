"""Reads an exported .onnx file and answers with it, by ONNX Runtime."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from budgetnet.reading import file_content
from budgetnet.ship.channels_first import channels_first
from budgetnet.ship.exported import NumberType
from budgetnet.ship.notes import Notes
from budgetnet.ship.onnx.metadata import notes_in

MOST_BYTES = (2 << 30) - 1
"""No protobuf message, so no ONNX file, has more bytes."""
OPS = frozenset(
    (
        *("Add", "Cast", "Clip", "Concat", "Conv", "DequantizeLinear", "Div", "Gelu", "Gemm", "HardSigmoid"),
        *("HardSwish", "MaxPool", "Mul", "Pad", "QuantizeLinear", "ReduceMean", "Relu", "Reshape", "Sigmoid"),
        *("Softmax", "Tanh"),
    )
)
"""The ops of the files that are exported. None reads a file or runs without an end."""
QUIET = 3
"""ONNX Runtime says errors, and no warnings, which it has for every machine."""


@dataclass(frozen=True, slots=True, eq=False)
class OnnxRunner:
    """An .onnx file in ONNX Runtime, on one thread."""

    notes: Notes
    session: Any
    dtype: NumberType

    def logits(self, images: Iterable[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """The logits of images (h, w, c) in pixels of 0 to 255: (n, classes)."""
        return self.notes.logits(logits_by_onnxruntime(self.session, images))


def opened(path: Path, reference: bool = False) -> OnnxRunner:
    """A file that `export` wrote. Raises a one-line `ValueError` for another, and for a damaged one.

    ONNX Runtime has one kind of kernels, so `reference` says nothing here.
    """
    content = file_content(path, MOST_BYTES)
    try:
        model = onnx.load_model_from_string(content)
    except Exception as error:  # protobuf's own kind, which onnx does not hand on
        raise ValueError(f"{path} is no ONNX file, or is cut short") from error
    notes = notes_in(str(path), model, content)
    _check(str(path), model, len(content), notes)
    dtype: NumberType = "int8" if any(node.op_type == "QuantizeLinear" for node in model.graph.node) else "float32"
    try:
        return OnnxRunner(notes, session(content), dtype)
    except Exception as error:  # ONNX Runtime's own kinds have no common one
        raise ValueError(f"{path} is damaged: {str(error).splitlines()[0]}") from error


def logits_by_onnxruntime(session: Any, images: Iterable[NDArray[np.uint8]]) -> NDArray[np.float32]:
    """The logits of images (h, w, c) in pixels of 0 to 255: (n, classes)."""
    (given,) = session.get_inputs()
    return np.concatenate([session.run(None, {given.name: pixels})[0] for pixels in channels_first(images)])


def session(content: bytes) -> Any:
    """A model in ONNX Runtime.

    Processors without instructions for sums of eight bits saturate where unsigned maps meet signed weights; there the
    runtime is told to take unsigned weights, which costs time and no accuracy.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = QUIET
    options.add_session_config_entry("session.x64quantprecision", "1")
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def _check(file: str, model: onnx.ModelProto, size: int, notes: Notes) -> None:
    """Raise a one-line `ValueError` for what no exported file has, before memory is taken or another file is read."""
    graph, network = model.graph, notes.network
    strange = sorted({node.op_type for node in graph.node if node.op_type not in OPS or node.domain})
    if strange or model.functions or graph.sparse_initializer:
        what = ", ".join(strange) or "functions or sparse weights"
        raise ValueError(f"{file} has {what}, which no exported file has")
    weights = [*graph.initializer, *(row.t for node in graph.node for row in node.attribute if row.HasField("t"))]
    for weight in weights:
        if weight.data_location == onnx.TensorProto.EXTERNAL or weight.external_data:
            raise ValueError(f"{file} reads its weight {weight.name} from another file, which no exported file does")
        if math.prod(weight.dims) > size or min(weight.dims, default=0) < 0:
            raise ValueError(f"{file} is damaged: its weight {weight.name} says to have more values than the file")
    shapes = {
        "input": (graph.input, (network.in_channels, *network.resolution_px)),
        "output": (graph.output, (network.classes,)),
    }
    for what, (rows, shape) in shapes.items():
        found = [tuple(dim.dim_value for dim in row.type.tensor_type.shape.dim)[1:] for row in rows]
        if found != [shape]:
            raise ValueError(f"{file} is damaged: its {what} is not what its notes say, {shape}")
