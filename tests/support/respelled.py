"""Files of ours in the words of other writers: the same network, by other ops."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

Ops = schema.BuiltinOperator


class File:
    """A file, unpacked; mutable."""

    def __init__(self, content: bytes) -> None:
        self.model: Any = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
        self.graph: Any = self.model.subgraphs[0]

    def content(self) -> bytes:
        builder = flatbuffers.Builder(1 << 20)
        builder.Finish(self.model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    def code(self, builtin: int) -> int:
        """The place of a kind of op."""
        row: Any = schema.OperatorCodeT()
        row.builtinCode, row.deprecatedBuiltinCode, row.version = builtin, min(builtin, 127), 1
        self.model.operatorCodes.append(row)
        return len(self.model.operatorCodes) - 1

    def kind(self, op: Any) -> int:
        return self.model.operatorCodes[op.opcodeIndex].builtinCode

    def tensor(self, shape: Any, values: NDArray[Any] | None = None, kind: int = schema.TensorType.FLOAT32) -> int:
        """The place of a new tensor, a constant where it has values."""
        row: Any = schema.TensorT()
        row.shape, row.type, row.buffer = [int(side) for side in shape], kind, 0
        if values is not None:
            buffer: Any = schema.BufferT()
            buffer.data = np.frombuffer(np.ascontiguousarray(values).tobytes(), np.uint8)
            self.model.buffers.append(buffer)
            row.buffer = len(self.model.buffers) - 1
        self.graph.tensors.append(row)
        return len(self.graph.tensors) - 1

    def op(self, builtin: int, reads: list[int], makes: int, options: Any = None) -> Any:
        row: Any = schema.OperatorT()
        row.opcodeIndex, row.inputs, row.outputs, row.builtinOptions = self.code(builtin), reads, [makes], options
        if options is not None:
            row.builtinOptionsType = getattr(schema.BuiltinOptions, type(options).__name__.removesuffix("T"))
        return row

    def numbers(self, tensor: int) -> NDArray[np.float32]:
        row = self.graph.tensors[tensor]
        return np.frombuffer(bytes(self.model.buffers[row.buffer].data), np.float32).reshape(
            [int(s) for s in row.shape]
        )


def _averages(file: File) -> None:
    """The mean over a map as an average pooling, the classifier as a convolution, and a softmax behind them."""
    for op in file.graph.operators:
        if file.kind(op) == Ops.MEAN:
            shape = file.graph.tensors[op.inputs[0]].shape
            options: Any = schema.Pool2DOptionsT()
            options.padding, options.strideH, options.strideW = schema.Padding.VALID, 1, 1
            options.filterHeight, options.filterWidth = int(shape[1]), int(shape[2])
            op.opcodeIndex, op.inputs = file.code(Ops.AVERAGE_POOL_2D), [op.inputs[0]]
            op.builtinOptions, op.builtinOptionsType = options, schema.BuiltinOptions.Pool2DOptions
    last = file.graph.operators[-1]
    classes = int(file.graph.tensors[last.outputs[0]].shape[-1])
    kernel = file.graph.tensors[last.inputs[1]]
    kernel.shape = [classes, 1, 1, int(kernel.shape[1])]
    convolution: Any = schema.Conv2DOptionsT()
    convolution.strideH = convolution.strideW = 1
    last.opcodeIndex = file.code(Ops.CONV_2D)
    last.builtinOptions, last.builtinOptionsType = convolution, schema.BuiltinOptions.Conv2DOptions
    flat, probabilities = file.tensor([1, classes]), file.tensor([1, classes])
    softmax: Any = schema.SoftmaxOptionsT()
    softmax.beta = 1.0
    file.graph.operators += [
        file.op(Ops.RESHAPE, [int(last.outputs[0])], flat),
        file.op(Ops.SOFTMAX, [flat], probabilities, softmax),
    ]
    file.graph.outputs = [probabilities]


def _alone(file: File) -> None:
    """Every ReLU as an op of its own, and every bias of a convolution added by another."""
    rows: list[Any] = []
    for op in file.graph.operators:
        rows.append(op)
        if file.kind(op) not in (Ops.CONV_2D, Ops.DEPTHWISE_CONV_2D):
            continue
        made, fused = int(op.outputs[0]), op.builtinOptions.fusedActivationFunction
        shape = file.graph.tensors[made].shape
        bare, added = file.tensor(shape), made
        op.outputs, op.builtinOptions.fusedActivationFunction = [bare], 0
        bias, op.inputs = int(op.inputs[2]), [int(op.inputs[0]), int(op.inputs[1]), -1]
        if fused:
            added = file.tensor(shape)
        rows.append(file.op(Ops.ADD, [bias, bare], added, schema.AddOptionsT()))
        if fused:
            rows.append(file.op(Ops.RELU6 if fused == 3 else Ops.RELU, [added], made))
    file.graph.operators = rows


def _rescaled(file: File) -> None:
    """The normalisation of pixels as Keras has it: a product, and a difference."""
    first = file.graph.operators[0]
    kernel, bias = file.numbers(first.inputs[1]).reshape(-1), file.numbers(first.inputs[2])
    shape = file.graph.tensors[first.outputs[0]].shape
    between = file.tensor(shape)
    file.graph.operators[:1] = [
        file.op(Ops.MUL, [int(first.inputs[0]), file.tensor([1, 1, 1, 3], kernel)], between, schema.MulOptionsT()),
        file.op(Ops.SUB, [between, file.tensor([3], -bias)], int(first.outputs[0]), schema.SubOptionsT()),
    ]


def _halves(file: File) -> None:
    """Kernels as 16-bit floats that are made 32-bit ones before they are used."""
    rows: list[Any] = []
    for op in file.graph.operators:
        if file.kind(op) in (Ops.CONV_2D, Ops.DEPTHWISE_CONV_2D, Ops.FULLY_CONNECTED):
            values = file.numbers(op.inputs[1])
            small = file.tensor(values.shape, values.astype(np.float16), schema.TensorType.FLOAT16)
            whole = file.tensor(values.shape)
            rows.append(file.op(Ops.DEQUANTIZE, [small], whole))
            op.inputs = [int(op.inputs[0]), whole, int(op.inputs[2])]
        rows.append(op)
    file.graph.operators = rows


def _turned(file: File) -> None:
    """Sums and products with their operands the other way round, and the old field of the kinds of ops."""
    for op in file.graph.operators:
        if file.kind(op) in (Ops.ADD, Ops.MUL):
            op.inputs = [int(index) for index in op.inputs][::-1]
    for row in file.model.operatorCodes:
        if row.builtinCode < 127:
            row.builtinCode = 0


SPELLINGS: Mapping[str, Callable[[File], None]] = {
    "averages, a convolution and a softmax": _averages,
    "biases and ReLUs by themselves": _alone,
    "pixels rescaled as Keras does": _rescaled,
    "kernels in 16 bits": _halves,
    "operands turned round": _turned,
}


def respelled(content: bytes, spelling: str) -> bytes:
    file = File(content)
    SPELLINGS[spelling](file)
    return file.content()
