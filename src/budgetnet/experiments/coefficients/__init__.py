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
    """Alpha, beta and gamma for these images: which network of `growth` times the base's cost is the most accurate.

    The candidates are distinct integer networks, not real numbers. They race by successive halving on the validation
    images; the last of them, with the network nearest to the paper's choice among them, are trained several times.
    Then the found and the paper's coefficients are compared at phi = 2 on the test images. docs/search-coefficients.md
    has the method.

    The same call continues where a stopped one was; a finished run is read and not made again, unless `fresh` is given.

    Source: Tan & Le, EfficientNet, arXiv:1905.11946, section 3.3, step 1.

    Args:
        data: The images, as `open_images` takes them.
        base: The network to scale, or its name. A base of the zoo is adapted to the images; a `Network` keeps its size
            and strides.
        growth: The factor on the cost.
        tolerance: How far the cost of a candidate may be from it, as a share.
        measure: What the cost is: "macs", "activations" or "peak_bytes".
        candidates: How many candidates race at most; fewer where the time is short.
        finalists: How many are trained several times at most.
        seeds: How many times each finalist is trained.
        time_seconds: For everything: a number of seconds, or text such as "45m".
        seed: The split, the candidates, the weights and the augmentation are functions of it.
        recipe: "modern", "paper" or a `Recipe`.
        out: The run's folder; unless given, one under runs/ that is named after the data and the arguments.
        device: "cpu", "cuda" or "mps".
        precision: "float32", "bfloat16" or "float16".
        fresh: Whether a run in the folder is removed and made again.
        progress: Called with an `Update` as the work goes on.
        cluster: The Ray cluster that trainings run on; unless given, this machine.
        augment: Which kinds of augmentation are drawn: an `Augment`, "auto" (those that change no class) or "none".
        train_bytes: A limit on the memory of one training step, for which the batch is made smaller.

    Returns:
        The coefficients, the ranking, the comparison at phi = 2, and where the run and its report lie.

    Raises:
        ValueError: An argument or the images are wrong, no network has this cost, the time is too short, or the folder
            was begun with other arguments.
        TypeError: An argument has another type.

    Example:
        >>> import budgetnet
        >>> base = budgetnet.scale(budgetnet.network("mobilenet_v3_small", 10, 32), -2)
        >>> found = budgetnet.search_coefficients("digits", base, candidates=3, finalists=2, seeds=1, time_seconds="3m",
        ...                                       out="run")
        >>> found.best.network.classes, found.report.exists()
        (10, True)
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
                most = entrants_for(candidates, time_seconds, executor.places())
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
