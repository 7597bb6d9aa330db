"""Writes the .tflite file of a network: the ops that the planner priced, with their weights in int8 or float32.

In int8, weights of convolutions are symmetric with a scale a channel, those of a linear layer have one scale, biases
have 32 bits: their scale is input scale * weight scale and is left out of the file, for no runtime reads it. Every op
has the lowest version that holds what it needs. Source: TensorFlow Lite's 8-bit quantisation specification.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from budgetnet.costs.planners.tflite_ops import POOL_KERNEL, POOL_STRIDE, SHIFT, SOFTMAX, Code, TfliteOp, ops_of
from budgetnet.networks import ActivationKind, Network
from budgetnet.ship.eight_bits.scale import LEAST_SCALE, MOST_WEIGHT, Scale
from budgetnet.ship.tflite.ranges import FIXED
from budgetnet.ship.tflite.steps import OpWeights

IDENTIFIER = b"TFL3"
SCHEMA_VERSION = 3
MOST_BIAS = 2**31 - 1
FLOAT_VERSION = 1
"""Every op takes float32 since its first version."""
VERSIONS: Mapping[Code, int] = {
    "CONV_2D": 3,
    "DEPTHWISE_CONV_2D": 3,
    "FULLY_CONNECTED": 4,
    "PAD": 2,
    "MAX_POOL_2D": 2,
    "MEAN": 2,
    "ADD": 2,
    "MUL": 2,
    "CONCATENATION": 2,
    "LOGISTIC": 2,
    "HARD_SWISH": 1,
    "TANH": 2,
    "SOFTMAX": 2,
}
"""The lowest version of each op that takes int8, and for convolutions a scale a channel."""
FUSED: Mapping[ActivationKind, int] = {
    "identity": schema.ActivationFunctionType.NONE,
    "relu": schema.ActivationFunctionType.RELU,
    "relu6": schema.ActivationFunctionType.RELU6,
    "hard_sigmoid": schema.ActivationFunctionType.RELU6,
}


class Written(NamedTuple):
    """A file, and where each tensor that is named after its op stands in it."""

    content: bytes
    tensors: Mapping[str, int]


def written(
    network: Network, weights: OpWeights, scales: Mapping[str, Scale] | None, softmax: float | None = None
) -> Written:
    """The int8 file of a network whose tensors have these scales; without any the float32 file. `softmax`: it ends in
    probabilities at this temperature.

    Raises a one-line `ValueError` for an activation that TensorFlow Lite has no op for.
    """
    file = _File(None if scales is None else {**scales, SOFTMAX: FIXED["SOFTMAX"]}, softmax)
    return Written(file.of(network, weights), file.index)


class _File:
    """A file while it is written: tensors, buffers, ops and the kinds of ops, by their indices."""

    def __init__(self, scales: Mapping[str, Scale] | None, softmax: float | None) -> None:
        self.scales, self.softmax = scales, softmax
        self.tensors: list[Any] = []
        self.buffers: list[Any] = [schema.BufferT()]
        self.operators: list[Any] = []
        self.codes: list[Code] = []
        self.index: dict[str, int] = {}
        self.flat: set[str] = set()

    def of(self, network: Network, weights: OpWeights) -> bytes:
        """All ops one after another, and the file around them."""
        ops = ops_of(network, self.softmax is not None)
        image = ops[0].reads[0].name
        self._activation(image, (1, *network.resolution_px, network.in_channels))
        for op in ops:
            self._op(op, weights)
        return self._packed(image, ops[-1].makes.name)

    def _op(self, op: TfliteOp, weights: OpWeights) -> None:
        inputs = [self.index[tensor.name] for tensor in op.reads]
        options: Any = None
        match op.code:
            case "CONV_2D" | "DEPTHWISE_CONV_2D":
                assert op.layer is not None
                inputs += self._weights(op, weights)
                options = schema.Conv2DOptionsT() if op.code == "CONV_2D" else schema.DepthwiseConv2DOptionsT()
                if op.code == "DEPTHWISE_CONV_2D":
                    options.depthMultiplier = 1
                options.padding = schema.Padding.SAME if op.same else schema.Padding.VALID
                options.strideH = options.strideW = op.layer.stride
                options.dilationHFactor = options.dilationWFactor = 1
            case "FULLY_CONNECTED":
                inputs += self._weights(op, weights)
                options = schema.FullyConnectedOptionsT()
            case "PAD":
                around = [[0, 0], [op.margin] * 2, [op.margin] * 2, [0, 0]]
                inputs.append(self._constant(np.array(around, np.int32), schema.TensorType.INT32))
                options = schema.PadOptionsT()
            case "MAX_POOL_2D":
                options = schema.Pool2DOptionsT()
                options.padding = schema.Padding.SAME if op.same else schema.Padding.VALID
                options.filterHeight = options.filterWidth = POOL_KERNEL
                options.strideH = options.strideW = POOL_STRIDE
            case "MEAN":
                inputs.append(self._constant(np.array([1, 2], np.int32), schema.TensorType.INT32))
                options = schema.ReducerOptionsT()
                options.keepDims = True
            case "ADD":
                options = schema.AddOptionsT()
            case "MUL":
                options = schema.MulOptionsT()
                if op.factor is not None:
                    inputs.append(self._factor(weights.factor(op), 2 if op.reads[0].name in self.flat else 4))
            case "CONCATENATION":
                options = schema.ConcatenationOptionsT()
                options.axis = 3
            case "LOGISTIC" | "HARD_SWISH" | "TANH":
                pass
            case "SOFTMAX":
                assert self.softmax is not None
                options = schema.SoftmaxOptionsT()
                options.beta = 1 / self.softmax
        if hasattr(options, "fusedActivationFunction"):
            options.fusedActivationFunction = FUSED[op.fused]
        # Behind a linear layer maps have two dimensions: an interpreter built with checks ends where an op changes it.
        flat = op.code == "FULLY_CONNECTED" or op.reads[0].name in self.flat
        if flat:
            self.flat.add(op.makes.name)
        shape = (1, op.channels) if flat else (1, *op.px, op.channels)
        self._operator(op.code, inputs, self._activation(op.makes.name, shape), options)

    def _weights(self, op: TfliteOp, weights: OpWeights) -> list[int]:
        """The tensors of an op's kernel and bias."""
        kernel, bias = (tensor.detach().double().numpy() for tensor in weights.of(op))
        if op.fused == "hard_sigmoid":
            bias = bias + SHIFT
        axis = 0
        if op.code != "FULLY_CONNECTED":
            # TensorFlow has (o, h, w, i), and for depthwise (1, h, w, o).
            depthwise = op.code == "DEPTHWISE_CONV_2D"
            axis = 3 if depthwise else 0
            kernel = kernel.transpose((1, 2, 3, 0) if depthwise else (0, 2, 3, 1))
        if self.scales is None:
            real = (values.astype(np.float32) for values in (kernel, bias))
            return [self._constant(values, schema.TensorType.FLOAT32) for values in real]
        others = None if op.code == "FULLY_CONNECTED" else tuple(side for side in range(4) if side != axis)
        largest = np.abs(kernel).max(others, keepdims=True)
        scale = (np.maximum(largest, LEAST_SCALE) / MOST_WEIGHT).astype(np.float32)
        integers = np.clip(np.round(kernel / scale), -MOST_WEIGHT, MOST_WEIGHT).astype(np.int8)
        in_scale = np.float32(self.scales[op.reads[0].name].scale)
        biases = np.round(bias / (scale.ravel().astype(np.float64) * in_scale))
        zero_points = np.zeros(scale.size, np.int64)
        return [
            self._constant(integers, schema.TensorType.INT8, scale.ravel(), zero_points, axis),
            self._constant(np.clip(biases, -MOST_BIAS, MOST_BIAS).astype(np.int32), schema.TensorType.INT32),
        ]

    def _factor(self, factor: float, dimensions: int) -> int:
        """One number as a tensor of its own: in int8 127 or -127 times its scale."""
        one = (1,) * dimensions
        if self.scales is None:
            return self._constant(np.full(one, factor, np.float32), schema.TensorType.FLOAT32)
        scale = np.array([max(abs(factor), LEAST_SCALE) / MOST_WEIGHT], np.float32)
        sign = np.full(one, MOST_WEIGHT if factor >= 0 else -MOST_WEIGHT, np.int8)
        return self._constant(sign, schema.TensorType.INT8, scale, np.zeros(1, np.int64))

    def _constant(
        self,
        values: NDArray[Any],
        kind: int,
        scale: NDArray[np.float32] | None = None,
        zero: NDArray[np.int64] | None = None,
        axis: int = 0,
    ) -> int:
        buffer: Any = schema.BufferT()
        buffer.data = np.frombuffer(np.ascontiguousarray(values).tobytes(), np.uint8)
        self.buffers.append(buffer)
        return self._tensor(values.shape, kind, scale, zero, axis, len(self.buffers) - 1)

    def _activation(self, name: str, shape: tuple[int, ...]) -> int:
        """A tensor of the arena; ops find it by its name."""
        if self.scales is None:
            self.index[name] = self._tensor(shape, schema.TensorType.FLOAT32)
        else:
            at = self.scales[name]
            scale, zero = np.array([at.scale], np.float32), np.array([at.zero_point], np.int64)
            self.index[name] = self._tensor(shape, schema.TensorType.INT8, scale, zero)
        return self.index[name]

    def _tensor(
        self,
        shape: tuple[int, ...],
        kind: int,
        scale: NDArray[np.float32] | None = None,
        zero: NDArray[np.int64] | None = None,
        axis: int = 0,
        buffer: int = 0,
    ) -> int:
        tensor: Any = schema.TensorT()
        tensor.shape, tensor.type, tensor.buffer = [int(side) for side in shape], kind, buffer
        if scale is not None:
            quantization: Any = schema.QuantizationParametersT()
            quantization.scale, quantization.zeroPoint, quantization.quantizedDimension = scale, zero, axis
            tensor.quantization = quantization
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def _operator(self, code: Code, inputs: list[int], output: int, options: Any) -> None:
        if code not in self.codes:
            self.codes.append(code)
        row: Any = schema.OperatorT()
        row.opcodeIndex, row.inputs, row.outputs = self.codes.index(code), inputs, [output]
        row.builtinOptions = options
        if options is not None:
            row.builtinOptionsType = getattr(schema.BuiltinOptions, type(options).__name__.removesuffix("T"))
        self.operators.append(row)

    def _packed(self, image: str, logits: str) -> bytes:
        graph: Any = schema.SubGraphT()
        graph.tensors, graph.operators = self.tensors, self.operators
        graph.inputs, graph.outputs = [self.index[image]], [self.index[logits]]
        model: Any = schema.ModelT()
        model.version, model.subgraphs, model.buffers = SCHEMA_VERSION, [graph], self.buffers
        model.operatorCodes = [_operator_code(code, self.scales is None) for code in self.codes]
        builder = flatbuffers.Builder(1 << 20)
        builder.Finish(model.Pack(builder), IDENTIFIER)
        return bytes(builder.Output())


def _operator_code(code: Code, floating: bool) -> Any:
    row: Any = schema.OperatorCodeT()
    row.builtinCode = getattr(schema.BuiltinOperator, code)
    row.deprecatedBuiltinCode = min(row.builtinCode, 127)
    row.version = FLOAT_VERSION if floating else VERSIONS[code]
    return row
