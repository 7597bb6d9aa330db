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

    Each proposed network is scored on the validation images by the objective of MnasNet, with T the budget's MACs, or
    the base's where the budget limits none::

        ACC * (MACs / T)**exponent

    The best are trained again for a quarter of a final training (semifinals); the best few of these, and the space's
    base, in full, from nothing. The winner has the highest objective of the finals by validation accuracy; test images
    are used once, at the end. docs/search-baseline.md has the method.

    The same call continues where a stopped one was; a finished run is read and not made again, unless `fresh` is given.

    Source: Tan et al., MnasNet, arXiv:1807.11626.

    Args:
        data: The images, as `open_images` takes them.
        budget: The limits.
        time_seconds: For everything: a number of seconds, or text such as "90m".
        space: The networks that are searched; unless given, one for the images, the budget and `base`.
        base: The network that the space is built around, or its name; it is trained too, to compare with.
        sampler: Who proposes networks: "evolution" or "random".
        exponent: Of the objective; below 0 cheaper networks are preferred.
        seed: The split, the proposals, the weights and the augmentation are functions of it.
        recipe: "modern", "paper" or a `Recipe`.
        out: The run's folder; unless given, one under runs/ that is named after the data and the arguments.
        device: "cpu", "cuda" or "mps".
        precision: "float32", "bfloat16" or "float16".
        fresh: Whether a run in the folder is removed and made again.
        progress: Called with an `Update` as the work goes on.
        cluster: The Ray cluster that trainings run on; unless given, this machine.
        augment: Which kinds of augmentation are drawn: an `Augment`, "auto" (those that change no class) or "none".

    Returns:
        The winner, the finals, the candidates, and where the run and its report lie.

    Raises:
        BudgetError: No network of the space keeps the budget.
        ValueError: An argument or the images are wrong, the time is too short, or the folder was begun with other
            arguments.
        TypeError: An argument has another type.

    Example:
        >>> import budgetnet
        >>> found = budgetnet.search_baseline("digits", budgetnet.Budget(macs="1M"), time_seconds="5m", out="run")
        >>> budgetnet.cost(found.network).macs <= 1_000_000
        True
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
