"""Entrants before their steps are known: recipe, preprocessing, and the weights that they begin from."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

from budgetnet.budgets.budget import Budget
from budgetnet.data import ImageSet, Pixels, Preprocessing
from budgetnet.draw.wording import listed
from budgetnet.experiments.compare.entrants import Entrant, LeftOut
from budgetnet.experiments.compare.questions import Question, entrants_of
from budgetnet.experiments.compare.scalings import START_SHARE
from budgetnet.model.inherit import are_relatives
from budgetnet.model.weights import load_model
from budgetnet.networks import Network
from budgetnet.networks.scaling import PAPER, Coefficients, Strategy
from budgetnet.parallel.progress import Progress
from budgetnet.training.augmenting import Augment, Chosen, choices_by_seed
from budgetnet.training.job import JobContext
from budgetnet.training.memory import training_batch
from budgetnet.training.plan import preprocessing_for
from budgetnet.training.pretrained import InitialWeights, default_recipe, forms_for, parent_for, write_initial_weights
from budgetnet.training.recipe import Recipe, recipe_of
from budgetnet.training.trainer import TrainingConfig


@dataclass(frozen=True, slots=True)
class Draft:
    """An entrant before its steps are known: its config for the first seed, whose weights it begins from, and what
    each seed draws of the recipe's augmentation."""

    entrant: Entrant
    config: TrainingConfig
    parent: str | None
    augmentation: tuple[tuple[Chosen, ...], ...] = ()


def drafted(entrant: Entrant, parent: str | None, recipe: Recipe, preprocessing: Preprocessing, batch: int) -> Draft:
    """The entrant with its recipe, preprocessing and batch."""
    return Draft(entrant, TrainingConfig(entrant.id, entrant.network, recipe, preprocessing, 0, batch, 1, 1), parent)


def drafts_of(
    images: ImageSet,
    budget: Budget,
    question: Question,
    bases: Sequence[str | Network],
    strategy: Strategy,
    pretrained: str,
    recipe: str | Recipe | None,
    start_share: float = START_SHARE,
    coefficients: Coefficients = PAPER,
    device: str = "cpu",
) -> tuple[tuple[Draft, ...], tuple[LeftOut, ...]]:
    """The entrants with what each begins from and is trained by, and the bases that were left out, with a notice.

    All of one recipe have the same batch: the recipe's for so many images, or less where memory is short.
    """
    forms = forms_for(pretrained, bases)
    entrants, left_out = entrants_of(
        question, images, budget, forms, strategy, pretrained != "none", start_share, coefficients
    )
    for row in left_out:
        warnings.warn(f"{row.base} is left out: {row.reason}", stacklevel=2)
    parents = _parents(entrants, pretrained)
    preprocessings = {parent: preprocessing_for(images, parent) for parent in dict.fromkeys(parents)}
    rows: list[tuple[Entrant, str | None, Recipe]] = []
    for entrant, parent in zip(entrants, parents, strict=True):
        chosen = recipe_of(recipe or default_recipe(parent))
        if question == "ablation":  # a part cannot be taken away where the recipe has done so already
            chosen = dataclasses.replace(chosen, name=f"{chosen.name}, stochastic depth", drop_path=None)
        rows.append((entrant, parent, chosen))
    count, networks = len(images.indices("train")), [entrant.network for entrant in entrants]
    batches = {
        recipe: training_batch(recipe, count, networks, device, most_bytes=budget.train_bytes)
        for recipe in dict.fromkeys(recipe for _, _, recipe in rows)
    }
    drafts = [drafted(row, parent, recipe, preprocessings[parent], batches[recipe]) for row, parent, recipe in rows]
    return tuple(drafts), left_out


def augmented(
    drafts: Sequence[Draft], augment: Augment, images: Sequence[ImageSet], pixels: Pixels
) -> tuple[Draft, ...]:
    """The drafts with what each seed draws, which is the same for all of one recipe."""
    recipes = {draft.config.recipe.name: draft.config.recipe for draft in drafts}
    found = {name: choices_by_seed(augment, recipe, images, pixels) for name, recipe in recipes.items()}
    return tuple(dataclasses.replace(draft, augmentation=found[draft.config.recipe.name]) for draft in drafts)


def _parents(entrants: Sequence[Entrant], pretrained: str) -> list[str | None]:
    """Whose weights each begins from. Raises a one-line `ValueError` for those that are no relatives of a source."""
    if pretrained not in ("none", "auto"):
        parent = load_model(pretrained).network
        strangers = [row.label for row in entrants if not are_relatives(row.network, parent)]
        if strangers:
            raise ValueError(
                f"{listed(strangers)} cannot inherit from {pretrained}, which is {parent.name}: no relatives; "
                "leave them out, or take the nearest relative of each with auto"
            )
    return [parent_for(pretrained, row.network) for row in entrants]


def begin(drafts: Sequence[Draft], seeds: int, context: JobContext, progress: Progress | None) -> None:
    """The initial weights of every training that inherits."""
    initial = [
        InitialWeights(
            dataclasses.replace(row.config, id=training_id(row.entrant.id, seed), seed=seed),
            dataclasses.replace(context, split_seed=seed),
            row.parent,
            exact=False,
        )
        for seed in range(seeds)
        for row in drafts
        if row.parent is not None
    ]
    if initial:
        write_initial_weights(initial, context.device, progress)


def training_id(entrant: str, seed: int) -> str:
    """The name of a training's files."""
    return f"{entrant}-seed{seed}"
