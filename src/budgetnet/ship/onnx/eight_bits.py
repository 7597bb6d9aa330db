"""An ONNX graph in eight bits: unsigned maps, signed weights with a scale for each channel."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray

from budgetnet.data.images import Preprocessing
from budgetnet.ship.channels_first import channels_first
from budgetnet.ship.onnx.graph import PIXELS, with_outputs
from budgetnet.ship.onnx.metadata import content_of
from budgetnet.ship.onnx.read import session
from budgetnet.ship.plain_pixels import INPUT
from budgetnet.ship.quantiles import SAMPLED, Seen, range_of

IMAGES_AT_ONCE = 5
"""All maps of so many images are held at a time."""
SAMPLED_AT_ONCE = SAMPLED // 4
FIXED = {"Sigmoid": (0.0, 1.0), "HardSigmoid": (0.0, 1.0), "Tanh": (-1.0, 1.0)}
"""What these ops make lies in one range."""
OPS = ["Add", "Clip", "Concat", "Conv", "Gemm", "MaxPool", "Mul", "Pad", "Relu", "Reshape", "Sigmoid"]
"""The ops that ONNX Runtime has in eight bits, or that copy; others run in float, between their neighbours."""

Ranges = dict[str, tuple[float, float]]


class Observed:
    """What the maps of a graph held for the calibration images (h, w, c), seen once for all quantiles.

    The normalised pixels are not observed: their range is that of all pixels there can be.
    """

    def __init__(
        self, model: onnx.ModelProto, preprocessing: Preprocessing, images: Iterable[NDArray[np.uint8]]
    ) -> None:
        nodes = list(model.graph.node)
        normalised = [node.output[0] for node in nodes if node.name.startswith(PIXELS)]
        self._fixed: Ranges = {name: _pixels(preprocessing) for name in normalised}
        self._fixed |= {node.output[0]: FIXED[node.op_type] for node in nodes if node.op_type in FIXED}
        self._seen: dict[str, list[Seen]] = {node.output[0]: [] for node in nodes if node.output[0] not in self._fixed}
        runner = session(content_of(with_outputs(model, self._seen)))
        for some in channels_first(images, IMAGES_AT_ONCE):
            for name, value in zip(self._seen, runner.run(list(self._seen), {INPUT: some}), strict=True):
                self._seen[name].append(Seen.of(torch.from_numpy(value), SAMPLED_AT_ONCE))

    def ranges(self, quantile: float) -> Ranges:
        """The range of every map: from the quantile 1 - `quantile` to `quantile`, or that of its op."""
        return self._fixed | {name: range_of(parts, quantile) for name, parts in self._seen.items()}


def _pixels(preprocessing: Preprocessing) -> tuple[float, float]:
    """The least and the largest normalised pixel of any channel."""
    rows = list(zip(preprocessing.mean, preprocessing.std, strict=True))
    return min(-mean / std for mean, std in rows), max((1 - mean) / std for mean, std in rows)


def quantised(model: onnx.ModelProto, ranges: Mapping[str, tuple[float, float]]) -> onnx.ModelProto:
    """A graph with its weights in eight bits, and where a map is made or read the rounding to eight bits.

    Pixels are normalised in float, as they are exact there.
    """
    from onnxruntime.quantization import CalibrationMethod, QDQQuantizer, QuantType, TensorsData

    whole = onnx.shape_inference.infer_shapes(model)
    rows: dict[str, Any] = {
        name: (np.array(low, np.float32), np.array(high, np.float32)) for name, (low, high) in ranges.items()
    }
    quantiser = QDQQuantizer(
        whole,
        per_channel=True,
        reduce_range=False,
        weight_qType=QuantType.QInt8,
        activation_qType=QuantType.QUInt8,
        tensors_range=TensorsData(CalibrationMethod.MinMax, rows),
        nodes_to_quantize=[],
        nodes_to_exclude=[node.name for node in whole.graph.node if node.name.startswith(PIXELS)],
        op_types_to_quantize=OPS,
        extra_options={},
    )
    made = quantiser.quantize_model()
    for other in [row for row in made.opset_import if row.domain]:  # the tool names what it does not use
        made.opset_import.remove(other)
    made.ClearField("producer_version")
    return made
