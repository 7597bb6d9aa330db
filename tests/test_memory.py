"""Peaks from the description alone, against the bytes of the tensors that really live."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import pytest
import torch
from support.folded import deployed
from support.live_bytes import LiveBytes
from support.quick import quick_for
from torch import Tensor, fx, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from budgetnet import adapt, build, cost, network
from budgetnet.costs.training_memory import Optimiser
from budgetnet.model.layers import ConvNorm
from budgetnet.networks import RELU, Activation, BlockKind, Head, Network, Padding, Squeeze, Stage, Stem

torch.set_num_threads(1)


def with_stages(base: Network, **changes: Any) -> Network:
    return dataclasses.replace(base, stages=tuple(dataclasses.replace(row, **changes) for row in base.stages))


SMALL = {
    "efficientnet_b0": network("efficientnet_b0", 10, 64),
    "efficientnet_b1": network("efficientnet_b1", 10, 64),
    "efficientnet_lite0": network("efficientnet_lite0", 1000, 96),
    "mobilenet_v1_050": network("mobilenet_v1_050", 10, 96),
    "mobilenet_v2": network("mobilenet_v2", 10, (64, 96)),
    "mobilenet_v3_small": network("mobilenet_v3_small", 1000, 128),
    "mobilenet_v3_large": network("mobilenet_v3_large", 100, 64),
    "dropped strides": adapt(network("efficientnet_b0", 10), 32, 2),
    "efficientnetv2_b0": network("efficientnetv2_b0", 10, 64),
    "efficientnet_edgetpu_s": network("efficientnet_edgetpu_s", 10, 64),
    "mobilenet_v4_conv_small": network("mobilenet_v4_conv_small", 10, 64),
    "resnet18": network("resnet18", 10, 64),
    "resnet50": network("resnet50", 10, 64),
    "ghostnet": network("ghostnet", 10, 64),
}
VARIANTS = {
    "relu and Hu's squeeze": with_stages(
        network("efficientnet_b0", 10, 64), activation=RELU, squeeze=Squeeze(0.25, "expanded", RELU)
    ),
    "squeeze in separable blocks": with_stages(network("mobilenet_v1_025", 10, 64), squeeze=Squeeze(0.25, "expanded")),
    "wide squeeze, tiny maps": with_stages(network("mobilenet_v3_small", 10, 33), squeeze=Squeeze(1.0, "expanded")),
    "separable, relu, skips": with_stages(network("mobilenet_v1_025", 10, 64), activation=RELU, residual=True),
}


def without_pool(priced: Network) -> Network:
    """Eager PyTorch makes indices beside a max pooling's output, which no deployed runtime keeps."""
    return dataclasses.replace(priced, stem=dataclasses.replace(priced.stem, pool=False))


# ResNet-18 is fullest at its pooling, which has a test of its own.
INFERRED = SMALL | VARIANTS | {"resnet18": without_pool(SMALL["resnet18"])}


def images(priced: Network, batch: int) -> Tensor:
    shape = (batch, priced.in_channels, *priced.resolution_px)
    made = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    return made.to(memory_format=torch.channels_last)


def measured_inference(graph: fx.GraphModule, inputs: Tensor) -> int:
    counter = LiveBytes()
    counter.ignore((*graph.parameters(), *graph.buffers()))
    counter.hold([inputs])
    with torch.no_grad(), counter:
        fx.Interpreter(graph, garbage_collect_values=True).run(inputs)
    return counter.peak


# Every kind of block is among the drawn networks below, too.
QUICK = (
    "efficientnet_b0",
    "efficientnet_edgetpu_s",
    "mobilenet_v1_050",
    "mobilenet_v3_small",
    "ghostnet",
    "squeeze in separable blocks",
    "wide squeeze, tiny maps",
    "separable, relu, skips",
)


@pytest.mark.parametrize("name", quick_for(INFERRED, QUICK))
def test_peak_activation_bytes_are_the_bytes_that_live(name: str) -> None:
    priced = INFERRED[name]
    graph = deployed(build(priced, seed=0))
    for batch in (1, 2, 5):
        promised = cost(priced, batch).peak_activation_bytes
        assert measured_inference(graph, images(priced, batch)) == pytest.approx(promised, rel=0.01), batch


def test_a_peak_at_the_pooling_is_what_lives_without_its_indices() -> None:
    priced = SMALL["resnet18"]
    graph = deployed(build(priced, seed=0))
    indices_bytes = 8 * 64 * 16 * 16  # 64 channels, a quarter of 64 px
    for batch in (1, 2):
        measured = measured_inference(graph, images(priced, batch))
        assert measured - batch * indices_bytes == cost(priced, batch).peak_activation_bytes


def test_the_deployed_form_computes_what_the_model_computes() -> None:
    """Else the peak above would be that of another network."""
    for name in ("efficientnet_b0", "mobilenet_v3_small"):
        model, inputs = build(SMALL[name], seed=0).eval(), images(SMALL[name], 2)
        with torch.no_grad():
            expected = model(inputs)
            assert torch.allclose(deployed(model)(inputs), expected, atol=1e-4, rtol=1e-3)
            assert expected.abs().max() > 0


def test_the_counter_sees_what_is_not_in_place() -> None:
    """The bound is not so wide that anything passes: the unfolded, out-of-place model breaks it."""
    priced = SMALL["efficientnet_b0"]
    graph = fx.symbolic_trace(build(priced, seed=0).eval())
    assert measured_inference(graph, images(priced, 2)) > 1.2 * cost(priced, 2).peak_activation_bytes


@pytest.mark.parametrize("name", ["mobilenet_v2", "mobilenet_v3_large"])
def test_eager_frames_hold_references_and_read_higher(name: str) -> None:
    """docs/cost.md tells these ratios: the same folded, in-place layers, called from Python modules."""
    priced = network(name, 10)
    model = build(priced, seed=0).eval()
    for module in model.modules():
        if isinstance(module, ConvNorm):
            module.conv = fuse_conv_bn_eval(module.conv, module.norm)
            module.norm = nn.Identity()
        if hasattr(module, "inplace"):
            module.inplace = True
    counter = LiveBytes()
    counter.ignore((*model.parameters(), *model.buffers()))
    inputs = images(priced, 1)
    counter.hold([inputs])
    with torch.no_grad(), counter:
        model(inputs)
    ratio = counter.peak / cost(priced).peak_activation_bytes
    print(f"{name}: eager {counter.peak:,} bytes, {ratio:.2f} of peak_activation_bytes")
    assert 1.05 < ratio < 1.30


OPTIMISERS: dict[Optimiser, Callable[[Iterator[nn.Parameter]], torch.optim.Optimizer]] = {
    "sgd": lambda params: torch.optim.SGD(params, 1e-3, momentum=0.9, weight_decay=1e-5),
    "adamw": lambda params: torch.optim.AdamW(params, 1e-4),
    "rmsprop": lambda params: torch.optim.RMSprop(params, 1e-4, momentum=0.9, weight_decay=1e-5),
}


def measured_training(priced: Network, batch: int, optimiser: Optimiser, ema: bool) -> int:
    """Peak of a step in which the optimiser's state is there already."""
    model = build(priced, seed=0).train()
    mean = copy.deepcopy(model).requires_grad_(False) if ema else None
    updates = OPTIMISERS[optimiser](model.parameters())
    inputs, targets = images(priced, batch), torch.zeros(batch, dtype=torch.long)

    def step() -> None:
        updates.zero_grad(set_to_none=True)
        logits = model(inputs)
        functional.cross_entropy(logits, targets).backward()
        updates.step()
        if mean is not None:
            with torch.no_grad():
                for average, now in zip(mean.parameters(), model.parameters(), strict=True):
                    average.lerp_(now, 0.01)

    step()
    updates.zero_grad(set_to_none=True)
    counter = LiveBytes()
    counter.hold(all_tensors(model, updates, inputs, targets, *([mean] if mean else [])))
    with counter:
        step()
    return counter.peak


def all_tensors(*owners: Any) -> Iterator[Tensor]:
    for owner in owners:
        if isinstance(owner, Tensor):
            yield owner
        elif isinstance(owner, nn.Module):
            yield from (*owner.parameters(), *owner.buffers())
        else:
            yield from (value for state in owner.state.values() for value in state.values() if torch.is_tensor(value))


SAME_PADDING = {
    name: network(name, 10, 65)
    for name in ("tf_efficientnet_b0", "tf_mobilenet_v3_large", "tf_mobilenet_v3_small", "tf_efficientnetv2_b0")
}
SWISHES = {
    f"swish {beta} {trainable}": with_stages(
        network("efficientnet_b0", 10, 64), activation=Activation("swish", beta, trainable)
    )
    for beta, trainable in ((1.5, False), (1.0, True))
}
WITHOUT_STOCHASTIC_DEPTH = {
    f"{name} without": dataclasses.replace(SMALL[name], drop_path=0.0)
    for name in ("efficientnet_b0", "efficientnet_lite0")
}
TRAINED = SMALL | VARIANTS | SAME_PADDING | SWISHES | WITHOUT_STOCHASTIC_DEPTH


QUICKLY_TRAINED = (
    "efficientnet_b0",
    "mobilenet_v1_050",
    "mobilenet_v3_small",
    "mobilenet_v4_conv_small",
    "squeeze in separable blocks",
    "separable, relu, skips",
)


@pytest.mark.parametrize("name", quick_for(TRAINED, QUICKLY_TRAINED))
def test_train_bytes_bound_a_real_step_and_closely(name: str) -> None:
    priced = TRAINED[name]
    cases: tuple[tuple[int, Optimiser, bool], ...] = ((2, "sgd", False), (4, "adamw", True), (7, "rmsprop", False))
    for batch, optimiser, ema in cases:
        ratio = cost(priced).train_bytes(batch, optimiser, ema) / measured_training(priced, batch, optimiser, ema)
        assert 1.0 <= ratio <= 1.10, (batch, optimiser, ema)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["efficientnet_b0", "mobilenet_v1_050", "mobilenet_v2", "mobilenet_v3_small", "efficientnet_lite0"]
)
@pytest.mark.parametrize("optimiser", OPTIMISERS)
@pytest.mark.parametrize("ema", [False, True])
def test_train_bytes_bound_every_optimiser_at_every_batch(name: str, optimiser: Optimiser, ema: bool) -> None:
    priced = SMALL[name]
    for batch in (2, 8, 16):
        ratio = cost(priced).train_bytes(batch, optimiser, ema) / measured_training(priced, batch, optimiser, ema)
        assert 1.0 <= ratio <= 1.10, batch


def test_train_bytes_grow_with_the_batch_and_the_average() -> None:
    priced = cost(SMALL["mobilenet_v2"])
    assert priced.train_bytes(8) < priced.train_bytes(16) < 2 * priced.train_bytes(8)
    running = sum(2 * conv.out_channels + 2 for conv in priced.network.convs() if conv.norm)
    assert priced.train_bytes(8, ema=True) - priced.train_bytes(8) == pytest.approx(
        4 * (priced.params + running), rel=0.02
    )


PLAIN = tuple(Activation(kind) for kind in ("swish", "relu", "relu6", "hard_swish"))
ANY = (
    *PLAIN,
    *(Activation(kind) for kind in ("gelu", "tanh", "sigmoid", "hard_sigmoid", "identity")),
    Activation("swish", 1.7),
    Activation("swish", trainable=True),
)


def any_network(random: Random, activations: tuple[Activation, ...], padding: Padding) -> Network:
    kind: BlockKind = random.choice(
        ("mbconv", "mbconv", "separable", "fused", "universal", "bottleneck", "basic", "ghost")
    )

    def squeeze() -> Squeeze | None:
        gate = Activation(random.choice(("sigmoid", "hard_sigmoid")))
        source, ratio = random.choice(("input", "expanded")), random.choice((1 / 16, 0.25, 1.0))
        return random.choice((None, Squeeze(ratio, source, random.choice(PLAIN), gate)))

    def stage() -> Stage:
        expansion = 1 if kind in ("separable", "basic") else random.choice((1, 2.5, 6))
        start = random.choice((0, 3, 5)) if kind == "universal" else 0
        return Stage(
            channels=random.choice((8, 8, 24, 40)),
            repeats=random.randint(1, 3),
            kernel=random.choice((0, 3) if start else (1, 3, 5, 7)),
            stride=random.choice((1, 1, 2)),
            expansion=expansion,
            squeeze=None if kind == "fused" and expansion == 1 else squeeze(),
            activation=random.choice(activations),
            residual=random.random() < 0.8,
            kind=kind,
            start_kernel=start,
        )

    stages = tuple(stage() for _ in range(random.randint(1, 4)))
    widths, strides = random.choice((8, 16)), random.choice((1, 2))
    stem = Stem(widths, random.choice((3, 5)), strides, random.choice(activations), pool=random.random() < 0.2)
    dropout = random.choice((0.0, 0.2))
    hidden = random.choice((None, 200))
    hidden_norm = hidden is not None and random.random() < 0.3
    head = Head(random.choice((None, 128)), hidden, random.choice(activations), dropout, hidden_norm)
    px, drop_path = (random.randint(24, 48), random.randint(24, 48)), random.choice((0.0, 0.3))
    return Network("any", stem, stages, head, px, classes=10, padding=padding, drop_path=drop_path)


@pytest.mark.parametrize("seed", [*range(12), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(12, 24))])
def test_peaks_of_any_network(seed: int) -> None:
    random = Random(seed)
    priced, batch = any_network(random, PLAIN, "symmetric"), random.choice((1, 3))
    priced = without_pool(priced)
    measured = measured_inference(deployed(build(priced, seed=0)), images(priced, batch))
    assert measured == pytest.approx(cost(priced, batch).peak_activation_bytes, rel=0.01)
    priced = any_network(random, ANY, random.choice(("symmetric", "same")))
    batch, optimiser, ema = random.choice((2, 3, 8)), random.choice(tuple(OPTIMISERS)), random.random() < 0.5
    ratio = cost(priced).train_bytes(batch, optimiser, ema) / measured_training(priced, batch, optimiser, ema)
    assert 1.0 <= ratio <= 1.10, (priced, batch, optimiser, ema)
