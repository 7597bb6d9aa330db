"""A baseline for a budget: a space of networks, scores of them, a search above those, and the best trained in full."""

from __future__ import annotations

import time
from pathlib import Path

from budgetnet.arguments import of_kind, run_arguments, text
from budgetnet.budgets.budget import Budget, budget_of
from budgetnet.budgets.feasible_space import options_of
from budgetnet.budgets.search_space import SPACE, Space
from budgetnet.cluster.ray_cluster import Cluster
from budgetnet.cluster.where import check_cluster, check_trials, trials_on
from budgetnet.data import Folders, data_of, open_cache, tell_images
from budgetnet.experiments.baseline.plan import draft_of, planned
from budgetnet.experiments.baseline.result import Baseline
from budgetnet.experiments.baseline.scorer import SCORERS, ScorerName
from budgetnet.experiments.baseline.search import EXPONENT, SAMPLERS, Sampler, check_exponent
from budgetnet.experiments.baseline.study import check_storage, shown_url, url_of
from budgetnet.experiments.baseline.usual import space_for
from budgetnet.experiments.baseline.work import Studied, Work, shown
from budgetnet.experiments.bases import given_base
from budgetnet.experiments.opening import opened_run
from budgetnet.networks import Network, choose
from budgetnet.parallel.progress import Progress, silent
from budgetnet.training.augmenting import Augment, Everything, augment_of, augmentation_for, fitted, given_augment
from budgetnet.training.leg import Place
from budgetnet.training.plan import (
    check_time,
    data_row,
    machine_row,
    only_one,
    preprocessing_for,
    preprocessing_row,
    run_folder,
    same_version,
    save_plan,
    side_px_for,
    start_anew,
    team_of,
)
from budgetnet.training.recipe import Recipe, recipe_of
from budgetnet.training.train import check_computing

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
    scorer: ScorerName = "training",
    exponent: float = EXPONENT,
    seed: int = 0,
    recipe: str | Recipe = "modern",
    out: Path | str | None = None,
    device: str = "cpu",
    precision: str = "float32",
    fresh: bool = False,
    progress: Progress | None = None,
    cluster: Cluster | None = None,
    storage: str | None = None,
    augment: Augment | Everything = "auto",
) -> Baseline:
    """Search a space of networks for the one that is best within a budget, on the user's images.

    `sampler` proposes networks that keep every limit, and each is scored on the validation images by

        ACC * (MACs / T)**exponent       T: the budget's MACs, or the base's where it limits none

    where ACC is, by `scorer`, that of a short training of its own ("training"), or that of its slices of a supernet,
    whose weights all networks of the space share ("supernet"). The best are trained anew for a quarter of a final
    training (semifinals); the best few of these, and the space's base, in full: from nothing by the recipe, several
    seeds where time allows. The winner has the highest objective of the finals by validation accuracy; test images are
    seen once, at the end.
    `space` is `space_for` the images, the budget and `base` unless given.

    Candidates are scored and finals trained on a Ray `cluster` where one is given, else here; a supernet is trained
    here. `storage` is the URL of the database for the study, a file of the run unless given. `augment` says which kinds
    of the recipe's augmentation are drawn: those that change no class, unless given.

    The same call goes on where a killed one was; a finished search is read, not made again, unless `fresh`. Raises
    `BudgetError` or `ValueError` where no network of the space keeps the budget, `ValueError` for other bad input.
    Source: Tan et al., MnasNet, arXiv:1807.11626; Yu et al., BigNAS, arXiv:2003.11142.
    """
    began = time.monotonic()
    data = data_of(data)
    out, seed, fresh, progress = run_arguments(out, seed, fresh, progress)
    budget_of("budget", budget)
    time_seconds, exponent = check_time(time_seconds), check_exponent(exponent)
    space = None if space is None else of_kind("space", space, Space, SPACE)
    base, recipe = given_base("base", base), recipe_of(recipe)
    choose("sampler", sampler, SAMPLERS)
    choose("scorer", scorer, SCORERS)
    check_cluster(cluster)
    storage = None if storage is None else text("storage", storage)
    if storage is not None:
        url_of(storage)
    check_computing(device, precision)
    check_trials(cluster, precision)
    augment = augment_of(augment)
    asked = {
        "budget": budget.to_dict(),
        "time_seconds": time_seconds,
        "space_asked": None if space is None else space.to_json(),
        "base": base if isinstance(base, str) else base.to_json(),
        "sampler": sampler,
        "scorer": scorer,
        "exponent": exponent,
        "seed": seed,
        "recipe_name": recipe.name,
        "precision": precision,
        "storage": None if storage is None else shown_url(storage),
        "augment": given_augment(augment),
    }
    run = run_folder(out, data, asked)
    with only_one(run):
        opened = opened_run(run, COMMAND, "baseline.json", asked, data, fresh, cluster, progress)
        same_version(opened.plan, "semifinals", run)
        if opened.finished:
            return shown(run)
        plan, images = opened.plan, opened.images
        preprocessing = preprocessing_for(images)
        if plan is None:
            space = space or space_for(images, budget, base)
            space = space.with_data(len(images.classes), images.in_channels)
        else:
            space = Space.from_json(plan["space"])
        options = options_of(space, budget)
        if storage is not None:
            check_storage(storage)
        with trials_on(cluster, device) as where:
            side_px = side_px_for([space.base], preprocessing)
            tell_images(images, progress)
            pixels = open_cache(images, side_px, progress=progress)
            drawn = augmentation_for(plan, augment, recipe, images, pixels, seed, progress)
            place = Place(data, seed, side_px, str(run / "training"), device, precision)
            study = Studied.of(run, storage)
            if fresh:
                start_anew(run)
                study.forget()
            if plan is None:
                trained_by = fitted(recipe, drawn)
                draft = draft_of(scorer, options, images, trained_by, preprocessing, place, where)
                steps = planned(draft, images, where, began, time_seconds, progress)
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
            team = team_of(plan, run)
            return Work(run, plan, images, place, team, where, study, progress or silent).finish()
