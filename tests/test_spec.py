"""A network is a frozen value: what it refuses, what it derives, and a file that gives it back exactly."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from budgetnet.networks import (
    RELU6,
    SWISH,
    Activation,
    Block,
    Conv,
    Head,
    Network,
    Norm,
    Rounding,
    Squeeze,
    Stage,
    Stem,
    ceil,
    round_channels,
    square,
    zoo,
)

SMALL = Network("small", Stem(8), (Stage(16, 2, stride=2, expansion=4.0),), Head(channels=32), (32, 48), classes=3)

shares = st.floats(0.0, 0.99)
printable = st.text(max_size=12).filter(str.isprintable)
activations = st.one_of(
    st.sampled_from(["relu", "relu6", "hard_swish", "gelu", "tanh", "sigmoid", "hard_sigmoid", "identity"]).map(
        Activation
    ),
    st.builds(Activation, st.just("swish"), st.floats(-2.0, 5.0), st.booleans()),
)
squeezes = st.builds(
    Squeeze,
    st.floats(0.01, 1.0),
    st.sampled_from(["input", "expanded"]),
    activations,
    activations,
    st.sampled_from([1, 4, 8]),
)
kernels = st.sampled_from([1, 3, 5, 7])
common = {
    "channels": st.integers(1, 200),
    "repeats": st.integers(1, 4),
    "kernel": kernels,
    "stride": st.sampled_from([1, 2]),
    "squeeze": st.none() | squeezes,
    "activation": activations,
    "residual": st.booleans(),
}
stages = st.one_of(
    st.builds(Stage, kind=st.just("mbconv"), expansion=st.floats(1.0, 8.0), **common),
    st.builds(Stage, kind=st.just("separable"), expansion=st.just(1.0), **common),
    st.builds(Stage, kind=st.just("bottleneck"), expansion=st.floats(1.0, 8.0), **common),
    st.builds(Stage, kind=st.just("basic"), expansion=st.just(1.0), **common),
    st.builds(Stage, kind=st.just("fused"), expansion=st.floats(1.5, 8.0), **common),
    st.builds(
        Stage,
        kind=st.just("universal"),
        expansion=st.floats(1.0, 8.0),
        start_kernel=st.sampled_from((0, 3, 5)),
        **common,
    ),
)
networks = st.builds(
    Network,
    name=printable.filter(bool),
    stem=st.builds(Stem, st.integers(1, 64), kernels, st.sampled_from([1, 2]), activations, st.booleans()),
    stages=st.lists(stages, min_size=1, max_size=4).map(tuple),
    head=st.builds(Head, st.none() | st.integers(1, 300), st.none() | st.integers(1, 300), activations, dropout=shares),
    resolution_px=st.tuples(st.integers(1, 300), st.integers(1, 300)),
    classes=st.integers(1, 2000),
    in_channels=st.integers(1, 4),
    padding=st.sampled_from(["symmetric", "same"]),
    norm=st.builds(Norm, st.floats(1e-6, 1e-1), st.floats(1e-3, 1.0)),
    rounding=st.builds(
        Rounding,
        st.sampled_from(["up", "nearest"]),
        st.integers(1, 16),
        st.integers(1, 32),
        st.sampled_from(["scaled", "kept", "grows"]),
        st.sampled_from(["scaled", "kept", "grows"]),
        st.booleans(),
    ),
    drop_path=shares,
    source=printable,
)


@given(networks)
def test_json_gives_any_network_back(network: Network) -> None:
    text = network.to_json()
    assert Network.from_json(text) == network
    assert Network.from_json(text).to_json() == text


@given(networks)
def test_any_network_prints_as_a_table_of_its_stages(network: Network) -> None:
    title, header, *rows = str(network).splitlines()[-len(network.stages) - 4 :]
    assert f"{network.classes} classes, {network.depth} blocks" in title
    assert header.split()[0] == "stage"
    assert len(rows) == len(network.stages) + 2
    assert sum(float(row.split()[-1]) for row in rows) == pytest.approx(100.0, abs=0.06 * len(rows))


@given(networks)
def test_blocks_chain_from_the_stem_to_the_head(network: Network) -> None:
    channels = network.stem.channels
    for stage, blocks in zip(network.stages, network.stage_blocks(), strict=True):
        assert len(blocks) == stage.repeats
        assert [block.stride for block in blocks] == [stage.stride] + [1] * (stage.repeats - 1)
        for block in blocks:
            assert block.in_channels == channels
            assert block.has_skip == (stage.residual and block.stride == 1 and channels == stage.channels)
            channels = block.out_channels
    assert channels == network.stages[-1].channels


def broken(**changes: Any) -> dict[str, Any]:
    return {**json.loads(SMALL.to_json()), **changes}


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (broken(format="other"), "not a network file"),
        ([1, 2], "not a network file"),
        (broken(colour="red"), "network has no colour; it has name, stem"),
        ({key: value for key, value in broken().items() if key != "head"}, "network needs head"),
        (broken(stem={"channels": 0}), "stem channels is 0; it must be an integer of at least 1"),
        (broken(stem=3), "network.stem must be an object, not 3"),
        (broken(stages=[]), "small has no stages; give at least one"),
        (broken(stages=[{"channels": 8, "wheels": 4}]), "network.stages[0] has no wheels; it has channels"),
        (broken(stages=7), "network.stages must be a list, not 7"),
        (broken(stages=None), "network.stages must be a list, not None"),
        (broken(resolution_px=[32]), "resolution_px is [32]; it must be an integer or (height, width)"),
        (broken(resolution_px="big"), "height in pixels is 'big'"),
        (broken(resolution_px=None), "height in pixels is None"),
        (broken(classes=2.5), "classes is 2.5; it must be an integer of at least 1"),
        (broken(drop_path="x"), "network.drop_path is 'x'; it must be a float"),
        (broken(drop_path=True), "network.drop_path is True; it must be a float"),
        (broken(stages=[{"channels": 8, "residual": "no"}]), "network.stages[0].residual is 'no'; it must be a bool"),
        (broken(norm={"eps": "x"}), "network.norm.eps is 'x'; it must be a float"),
        (broken(norm=None), "network.norm must be an object, not None"),
        (broken(head={"dropout": 1.0}), "dropout is 1.0; it must be at least 0 and below 1"),
        (broken(padding="reflect"), "padding is 'reflect'; choose one of symmetric, same"),
        (broken(name=""), "a network needs a name"),
        (broken(name=5), "network.name is 5; it must be a str"),
    ],
)
def test_a_wrong_file_is_one_clear_line(row: Any, says: str) -> None:
    with pytest.raises(ValueError) as raised:
        Network.from_json(json.dumps(row))
    assert says in str(raised.value)
    assert "\n" not in str(raised.value)


def test_no_json_is_one_clear_line() -> None:
    with pytest.raises(ValueError, match=r"^this is not JSON: "):
        Network.from_json("{")


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Stage(8, kernel=4), "kernel is 4; it must be odd"),
        (lambda: Stage(8, stride=3), "stride is 3; choose one of 1, 2"),
        (lambda: Stage(8, repeats=0), "stage repeats is 0"),
        (lambda: Stage(8, expansion=0.5), "expansion is 0.5; it must be at least 1"),
        (lambda: Stage(8, expansion=float("nan")), "expansion is nan"),
        (lambda: Stage(8, kind="separable", expansion=6.0), "a separable block has no expansion"),
        (lambda: Stage(8, kind="basic", expansion=4.0), "a basic block has no expansion"),
        (lambda: Stage(8, kind="dense"), "block kind is 'dense'; choose one of mbconv, separable, fused"),
        (lambda: Stage(8, start_kernel=3), "start_kernel is 3; only a universal block has one"),
        (lambda: Stage(8, kernel=0), "kernel is 0"),
        (lambda: Stage(8, kind="universal", start_kernel=4), "kernel is 4; it must be odd"),
        (lambda: Stage(8, kind="universal", kernel=0, stride=2), "cannot have stride 2"),
        (lambda: Stage(8, kind="fused", squeeze=Squeeze(0.25)), "it has no squeeze-and-excitation"),
        (lambda: Head(hidden_norm=True), "the head has none"),
        (lambda: Rounding(least_share=1.0), "least share of channels is 1.0"),
        (lambda: Stage(True), "stage channels is True"),
        (lambda: Activation("elu"), "activation is 'elu'; choose one of relu, relu6, swish"),
        (lambda: Activation("swish", beta=float("nan")), "beta is nan; it must be a finite number"),
        (lambda: Activation("relu", beta=2.0), "beta belongs to swish, not to relu"),
        (lambda: Squeeze(0.0), "squeeze ratio is 0.0; it must be above 0 and at most 1"),
        (lambda: Squeeze(0.25, source="output"), "squeeze source is 'output'; choose one of input, expanded"),
        (lambda: Norm(momentum=0.0), "momentum 0.0; both must be above 0"),
        (lambda: Head(channels=0), "head channels is 0"),
        (lambda: Rounding(depth="down"), "depth rounding is 'down'; choose one of up, nearest"),
        (lambda: dataclasses.replace(SMALL, resolution_px=0), "height in pixels is 0"),
        (lambda: dataclasses.replace(SMALL, in_channels=0), "input channels is 0"),
    ],
)
def test_what_is_no_network_is_refused_in_one_line(make: Any, says: str) -> None:
    with pytest.raises(ValueError) as raised:
        make()
    assert says in str(raised.value)
    assert "\n" not in str(raised.value)


def test_networks_are_values() -> None:
    network = zoo.network("efficientnet_b0")
    again = Network.from_json(network.to_json())
    assert network == again and hash(network) == hash(again)
    with pytest.raises(dataclasses.FrozenInstanceError):
        network.name = "other"  # pyright: ignore[reportAttributeAccessIssue]  # what is tested


def test_a_resolution_is_height_and_width() -> None:
    assert square(7) == (7, 7)
    assert square((7, 9)) == (7, 9)
    assert dataclasses.replace(SMALL, resolution_px=20).resolution_px == (20, 20)


def test_ceil_ignores_floating_point_dust() -> None:
    assert 2.2 * 25 > 55
    assert ceil(2.2 * 25) == 55
    assert ceil(55.001) == 56


def test_channels_round_to_the_nearest_multiple_but_never_10_percent_lower() -> None:
    # make_divisible: 32 * 0.35 = 11.2 would be 8, more than 10 % lower.
    assert [round_channels(channels) for channels in (1, 8, 11.2, 12, 20, 44, 1280 * 1.4)] == [
        8,
        8,
        16,
        16,
        24,
        48,
        1792,
    ]


@given(st.floats(0.1, 5000.0), st.sampled_from([1, 2, 4, 8, 16, 32]))
def test_rounded_channels_are_a_multiple_near_by(channels: float, multiple: int) -> None:
    rounded = round_channels(channels, multiple)
    assert rounded % multiple == 0 and rounded >= multiple
    assert rounded >= 0.9 * channels - 1e-6
    assert abs(rounded - channels) <= multiple


@given(st.floats(0.1, 5000.0), st.floats(0.1, 5000.0), st.sampled_from([1, 4, 8, 16]))
def test_rounded_channels_never_fall(one: float, other: float, multiple: int) -> None:
    low, high = sorted((one, other))
    assert round_channels(low, multiple) <= round_channels(high, multiple)


def test_a_convolution_counts_itself() -> None:
    conv = Conv(8, 16, kernel=3, stride=2, groups=8, bias=True, norm=True, activation=Activation("swish", 1.0, True))
    assert conv.out_px((33, 32)) == (17, 16)
    assert conv.weights == 16 * 1 * 9
    assert conv.params == 144 + 16 + 32 + 1
    assert conv.macs((33, 32)) == 17 * 16 * 144


def project(block: Block) -> Conv:
    ((name, conv),) = block.projection
    assert name == "project"
    return conv


def test_a_block_derives_its_parts() -> None:
    block = Block(24, 24, kernel=5, expansion=6.0, squeeze=Squeeze(0.25))
    assert (block.expanded, block.squeezed, block.has_skip) == (144, 6, True)
    assert Block(24, 24, expansion=6.0, squeeze=Squeeze(0.25, source="expanded")).squeezed == 36
    assert Block(24, 24, residual=False).has_skip is False
    assert Block(24, 32).has_skip is False
    assert Block(24, 24, stride=2).has_skip is False
    assert project(Block(24, 40, kind="separable", activation=RELU6)).activation == RELU6
    assert project(Block(24, 40, activation=SWISH)).activation.kind == "identity"
    assert [name for name, _ in Block(24, 40).inner] == ["depthwise"]
    assert [name for name, _ in block.inner] == ["expand", "depthwise"]


def test_every_kind_of_block_derives_its_parts() -> None:
    fused = Block(24, 32, stride=2, expansion=4.0, kind="fused")
    assert [(name, conv.kernel, conv.stride, conv.groups) for name, conv in fused.inner] == [("expand", 3, 2, 1)]
    assert (project(fused).kernel, project(fused).activation.kind) == (1, "identity")
    alone = Block(24, 32, stride=2, kind="fused")
    only = project(alone)
    assert alone.inner == () and (only.kernel, only.stride, only.activation) == (3, 2, SWISH)
    extra = Block(24, 32, kernel=5, stride=2, expansion=4.0, kind="universal", start_kernel=3)
    assert [(name, conv.kernel, conv.stride) for name, conv in extra.inner] == [
        ("start", 3, 1),
        ("expand", 1, 1),
        ("depthwise", 5, 2),
    ]
    assert extra.inner[0][1].activation.kind == "identity"
    first = Block(24, 32, kernel=0, stride=2, expansion=4.0, kind="universal", start_kernel=3)
    assert [(name, conv.stride) for name, conv in first.inner] == [("start", 2), ("expand", 1)]
    bottleneck = Block(64, 256, stride=2, expansion=4.0, activation=RELU6, kind="bottleneck")
    assert [(name, conv.out_channels, conv.stride) for name, conv in bottleneck.inner] == [
        ("reduce", 64, 1),
        ("conv", 64, 2),
    ]
    assert [(name, conv.kernel, conv.stride) for name, conv in bottleneck.shortcut] == [("shortcut", 1, 2)]
    assert bottleneck.after == RELU6 and Block(256, 256, expansion=4.0, kind="bottleneck").shortcut == ()
    assert Block(64, 256, expansion=4.0, kind="bottleneck", residual=False).shortcut == ()
    basic = Block(64, 128, stride=2, activation=RELU6, kind="basic")
    assert [(name, conv.out_channels, conv.kernel, conv.stride) for name, conv in basic.inner] == [("conv", 128, 3, 2)]
    assert (project(basic).kernel, project(basic).stride, project(basic).activation.kind) == (3, 1, "identity")
    assert [(name, conv.kernel, conv.stride) for name, conv in basic.shortcut] == [("shortcut", 1, 2)]
    assert basic.after == RELU6 and Block(64, 64, kind="basic").shortcut == ()
    ghost = Block(24, 40, kernel=5, stride=2, expansion=3.0, activation=RELU6, kind="ghost")
    assert [(name, conv.map_channels, conv.kernel, conv.groups) for name, conv in ghost.inner] == [
        ("expand", 36, 1, 1),
        ("expand_cheap", 72, 3, 36),
        ("depthwise", 72, 5, 72),
    ]
    assert [(name, conv.map_channels, conv.kernel) for name, conv in ghost.projection] == [
        ("project", 20, 1),
        ("project_cheap", 40, 3),
    ]
    assert [(name, conv.kernel, conv.stride) for name, conv in ghost.shortcut] == [
        ("shortcut_depthwise", 5, 2),
        ("shortcut", 1, 1),
    ]
    kept = Block(40, 40, expansion=3.0, kind="ghost")
    assert (kept.shortcut, [name for name, _ in kept.inner]) == ((), ["expand", "expand_cheap"])
    for each in (fused, alone, extra, first, bottleneck, basic, ghost):
        assert each.out_px((33, 20)) == (17, 10)


def test_a_ghost_block_has_an_even_number_of_channels() -> None:
    assert Block(3, 6, kind="ghost").expanded == 8
    for make in (lambda: Block(8, 23, kind="ghost"), lambda: Stage(23, kind="ghost")):
        with pytest.raises(ValueError, match="makes its channels by halves, and 23 is odd; give an even number"):
            make()


def test_stochastic_depth_rises_from_the_first_block_to_the_last() -> None:
    network = zoo.network("efficientnet_b0")
    assert list(network.drop_rates()) == pytest.approx([0.2 * index / 16 for index in range(16)])
