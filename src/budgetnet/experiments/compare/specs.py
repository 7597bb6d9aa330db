"""Entrants before their steps are known: recipe, preprocessing, and the weights that they begin from."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

from budgetnet.data import ImageSet, Pixels
from budgetnet.draw.wording import listed
from budgetnet.experiments.compare.entrants import Entrant, LeftOut
from budgetnet.experiments.compare.kinds import entrants_of
from budgetnet.experiments.compare.request import CompareRequest
from budgetnet.model.inherit import are_relatives
from budgetnet.model.weights import load_model
from budgetnet.training.augmenting import Augment, Chosen, choices_by_seed
from budgetnet.training.memory import training_batch
from budgetnet.training.plan import preprocessing_for
from budgetnet.training.pretrained import default_recipe, forms_for, parent_for
from budgetnet.training.recipe import Recipe, recipe_of
from budgetnet.training.trainer import TrainingSpec


@dataclass(frozen=True, slots=True)
class EntrantSpec:
    """An entrant whose steps are not known yet: its training for the first seed, whose weights it begins from, and
    what each seed draws of the recipe's augmentation."""

    entrant: Entrant
    training: TrainingSpec
    parent: str | None
    augmentation: tuple[tuple[Chosen, ...], ...] = ()


def specs_of(
    request: CompareRequest, images: ImageSet, device: str
) -> tuple[tuple[EntrantSpec, ...], tuple[LeftOut, ...]]:
    """The entrants with what each begins from and is trained by, and the bases that were left out, with a notice.

    All of one recipe have the same batch: the recipe's for so many images, or less where memory is short.
    """
    forms = forms_for(request.pretrained, request.networks)
    inherited = request.pretrained != "none"
    entrants, left_out = entrants_of(request, images, forms, inherited)
    for row in left_out:
        warnings.warn(f"{row.base} is left out: {row.reason}", stacklevel=2)
    parents = _parents(entrants, request.pretrained)
    preprocessings = {parent: preprocessing_for(images, parent) for parent in dict.fromkeys(parents)}
    rows: list[tuple[Entrant, str | None, Recipe]] = []
    for entrant, parent in zip(entrants, parents, strict=True):
        chosen = recipe_of(request.recipe or default_recipe(parent))
        if request.question == "ablation":  # a part cannot be taken away where the recipe has done so already
            chosen = dataclasses.replace(chosen, name=f"{chosen.name}, stochastic depth", drop_path=None)
        rows.append((entrant, parent, chosen))
    count, networks = len(images.indices("train")), [entrant.network for entrant in entrants]
    batches = {
        recipe: training_batch(recipe, count, networks, device, most_bytes=request.budget.train_bytes)
        for recipe in dict.fromkeys(recipe for _, _, recipe in rows)
    }
    specs = [
        EntrantSpec(
            entrant,
            TrainingSpec(entrant.id, entrant.network, recipe, preprocessings[parent], 0, batches[recipe]),
            parent,
        )
        for entrant, parent, recipe in rows
    ]
    return tuple(specs), left_out


def augmented(
    specs: Sequence[EntrantSpec], augment: Augment, images: Sequence[ImageSet], pixels: Pixels
) -> tuple[EntrantSpec, ...]:
    """The specs with what each seed draws, which is the same for all of one recipe."""
    recipes = {spec.training.recipe.name: spec.training.recipe for spec in specs}
    found = {name: choices_by_seed(augment, recipe, images, pixels) for name, recipe in recipes.items()}
    return tuple(dataclasses.replace(spec, augmentation=found[spec.training.recipe.name]) for spec in specs)


def _parents(entrants: Sequence[Entrant], pretrained: str) -> list[str | None]:
    """Whose weights each begins from. Raises a one-line `ValueError` for those that are not relatives of a source."""
    if pretrained not in ("none", "auto"):
        parent = load_model(pretrained).network
        strangers = [row.label for row in entrants if not are_relatives(row.network, parent)]
        if strangers:
            raise ValueError(
                f"{listed(strangers)} cannot inherit from {pretrained}, which is {parent.name}: they are not "
                "relatives; leave them out, or take the nearest relative of each with auto"
            )
    return [parent_for(pretrained, row.network) for row in entrants]
