"""A network as OpenVINO has it in eight bits: its ONNX graph, rounded where OpenVINO computes so, and converted by it.

OpenVINO computes a layer with all that follows it up to the next layer in one kernel, so that only what layers and sums
read is rounded: what Swish makes, and not what it is made of.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from budgetnet.data.images import Preprocessing
from budgetnet.ship.eight_bits.scale import Scale
from budgetnet.ship.eight_bits.steps import Weights
from budgetnet.ship.onnx.eight_bits import OnnxEightBits, Rounding
from budgetnet.ship.onnx.metadata import content_of
from budgetnet.ship.openvino.graph import name_alike
from budgetnet.ship.openvino.quiet import quiet_openvino
from budgetnet.ship.openvino.read import compiled, logits_by_openvino
from budgetnet.ship.plain_pixels import PlainPixels

OPENVINO = Rounding(("Add", "Conv", "Gemm"), reads_only=True)


class OpenvinoEightBits:
    """A network whose weights have a scale for each channel, and what its layers and sums read 256 steps."""

    def __init__(self, module: PlainPixels, preprocessing: Preprocessing) -> None:
        graph = OnnxEightBits(module, preprocessing, OPENVINO)
        self._graph, self._name = graph, module.model.network.name
        self.steps, self.weights, self.maps, self.scales = graph.steps, graph.weights, graph.maps, graph.scales

    def file(self, weights: Weights, scales: Mapping[str, Scale]) -> Any:
        """OpenVINO's graph with these weights in eight bits."""
        content = content_of(self._graph.file(weights, scales))
        model = quiet_openvino().convert_model(io.BytesIO(content))
        model.set_friendly_name(self._name)
        name_alike(model)
        return model

    def logits(self, file: Any, images: Iterable[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """What OpenVINO makes of images (h, w, c): (n, classes)."""
        return logits_by_openvino(compiled(file), images)
