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
from torch.nn import functional

from budgetnet.codec import from_plain, to_plain
from budgetnet.data.augment import Augmentation
from budgetnet.networks import Norm
from budgetnet.training.optimise import RMSpropTF, Schedule, average, optimiser_of, rare_class_eps
from budgetnet.training.recipe import MODERN, PAPER, RECIPES, Recipe, guarded_batch, guarded_norm, recipe_of


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


class Classifying(nn.Module):
    """A layer of features and a classifier."""

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.stem = nn.Linear(features, features)
        self.classifier = nn.Linear(features, classes)


def test_the_classifier_alone_has_an_epsilon_of_its_own_where_one_is_given() -> None:
    model = Classifying(4, 9)
    usual = optimiser_of(model, MODERN, 0.1).param_groups
    assert [group["eps"] for group in usual] == [MODERN.eps] * 2
    groups = optimiser_of(model, MODERN, 0.1, 0.25).param_groups
    own = [param for group in groups if group["eps"] == 0.25 for param in group["params"]]
    assert {id(param) for param in own} == {id(param) for param in model.classifier.parameters()}
    assert sum(len(group["params"]) for group in groups) == len(list(model.parameters()))
    for group in groups:
        assert all((param.ndim > 1) == (group["weight_decay"] > 0.0) for param in group["params"])
    assert [group["eps"] for group in optimiser_of(model, PAPER, 0.1, 0.25).param_groups] == [PAPER.eps] * 2


def test_only_few_images_of_each_of_many_classes_change_the_epsilon() -> None:
    assert rare_class_eps(20_000, 64, 625) == pytest.approx(1 / math.sqrt(64 * 20_000))
    for classes, batch, steps in ((10, 64, 1), (1000, 64, 20), (1024, 64, 10**6), (20_000, 64, 1_250)):
        assert rare_class_eps(classes, batch, steps) is None


def test_classes_whose_images_come_late_are_not_left_behind() -> None:
    """Features that say nothing: two images of each class, once through, must leave all classes about alike."""
    classes, batch, seen = 600, 8, 2
    steps = classes * seen // batch
    worse: dict[float | None, float] = {}
    for eps in (None, rare_class_eps(classes, batch, steps)):
        draw = torch.Generator().manual_seed(0)
        model = Classifying(8, classes)
        nn.init.zeros_(model.classifier.weight)
        nn.init.zeros_(model.classifier.bias)
        optimiser = optimiser_of(model, MODERN, MODERN.learning_rate, eps)
        order = torch.arange(classes).repeat(seen)[torch.randperm(classes * seen, generator=draw)]
        for labels in order.split(batch):
            loss = functional.cross_entropy(model.classifier(torch.rand(batch, 8, generator=draw)), labels)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        answers = model.classifier(torch.rand(classes, 8, generator=draw))
        worse[eps] = float(functional.cross_entropy(answers, torch.arange(classes)).detach()) - math.log(classes)
    usual, own = worse.values()
    assert usual > 0.05 and 0.0 < own < 0.1 * usual, worse


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
        assert from_plain(Recipe, json.loads(json.dumps(to_plain(recipe))), "a recipe") == recipe


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
