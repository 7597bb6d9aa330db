"""The priced network is the built network: counts against the model itself and against published exact counts."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import pytest
import torch
from support.quick import quick_for
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from budgetnet import adapt, cost, network, scale
from budgetnet.costs.network_cost import FORMULAS, lower
from budgetnet.costs.network_cost import _op as priced_op  # pyright: ignore[reportPrivateUsage]  # no public way to an unknown op
from budgetnet.model.build import Model
from budgetnet.networks import Activation, Network, Squeeze, zoo

GOLDENS = json.loads((Path(__file__).parent / "goldens" / "exact_counts.json").read_text(encoding="utf-8"))["rows"]
WIDTHS = (
    "mobilenet_v1_025",
    "mobilenet_v2_035",
    "mobilenet_v2_140",
    "mobilenet_v3_small_050",
    "mobilenet_v3_large_125",
)
B0 = network("efficientnet_b0", classes=10, resolution_px=64)
TRAINABLE = dataclasses.replace(
    B0,
    stages=tuple(dataclasses.replace(row, activation=Activation("swish", trainable=True)) for row in B0.stages),
)
HU = dataclasses.replace(
    B0,
    stages=tuple(
        dataclasses.replace(row, squeeze=Squeeze(1 / 16, source="expanded", inner=Activation("relu")))
        for row in B0.stages
    ),
)
OTHERS = {
    "scaled up": scale(network("efficientnet_b0"), 1.3),
    "scaled down": scale(network("mobilenet_v2"), -2.0, "dWr"),
    "ghosts scaled up": scale(network("ghostnet"), 0.7),
    "ghosts scaled down": scale(network("ghostnet"), -1.5),
    "without strides": adapt(network("mobilenet_v3_small"), 32, 2),
    "one channel, oblong": dataclasses.replace(B0, in_channels=1, resolution_px=(50, 97)),
    "trainable beta": TRAINABLE,
    "squeeze of Hu": HU,
    "no head": dataclasses.replace(B0, head=dataclasses.replace(B0.head, channels=None)),
}
QUICK = (
    "efficientnet_b0",
    "efficientnet_lite0",
    "efficientnetv2_b0",
    "efficientnet_edgetpu_s",
    "mobilenet_v1",
    "mobilenet_v1_025",
    "mobilenet_v2_035",
    "mobilenet_v3_small",
    "mobilenet_v4_conv_small",
    "mnasnet_b1",
    "tinynet_e",
    "resnet18",
    "resnet50",
    "ghostnet",
    *(name for name in OTHERS if name not in ("scaled down", "ghosts scaled up")),
)
NETWORKS = {**{name: network(name) for name in (*zoo.names(), *WIDTHS)}, **OTHERS}


def built(priced: Network) -> tuple[Model, torch.Tensor]:
    with torch.device("meta"):
        return Model(priced).eval(), torch.empty(1, priced.in_channels, *priced.resolution_px)


@pytest.mark.parametrize("row", GOLDENS, ids=lambda row: f"{row['network']}-{row['resolution']}")
def test_counts_are_the_published_models(row: dict[str, int]) -> None:
    counted = cost(network(str(row["network"]), resolution_px=row["resolution"]))
    assert (counted.params, counted.macs) == (row["params"], row["macs"])


@pytest.mark.parametrize("name", quick_for(NETWORKS, QUICK))
def test_the_priced_network_is_the_built_one(name: str) -> None:
    """params, multiply-adds, and the output of every convolution, linear layer and BatchNorm, by module name."""
    priced = cost(NETWORKS[name])
    model, images = built(NETWORKS[name])
    shapes: dict[str, tuple[int, ...]] = {}
    for path, module in model.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear | nn.BatchNorm2d):
            module.register_forward_hook(
                lambda _m, _i, output, path=path: shapes.update({path: tuple(output.shape[1:])})
            )
    with FlopCounterMode(display=False) as counter:
        model(images)
    assert priced.params == sum(parameter.numel() for parameter in model.parameters())
    assert priced.macs * 2 == counter.get_total_flops()
    rows = {op.name: op for op in priced.ops if op.kind in ("conv", "linear", "norm")}
    assert {path: op.out_shape for path, op in rows.items()} == {path: (*s, 1, 1)[:3] for path, s in shapes.items()}
    layers = (nn.Conv2d, nn.Linear)
    assert priced.activations == sum(math.prod(shapes[p]) for p, m in model.named_modules() if isinstance(m, layers))


@pytest.mark.parametrize("name", NETWORKS)
def test_sums_are_those_of_the_rows(name: str) -> None:
    priced, rows = cost(NETWORKS[name]), lower(NETWORKS[name])
    assert priced.params == sum(row.params for row in rows)
    assert priced.macs == sum(row.macs for row in rows)
    assert priced.activations == sum(row.activations for row in rows)
    assert len({row.name for row in rows}) == len(rows)


@pytest.mark.parametrize("name", [name for name in NETWORKS if not name.startswith(("tf_", "efficientnet_b"))])
def test_every_row_reads_what_a_row_before_it_wrote(name: str) -> None:
    written = {(NETWORKS[name].in_channels, *NETWORKS[name].resolution_px)}
    for row in lower(NETWORKS[name]):
        assert set(row.in_shapes) <= written, row.name
        assert row.output_elements == math.prod(row.out_shape)
        written.add(row.out_shape)


def test_weight_bytes_are_those_of_the_folded_model() -> None:
    """One bias a channel of every convolution that had BatchNorm; int8: a byte a weight, 4 a bias."""
    model, _ = built(B0)
    layers = [module for module in model.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    weights, biases = sum(layer.weight.numel() for layer in layers), sum(layer.weight.shape[0] for layer in layers)
    assert cost(B0).weight_bytes == 4 * (weights + biases)
    assert cost(B0, dtype="float16").weight_bytes == 2 * (weights + biases)
    assert cost(B0, dtype="int8").weight_bytes == weights + 4 * biases


def test_peak_bytes_follow_batch_and_dtype() -> None:
    one, eight = cost(B0), cost(B0, batch=8)
    assert eight.peak_activation_bytes == 8 * one.peak_activation_bytes
    assert (eight.macs, eight.params, eight.weight_bytes) == (one.macs, one.params, one.weight_bytes)
    assert eight.peak_bytes == eight.weight_bytes + eight.peak_activation_bytes
    assert cost(B0, dtype="int8").peak_activation_bytes * 4 == one.peak_activation_bytes


def test_bytes_moved_by_hand() -> None:
    """Stem of B0 at 64 px: 3 x 64 x 64 in, 32 x 32 x 32 out, 3 x 32 x 9 weights and 32 folded biases, in float32."""
    rows = {row.name: row for row in lower(B0)}
    moved = 3 * 64 * 64 + 32 * 32 * 32 + 3 * 32 * 9 + 32
    assert rows["stem.conv"].bytes_moved == 4 * moved
    assert rows["stem.norm"].bytes_moved == 0
    assert rows["stem.activation"].bytes_moved == 4 * 2 * 32 * 32 * 32
    assert rows["stages.1.1.add"].bytes_moved == 4 * 3 * 24 * 16 * 16
    assert rows["pool"].bytes_moved == 4 * (1280 * 2 * 2 + 1280)


def test_every_kind_of_op_has_a_formula_and_an_unknown_one_is_refused() -> None:
    kinds = {row.kind for priced in NETWORKS.values() for row in lower(priced)}
    assert kinds == set(FORMULAS)
    with pytest.raises(ValueError, match="no formula for an op of kind 'attention'"):
        priced_op("query", "attention", ((8, 4, 4),), (8, 4, 4))  # pyright: ignore[reportArgumentType]  # as above


def test_bad_input_is_one_clear_line() -> None:
    with pytest.raises(ValueError, match="dtype is 'float64'; choose one of float32, float16, int8"):
        cost(B0, dtype="float64")  # pyright: ignore[reportArgumentType]  # what the test is about
    with pytest.raises(ValueError, match="batch is 0"):
        cost(B0, batch=0)
    with pytest.raises(ValueError, match="optimiser is 'lion'; choose one of sgd, adamw, rmsprop"):
        cost(B0).train_bytes(1, "lion")  # pyright: ignore[reportArgumentType]  # what the test is about
