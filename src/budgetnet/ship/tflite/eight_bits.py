"""A network as TensorFlow Lite has it in eight bits: its ops, their scales, the file and its judge."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from budgetnet.costs.planners.tflite_ops import TfliteOp, ops_of
from budgetnet.networks import Network
from budgetnet.ship.eight_bits.quantiles import Seen
from budgetnet.ship.eight_bits.scale import Scale
from budgetnet.ship.eight_bits.steps import Step, Weights
from budgetnet.ship.tflite.interpreters import logits_by_litert
from budgetnet.ship.tflite.ranges import Ranges
from budgetnet.ship.tflite.steps import ModelWeights, OpWeights, steps_of, weights_of


@dataclass(frozen=True, slots=True, eq=False)
class Changed:
    """The numbers of ops, of which layers have these kernels and biases, by their names."""

    weights: OpWeights
    changed: Weights

    def of(self, op: TfliteOp) -> tuple[Tensor, Tensor]:
        """Kernel and bias of a convolution (o, i, k, k) or linear layer (o, i)."""
        return self.changed[op.name]

    def factor(self, op: TfliteOp) -> float:
        """What a MUL by a constant multiplies by: 127 or -127 times its scale, so that nothing is lost."""
        return self.weights.factor(op)


class TfliteEightBits:
    """A network whose kernels have a scale a channel, those of linear layers one, and maps from -128 to 127."""

    def __init__(self, network: Network, weights: ModelWeights) -> None:
        ops = ops_of(network)
        self._network, self._numbers, self._ranges = network, weights, Ranges(ops)
        self.steps: Sequence[Step] = steps_of(ops, weights)
        self.weights: Weights = weights_of(ops, weights)
        self.maps: Collection[str] = self._ranges.maps

    def scales(self, seen: Mapping[str, Sequence[Seen]], quantile: float) -> Mapping[str, Scale]:
        """The scale of every tensor, by its name."""
        return self._ranges.scales(seen, quantile)

    def file(self, weights: Weights, scales: Mapping[str, Scale], softmax: float | None = None) -> bytes:
        """The model, without labels and notes; `softmax`: it ends in probabilities at this temperature."""
        from budgetnet.ship.tflite.writer import written  # for which the packages of the extra are needed

        return written(self._network, Changed(self._numbers, weights), scales, softmax).content

    def logits(self, file: bytes, images: Iterable[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """What LiteRT makes of images (h, w, c), by its quick kernels: (n, classes)."""
        return logits_by_litert(file, images)
