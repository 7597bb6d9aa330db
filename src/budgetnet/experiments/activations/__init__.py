"""Twins: one network with one activation after another, trained alike, to see what the activation does to training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from budgetnet.arguments import integer, path, run_arguments, several
from budgetnet.costs.network_cost import cost
from budgetnet.data import Data, Folders, ImageSet, data_of, open_cache, open_images, tell_images
from budgetnet.experiments.activations.networks import ACTIVATIONS, base_for, base_name, twin_activations, twin_name
from budgetnet.experiments.activations.plan import COMMAND, augmentations, jobs_of, place_of, planned
from budgetnet.experiments.activations.result import (
    Twin,
    TwinDifference,
    curve_steps,
    differences_of,
    last_steps,
    twin_row,
    twins_of,
)
from budgetnet.experiments.activations.statement import statement
from budgetnet.experiments.activations.training import TRAIN_IMAGES, WatchedTraining, train_and_look
from budgetnet.experiments.bases import given_base
from budgetnet.inspect.landscape.functions import given_activation
from budgetnet.inspect.landscape.page import write_training
from budgetnet.inspect.landscape.training.page import TRAINING, TRAINING_FORMAT
from budgetnet.networks import Activation, Network
from budgetnet.parallel.progress import Progress, Update, silent
from budgetnet.parallel.workers import Workers, workers_for
from budgetnet.training.augmenting import Augment, Everything, augment_of, chosen_of, given_augment, tell_augmentation
from budgetnet.training.outcome import clear
from budgetnet.training.plan import (
    clear_run,
    config_of,
    load_plan,
    run_lock,
    same_arguments,
    same_data,
    same_values,
    save_plan,
    side_px_for,
)
from budgetnet.training.recipe import Recipe, recipe_of
from budgetnet.training.train import check_computing

__all__ = ["ACTIVATIONS", "Study", "train_twins"]


def _trained(
    run: Path, plan: Mapping[str, Any], data: Data, images: ImageSet, device: str, progress: Progress
) -> tuple[WatchedTraining, ...]:
    """Every training that is not done, as many at a time as there are workers."""
    jobs = jobs_of(plan, place_of(data, plan["side_px"], run, device))
    missing = [job for job in jobs if not job.answers.exists()]

    def tell(text: str) -> None:
        progress(Update("training", sum(job.answers.exists() for job in jobs), len(jobs), text))

    if missing:
        tell_images(images, progress)
        tell(f"{len(missing)} to do")
        count = min(workers_for(device), len(missing))
        with Workers(train_and_look, count, device, progress=progress) as workers:
            workers.run(missing, lambda job, _: tell(job.training.phase.removeprefix("training/")))
    return jobs


@dataclass(frozen=True, slots=True, eq=False)
class Study:
    """A finished study of twins: its folder, what training.json holds, and what people open."""

    folder: Path
    twins: tuple[Twin, ...]
    differences: tuple[TwinDifference, ...]
    statement: tuple[str, ...]
    row: Mapping[str, Any]
    files: tuple[Path, ...]


def train_twins(
    data: str | Path | Folders,
    network: str | Network | None = None,
    activations: Sequence[str | Activation] = ACTIVATIONS,
    seeds: int = 5,
    steps: int = 400,
    recipe: str | Recipe = "modern",
    probes: int = 20,
    probe_images: int = 128,
    out: Path | str = "landscape",
    device: str = "cpu",
    fresh: bool = False,
    progress: Progress | None = None,
    augment: Augment | Everything = "auto",
) -> Study:
    """One network with each of several activation functions, trained alike for equal steps, several times each.

    Seed s splits the images and draws weights, batches and augmentation, so that the twins of a seed differ in the
    activation alone. On the way the loss and the gradient are taken along the gradient. Pictures, numbers and
    landscape.html go into the folder, the trainings into its folder training. docs/landscape.md says how to read them.
    The same call continues where a stopped one was, and draws a finished study again.

    Source: Santurkar et al., arXiv:1805.11604, section 3.1 and figure 4.

    Args:
        data: The images, as `open_images` takes them.
        network: The network, or its name, which is then taken in the images' size; unless given, a small EfficientNet.
        activations: Names such as "relu", "swish", "swish:0.5" (a beta) or "swish:trainable" (a beta for each layer to
            train), or activations. Gates of squeeze-and-excitation keep theirs.
        seeds: How many times each twin is trained.
        steps: Steps of each training.
        recipe: "modern", "paper" or a `Recipe`.
        probes: How many times on the way the loss is looked at along the gradient.
        probe_images: On how many training images.
        out: The folder.
        device: "cpu", "cuda" or "mps".
        fresh: Whether what is in the folder is removed and made again.
        progress: Called with an `Update` as the work goes on.
        augment: Which kinds of augmentation are drawn: an `Augment`, "auto" (those that change no class) or "none".

    Returns:
        The twins, their differences, what they show in words, and the files.

    Raises:
        ValueError: An activation is unknown, a count is below 1, the network has no activation, or the folder was
            begun with other arguments.
        TypeError: An argument has another type.

    Example:
        >>> import budgetnet
        >>> pair = ["relu", "swish"]
        >>> found = budgetnet.train_twins("digits", activations=pair, seeds=1, steps=8, probes=1, out="twins")
        >>> len(found.twins)
        2
    """
    data = data_of(data)
    _, _, fresh, progress = run_arguments(None, 0, fresh, progress)
    out = path("out", out)
    network = None if network is None else given_base("network", network)
    rows = twin_activations(several("activations", activations, given_activation, (str, Activation), empty=True))
    seeds, steps = integer("seeds", seeds), integer("steps", steps)
    probes, probe_images = integer("probes", probes), integer("probe_images", probe_images)
    recipe = recipe_of(recipe)
    check_computing(device, "float32")
    run, recipe, augment = Path(out) / TRAINING, recipe_of(recipe), augment_of(augment)
    asked = {
        "network": network.to_json() if isinstance(network, Network) else network,
        "activations": [twin_name(row) for row in rows],
        "seeds": seeds,
        "steps": steps,
        "recipe_name": recipe.name,
        "probes": probes,
        "probe_images": probe_images,
        "augment": given_augment(augment),
    }
    with run_lock(run):
        plan = load_plan(run, COMMAND, fresh)
        images = tuple(open_images(data, seed, progress) for seed in range(seeds))
        if plan is None:
            plan = _begun(data, run, images, asked, network, rows, recipe, augment, fresh, progress, device)
        same_arguments(plan, asked, run)
        for fingerprint, one in zip(plan["fingerprints"], images, strict=True):
            same_data(fingerprint, one, run)
        same_values(plan, images[0], run)
        open_cache(images[0], plan["side_px"], progress=progress)
        tell_augmentation(chosen_of((plan.get("augmentation") or [()])[0]), progress)
        jobs = _trained(run, plan, data, images[0], device, progress or silent)
        return _studied(Path(out), plan, jobs, images, progress)


def _studied(
    out: Path,
    plan: Mapping[str, Any],
    jobs: Sequence[WatchedTraining],
    images: Sequence[ImageSet],
    progress: Progress | None,
) -> Study:
    """What the finished trainings say, written down."""
    twins = twins_of(plan, jobs)
    differences = differences_of(twins)
    said = statement(twins, differences)
    row = {
        "format": TRAINING_FORMAT,
        **_frame(plan, images[0]),
        "statement": list(said),
        "twins": [twin_row(twin) for twin in twins],
        "differences": [asdict(one) for one in differences],
    }
    files = write_training(out, row, progress)
    clear(Path(jobs[0].training.context.folder))
    return Study(out, twins, differences, said, row, files)


def _frame(plan: Mapping[str, Any], images: ImageSet) -> dict[str, Any]:
    """What was the same for all."""
    config = config_of(plan["twins"][0]["config"], {**plan, "seed": 0})
    train = len(images.indices("train"))
    base = base_name(config.network, plan["twins"][0]["name"])
    return {
        "data": images.name,
        "network": base,
        "macs": cost(config.network).macs,
        "resolution_px": list(config.network.resolution_px),
        "recipe": plan["recipe"]["name"],
        "seeds": plan["seeds"],
        "steps": config.steps,
        "batch": config.batch,
        "epochs": config.steps * config.batch / train,
        "images": {"train": train, "validation": len(images.indices("validation"))},
        "last_steps": last_steps(config.steps),
        "loss_images": min(TRAIN_IMAGES, train),
        "probe_images": min(plan["probe_images"], train),
        "probe_steps": plan["probe_steps"],
        "lengths": plan["lengths"],
        "curve_steps": curve_steps(config.steps),
    }


def _begun(
    data: Data,
    run: Path,
    images: Sequence[ImageSet],
    asked: Mapping[str, Any],
    network: str | Network | None,
    rows: Sequence[Activation],
    recipe: Recipe,
    augment: Augment,
    fresh: bool,
    progress: Progress | None,
    device: str,
) -> dict[str, Any]:
    """The plan of a study that starts now, on disk."""
    plan = planned(data, images, asked, base_for(images[0], network), rows, recipe, device)
    configs = [config_of(row["config"], {**plan, "seed": 0}) for row in plan["twins"]]
    side_px = side_px_for([config.network for config in configs], configs[0].preprocessing)
    pixels = open_cache(images[0], side_px, progress=progress)
    drawn = augmentations(augment, recipe, images, pixels)
    if fresh:
        clear_run(run)
    return save_plan(run, {**plan, "augmentation": drawn, "side_px": side_px})
