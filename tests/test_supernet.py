"""One module for a whole space: whatever network it runs, a model of its own with its slices answers the same."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.spaces import BASE, LOOSE, spaces

from budgetnet import build, network
from budgetnet.budgets.feasible_space import options_of
from budgetnet.budgets.search_space import Space, StageSpace, default_space
from budgetnet.model.supernet import Supernet
from budgetnet.networks import SWISH, Activation, Head, Network, Stem

HEADS = (
    Head(16),
    Head(None),
    Head(16, hidden=12),
    Head(None, hidden=12, hidden_norm=True),
    Head(16, hidden=12, activation=Activation("swish", trainable=True)),
)
bases = st.builds(
    lambda head, padding, pool, activation, px: dataclasses.replace(
        BASE,
        head=head,
        padding=padding,
        stem=Stem(8, stride=2 if pool else 1, pool=pool),
        stages=tuple(dataclasses.replace(stage, activation=activation) for stage in BASE.stages),
        resolution_px=(px, px),
    ),
    st.sampled_from(HEADS),
    st.sampled_from(("symmetric", "same")),
    st.booleans(),
    st.sampled_from((SWISH, Activation("hard_swish"), Activation("swish", trainable=True))),
    st.sampled_from((9, 16)),
)


def supernet_of(space: Space, seed: int = 0) -> Supernet:
    torch.manual_seed(seed)
    return Supernet(space.base, options_of(space, LOOSE).rows()).to(memory_format=torch.channels_last)


def answers_alike(supernet: Supernet, one: Network, images: torch.Tensor) -> None:
    """In evaluation mode and in training mode, where both read the batch's statistics."""
    alone = supernet.standalone(one)
    assert alone.network == one
    for training in (False, True):
        supernet.train(training)
        alone.train(training)
        alone.dropout.p = 0.0
        with torch.no_grad():
            torch.testing.assert_close(alone(images), supernet(images, one), rtol=1e-5, atol=1e-5)


@pytest.mark.slow
@settings(max_examples=30)
@given(bases, spaces, st.integers(0, 1000))
def test_a_standalone_model_answers_as_the_supernet(base: Network, drawn: Space, seed: int) -> None:
    space = Space(base, drawn.stages)
    options, supernet = options_of(space, LOOSE), supernet_of(space, seed)
    images = torch.randn(4, 1, *base.resolution_px)
    supernet.train()
    with torch.no_grad():
        for number in range(3):  # so that BatchNorm's statistics are no longer 0 and 1
            supernet(images, options.network(options.drawn(seed, number)))
        for norm in (part for part in supernet.modules() if isinstance(part, torch.nn.BatchNorm2d)):
            norm.weight.uniform_(0.5, 1.5)
            norm.bias.uniform_(-0.5, 0.5)
    answers_alike(supernet, options.network(options.drawn(seed)), images)


def test_a_real_space_around_a_network_of_the_zoo() -> None:
    base = dataclasses.replace(network("mobilenet_v3_small", classes=10), resolution_px=(32, 32))
    options = options_of(default_space(base), LOOSE)
    supernet = supernet_of(options.space)
    answers_alike(supernet, options.network(options.drawn(1)), torch.randn(2, 3, 32, 32))


def test_the_whole_space_has_one_set_of_weights() -> None:
    space = Space(BASE, (StageSpace(kinds=("mbconv",), expansions=(2.0, 4.0)),) * 2)
    options, supernet = options_of(space, LOOSE), supernet_of(space)
    large = options.network(max((options.drawn(number) for number in range(500)), key=options.macs))
    own, shared = (sum(row.numel() for row in part.parameters()) for part in (build(large), supernet))
    assert own <= shared < 1.2 * own  # the excitations that the largest has not


def test_gradients_reach_what_ran_and_nothing_else() -> None:
    space = Space(BASE, (StageSpace(widths=(0.5, 1.0), layers=(0, 1)),) * 2)
    options, supernet = options_of(space, LOOSE), supernet_of(space)
    found = options.drawn(3)
    supernet(torch.randn(4, 1, 8, 8), options.network(found)).square().sum().backward()
    for index, choice in enumerate(found.stages):
        for name, parameter in supernet.stages[index].named_parameters():
            variant, layer = name.split(".")[:2]
            used = variant.startswith(choice.kind) and int(layer) < choice.repeats
            assert (parameter.grad is not None) <= used


def test_what_is_not_in_the_space_is_said() -> None:
    space = Space(BASE, (StageSpace(kinds=("mbconv",)),) * 2)
    supernet = supernet_of(space)
    other = options_of(Space(BASE, (StageSpace(kinds=("fused",)),) * 2), LOOSE)
    with pytest.raises(ValueError, match="layer 0 of stage 0 is no fused of this supernet"):
        supernet(torch.zeros(1, 1, 8, 8), other.network(other.drawn(0)))
    with pytest.raises(ValueError, match="needs rows for each of its 2 stages"):
        Supernet(BASE, [])
