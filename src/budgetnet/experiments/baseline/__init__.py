"""A baseline for a budget: a space of networks, scores of them, a search above those, and the best trained in full."""

from __future__ import annotations

import time
from pathlib import Path

from budgetnet.arguments import run_arguments
from budgetnet.budgets.budget import Budget
from budgetnet.budgets.feasible_space import FeasibleSpace
from budgetnet.budgets.search_space import Space
from budgetnet.cluster.executor import executor_on
from budgetnet.cluster.ray_cluster import Cluster
from budgetnet.data import Folders, data_of, open_cache, tell_images
from budgetnet.experiments.baseline.default_space import space_for
from budgetnet.experiments.baseline.objective import EXPONENT
from budgetnet.experiments.baseline.plan import config_for, planned
from budgetnet.experiments.baseline.request import search_request
from budgetnet.experiments.baseline.result import Baseline
from budgetnet.experiments.baseline.search import SAMPLERS, Sampler
from budgetnet.experiments.baseline.work import Work, shown
from budgetnet.experiments.opening import opened_run
from budgetnet.networks import Network, choose
from budgetnet.parallel.progress import Progress, silent
from budgetnet.training.augmenting import Augment, Everything, augmentation_for, fitted
from budgetnet.training.job import JobContext
from budgetnet.training.plan import (
    clear_run,
    data_row,
    machine_row,
    preprocessing_for,
    preprocessing_row,
    run_folder,
    run_lock,
    save_plan,
    side_px_for,
)
from budgetnet.training.recipe import Recipe

__all__ = ["Baseline", "search_baseline", "space_for"]

BASE_NAME = "efficientnet_b0"
COMMAND = "search baseline"


def search_baseline(
    data: str | Path | Folders,
    budget: Budget,
    time_seconds: float = 5400.0,
    space: Space | None = None,
    base: str | Network = BASE_NAME,
    sampler: Sampler = "evolution",
    exponent: float = EXPONENT,
    seed: int = 0,
    recipe: str | Recipe = "modern",
    out: Path | str | None = None,
    device: str = "cpu",
    precision: str = "float32",
    fresh: bool = False,
    progress: Progress | None = None,
    cluster: Cluster | None = None,
    augment: Augment | Everything = "auto",
) -> Baseline:
    """Search a space of networks for the one that is best within a budget, on the user's images.

    `sampler` proposes networks that keep every limit, and each is scored on the validation images by

        ACC * (MACs / T)**exponent       T: the budget's MACs, or the base's where it limits none

    where ACC is that of a short training of its own. The best, and what a model of all scores predicts to be better,
    are trained from nothing for a quarter of a final training (semifinals); the best few of these, and the space's
    base, in full: from nothing by the recipe, several seeds where time allows. The winner has the highest objective of
    the finals by validation accuracy; test images are seen once, at the end.
    `space` is `space_for` the images, the budget and `base` unless given. `sampler` is "evolution", or "random" for
    comparison: even draws.

    Candidates are scored and finals trained on a Ray `cluster` where one is given, else here. `augment` says which
    kinds of the recipe's augmentation are drawn: those that change no class, unless given.

    The same call goes on where a killed one was; a finished search is read, not made again, unless `fresh`. Raises
    `BudgetError` or `ValueError` where no network of the space keeps the budget, `ValueError` for other bad input.
    Source: Tan et al., MnasNet, arXiv:1807.11626.
    """
    began = time.monotonic()
    data = data_of(data)
    out, seed, fresh, progress = run_arguments(out, seed, fresh, progress)
    choose("sampler", sampler, SAMPLERS)
    request = search_request(
        budget, time_seconds, space, base, exponent, seed, recipe, device, precision, cluster, augment
    )
    asked = {**request.to_dict(), "sampler": sampler}
    run = run_folder(out, data, asked)
    with run_lock(run):
        opened = opened_run(run, COMMAND, "baseline.json", asked, data, fresh, cluster, progress)
        if opened.finished:
            return shown(run)
        plan, images = opened.plan, opened.images
        preprocessing = preprocessing_for(images)
        if plan is None:
            default = request.space or space_for(images, budget, request.base)
            space = default.with_data(len(images.classes), images.in_channels)
        else:
            space = Space.from_json(plan["space"])
        feasible = FeasibleSpace.of(space, budget)
        with executor_on(cluster, device) as executor:
            side_px = side_px_for([space.base], preprocessing)
            tell_images(images, progress)
            pixels = open_cache(images, side_px, progress=progress)
            drawn = augmentation_for(plan, request.augment, request.recipe, images, pixels, seed, progress)
            context = JobContext(data, seed, side_px, str(run / "training"), device, precision)
            if fresh:
                clear_run(run)
            if plan is None:
                trained_by = fitted(request.recipe, drawn)
                config = config_for(feasible, images, trained_by, preprocessing, context, executor)
                seconds = request.time_seconds
                steps = planned(feasible, config, context, images, executor, began, seconds, progress)
                row = {
                    "command": COMMAND,
                    "data": data_row(data, images),
                    **asked,
                    "space": space.to_json(),
                    "recipe": trained_by.to_dict(),
                    "augmentation": [one.to_dict() for one in drawn],
                    "preprocessing": preprocessing_row(preprocessing),
                    "machine": machine_row(),
                    "side_px": side_px,
                }
                plan = save_plan(run, {**row, **steps})
            return Work(run, plan, images, context, executor, progress or silent).finish()
