"""Pretrained weights for a run: whose, and what each of its networks begins from."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from budgetnet.budgets.budget import Budget
from budgetnet.data import ImageSet, Pixels
from budgetnet.data.batches import prepare
from budgetnet.model.files import save_tensors
from budgetnet.model.inherit import are_relatives, check_relatives, distance, inherit
from budgetnet.model.weights import at_hand, load_model, load_weights
from budgetnet.networks import Network, zoo
from budgetnet.parallel.progress import Progress
from budgetnet.parallel.workers import Workers, workers_for
from budgetnet.runs.files import INITIAL
from budgetnet.training.job import JobContext, opened
from budgetnet.training.recipe import Recipe, recipe_of
from budgetnet.training.trainer import TrainingSpec, initial_model, seed_of

IMAGES = 192
"""A smaller network is fitted on this many training images; four times as many fit better and cost more of a short run
than they bring: docs/lab-log.md."""

GROWN = 5.0
"""An octave by which a parent is smaller than the budget counts like so many by which one is larger: to 25 M
multiply-adds Lite0, which is four octaves larger, is the better parent than a MobileNetV1 that is 0.9 octaves smaller:
docs/lab-log.md."""


@dataclass(frozen=True, slots=True)
class InitialWeights:
    """What a config begins from: weights that fit as they are (`exact`), or those of a relative of another size."""

    config: TrainingSpec
    context: JobContext
    source: str
    exact: bool


def parent_for(asked: str, wanted: Network | Budget, sources: Mapping[str, Network] | None = None) -> str | None:
    """The source that was asked for; for "auto" the nearest relative among `sources`, None where there is none.

    `sources` have a network each; unless given, they are those `at_hand`.

    Nearest to a network is the relative of most equal multiply-adds, to a budget the network that exceeds its limits by
    least; one that is smaller than the budget is farther (`GROWN`). "none" is None.
    """
    if asked == "none":
        return None
    if asked != "auto":
        return asked
    there = at_hand() if sources is None else sources
    rows = {source: network for source, network in there.items() if _relative(network, wanted)}
    if not rows:
        whose = f" of {wanted.name}" if isinstance(wanted, Network) else ""
        warnings.warn(
            f"no pretrained relative{whose} is installed, cached or in the folder BUDGETNET_WEIGHTS; training begins "
            "from nothing (docs/weights.md says what there is)",
            stacklevel=3,
        )
    return min(rows, key=lambda source: _far(rows[source], wanted), default=None)


def forms_for(
    source: str, bases: Sequence[str | Network], sources: Mapping[str, Network] | None = None
) -> list[str | Network]:
    """Each base, or its zoo name's TensorFlow form where only that is a relative of pretrained weights.

    Google's weights have TensorFlow's padding, and to inherit from another padding is to inherit nothing.
    With "auto" the pretrained weights are `sources`, as `parent_for` takes them.
    """
    if source == "none":
        return list(bases)
    if source == "auto":
        rows = tuple((at_hand() if sources is None else sources).values())
    else:
        rows = (load_model(source).network,)
    return [_form_for(rows, base) for base in bases]


def _form_for(rows: Sequence[Network], base: str | Network) -> str | Network:
    if not isinstance(base, str) or f"tf_{base}" not in zoo.names():
        return base
    plain, original = (any(_relative(row, zoo.network(name)) for row in rows) for name in (base, f"tf_{base}"))
    return f"tf_{base}" if original and not plain else base


def default_recipe(source: str | None) -> str:
    """The recipe's name, unless one is given: "finetune" from pretrained weights, else "modern"."""
    return "modern" if source is None else "finetune"


def asked_recipe(recipe: str | Recipe | None, source: str) -> Recipe | None:
    """The recipe that was given, or the usual one for this source, as `parent_for` takes it.

    None where that is not known yet: "auto" may find weights to begin from or not. So a run that was begun without a
    recipe is the same as one that was given the usual one.
    """
    if recipe is None and source == "auto":
        return None
    return recipe_of(default_recipe(None if source == "none" else source) if recipe is None else recipe)


def _relative(network: Network, wanted: Network | Budget) -> bool:
    return isinstance(wanted, Budget) or are_relatives(wanted, network)


def _far(network: Network, wanted: Network | Budget) -> float:
    if isinstance(wanted, Network):
        return distance(wanted, network)
    octaves = math.log2(wanted.check(network).binding.share)
    return octaves if octaves > 0 else -GROWN * octaves


def base_of(source: str) -> str | Network:
    """The source's network, by its name where it is the zoo's."""
    network = load_model(source).network
    return network.name if network.name in zoo.names() and zoo.network(network.name) == network else network


def write_all_initial_weights(initial: Sequence[InitialWeights], device: str, progress: Progress | None = None) -> None:
    """Make the initial weights of trainings, several at once: files under the run's folder `initial`.

    Raises a one-line `ValueError` for a config whose network is not a relative of its source's.
    """
    inheriting = [start for start in initial if not start.exact]
    parents = {source: load_model(source).network for source in {start.source for start in inheriting}}
    for start in inheriting:
        check_relatives(start.config.network, parents[start.source])
    (Path(initial[0].context.folder).parent / INITIAL).mkdir(exist_ok=True)
    with Workers(write_initial_weights, min(workers_for(device), len(initial)), device, progress=progress) as workers:
        workers.run(list(initial))


def check_initial_weights(run: Path, ids: Sequence[str]) -> None:
    """Raise a one-line `ValueError` where the initial weights of a training are gone: it would begin from nothing."""
    for name in ids:
        path = run / INITIAL / f"{name}.safetensors"
        if not path.exists():
            what = f"{path} is missing, the weights that a training of this run begins from"
            raise ValueError(f"{what}; put the file back, or begin again with --fresh")


def write_initial_weights(start: InitialWeights) -> bool:
    """Make the initial weights of one training. A function of its plan: the images are drawn by the seed."""
    config = start.config
    model = initial_model(config.network, config)
    if start.exact:
        load_weights(model, start.source)
    else:
        images, pixels = opened(start.context.data, start.context.split_seed, start.context.side_px)
        inherit(model, start.source, fitting_images(config, images, pixels))
    save_tensors(Path(start.context.folder).parent / INITIAL / f"{config.id}.safetensors", model.state_dict())
    return True


def fitting_images(config: TrainingSpec, images: ImageSet, pixels: Pixels) -> Tensor:
    """Some training images as the config's network takes them, drawn by its seed: (n, c, h, w)."""
    indices = images.indices("train")
    generator = np.random.default_rng(seed_of(config.seed, "inherit"))
    sample = generator.choice(indices, min(IMAGES, len(indices)), replace=False)
    return prepare([pixels[index] for index in sample], config.network.resolution_px, config.preprocessing)
