"""Weights that follow a network to another size: the same where there is more, the nearest where there is less."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.quick import quick_for
from torch import Tensor, nn
from torch.nn import functional

from budgetnet import Network, build, inherit, network
from budgetnet.model.build import Model
from budgetnet.model.inherit import are_relatives, losses
from budgetnet.model.inherit.bridges import Moments, chosen, copies, principal, selection
from budgetnet.model.inherit.plan import plan_bridges
from budgetnet.model.inherit.statistics import moments_of
from budgetnet.model.inherit.transfer import transfer
from budgetnet.model.weights import save_weights
from budgetnet.networks import Activation, Squeeze
from budgetnet.networks.scaling import Scaling, resize

FAMILIES = (
    "efficientnet_b0",
    "tf_efficientnet_lite0",
    "efficientnetv2_b0",
    "efficientnet_edgetpu_s",
    "mobilenet_v1",
    "mobilenet_v2",
    "mobilenet_v3_large",
    "mobilenet_v4_conv_medium",
    "mnasnet_a1",
    "tinynet_e",
    "resnet18",
    "resnet50",
)
QUICK = (
    "tf_efficientnet_lite0",
    "efficientnet_edgetpu_s",
    "mobilenet_v2",
    "tinynet_e",
    "resnet18",
    "resnet50",
)
# A new block without a skip cannot begin as the identity where a linear layer comes before its ReLU.
WITHOUT_IDENTITY = ("efficientnet_edgetpu_s", "mnasnet_a1")


def images(count: int, channels: int, height: int, width: int, seed: int = 0) -> Tensor:
    """Drawn images that differ from each other at a glance, as photos do: blots, and grain over them."""
    generator = torch.Generator().manual_seed(seed)
    blots = 2 * torch.randn(count, channels, 4, 4, generator=generator)
    grain = 0.3 * torch.randn(count, channels, height, width, generator=generator)
    return functional.interpolate(blots, (height, width), mode="bilinear") + grain


def parent_of(name: str, px: int = 64) -> Model:
    """A model whose maps depend on the image all the way: BatchNorm's statistics are those of drawn images."""
    # No stochastic depth: its draws would make another parent each time.
    row = dataclasses.replace(network(name, classes=10), resolution_px=(px, px), drop_path=0.0)
    row = resize(row, Scaling(0.6, 0.5, 1.0))
    model = build(row, seed=0)
    generator = torch.Generator().manual_seed(1)
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    with torch.no_grad():
        for norm in norms:
            norm.momentum = 1.0
            norm.weight.copy_(0.6 + 0.8 * torch.rand(norm.weight.shape, generator=generator))
            norm.bias.copy_(0.3 * torch.randn(norm.bias.shape, generator=generator))
        model.train()(images(32, 3, px, px, seed=9))
        for norm in norms:
            norm.momentum = row.norm.momentum
    return model.eval()


@torch.no_grad()
def difference(child: Model, parent: Model, inputs: Tensor) -> float:
    """Largest difference of outputs, by how much the parent's differ among the images."""
    mine, theirs = child(inputs), parent(inputs)
    return float((mine - theirs).abs().max() / (theirs - theirs.mean(0)).abs().max())


@torch.no_grad()
def unexplained(child: Model, parent: Model, inputs: Tensor) -> float:
    """Share of the variance of the parent's features that the child's do not have; 1 is what their mean would get."""
    mine, theirs = child.features(inputs), parent.features(inputs)
    return float(((mine - theirs) ** 2).sum() / ((theirs - theirs.mean(0)) ** 2).sum())


def grown(row: Network, depth: float, width: float) -> Network:
    return resize(row, Scaling(depth, width, 1.0))


@pytest.mark.parametrize("name", quick_for(FAMILIES, QUICK))
def test_a_larger_network_begins_as_its_parent(name: str) -> None:
    parent = parent_of(name)
    child = build(grown(parent.network, 1.0 if name in WITHOUT_IDENTITY else 1.8, 1.4), seed=1)
    assert sum(p.numel() for p in child.parameters()) > sum(p.numel() for p in parent.parameters())
    assert difference(inherit(child, parent), parent, images(4, 3, 64, 64)) < 1e-4


@pytest.mark.slow
@settings(deadline=None, max_examples=8)
@given(
    name=st.sampled_from(
        ("efficientnet_b0", "tf_efficientnet_lite0", "mobilenet_v3_large", "tinynet_e", "resnet18", "resnet50")
    ),
    depth=st.floats(1.0, 2.5),
    width=st.floats(1.0, 1.9),
    kernels=st.booleans(),
    squeeze=st.booleans(),
    seed=st.integers(0, 99),
)
def test_random_larger_relatives_begin_as_their_parents(
    name: str, depth: float, width: float, kernels: bool, squeeze: bool, seed: int
) -> None:
    parent = parent_of(name)
    row = grown(parent.network, depth, width)
    more = lambda stage: dataclasses.replace(  # noqa: E731
        stage,
        kernel=stage.kernel + 2 if kernels and stage.kernel == 3 else stage.kernel,
        squeeze=stage.squeeze or (Squeeze(0.25) if squeeze and stage.kind == "mbconv" else None),
    )
    row = dataclasses.replace(row, stages=tuple(map(more, row.stages)))
    if any(losses(row, parent.network)):  # two widths that happen to be equal make a skip
        return
    child = inherit(build(row, seed=seed), parent)
    assert difference(child, parent, images(3, 3, 48, 80, seed=seed)) < 1e-4


def test_a_copied_channel_can_become_another() -> None:
    bridge = copies(4, 7, seed=0)
    assert torch.allclose(bridge.decode @ bridge.encode, torch.eye(4, dtype=torch.float64))
    shares = bridge.decode.T[bridge.kept == bridge.kept[4]].sum(1)
    assert len(shares) == 2 and (shares[0] - shares[1]).abs() > 0.01, "equal shares would have equal gradients for ever"


def one_stage_changed(row: Network, place: int, **changes: object) -> Network:
    stages = list(row.stages)
    stages[place] = dataclasses.replace(stages[place], **changes)  # type: ignore[arg-type]
    return dataclasses.replace(row, stages=tuple(stages))


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    (
        {"kernel": 3},
        {"squeeze": None},
        {"activation": Activation("relu6")},
        {"repeats": 1},
        {"channels": 40},
        {"expansion": 4.0},
    ),
    ids=lambda changes: next(iter(changes)),
)
def test_images_mend_what_a_change_loses(changes: dict[str, object]) -> None:
    parent = parent_of("efficientnet_b0")
    row = one_stage_changed(parent.network, 4, **changes)
    assert any(losses(row, parent.network))
    child = inherit(build(row, seed=1), parent, images(128, 3, 64, 64))
    assert unexplained(child, parent, images(64, 3, 64, 64, seed=1)) < 0.8


def test_a_smaller_network_is_nearer_with_least_squares_than_without() -> None:
    parent = parent_of("tinynet_e")
    row = grown(parent.network, 0.6, 0.75)
    given = images(128, 3, 64, 64)
    fitted = inherit(build(row, seed=1), parent, given)
    closed = build(row, seed=1).eval()
    transfer(closed, parent, plan_bridges(row, parent, moments_of(parent, given)))
    fresh = images(64, 3, 64, 64, seed=1)
    assert unexplained(fitted, parent, fresh) < unexplained(closed, parent, fresh)


def test_the_parents_bits_decide_and_not_the_models_own() -> None:
    parent = parent_of("tinynet_e")
    row = grown(parent.network, 0.6, 0.75)
    one, other = (inherit(build(row, seed=seed), parent, images(32, 3, 64, 64)) for seed in (1, 2))
    assert all(
        torch.equal(tensor, other.state_dict()[name])
        for name, tensor in one.state_dict().items()
        if not name.startswith("classifier")
    )


@pytest.mark.parametrize("channels", (1, 4, 12))
def test_other_input_channels(channels: int) -> None:
    parent = parent_of("tf_efficientnet_lite0")
    row = dataclasses.replace(parent.network, in_channels=channels)
    child = inherit(build(row, seed=1), parent)
    grey = images(2, 1, 64, 64)
    if channels != 4:  # 4 is not a multiple of 3: a channel counts twice
        with torch.no_grad():
            mine, theirs = (model(grey.expand(-1, count, -1, -1)) for model, count in ((child, channels), (parent, 3)))
            assert (mine - theirs).abs().max() < 1e-4 * theirs.abs().max()
    assert child.stem.conv.weight.shape[1] == channels


def test_another_classifier_is_left_as_it_is() -> None:
    parent = parent_of("tinynet_e")
    child = build(dataclasses.replace(parent.network, classes=3), seed=1)
    before = child.classifier.weight.clone()
    inherit(child, parent)
    assert torch.equal(child.classifier.weight, before)
    assert torch.equal(child.stem.conv.weight, parent.stem.conv.weight)


def test_another_epsilon_is_made_up_for() -> None:
    parent = parent_of("tinynet_e")
    row = dataclasses.replace(parent.network, norm=dataclasses.replace(parent.network.norm, eps=1e-1))
    assert difference(inherit(build(row, seed=1), parent), parent, images(4, 3, 64, 64)) < 1e-4


def test_a_source_is_taken_as_a_parent(tmp_path: Path) -> None:
    parent = parent_of("tinynet_e")
    save_weights(tmp_path / "parent.safetensors", parent, [str(k) for k in range(10)], {})
    child = inherit(build(grown(parent.network, 1.0, 1.3), seed=1), tmp_path / "parent.safetensors")
    assert difference(child, parent, images(4, 3, 64, 64)) < 1e-4


@pytest.mark.parametrize(
    ("child", "parent", "why"),
    (
        ("resnet50", "efficientnet_b0", "4 stages and not 7"),
        ("efficientnet_b0", "tf_efficientnet_b0", "padding is symmetric and not same"),
        ("mobilenet_v1", "resnet50", "cannot inherit"),
        ("ghostnet", "ghostnet", "inheritance does not follow the concatenated maps of ghostnet; load weights of"),
    ),
)
def test_networks_that_are_no_relatives_are_refused(child: str, parent: str, why: str) -> None:
    rows = network(child, classes=10), network(parent, classes=10)
    assert not are_relatives(*rows)
    with pytest.raises(ValueError, match=why) as error:
        inherit(build(rows[0], seed=0), build(rows[1], seed=0))
    assert "\n" not in str(error.value)


def test_less_than_the_parent_needs_images_and_leaves_the_model_alone() -> None:
    parent = parent_of("tinynet_e")
    child = build(grown(parent.network, 1.0, 0.4), seed=1)
    before = {name: tensor.clone() for name, tensor in child.state_dict().items()}
    with pytest.raises(ValueError, match=r"has less than tinynet_e \(stage \d is narrower\); give some hundred images"):
        inherit(child, parent)
    assert all(torch.equal(tensor, before[name]) for name, tensor in child.state_dict().items())


@given(seed=st.integers(0, 1000), have=st.integers(3, 12), want=st.integers(1, 11))
@settings(deadline=None)
def test_bridges_lose_no_more_than_they_must(seed: int, have: int, want: int) -> None:
    """Principal components lose what the smallest eigenvalues hold; chosen channels at least that, by least squares."""
    want = min(want, have - 1)
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randn(200, have, generator=generator, dtype=torch.float64) @ torch.randn(
        have, have, generator=generator, dtype=torch.float64
    )
    moments = Moments(rows.mean(0), torch.cov(rows.T, correction=0))
    values = torch.linalg.eigvalsh(moments.covariance)
    mixed = principal(moments, torch.eye(have, dtype=torch.float64), want)
    picked = chosen(moments, torch.ones(have, dtype=torch.float64), want)

    def lost(bridge: object) -> float:
        told = rows @ bridge.encode.T @ bridge.decode.T + bridge.offset  # type: ignore[attr-defined]
        return float(((rows - told) ** 2).sum() / len(rows))

    least = float(values[: have - want].sum())
    assert lost(mixed) == pytest.approx(least, rel=1e-3, abs=1e-6)
    assert lost(picked) >= least * (1 - 1e-6)
    worst = selection(moments, torch.arange(want))
    assert picked.kept is not None and len(set(picked.kept.tolist())) == want
    assert lost(picked) <= float(moments.covariance.trace()) and lost(worst) >= least * (1 - 1e-6)
