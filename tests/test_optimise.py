"""Recipes, optimisers, the learning rate and the moving average, against their formulas."""

from __future__ import annotations

import dataclasses
import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from budgetnet.learn.data import Augmentation
from budgetnet.learn.optimise import RMSpropTF, Schedule, average, optimiser_of
from budgetnet.learn.recipe import MODERN, PAPER, RECIPES, Recipe, guarded_batch, guarded_norm, recipe_of
from budgetnet.spec import Norm


def test_rmsprop_is_tensorflows_formula() -> None:
    generator = np.random.default_rng(0)
    start, gradients = generator.normal(size=5), generator.normal(size=(4, 5))
    param = nn.Parameter(torch.tensor(start))
    optimiser = RMSpropTF([param], lr=0.1, rho=0.9, momentum=0.8, eps=1e-3, weight_decay=0.01)
    value, square, moment = start.copy(), np.ones(5), np.zeros(5)
    for gradient in gradients:
        param.grad = torch.tensor(gradient)
        optimiser.step()
        decayed = gradient + 0.01 * value
        square = 0.9 * square + 0.1 * decayed**2
        moment = 0.8 * moment + 0.1 * decayed / np.sqrt(square + 1e-3)
        value = value - moment
    assert param.detach().numpy() == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=lambda recipe: recipe.name)
def test_weight_decay_spares_biases_and_batchnorm(recipe: Recipe) -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 2))
    decayed, spared = optimiser_of(model, recipe, 0.1).param_groups
    assert [param.ndim for param in decayed["params"]] == [4, 2]
    assert all(param.ndim == 1 for param in spared["params"]) and len(spared["params"]) == 4
    assert decayed["weight_decay"] == recipe.weight_decay and spared["weight_decay"] == 0.0


@given(st.integers(10, 500), st.integers(1, 9), st.floats(0.01, 1.0))
def test_the_rate_warms_up_stays_falls_to_almost_nothing(steps: int, warmup: int, final_rate: float) -> None:
    schedule = Schedule(rate=2.0, steps=steps, warmup=warmup, final_rate=final_rate)
    assert schedule.trunk(0) == pytest.approx(2.0 / warmup)
    assert schedule.trunk(steps) == pytest.approx(2.0 * final_rate)
    cooldown = steps // 2
    start = steps - cooldown
    rates = [schedule.at(step, start, cooldown) for step in range(steps)]
    assert rates[:start] == [schedule.trunk(step) for step in range(start)]
    falling = rates[start:]
    assert all(after < before for before, after in itertools.pairwise(falling))
    assert 0.0 < falling[-1] <= falling[0] / cooldown + 1e-12


def test_the_moving_average_follows_the_warmup_correction() -> None:
    mean, current = [torch.zeros(2), torch.tensor(3)], [torch.ones(2), torch.tensor(7)]
    average(mean, current, step=0, horizon_steps=100)
    assert mean[0].tolist() == pytest.approx([0.9, 0.9])  # decay (1 + 0) / (10 + 0)
    assert mean[1].item() == 7
    average(mean, [torch.zeros(2), torch.tensor(8)], step=10**6, horizon_steps=100)
    assert mean[0].tolist() == pytest.approx([0.9 * 0.99] * 2)


def test_recipes_survive_their_json_form() -> None:
    import json

    for recipe in RECIPES.values():
        assert Recipe.from_dict(json.loads(json.dumps(recipe.to_dict()))) == recipe


def test_few_epochs_ease_the_augmentation_by_their_root() -> None:
    full, half = MODERN.augmentation_for(MODERN.full_epochs), MODERN.augmentation_for(MODERN.full_epochs / 4)
    assert full == MODERN.augmentation == MODERN.augmentation_for(10 * MODERN.full_epochs)
    assert full.crop_scale is not None and half.crop_scale is not None
    assert half.crop_scale == pytest.approx([(1 + side) / 2 for side in full.crop_scale])
    assert half.crop_ratio == pytest.approx([math.sqrt(side) for side in full.crop_ratio])
    assert (half.brightness, half.flip) == (full.brightness / 2, full.flip)
    assert PAPER.augmentation_for(1.0) == PAPER.augmentation
    assert PAPER.augmentation.eased(0.5).randaugment == (2, 4.5)
    nothing = MODERN.augmentation.eased(0.0)
    assert nothing == Augmentation(crop_scale=(1.0, 1.0), crop_ratio=(1.0, 1.0), flip=0.5)
    with pytest.raises(ValueError, match="share"):
        MODERN.augmentation.eased(1.5)


def test_an_unknown_recipe_names_the_choices() -> None:
    with pytest.raises(ValueError, match="paper, modern"):
        recipe_of("secret")
    with pytest.raises(ValueError, match="adamw, rmsprop, sgd"):
        dataclasses.replace(MODERN, optimiser="adagrad")


def test_tiny_data_sets_get_smaller_batches_and_faster_statistics() -> None:
    assert guarded_batch(PAPER, 100_000) == 256
    assert guarded_batch(PAPER, 320) == 20
    assert guarded_batch(PAPER, 40) == 8
    assert guarded_batch(PAPER, 5) == 5
    assert guarded_norm(Norm(1e-3, 0.01), steps=100) == Norm(1e-3, 0.2)
    assert guarded_norm(Norm(1e-3, 0.1), steps=100_000) == Norm(1e-3, 0.1)


def test_rates_follow_the_batch() -> None:
    assert PAPER.rate_for(64) == pytest.approx(PAPER.learning_rate / 4)
    assert MODERN.rate_for(MODERN.batch // 4) == pytest.approx(MODERN.learning_rate / 2)
