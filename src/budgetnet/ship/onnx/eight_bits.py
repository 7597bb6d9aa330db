"""A network as an ONNX graph has it in eight bits: unsigned maps, signed weights with a scale for each channel."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from budgetnet.data.images import Preprocessing
from budgetnet.ship.eight_bits.quantiles import Seen, range_of
from budgetnet.ship.eight_bits.scale import Scale
from budgetnet.ship.eight_bits.steps import Step, Weights
from budgetnet.ship.onnx.graph import PIXELS, exported
from budgetnet.ship.onnx.metadata import content_of
from budgetnet.ship.onnx.read import logits_by_onnxruntime, session
from budgetnet.ship.onnx.traced import BIAS, KERNEL, steps_of
from budgetnet.ship.plain_pixels import PlainPixels

FIXED = {"Sigmoid": (0.0, 1.0), "HardSigmoid": (0.0, 1.0), "Tanh": (-1.0, 1.0)}
"""What these ops make lies in one range."""

ROUNDS = "QuantizeLinear"
BEFORE_OUTPUT = "_QuantizeLinear_Input"
"""ONNX Runtime's tool calls what is rounded before it goes out so, behind the output's name."""
ANY = (0.0, 1.0)


@dataclass(frozen=True, slots=True)
class Rounding:
    """Where a runtime rounds maps.

    Attributes:
        ops: The ops whose maps are rounded.
        reads_only: Whether only what they read is, and not what they make.
    """

    ops: tuple[str, ...]
    reads_only: bool = False


ONNX_RUNTIME = Rounding(
    ("Add", "Clip", "Concat", "Conv", "Gemm", "MaxPool", "Mul", "Pad", "Relu", "Reshape", "Sigmoid")
)
"""The ops that ONNX Runtime has in eight bits, or that copy; others run in float, between their neighbours."""


class OnnxEightBits:
    """A network whose maps are rounded where a runtime does. The normalised pixels have the range of all that there can
    be."""

    def __init__(self, module: PlainPixels, preprocessing: Preprocessing, rounding: Rounding = ONNX_RUNTIME) -> None:
        self._model, program = exported(module)
        self._rounding = rounding
        nodes = list(self._model.graph.node)
        self._fixed = {node.output[0]: FIXED[node.op_type] for node in nodes if node.op_type in FIXED}
        self._fixed |= {node.output[0]: _pixels(preprocessing) for node in nodes if node.name.startswith(PIXELS)}
        steps, self.weights = steps_of(program)
        self.steps: Sequence[Step] = steps
        placed = [node for node in _quantised(self._model, {}, rounding).graph.node if node.op_type == ROUNDS]
        self._rounded = frozenset(node.input[0].removesuffix(BEFORE_OUTPUT) for node in placed)
        assert self._rounded <= {step.name for step in steps}, "a map that the trace does not make"
        self.maps = self._rounded - self._fixed.keys()

    def scales(self, seen: Mapping[str, Sequence[Seen]], quantile: float) -> dict[str, Scale]:
        """The scale of every map that is rounded: from the quantile 1 - `quantile` to `quantile`, or that of its op."""
        ranges = {name: self._fixed[name] for name in self._rounded - self.maps}
        ranges |= {name: range_of(seen[name], quantile) for name in self.maps}
        return {name: Scale.of(low, high) for name, (low, high) in ranges.items()}

    def file(self, weights: Weights, scales: Mapping[str, Scale]) -> onnx.ModelProto:
        """The graph with these weights in eight bits, and where a map is made or read the rounding to eight bits.

        Pixels are normalised in float, as they are exact there.
        """
        model = onnx.ModelProto()
        model.CopyFrom(self._model)
        changed = {
            f"{layer}{name}": tensor
            for layer, pair in weights.items()
            for name, tensor in zip((KERNEL, BIAS), pair, strict=True)
        }
        for row in model.graph.initializer:
            if row.name in changed:
                row.CopyFrom(onnx.numpy_helper.from_array(changed[row.name].contiguous().numpy(), row.name))
        return _quantised(model, {name: at.ends for name, at in scales.items()}, self._rounding)

    def logits(self, file: onnx.ModelProto, images: Iterable[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """What ONNX Runtime makes of images (h, w, c): (n, classes)."""
        return logits_by_onnxruntime(session(content_of(file)), images)


def _pixels(preprocessing: Preprocessing) -> tuple[float, float]:
    """The least and the largest normalised pixel of any channel."""
    rows = list(zip(preprocessing.mean, preprocessing.std, strict=True))
    return min(-mean / std for mean, std in rows), max((1 - mean) / std for mean, std in rows)


def _quantised(
    model: onnx.ModelProto, ranges: Mapping[str, tuple[float, float]], rounding: Rounding
) -> onnx.ModelProto:
    from onnxruntime.quantization import CalibrationMethod, QDQQuantizer, QuantType, TensorsData

    whole = onnx.shape_inference.infer_shapes(model)
    rows: dict[str, Any] = {  # the tool asks for the ranges of maps, too, that it then does not round
        name: tuple(np.array(end, np.float32) for end in ranges.get(name, ANY))
        for node in whole.graph.node
        for name in node.output
    }
    ops = list(rounding.ops)
    quantiser = QDQQuantizer(
        whole,
        per_channel=True,
        reduce_range=False,
        weight_qType=QuantType.QInt8,
        activation_qType=QuantType.QUInt8,
        tensors_range=TensorsData(CalibrationMethod.MinMax, rows),
        nodes_to_quantize=[],
        nodes_to_exclude=[node.name for node in whole.graph.node if node.name.startswith(PIXELS)],
        op_types_to_quantize=ops,
        extra_options={"OpTypesToExcludeOutputQuantization": ops if rounding.reads_only else []},
    )
    made = quantiser.quantize_model()
    for other in [row for row in made.opset_import if row.domain]:  # the tool names what it does not use
        made.opset_import.remove(other)
    made.ClearField("producer_version")
    return made
