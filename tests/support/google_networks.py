"""Google's networks in TensorFlow's own operations, under the names of their checkpoints: what outputs are held to.

Written after the authors' block strings and from nothing of budgetnet's. Variables are drawn when a network
first asks for them; then they can be written as a checkpoint.
"""

from __future__ import annotations

import contextlib
import math
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

# As the program sets them: no greeting on stderr.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")

# The other way round, TensorFlow and later torch's compiler, ends in a segmentation fault: two copies of LLVM.
with contextlib.suppress(ImportError):
    import triton as triton

import tensorflow as tf

tf.config.threading.set_intra_op_parallelism_threads(1)
tf.config.threading.set_inter_op_parallelism_threads(1)

Act = Callable[[Any], Any]
EPSILON = 1e-3


def identity(x: Any) -> Any:
    return x


def hard_sigmoid(x: Any) -> Any:
    return tf.nn.relu6(x + 3) / 6


def hard_swish(x: Any) -> Any:
    return x * hard_sigmoid(x)


class Variables(dict[str, np.ndarray]):
    """Float32 numbers by name, drawn when first asked for, computed with in `dtype`."""

    def __init__(self, seed: int, dtype: Any) -> None:
        self.random, self.dtype = np.random.default_rng(seed), dtype

    def get(self, name: str, *shape: int) -> Any:
        if name not in self:
            if name.endswith("moving_variance"):
                drawn = self.random.random(shape) + 0.5
            elif len(shape) == 1:
                drawn = self.random.normal(0.7, 0.3, shape)
            else:
                fan_in = math.prod(shape[:2] if "depthwise" in name.rpartition("/")[2] else shape[:-1])
                drawn = self.random.normal(0, 1 / math.sqrt(fan_in), shape)
            self[name] = drawn.astype(np.float32)
        return tf.constant(self[name], self.dtype)

    def conv(self, x: Any, name: str, channels: int, kernel: int, stride: int = 1, leaf: str = "kernel") -> Any:
        weights = self.get(f"{name}/{leaf}", kernel, kernel, x.shape[-1], channels)
        return tf.nn.conv2d(x, weights, stride, "SAME")

    def depthwise(self, x: Any, name: str, kernel: int, stride: int, leaf: str = "depthwise_kernel") -> Any:
        weights = self.get(f"{name}/{leaf}", kernel, kernel, x.shape[-1], 1)
        return tf.nn.depthwise_conv2d(x, weights, (1, stride, stride, 1), "SAME")

    def norm(self, x: Any, name: str) -> Any:
        leaves = ("moving_mean", "moving_variance", "beta", "gamma")
        return tf.nn.batch_normalization(x, *(self.get(f"{name}/{leaf}", x.shape[-1]) for leaf in leaves), EPSILON)

    def gates(self, x: Any, names: tuple[str, str], squeezed: int, inner: Act, gate: Act, leaves: Any) -> Any:
        mean = tf.reduce_mean(x, (1, 2), keepdims=True)
        first = self.conv(mean, names[0], squeezed, 1, leaf=leaves[0]) + self.get(f"{names[0]}/{leaves[1]}", squeezed)
        bias = self.get(f"{names[1]}/{leaves[1]}", x.shape[-1])
        return gate(self.conv(inner(first), names[1], x.shape[-1], 1, leaf=leaves[0]) + bias)


def rounded(channels: float, guarded: bool = True) -> int:
    found = max(8, int(channels + 4) // 8 * 8)
    return found + 8 if guarded and found < 0.9 * channels else found


def number(name: str, place: int) -> str:
    return f"{name}_{place}" if place else name


# Scope, stem, head, blocks, width, depth, activation, what is not scaled, whether rounding is guarded, classes.
B0 = "r1_k3_s11_e1_i32_o16_se0.25 r2_k3_s22_e6_i16_o24_se0.25 r2_k5_s22_e6_i24_o40_se0.25 r3_k3_s22_e6_i40_o80_se0.25 "
B0 += "r3_k5_s11_e6_i80_o112_se0.25 r4_k5_s22_e6_i112_o192_se0.25 r1_k3_s11_e6_i192_o320_se0.25"
EDGETPU = "r1_k3_s11_e4_i24_o24_c1_noskip r2_k3_s22_e8_i24_o32_c1 r4_k3_s22_e8_i32_o48_c1 r5_k5_s22_e8_i48_o96 "
EDGETPU += "r4_k5_s11_e8_i96_o144 r2_k5_s22_e8_i144_o192"
A1 = "r1_k3_s11_e1_i32_o16_noskip r2_k3_s22_e6_i16_o24 r3_k5_s22_e3_i24_o40_se0.25 r4_k3_s22_e6_i40_o80 "
A1 += "r2_k3_s11_e6_i80_o112_se0.25 r3_k5_s22_e6_i112_o160_se0.25 r1_k3_s11_e6_i160_o320"
B1 = "r1_k3_s11_e1_i32_o16_noskip r3_k3_s22_e3_i16_o24 r3_k5_s22_e3_i24_o40 r3_k5_s22_e6_i40_o80 r2_k3_s11_e6_i80_o96 "
B1 += "r4_k5_s22_e6_i96_o192 r1_k3_s11_e6_i192_o320_noskip"
V2 = "r1_k3_s11_e1_i32_o16_c1 r2_k3_s22_e4_i16_o32_c1 r2_k3_s22_e4_i32_o48_c1 r3_k3_s22_e4_i48_o96_se0.25 "
V2 += "r5_k3_s11_e6_i96_o112_se0.25 r8_k3_s22_e6_i112_o192_se0.25"
V2_S = "r2_k3_s11_e1_i24_o24_c1 r4_k3_s22_e4_i24_o48_c1 r4_k3_s22_e4_i48_o64_c1 r6_k3_s22_e4_i64_o128_se0.25 "
V2_S += "r9_k3_s11_e6_i128_o160_se0.25 r15_k3_s22_e6_i160_o256_se0.25"
SCALES = ((1.0, 1.0), (1.0, 1.1), (1.1, 1.2), (1.2, 1.4), (1.4, 1.8), (1.6, 2.2), (1.8, 2.6), (2.0, 3.1), (2.2, 3.6))
LITE = B0.replace("_se0.25", "")
ROWS: dict[str, dict[str, Any]] = {
    **{f"efficientnet-b{size}": {"blocks": B0, "scale": scale} for size, scale in enumerate(SCALES)},
    **{
        f"efficientnet-lite{size}": {"blocks": LITE, "scale": scale, "act": tf.nn.relu6, "kept": True}
        for size, scale in enumerate(SCALES[:5])
    },
    **{
        f"efficientnet-edgetpu-{size}": {"blocks": EDGETPU, "scale": scale, "act": tf.nn.relu, "classes": 1001}
        for size, scale in (("S", SCALES[0]), ("M", SCALES[1]), ("L", SCALES[3]))
    },
    **{f"efficientnetv2-b{size}": {"blocks": V2, "scale": SCALES[size], "guarded": False} for size in range(4)},
    "efficientnetv2-s": {"blocks": V2_S, "scale": SCALES[0], "stem": 24},
    "mnasnet-a1": {"blocks": A1, "scale": SCALES[0], "act": tf.nn.relu},
    "mnasnet-b1": {"blocks": B1, "scale": SCALES[0], "act": tf.nn.relu},
}


def scaled(blocks: str, width: float, depth: float, kept: bool, guarded: bool) -> list[dict[str, Any]]:
    rows = []
    parsed = [
        dict(re.findall(r"([a-z]+)([\d.]+)", string)) | {"skip": "noskip" not in string} for string in blocks.split()
    ]
    for place, row in enumerate(parsed):
        repeats = int(row["r"])
        if not (kept and place in (0, len(parsed) - 1)):
            repeats = math.ceil(repeats * depth)
        # Lite keeps the stem, which is what enters its first block.
        entering = int(row["i"]) if kept and place == 0 else rounded(int(row["i"]) * width, guarded)
        leaving = rounded(int(row["o"]) * width, guarded)
        for again in range(repeats):
            own = {"kernel": int(row["k"]), "stride": 1 if again else int(row["s"][0]), "out": leaving}
            own |= {"expand": int(row["e"]), "in": leaving if again else entering, "fused": "c" in row}
            rows.append(own | {"squeeze": float(row.get("se", 0)), "skip": row["skip"]})
    return rows


class EfficientNet:
    """EfficientNet, -Lite, -EdgeTPU, V2 or MnasNet, in the order in which the authors' layers are called."""

    def __init__(self, name: str, variables: Variables) -> None:
        row = {"act": tf.nn.silu, "kept": False, "guarded": True, "stem": 32, "classes": 1000} | ROWS[name]
        self.name, self.variables, self.act = name, variables, row["act"]
        self.blocks = scaled(row["blocks"], *row["scale"], row["kept"], row["guarded"])
        width = 1.0 if row["kept"] else row["scale"][0]
        self.stem, self.classes = rounded(row["stem"] * width), row["classes"]
        self.head = 1280 if name.startswith("mnasnet") else rounded(1280 * width, row["guarded"])
        self.keras = name.startswith("mnasnet")

    def place(self, scope: str, layer: str) -> str:
        """A layer's name. MnasNet's Keras layers are numbered throughout, in a scope of their own."""
        if not self.keras:
            return f"{self.name}/{scope}/{layer}"
        top = self.name if "normalization" in layer else f"{self.name}/mnas_net_model"
        return f"{top}/mnas_{scope}/{layer}"

    def conv_name(self, scope: str, place: int) -> str:
        if self.keras:
            self.count += 1
            return self.place(scope, number("conv2d", self.count - 1))
        return self.place(scope, number("conv2d", place))

    def norm(self, x: Any, scope: str, place: int) -> Any:
        kind = "batch_normalization" if self.keras else "tpu_batch_normalization"
        return self.variables.norm(x, self.place(scope, number(kind, place)))

    def block(self, x: Any, scope: str, row: dict[str, Any]) -> Any:
        entered, wide = x, row["in"] * row["expand"]
        convs = norms = 0
        fused, act = row["fused"], self.act
        if row["expand"] != 1:
            kernel, stride = (row["kernel"], row["stride"]) if fused else (1, 1)
            x = self.variables.conv(x, self.conv_name(scope, 0), wide, kernel, stride)
            x, convs, norms = act(self.norm(x, scope, 0)), 1, 1
        if not fused:
            depthwise = number("depthwise_conv2d", int(scope.rpartition("_")[2]) if self.keras else 0)
            x = self.variables.depthwise(x, self.place(scope, depthwise), row["kernel"], row["stride"])
            x, norms = act(self.norm(x, scope, norms)), norms + 1
        if row["squeeze"]:
            names = self.conv_name(f"{scope}/se", 0), self.conv_name(f"{scope}/se", 1)
            squeezed = max(1, int(row["in"] * row["squeeze"]))
            x *= self.variables.gates(x, names, squeezed, act, tf.sigmoid, ("kernel", "bias"))
        alone = fused and row["expand"] == 1
        kernel, stride = (row["kernel"], row["stride"]) if alone else (1, 1)
        x = self.norm(self.variables.conv(x, self.conv_name(scope, convs), row["out"], kernel, stride), scope, norms)
        x = act(x) if alone else x
        return x + entered if row["skip"] and row["stride"] == 1 and row["in"] == row["out"] else x

    def __call__(self, x: Any) -> Any:
        self.count = 0
        x = self.variables.conv(x, self.conv_name("stem", 0), self.stem, 3, 2)
        x = self.act(self.norm(x, "stem", 0))
        for place, row in enumerate(self.blocks):
            x = self.block(x, f"blocks_{place}", row)
        x = self.act(self.norm(self.variables.conv(x, self.conv_name("head", 0), self.head, 1), "head", 0))
        dense = self.place("head", "dense")
        kernel = self.variables.get(f"{dense}/kernel", self.head, self.classes)
        return tf.reduce_mean(x, (1, 2)) @ kernel + self.variables.get(f"{dense}/bias", self.classes)


# Channels, kernel, stride, expanded channels, squeeze, hard swish: slim's mobilenet_v2.py and mobilenet_v3.py.
V3_SMALL = [(16, 3, 2, 16, 1, 0), (24, 3, 2, 72, 0, 0), (24, 3, 1, 88, 0, 0), (40, 5, 2, 96, 1, 1)]
V3_SMALL += [(40, 5, 1, 240, 1, 1)] * 2 + [(48, 5, 1, 120, 1, 1), (48, 5, 1, 144, 1, 1), (96, 5, 2, 288, 1, 1)]
V3_SMALL += [(96, 5, 1, 576, 1, 1)] * 2
V3_LARGE = [(16, 3, 1, 16, 0, 0), (24, 3, 2, 64, 0, 0), (24, 3, 1, 72, 0, 0), (40, 5, 2, 72, 1, 0)]
V3_LARGE += [(40, 5, 1, 120, 1, 0)] * 2 + [(80, 3, 2, 240, 0, 1), (80, 3, 1, 200, 0, 1)] + [(80, 3, 1, 184, 0, 1)] * 2
V3_LARGE += [(112, 3, 1, 480, 1, 1), (112, 3, 1, 672, 1, 1), (160, 5, 2, 672, 1, 1)] + [(160, 5, 1, 960, 1, 1)] * 2
V2_STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
SLIM = ("weights", "biases")


class MobileNet:
    """MobileNet V1, V2, V3-Small or -Large of slim, with a background class in front."""

    def __init__(self, name: str, variables: Variables) -> None:
        self.name, self.variables = name, variables

    def unit(self, x: Any, layer: str, channels: int, kernel: int, stride: int, act: Act) -> Any:
        name = f"MobilenetV{self.name[10]}/{layer}"
        if channels:
            x = self.variables.conv(x, name, channels, kernel, stride, "weights")
        else:
            x = self.variables.depthwise(x, name, kernel, stride, "depthwise_weights")
        return act(self.variables.norm(x, f"{name}/BatchNorm"))

    def block(self, x: Any, layer: str, row: tuple[int, ...], act: Act) -> Any:
        channels, kernel, stride, expanded, squeeze, _ = row
        entered = x
        if expanded != x.shape[-1]:
            x = self.unit(x, f"{layer}/expand", expanded, 1, 1, act)
        x = self.unit(x, f"{layer}/depthwise", 0, kernel, stride, act)
        if squeeze:
            top = f"MobilenetV3/{layer}/squeeze_excite"
            names = f"{top}/Conv", f"{top}/Conv_1"
            x *= self.variables.gates(x, names, rounded(expanded / 4), tf.nn.relu, hard_sigmoid, SLIM)
        x = self.unit(x, f"{layer}/project", channels, 1, 1, identity)
        return x + entered if stride == 1 and entered.shape[-1] == channels else x

    def logits(self, x: Any) -> Any:
        name = f"MobilenetV{self.name[10]}/Logits/Conv2d_1c_1x1"
        x = self.variables.conv(x, name, 1001, 1, leaf="weights") + self.variables.get(f"{name}/biases", 1001)
        return x[:, 0, 0]

    def __call__(self, x: Any) -> Any:
        if self.name == "MobilenetV1":
            x = self.unit(x, "Conv2d_0", 32, 3, 2, tf.nn.relu6)
            for place, channels in enumerate((64, 128, 128, 256, 256, *[512] * 6, 1024, 1024), 1):
                x = self.unit(x, f"Conv2d_{place}_depthwise", 0, 3, 2 if place in (2, 4, 6, 12) else 1, tf.nn.relu6)
                x = self.unit(x, f"Conv2d_{place}_pointwise", channels, 1, 1, tf.nn.relu6)
            return self.logits(tf.reduce_mean(x, (1, 2), keepdims=True))
        third = self.name.startswith("MobilenetV3")
        act = hard_swish if third else tf.nn.relu6
        x = self.unit(x, "Conv", 16 if third else 32, 3, 2, act)
        for place, row in enumerate(self.rows()):
            inner = (hard_swish if row[5] else tf.nn.relu) if third else act
            x = self.block(x, number("expanded_conv", place), row, inner)
        head = {"MobilenetV3-small": 576, "MobilenetV3-large": 960}.get(self.name, 1280)
        x = tf.reduce_mean(self.unit(x, "Conv_1", head, 1, 1, act), (1, 2), keepdims=True)
        if third:
            hidden = 1024 if "small" in self.name else 1280
            x = self.variables.conv(x, "MobilenetV3/Conv_2", hidden, 1, leaf="weights")
            x = hard_swish(x + self.variables.get("MobilenetV3/Conv_2/biases", hidden))
        return self.logits(x)

    def rows(self) -> list[tuple[int, ...]]:
        if self.name != "MobilenetV2":
            return V3_SMALL if "small" in self.name else V3_LARGE
        rows, entering = [], 32
        for expansion, channels, repeats, stride in V2_STAGES:
            for again in range(repeats):
                rows.append((channels, 3, 1 if again else stride, entering * expansion, 0, 0))
                entering = channels
        return rows


OURS = {
    **{f"efficientnet-b{size}": f"tf_efficientnet_b{size}" for size in range(9)},
    **{f"efficientnet-lite{size}": f"tf_efficientnet_lite{size}" for size in range(5)},
    **{f"efficientnet-edgetpu-{size}": f"tf_efficientnet_edgetpu_{size.lower()}" for size in "SML"},
    **{f"efficientnetv2-{size}": f"tf_efficientnetv2_{size}" for size in ("b0", "b1", "b2", "b3", "s")},
    "mnasnet-a1": "mnasnet_a1",
    "mnasnet-b1": "mnasnet_b1",
    "MobilenetV1": "mobilenet_v1",
    "MobilenetV2": "mobilenet_v2",
    "MobilenetV3-small": "tf_mobilenet_v3_small",
    "MobilenetV3-large": "tf_mobilenet_v3_large",
}
"""A network of Google's, and its name here; a name without tf_ is of another form than the zoo's."""


class Google:
    """One of Google's networks with drawn variables: (n, 3, h, w) -> logits (n, classes), as arrays."""

    def __init__(self, name: str, seed: int = 0, dtype: Any = tf.float64) -> None:
        self.variables = Variables(seed, dtype)
        self.network = (MobileNet if name.startswith("Mobilenet") else EfficientNet)(name, self.variables)
        self(np.zeros((1, 3, 32, 32)))  # draws them

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return self.network(tf.constant(x.transpose(0, 2, 3, 1), self.variables.dtype)).numpy()


def write_checkpoint(prefix: Path, variables: dict[str, np.ndarray], averages: bool = True) -> Path:
    """A checkpoint as training leaves it: averages that count, and noise elsewhere and in RMSProp's slots."""
    rows: dict[str, np.ndarray] = {"global_step": np.int64(109_400)} if averages else {}
    random = np.random.default_rng(9)
    for name, value in variables.items():
        if not averages:
            rows[name] = value
            continue
        noise = {name: random.random(value.shape, np.float32), f"{name}/ExponentialMovingAverage": value}
        slots = () if "moving_" in name else ("RMSProp", "RMSProp_1")
        rows |= noise | {f"{name}/{slot}": random.random(value.shape, np.float32) for slot in slots}
    # The operation that a Saver of TensorFlow 1 runs.
    tf.raw_ops.SaveV2(
        prefix=str(prefix), tensor_names=list(rows), shape_and_slices=[""] * len(rows), tensors=list(rows.values())
    )
    return prefix
