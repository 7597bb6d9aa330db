"""The number types that bytes are counted in, and what a network's weights are once BatchNorm is folded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from budgetnet.networks import Conv

DType = Literal["float32", "float16", "int8"]

WEIGHT_BYTES: Mapping[DType, int] = {"float32": 4, "float16": 2, "int8": 1}
"""One element of a kernel or of an activation takes this many bytes."""
BIAS_BYTES: Mapping[DType, int] = {"float32": 4, "float16": 2, "int8": 4}
"""The bytes of one element of a bias. Biases of int8 convolutions stay 32-bit integers, as in TensorFlow Lite and
ONNX."""


def weight_bytes(weights: int, biases: int, dtype: DType) -> int:
    """Bytes of so many folded weights and biases."""
    return weights * WEIGHT_BYTES[dtype] + biases * BIAS_BYTES[dtype]


def folded_biases(conv: Conv) -> int:
    """One bias a channel once BatchNorm is folded, or where there is a bias; a trainable beta counts as one."""
    return conv.out_channels * (conv.bias or conv.norm) + conv.activation.params
