"""Coefficients for the user's own data: the true space, a race, and a check at phi = 2."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from budgetnet.arguments import integer, run_arguments
from budgetnet.budgets.coefficient_space import Measure, check_space
from budgetnet.budgets.coefficients_file import FILE
from budgetnet.cluster.executor import batch_for, check_cluster, check_trials, executor_on
from budgetnet.cluster.ray_cluster import Cluster
from budgetnet.data import Data, Folders, ImageSet, data_of, open_cache, tell_images
from budgetnet.experiments.bases import given_base
from budgetnet.experiments.coefficients.entrants import (
    Entrants,
    base_of,
    drawn_words,
    entrants_for,
    entrants_of,
    first_of,
)
from budgetnet.experiments.coefficients.plan import FINALISTS, planned
from budgetnet.experiments.coefficients.result import CoefficientSearch
from budgetnet.experiments.coefficients.work import Work, shown
from budgetnet.experiments.opening import opened_run
from budgetnet.networks import Network
from budgetnet.parallel.progress import Progress, silent
from budgetnet.training.augmenting import Augment, Everything, augment_of, augmentation_for, fitted, given_augment
from budgetnet.training.job import JobContext
from budgetnet.training.plan import (
    check_time,
    clear_run,
    data_row,
    machine_row,
    preprocessing_for,
    preprocessing_row,
    process_group_of,
    run_folder,
    run_lock,
    save_plan,
    side_px_for,
)
from budgetnet.training.recipe import Recipe, recipe_of
from budgetnet.training.train import check_computing
from budgetnet.training.trainer import TrainingConfig

BASE = "efficientnet_b0"
COMMAND = "search coefficients"


def search_coefficients(
    data: str | Path | Folders,
    base: str | Network = BASE,
    growth: float = 2.0,
    tolerance: float = 0.05,
    measure: Measure = "macs",
    candidates: int = 24,
    finalists: int = FINALISTS,
    seeds: int = 3,
    time_seconds: float = 2700.0,
    seed: int = 0,
    recipe: str | Recipe = "modern",
    out: Path | str | None = None,
    device: str = "cpu",
    precision: str = "float32",
    fresh: bool = False,
    progress: Progress | None = None,
    cluster: Cluster | None = None,
    augment: Augment | Everything = "auto",
    train_bytes: int | None = None,
) -> CoefficientSearch:
    """alpha, beta and gamma for these images: which network of `growth` times the base's cost is the most accurate.

    The candidates are distinct integer networks (`budgets.coefficient_space.space`), at most `candidates`, drawn as
    `budgets.coefficient_sample.draw` does, and fewer where the time is short. They race by successive halving on the
    validation images; the last, at most `finalists`, with the network nearest to the paper's choice among them, are
    trained `seeds` times. Then the found and the paper's coefficients are compared at phi = 2 on the test images. A
    zoo's base is adapted to the images; a `Network` keeps its size and strides. Trainings run on a Ray `cluster` where
    one is given, else here. `augment` says which kinds of the recipe's augmentation are drawn: those that change no
    class, unless given. `train_bytes` is a limit on the memory of one training step: the batch is made smaller for it.

    The same call goes on where a killed one was; a finished search is read, not made again, unless `fresh`.
    Raises a one-line `ValueError` for bad input, an empty space and too little time.
    """
    began = time.monotonic()
    data = data_of(data)
    out, seed, fresh, progress = run_arguments(out, seed, fresh, progress)
    base, recipe, time_seconds = given_base("base", base), recipe_of(recipe), check_time(time_seconds)
    counts = {
        "candidates": integer("candidates", candidates, 2),
        "finalists": integer("finalists", finalists, 2),
        "seeds": integer("seeds", seeds),
    }
    candidates, finalists, seeds = counts.values()
    train_bytes = None if train_bytes is None else integer("train_bytes", train_bytes)
    growth, tolerance = check_space(growth, tolerance, measure)
    check_cluster(cluster)
    check_computing(device, precision)
    check_trials(cluster, precision)
    augment = augment_of(augment)
    asked = {
        "base": base if isinstance(base, str) else base.to_json(),
        "growth": growth,
        "tolerance": tolerance,
        "measure": measure,
        **counts,
        "time_seconds": time_seconds,
        "seed": seed,
        "recipe": recipe.to_dict(),
        "precision": precision,
        "augment": given_augment(augment),
        "train_bytes": train_bytes,
    }
    run = run_folder(out, data, {"command": COMMAND, **asked})
    with run_lock(run):
        opened = opened_run(run, COMMAND, FILE, asked, data, fresh, cluster, progress)
        if opened.finished:
            return shown(run)
        plan, images = opened.plan, opened.images
        if plan is not None:
            process_group_of(plan, run)  # says where the machine has other cores than the plan's
        preprocessing = preprocessing_for(images)
        with executor_on(cluster, device) as executor:
            entrants = None
            if plan is None:
                most = entrants_for(candidates, time_seconds, executor.slots())
                entrants = entrants_of(images, base_of(images, base), growth, tolerance, measure, most)
                side_px = side_px_for(_all_networks(entrants), preprocessing)
            else:
                side_px = plan["side_px"]
            tell_images(images, progress)
            pixels = open_cache(images, side_px, progress=progress)
            drawn = augmentation_for(plan, augment, recipe, images, pixels, seed, progress)
            context = JobContext(data, seed, side_px, str(run / "training"), device, precision)
            if fresh:
                clear_run(run)
            if entrants is not None:
                trained_by = fitted(recipe, drawn)
                batch = batch_for(
                    executor, trained_by, len(images.indices("train")), _all_networks(entrants), train_bytes
                )
                draft = TrainingConfig("draft", entrants.space.base, trained_by, preprocessing, seed, batch, 1, 1)
                steps = planned(
                    entrants, draft, images, finalists, seeds, context, executor, began, time_seconds, progress
                )
                racing = first_of(entrants, len(steps["entrants"]))
                named = {**asked, "recipe": trained_by.to_dict(), "augmentation": [one.to_dict() for one in drawn]}
                row = _row(data, images, named, racing, side_px)
                plan = save_plan(run, {**row, "preprocessing": preprocessing_row(preprocessing), **steps})
            assert plan is not None
            return Work(run, plan, images, context, executor, progress or silent).finish()


def _row(data: Data, images: ImageSet, asked: Mapping[str, Any], entrants: Entrants, side_px: int) -> dict[str, Any]:
    """What plan.json says besides the steps."""
    return {
        "command": COMMAND,
        "data": data_row(data, images),
        **asked,
        "machine": machine_row(),
        "side_px": side_px,
        "network": json.loads(entrants.space.base.to_json()),
        "base_cost": entrants.space.base_cost,
        "networks": len(entrants.space.candidates),
        "drawn": drawn_words(entrants, asked["candidates"]),
    }


def _all_networks(entrants: Entrants) -> list[Network]:
    rows = [network for row in entrants.rows for network in (row.candidate.network, row.check.network)]
    return [*rows, entrants.paper.network]
