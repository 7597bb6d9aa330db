"""Layers against formulas written out by hand, whole models against timm and torchvision with equal weights."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support.drawn import filled, images
from support.quick import quick_for
from torch import nn
from torch.nn import functional

from budgetnet import build, network
from budgetnet.model.build import Model
from budgetnet.model.layers import (
    BasicBlock,
    Bottleneck,
    ConvNorm,
    DepthwiseSeparable,
    DropPath,
    FusedMBConv,
    GhostBottleneck,
    MBConv,
    SamePadConv2d,
    SqueezeExcite,
    Swish,
    UniversalBottleneck,
    activation,
    block_module,
)
from budgetnet.networks import HARD_SIGMOID, RELU, RELU6, SIGMOID, Activation, Block, Conv, Norm, Squeeze

HU = Squeeze(1 / 4, source="expanded", inner=RELU, gate=SIGMOID)
EFFICIENTNET = Squeeze(1 / 4)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    torch.set_num_threads(1)


# Layers


X = np.linspace(-6, 6, 49)
SIGMOID_OF_X = 1 / (1 + np.exp(-X))
FORMULAS = {
    "relu": np.maximum(X, 0),
    "relu6": np.clip(X, 0, 6),
    "swish": X * SIGMOID_OF_X,
    "hard_swish": X * np.clip(X + 3, 0, 6) / 6,
    "gelu": X * np.array([0.5 * (1 + math.erf(x / math.sqrt(2))) for x in X]),
    "tanh": np.tanh(X),
    "sigmoid": SIGMOID_OF_X,
    "hard_sigmoid": np.clip(X + 3, 0, 6) / 6,
    "identity": X,
}


@pytest.mark.parametrize("kind", FORMULAS)
def test_activations_are_their_formulas(kind):
    np.testing.assert_allclose(activation(kind)(torch.tensor(X)).numpy(), FORMULAS[kind], atol=1e-6)


def test_swish_between_its_limits():
    x = torch.tensor(X)
    assert torch.equal(Swish(0.0)(x), x / 2)
    assert torch.allclose(Swish(1000.0)(x), torch.relu(x), atol=1e-3)
    assert torch.allclose(Swish()(x), functional.silu(x))
    for beta in (0.5, 1.0, 2.5):
        expected = X / (1 + np.exp(-beta * X))
        np.testing.assert_allclose(Swish(beta)(x).numpy(), expected, atol=1e-12)
        np.testing.assert_allclose(Swish(beta, trainable=True).double()(x).detach().numpy(), expected, atol=1e-6)


def test_swish_beta_is_trained_where_asked():
    assert list(Swish(0.5).parameters()) == []
    layer = Swish(0.5, trainable=True).double()
    x = torch.tensor(X)
    layer(x).sum().backward()
    gate = 1 / (1 + np.exp(-0.5 * X))
    assert layer.beta.grad is not None
    assert float(layer.beta.grad) == pytest.approx(float((X**2 * gate * (1 - gate)).sum()))
    two = build(
        dataclasses.replace(
            network("mobilenet_v1"),
            stem=dataclasses.replace(network("mobilenet_v1").stem, activation=Activation("swish", 1.0, True)),
        )
    )
    assert sum(name.endswith("beta") for name, _ in two.named_parameters()) == 1, "beta belongs to one layer"


def by_hand_squeeze_excite(u: np.ndarray, layer: SqueezeExcite, delta, sigma) -> np.ndarray:
    """Hu et al., equations 2 to 4, one sample and channel at a time."""
    w1, b1 = layer.reduce.weight.detach().numpy()[:, :, 0, 0], layer.reduce.bias.detach().numpy()
    w2, b2 = layer.expand.weight.detach().numpy()[:, :, 0, 0], layer.expand.bias.detach().numpy()
    out = np.empty_like(u)
    for n, sample in enumerate(u):
        z = np.array([channel.sum() / channel.size for channel in sample])
        s = sigma(w2 @ delta(w1 @ z + b1) + b2)
        out[n] = s[:, None, None] * sample
    return out


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize(
    ("inner", "gate", "delta", "sigma"),
    [
        ("relu", "sigmoid", lambda x: np.maximum(x, 0), sigmoid),
        ("swish", "sigmoid", lambda x: x * sigmoid(x), sigmoid),
        ("relu", "hard_sigmoid", lambda x: np.maximum(x, 0), lambda x: np.clip(x + 3, 0, 6) / 6),
    ],
    ids=["Hu", "EfficientNet", "MobileNetV3"],
)
def test_squeeze_excite_is_its_formula(inner, gate, delta, sigma):
    layer = filled(SqueezeExcite(12, 3, inner, gate))
    assert isinstance(layer, SqueezeExcite)
    u = images(2, 12, 5, 7)
    with torch.no_grad():
        np.testing.assert_allclose(layer(u).numpy(), by_hand_squeeze_excite(u.numpy(), layer, delta, sigma), atol=1e-6)
        assert layer.gates(u).shape == (2, 12, 1, 1)


def test_squeeze_excite_refuses_no_channels_and_unknown_names():
    with pytest.raises(ValueError, match="squeezed channels is 0"):
        SqueezeExcite(8, 0)
    with pytest.raises(ValueError, match="choose one of relu"):
        SqueezeExcite(8, 2, inner="relu9")  # pyright: ignore[reportArgumentType]


def test_blocks_squeeze_from_where_they_say():
    expanded = MBConv(Block(16, 16, expansion=6, squeeze=HU)).squeeze
    narrow = MBConv(Block(16, 16, expansion=6, squeeze=EFFICIENTNET)).squeeze
    v3 = MBConv(Block(16, 16, expansion=6, squeeze=Squeeze(1 / 4, "expanded", RELU, HARD_SIGMOID, 8))).squeeze
    assert expanded and narrow and v3
    assert (expanded.reduce.out_channels, narrow.reduce.out_channels, v3.reduce.out_channels) == (24, 4, 24)
    assert isinstance(expanded.inner, nn.ReLU) and isinstance(narrow.inner, Swish)
    assert isinstance(v3.gate, nn.Hardsigmoid)


def conv_norm(x, unit, act, stride=1, groups=1):
    """act(BN(conv(x))) from the numbers alone, symmetric padding."""
    weight, norm = unit.conv.weight, unit.norm
    y = functional.conv2d(x, weight, None, stride, weight.shape[-1] // 2, 1, groups)
    shape = (1, -1, 1, 1)
    y = (y - norm.running_mean.view(shape)) / torch.sqrt(norm.running_var.view(shape) + norm.eps)
    return act(y * norm.weight.view(shape) + norm.bias.view(shape))


def linear(x):
    return x


BLOCKS = [
    Block(8, 8),
    Block(8, 8, kernel=5, expansion=6, squeeze=EFFICIENTNET),
    Block(8, 8, expansion=4, squeeze=HU, residual=False),
    Block(8, 16, expansion=6),
    Block(8, 8, stride=2, kernel=5, expansion=3, squeeze=HU),
    Block(8, 8, expansion=6, activation=RELU6),
]


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
@torch.no_grad()
def test_mbconv_is_its_formula(block):
    module, x = filled(MBConv(block, 0.5)), images(2, 8, 9, 7)
    assert isinstance(module, MBConv)
    act = functional.relu6 if block.activation == RELU6 else functional.silu
    y = conv_norm(x, module.expand, act) if "expand" in module.inner else x
    y = conv_norm(y, module.depthwise, act, block.stride, block.expanded)
    y = y if module.squeeze is None else y * module.squeeze.gates(y)
    y = conv_norm(y, module.project, linear)
    if block.residual and block.stride == 1 and block.out_channels == 8:
        y = y + x
    assert module(x).shape == (2, block.out_channels, *block.out_px((9, 7)))
    torch.testing.assert_close(module(x), y, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("stride", "residual", "out"), [(1, False, 8), (2, False, 16), (1, True, 8), (1, True, 12)])
@torch.no_grad()
def test_depthwise_separable_is_its_formula(stride, residual, out):
    block = Block(8, out, stride=stride, residual=residual, activation=RELU, kind="separable")
    module, x = filled(DepthwiseSeparable(block)), images(2, 8, 9, 7)
    y = conv_norm(x, module.depthwise, torch.relu, stride, 8)
    y = conv_norm(y, module.project, torch.relu)
    torch.testing.assert_close(module(x), y + x if residual and out == 8 else y, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("stride", "expansion"), [(1, 4.0), (2, 4.0), (1, 1.0), (2, 1.0)])
@torch.no_grad()
def test_fused_mbconv_is_its_formula(stride, expansion):
    squeeze = HU if expansion > 1 else None
    module = filled(FusedMBConv(Block(8, 8, stride=stride, expansion=expansion, squeeze=squeeze, kind="fused")))
    x = images(2, 8, 9, 7)
    if expansion == 1.0:
        y = conv_norm(x, module.project, functional.silu, stride)
    else:
        y = conv_norm(x, module.expand, functional.silu, stride)
        y = conv_norm(y * module.squeeze.gates(y), module.project, linear)
    torch.testing.assert_close(module(x), y + x if stride == 1 else y, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("start", [0, 3, 5])
@pytest.mark.parametrize("kernel", [0, 3])
@pytest.mark.parametrize("stride", [1, 2])
@torch.no_grad()
def test_universal_bottleneck_is_its_formula(start, kernel, stride):
    if stride == 2 and not (start or kernel):
        pytest.skip("nothing could stride")
    block = Block(
        8, 8, kernel=kernel, stride=stride, expansion=3, activation=RELU, kind="universal", start_kernel=start
    )
    module, x = filled(UniversalBottleneck(block)), images(2, 8, 9, 7)
    y = conv_norm(x, module.start, linear, 1 if kernel else stride, 8) if start else x
    y = conv_norm(y, module.expand, torch.relu)
    y = conv_norm(y, module.depthwise, torch.relu, stride, 24) if kernel else y
    y = conv_norm(y, module.project, linear)
    torch.testing.assert_close(module(x), y + x if stride == 1 else y, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("stride", "out"), [(1, 16), (1, 32), (2, 16)])
@torch.no_grad()
def test_bottleneck_is_its_formula(stride, out):
    block = Block(16, out, stride=stride, expansion=2, activation=RELU, kind="bottleneck")
    module, x = filled(Bottleneck(block)), images(2, 16, 9, 7)
    y = conv_norm(x, module.reduce, torch.relu)
    y = conv_norm(y, module.conv, torch.relu, stride)
    y = conv_norm(y, module.project, linear)
    skip = x if (stride, out) == (1, 16) else conv_norm(x, module.shortcut, linear, stride)
    torch.testing.assert_close(module(x), torch.relu(y + skip), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("stride", "out"), [(1, 16), (1, 32), (2, 16)])
@torch.no_grad()
def test_basic_block_is_its_formula(stride, out):
    module, x = filled(BasicBlock(Block(16, out, stride=stride, activation=RELU, kind="basic"))), images(2, 16, 9, 7)
    y = conv_norm(conv_norm(x, module.conv, torch.relu, stride), module.project, linear)
    skip = x if (stride, out) == (1, 16) else conv_norm(x, module.shortcut, linear, stride)
    torch.testing.assert_close(module(x), torch.relu(y + skip), atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_a_convolution_that_concatenates_has_its_input_before_its_output():
    row = Conv(8, 8, 3, groups=8, activation=RELU, concatenates=True)
    module, x = filled(ConvNorm(row, Norm())), images(2, 8, 9, 7)
    y = module(x)
    assert y.shape == (2, row.map_channels, 9, 7) == (2, 16, 9, 7)
    torch.testing.assert_close(y[:, :8], x)
    torch.testing.assert_close(y[:, 8:], conv_norm(x, module, torch.relu, 1, 8))


def ghost_module(x, primary, cheap, act):
    """[p, act(BN(depthwise 3x3 of p))] with p = act(BN(1x1 of x))."""
    p = conv_norm(x, primary, act)
    return torch.cat([p, conv_norm(p, cheap, act, 1, p.shape[1])], dim=1)


@pytest.mark.parametrize("squeeze", [None, HU])
@pytest.mark.parametrize(("stride", "out"), [(1, 16), (1, 32), (2, 16)])
@torch.no_grad()
def test_ghost_bottleneck_is_its_formula(stride, out, squeeze):
    block = Block(16, out, kernel=5, stride=stride, expansion=3, squeeze=squeeze, activation=RELU, kind="ghost")
    module, x = filled(GhostBottleneck(block)), images(2, 16, 9, 7)
    y = ghost_module(x, module.expand, module.expand_cheap, torch.relu)
    assert y.shape[1] == block.expanded == 48
    y = conv_norm(y, module.depthwise, linear, stride, 48) if stride == 2 else y
    y = y if squeeze is None else y * module.squeeze.gates(y)
    y = ghost_module(y, module.project, module.project_cheap, linear)
    skip = x
    if (stride, out) != (1, 16):
        skip = conv_norm(conv_norm(x, module.shortcut_depthwise, linear, stride, 16), module.shortcut, linear)
    assert module(x).shape == (2, out, *block.out_px((9, 7)))
    torch.testing.assert_close(module(x), y + skip, atol=1e-5, rtol=1e-5)


def test_blocks_of_another_kind_are_refused():
    with pytest.raises(ValueError, match="kind mbconv, not separable"):
        MBConv(Block(8, 8, kind="separable"))
    with pytest.raises(ValueError, match="kind separable, not mbconv"):
        DepthwiseSeparable(Block(8, 8))
    assert isinstance(block_module(Block(8, 8, kind="separable")), DepthwiseSeparable)


@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from((1, 3, 5, 7)), st.sampled_from((1, 2)))
@torch.no_grad()
def test_same_padding_is_tensorflows(height, width, kernel, stride):
    layer = SamePadConv2d(2, 3, kernel, stride)
    x = images(1, 2, height, width)
    out = [math.ceil(side / stride) for side in (height, width)]
    total = [max((o - 1) * stride + kernel - side, 0) for o, side in zip(out, (height, width), strict=True)]
    padded = np.zeros((1, 2, height + total[0], width + total[1]), np.float32)
    top, left = total[0] // 2, total[1] // 2  # the odd one is at the end
    padded[:, :, top : top + height, left : left + width] = x
    expected = functional.conv2d(torch.tensor(padded), layer.weight, layer.bias, stride)
    assert list(expected.shape[-2:]) == out
    torch.testing.assert_close(layer(x), expected)


def test_drop_path_drops_whole_samples_and_keeps_the_mean():
    torch.manual_seed(0)
    layer, x = DropPath(0.3), torch.ones(4000, 2, 3, 3)
    y = layer.train()(x)
    each = y.flatten(1)
    assert torch.equal(each.min(1).values, each.max(1).values), "a sample is dropped as a whole"
    kept = each[:, 0]
    assert torch.allclose(kept[kept > 0], torch.tensor(1 / 0.7))
    assert float((kept == 0).float().mean()) == pytest.approx(0.3, abs=4 * math.sqrt(0.21 / 4000))
    assert layer.eval()(x) is x
    with pytest.raises(ValueError, match="drop path rate is 1"):
        DropPath(1.0)


def test_stochastic_depth_grows_along_the_blocks():
    row = dataclasses.replace(network("efficientnet_b0"), drop_path=0.2)
    model = build(row)
    blocks = [block for stage in model.stages for block in stage.children()]
    rates = [block.drop_path.rate if block.drop_path else None for block in blocks]
    assert len(rates) == 16 and rates[0] is None
    for index, (rate, block) in enumerate(zip(rates, blocks, strict=True)):
        assert (rate is not None) == (index in {2, 4, 6, 7, 9, 10, 12, 13, 14})
        assert rate is None or rate == pytest.approx(0.2 * index / 16), block


# Whole models


TIMM = {
    "mobilenet_v1": "mobilenetv1_100",
    "mobilenet_v2": "mobilenetv2_100",
    "mobilenet_v3_small": "mobilenetv3_small_100",
    "mobilenet_v3_large": "mobilenetv3_large_100",
    "tf_mobilenet_v3_small": "tf_mobilenetv3_small_100",
    "tf_mobilenet_v3_large": "tf_mobilenetv3_large_100",
    "mobilenet_v2_140": "mobilenetv2_140",
    "mobilenet_v3_small_50": "mobilenetv3_small_050",
    **{f"{tf}efficientnet_b{n}": f"{tf}efficientnet_b{n}" for tf in ("", "tf_") for n in range(9)},
    **{f"{tf}efficientnet_edgetpu_{n}": f"{tf}efficientnet_e{n}" for tf in ("", "tf_") for n in "sml"},
    **{f"tf_efficientnetv2_{n}": f"tf_efficientnetv2_{n}" for n in ("s", "m", "l", "b0", "b1", "b2", "b3")},
    **{f"mobilenet_v4_conv_{n}": f"mobilenetv4_conv_{n}" for n in ("small", "medium", "large")},
    **{f"tinynet_{n}": f"tinynet_{n}" for n in "abcde"},
    "efficientnetv2_s": "efficientnetv2_s",
    "mnasnet_a1": "semnasnet_100",
    "mnasnet_b1": "mnasnet_100",
    **{f"resnet{n}": f"resnet{n}" for n in (18, 34, 50, 101, 152)},
    "ghostnet": "ghostnet_100",
    **{f"{tf}efficientnet_lite{n}": f"{tf}efficientnet_lite{n}" for tf in ("", "tf_") for n in range(5)},
}
# The other families' are quick in test_sources, which reads timm's numbers from a file.
QUICK = (
    "mobilenet_v2",
    "mobilenet_v3_small",
    "tf_efficientnetv2_b0",
    "efficientnet_lite0",
    "mnasnet_a1",
    "resnet18",
    "resnet50",
)


def copied(ours: Model, theirs: nn.Module) -> None:
    """Give our model the other's numbers: both list theirs in the order of computation."""
    own, other = ours.state_dict(), theirs.state_dict()
    own = {name: tensor for name, tensor in own.items() if not name.endswith("num_batches_tracked")}
    other = {name: tensor for name, tensor in other.items() if not name.endswith("num_batches_tracked")}
    assert len(own) == len(other)
    for (name, tensor), source in zip(own.items(), other.values(), strict=True):
        assert tensor.numel() == source.numel(), name
        tensor.copy_(source.reshape(tensor.shape))


def assert_equal_outputs(ours: Model, theirs: nn.Module, sizes) -> None:
    copied(ours, filled(theirs))
    ours.eval().double(), theirs.double()  # in float32 the depth alone makes 1e-4
    with torch.no_grad():
        for height, width in sizes:
            x = images(2, 3, height, width).double()
            expected = theirs(x)
            error = (ours(x) - expected).abs().max() / expected.abs().max()
            assert error < 1e-10, (height, width)
            assert expected.std() > 0


@pytest.mark.parametrize("name", quick_for(TIMM, QUICK))
def test_outputs_equal_timms_at_any_size(name):
    timm = pytest.importorskip("timm")
    assert_equal_outputs(build(network(name)), timm.create_model(TIMM[name]), ((64, 64), (65, 97), (33, 40)))


@pytest.mark.parametrize(
    ("name", "theirs", "norm"),
    [
        pytest.param("mobilenet_v2", "mobilenet_v2", Norm(), marks=pytest.mark.slow),
        ("mobilenet_v3_small", "mobilenet_v3_small", Norm(1e-3, 0.01)),
        pytest.param("mobilenet_v3_large", "mobilenet_v3_large", Norm(1e-3, 0.01), marks=pytest.mark.slow),
        pytest.param("efficientnet_b0", "efficientnet_b0", Norm(), marks=pytest.mark.slow),
    ],
)
def test_outputs_equal_torchvisions(name, theirs, norm):
    from torchvision import models

    row = dataclasses.replace(network(name), norm=norm)
    assert_equal_outputs(build(row), models.get_model(theirs, weights=None), ((64, 64), (65, 97)))


def test_same_padding_is_not_symmetric_padding():
    ours, tf = build(network("mobilenet_v3_small"), 1).eval(), build(network("tf_mobilenet_v3_small"), 1).eval()
    filled(ours), filled(tf)
    with torch.no_grad():
        assert not torch.allclose(ours(images(1, 3, 64, 64)), tf(images(1, 3, 64, 64)), rtol=1e-3)


@pytest.fixture(scope="module")
def small() -> Model:
    row = network("efficientnet_b0", classes=7, resolution_px=64)
    model = filled(build(dataclasses.replace(row, head=dataclasses.replace(row.head, dropout=0.5))))
    assert isinstance(model, Model)
    return model


@torch.no_grad()
def test_maps_are_those_of_the_forward(small):
    x = images(2, 3, 64, 48)
    logits, found = small.maps(x, small.map_names())
    assert torch.equal(logits, small(x))
    assert list(found) == list(small.map_names())
    assert found["stem"].shape == (2, 32, 32, 24)
    assert found["stages.6"].shape == (2, 320, 2, 2) and found["head"].shape == (2, 1280, 2, 2)
    assert torch.equal(found["stages.2.1"], found["stages.2"])
    torch.testing.assert_close(found["stages.1.0"], small.stages[1][0](found["stages.0"]))
    torch.testing.assert_close(small.features(x), found["head"].mean((2, 3)))
    torch.testing.assert_close(small.classifier(small.features(x)), logits)


def test_gradients_flow_through_maps(small):
    logits, found = small.maps(images(1, 3, 64, 64), ["stages.3"])
    assert set(found) == {"stages.3"}
    (gradient,) = torch.autograd.grad(logits[0, 2], found["stages.3"])
    assert gradient.shape == found["stages.3"].shape and float(gradient.abs().sum()) > 0


def test_unknown_maps_are_named(small):
    with pytest.raises(ValueError, match=r"no map stages\.9; choose from stem, stages\.0, stages\.0\.0"):
        small.maps(images(1, 3, 64, 64), ["stages.9"])
    assert "head" not in build(network("mobilenet_v1")).map_names()


def test_models_stay_in_channels_last(small):
    x = images(2, 3, 64, 64).to(memory_format=torch.channels_last)
    assert small.stem(x).is_contiguous(memory_format=torch.channels_last)
    _, found = small.maps(x, small.map_names())
    for name, found_map in found.items():
        assert found_map.is_contiguous(memory_format=torch.channels_last), name
    for name, parameter in small.named_parameters():
        assert parameter.ndim < 4 or parameter.is_contiguous(memory_format=torch.channels_last), name


def test_norms_are_the_networks():
    model = build(dataclasses.replace(network("tf_mobilenet_v3_small"), norm=Norm(0.02, 0.3)))
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    assert len(norms) > 20 and all(norm.eps == 0.02 and norm.momentum == 0.3 for norm in norms)


def test_initialisation_is_the_authors():
    model = build(network("efficientnet_b0"), seed=0)
    convolutions = [module for module in model.modules() if isinstance(module, nn.Conv2d)]
    scaled = []
    for conv in convolutions:
        fan_out = conv.kernel_size[0] ** 2 * conv.out_channels / conv.groups
        scaled.append(conv.weight.detach().flatten() / math.sqrt(2 / fan_out))
        spread, count = float(scaled[-1].std()), conv.weight.numel()
        assert spread == pytest.approx(1.0, abs=5 / math.sqrt(2 * count)), conv
        assert conv.bias is None or not conv.bias.any()
    every = torch.cat(scaled)
    assert abs(float(every.mean())) < 5 / math.sqrt(len(every))
    assert float((every**4).mean()) == pytest.approx(3.0, abs=0.05), "normal, not uniform or cut off"
    bound = 1 / math.sqrt(1000)
    weight = model.classifier.weight.detach()
    assert 0.999 * bound < float(weight.abs().max()) <= bound
    assert float(weight.std()) == pytest.approx(bound / math.sqrt(3), rel=0.01)
    assert not model.classifier.bias.any()
    for norm in (module for module in model.modules() if isinstance(module, nn.BatchNorm2d)):
        assert bool((norm.weight == 1).all()) and not norm.bias.any()


def test_a_seed_names_the_weights_and_leaves_the_global_state_alone():
    row = network("mobilenet_v3_small")
    torch.manual_seed(5)
    first = torch.rand(1)
    torch.manual_seed(5)
    one, two, other = build(row, seed=1), build(row, seed=1), build(row, seed=2)
    assert torch.equal(torch.rand(1), first)
    states = [
        torch.cat([tensor.flatten().double() for tensor in model.state_dict().values()]) for model in (one, two, other)
    ]
    assert torch.equal(states[0], states[1]) and not torch.equal(states[0], states[2])
    torch.manual_seed(1)
    assert torch.equal(build(row).stem.conv.weight, one.stem.conv.weight), "without one the global state counts"


def test_dropout_works_in_training_only(small):
    x = images(2, 3, 64, 64)
    assert torch.equal(small(x), small(x))
    dropout = small.dropout.train()
    assert dropout.p == 0.5 and float((dropout(torch.ones(1000)) == 0).float().mean()) == pytest.approx(0.5, abs=0.1)
    small.eval()


def test_gradients_reach_every_parameter():
    for name in ("mobilenet_v1", "mobilenet_v3_small", "efficientnet_b0"):
        model = build(network(name, classes=5, resolution_px=64), seed=0).train()
        model(images(4, 3, 64, 64)).square().sum().backward()
        for key, parameter in model.named_parameters():
            assert parameter.grad is not None and bool(torch.isfinite(parameter.grad).all()), key
