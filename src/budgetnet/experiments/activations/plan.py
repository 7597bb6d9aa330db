"""What a study of twins fixes before it trains: plan.json, and the jobs that follow from it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from budgetnet.data import Data, ImageSet, Pixels
from budgetnet.experiments.activations.networks import twin_name, twin_of
from budgetnet.experiments.activations.probe import LENGTHS
from budgetnet.experiments.activations.training import WatchedTraining
from budgetnet.experiments.bases import safe_name
from budgetnet.networks import Activation, Network
from budgetnet.training.augmenting import Augment, choices_by_seed, chosen_of, fitted
from budgetnet.training.job import JobContext, whole_job
from budgetnet.training.memory import training_batch
from budgetnet.training.plan import config_of, config_row, data_row, machine_row, preprocessing_for, preprocessing_row
from budgetnet.training.recipe import Recipe
from budgetnet.training.train import with_steps
from budgetnet.training.trainer import TrainingConfig

COMMAND = "landscape training"


def planned(
    data: Data,
    images: Sequence[ImageSet],
    asked: Mapping[str, Any],
    network: Network,
    activations: Sequence[Activation],
    recipe: Recipe,
    device: str,
) -> dict[str, Any]:
    """plan.json, but for its side_px and augmentation: one recipe, one batch and one count of steps for all twins and
    seeds."""
    first = images[0]
    networks = [twin_of(network, row) for row in activations]
    batch, steps = training_batch(recipe, len(first.indices("train")), networks, device), asked["steps"]
    preprocessing = preprocessing_for(first)
    twins: list[dict[str, Any]] = []
    for row in activations:
        name = safe_name(twin_name(row).replace(":", "-"))
        config = with_steps(TrainingConfig(name, twin_of(network, row), recipe, preprocessing, 0, batch, 1, 1), steps)
        activation = {"kind": row.kind, "beta": row.beta, "trainable": row.trainable}
        twins.append({"name": twin_name(row), **activation, "config": config_row(config)})
    return {
        "command": COMMAND,
        "data": data_row(data, first),
        "fingerprints": [one.fingerprint for one in images],
        **asked,
        "machine": machine_row(),
        "recipe": recipe.to_dict(),
        "preprocessing": preprocessing_row(preprocessing),
        "cooldown_steps": recipe.cooldown_steps(steps),
        "probe_steps": probe_steps(steps, asked["probes"]),
        "lengths": list(LENGTHS),
        "twins": twins,
    }


def augmentations(
    augment: Augment, recipe: Recipe, images: Sequence[ImageSet], pixels: Pixels
) -> list[list[dict[str, Any]]]:
    """What each seed draws of the recipe's augmentation, as plan.json keeps it."""
    by_seed = choices_by_seed(augment, recipe, images, pixels)
    return [[one.to_dict() for one in chosen] for chosen in by_seed]


def probe_steps(steps: int, probes: int) -> list[int]:
    """After which steps the gradient is probed: evenly, the last step too."""
    return sorted({max(1, round(steps * context / probes)) for context in range(1, probes + 1)})


def jobs_of(plan: Mapping[str, Any], context: JobContext) -> tuple[WatchedTraining, ...]:
    """Every training, one seed after another, so that an unfinished study has whole rounds."""
    return tuple(_job(plan, row, seed, context) for seed in range(plan["seeds"]) for row in plan["twins"])


def _job(plan: Mapping[str, Any], row: Mapping[str, Any], seed: int, context: JobContext) -> WatchedTraining:
    config = config_of(row["config"], {**plan, "seed": seed})
    by_seed = plan.get("augmentation")  # a plan from before there was a choice says it in its recipe
    recipe = fitted(config.recipe, chosen_of(by_seed and by_seed[seed]))
    config = dataclasses.replace(config, id=training_id(row["config"]["id"], seed), recipe=recipe)
    here = dataclasses.replace(context, split_seed=seed)
    job = whole_job(config, here, f"training/{row['name']}, seed {seed}", plan["cooldown_steps"])
    return WatchedTraining(job, tuple(plan["probe_steps"]), plan["probe_images"])


def training_id(twin: str, seed: int) -> str:
    """The name of a training's files."""
    return f"{twin}-seed{seed}"


def place_of(data: Data, side_px: int, run: Path, device: str) -> JobContext:
    """Where the workers of a run work."""
    return JobContext(data, 0, side_px, str(run / "trainings"), device)
