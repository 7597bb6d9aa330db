"""Twins: one network with one activation after another, trained alike, to see what the activation does to training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from budgetnet.arguments import integer, path, run_arguments, several
from budgetnet.cluster.executor import LocalExecutor
from budgetnet.cluster.pending import train_pending
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
from budgetnet.parallel.progress import Progress, silent
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
    context, executor = place_of(data, plan["side_px"], run, device), LocalExecutor(device)
    jobs = jobs_of(plan, context)
    if not all(job.answers.exists() for job in jobs):
        tell_images(images, progress)
    train_pending(
        jobs, "training", executor, context, executor.slots(), progress, train_and_look, lambda job: job.answers
    )
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
    """One network with each of the activations in turn, trained alike for equal steps, `seeds` times each.

    `network` is a zoo name, taken in the images' size, or a network; `networks.SMALL` unless given. Activations are
    named as in `output_landscape`, and swish:trainable has a beta of its own to train in every layer; gates of
    squeeze-and-excitation keep theirs. Seed s splits the images and draws weights, batches and augmentation, so that
    twins of a seed differ in the activation alone. `probes` times on the way the loss and the gradient are taken
    along the gradient (`probe.Probe`), on `probe_images` training images. `augment` says which kinds of the recipe's
    augmentation are drawn: those that change no class of the seed's training images, unless given.

    Pictures, numbers and landscape.html go into `out`, the trainings into `out`/training. The same call goes on where
    a killed one was, and draws a finished study anew. Raises one-line `ValueError`s: unknown activations, counts below
    1, a network without activations, a folder that was begun with other arguments.
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
