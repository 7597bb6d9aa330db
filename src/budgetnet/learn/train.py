"""Train one network on one folder of images: bounded by epochs or by the clock, and safe to kill."""

from __future__ import annotations

import dataclasses
import itertools
import json
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from budgetnet import spec
from budgetnet.arguments import integer, number, path, run_arguments
from budgetnet.budget import Budget, budget_of
from budgetnet.learn.data import ImageSet, Pixels, open_cache, open_images
from budgetnet.learn.evaluate import Evaluation
from budgetnet.learn.leg import Leg, Place, Timing, run_leg, time_apart, time_course, whole_leg
from budgetnet.learn.outcome import conclude, finished, write_split
from budgetnet.learn.plan import (
    check_time,
    course_of,
    course_row,
    data_row,
    load_plan,
    machine_row,
    only_one,
    planned_preprocessing,
    preprocessing_row,
    run_folder,
    same_arguments,
    same_data,
    save_plan,
    side_px_for,
    start_anew,
    team_of,
    team_row,
)
from budgetnet.learn.pretrained import Start, default_recipe, source_of, write_starts
from budgetnet.learn.progress import Progress, Update, silent
from budgetnet.learn.recipe import Recipe, guarded_batch, recipe_for, recipe_of
from budgetnet.learn.run import check_device, write_json
from budgetnet.learn.trainer import Course
from budgetnet.learn.workers import Team, Workers, check_launcher, team_for
from budgetnet.model.weights import load_model
from budgetnet.spec import Network, choose

PRECISIONS = ("float32", "bfloat16", "float16")
TIMING_SECONDS = 2.0
FORWARD_RATE = 2.0
"""Images a second of a forward pass to those of a training step; measured: two to three."""
SPARE_SHARE = 0.03
"""Of the time, left for steps that turn out slower than the timed ones."""


@dataclass(frozen=True, slots=True)
class Trained:
    """A finished training and where it lies."""

    run: Path
    network: Network
    validation: Evaluation
    test: Evaluation


def train(
    data: str | Path,
    network: Network | None = None,
    out: Path | str | None = None,
    epochs: float | None = None,
    time_seconds: float | None = None,
    recipe: str | Recipe | None = None,
    seed: int = 0,
    device: str = "cpu",
    precision: str = "float32",
    budget: Budget | None = None,
    fresh: bool = False,
    progress: Progress | None = None,
    weights: str | Path | None = None,
    pretrained: str | Path = "none",
    classes: int | None = None,
) -> Trained:
    """Train `network`, its classes and input channels set from the data, and test it once.

    `weights` are pretrained ones to begin from (`load_weights` says which): the network is theirs unless
    given. `pretrained` is such a source too, but of a relative of any size, from which the network
    inherits (`inherit`), or "auto": the nearest that is installed or cached. With either, preprocessing
    comes from the source, and the recipe is "finetune", else "modern".

    Give `epochs` or `time_seconds`; a time becomes a count of steps once, by timed steps, and is
    kept in plan.json. `classes`, where given, must be as many as the images have. The same call goes on where
    a killed one was; a finished run is read, not made again, unless `fresh`. It starts one process a core or
    one a GPU itself. Raises `ValueError` for bad arguments or images, and for a run that was begun with other
    arguments.
    """
    began = time.monotonic()
    data, out, seed, fresh, progress = run_arguments(data, out, seed, fresh, progress)
    epochs, time_seconds = _bound(epochs, time_seconds)
    network = None if network is None else spec.network_of("network", network)
    budget = None if budget is None else budget_of("budget", budget)
    classes = None if classes is None else integer("classes", classes)
    weights, pretrained = None if weights is None else path("weights", weights), path("pretrained", pretrained)
    recipe = None if recipe is None else recipe_of(recipe)
    check_computing(device, precision)
    if weights is not None and pretrained != "none":
        raise ValueError("give weights that fit, or pretrained ones to inherit from, not both")
    network = network_of(network, weights, pretrained)
    given = pretrained if weights is None else str(weights)
    arguments = {
        "network": network.to_json(),
        "epochs": epochs,
        "time_seconds": time_seconds,
        "recipe": recipe_of(recipe or default_recipe(None if given == "none" else given)).to_dict(),
        "seed": seed,
        "precision": precision,
        "weights": None if weights is None else str(weights),
        "pretrained": pretrained,
    }
    run = run_folder(out, str(data), arguments)
    with only_one(run):
        plan = load_plan(run, "train", fresh)
        images = open_images(data, seed, progress)
        check_classes(classes, images)
        source = source_of(plan, given, network)
        network = dataclasses.replace(network, classes=len(images.classes), in_channels=images.in_channels)
        chosen = recipe_for(recipe_of(recipe or default_recipe(source)), images.in_channels)
        if plan is not None:
            _check_same(plan, arguments, chosen, network, run)
            same_data(plan["data"]["fingerprint"], images, run)
            if (done := finished(run)) is not None:
                return Trained(run, network, done.validation, done.test)
        preprocessing = planned_preprocessing(plan, images, source)
        side_px = side_px_for([network], preprocessing)
        pixels = open_cache(images, side_px, progress=progress)
        place = Place(str(data), seed, side_px, str(run / "training"), device, precision)
        if fresh:
            start_anew(run)
        if plan is None:
            batch, team = shared_batch(chosen, images, device)
            draft = Course("final", network, chosen, preprocessing, seed, batch, 1, 1)
            if source is not None:
                write_starts([Start(draft, place, source, exact=weights is not None)], device, progress)
            draft = _planned(draft, place, team, images, epochs, time_seconds, began)
            row = _plan_row(draft, team, str(data), images, arguments, budget)
            plan = save_plan(run, {**row, "parent": source})
        course = course_of(plan["final"]["course"], plan)
        leg = whole_leg(course, place, "final", plan["final"]["cooldown_steps"])
        return _trained(run, leg, team_of(plan, run), images, pixels, budget, progress or silent)


def network_of(network: Network | None, weights: str | Path | None, pretrained: str = "none") -> Network:
    """The network to train: the one given, or that of the weights. Raises `ValueError` without either."""
    if network is not None:
        return network
    source = pretrained if weights is None and pretrained not in ("none", "auto") else weights
    if source is None:
        raise ValueError("give a network to train, or weights that have one")
    return load_model(source).network


def _trained(
    run: Path, leg: Leg, team: Team, images: ImageSet, pixels: Pixels, budget: Budget | None, progress: Progress
) -> Trained:
    network = leg.course.network
    if not run_together(leg, team, progress):
        what = f"the training of {network.name} diverged: its answers are no numbers"
        raise ValueError(f"{what}; give another --recipe or --seed, and --fresh if it is to lie in {run} as well")
    write_split(run, images)
    if budget is not None:
        write_json(run / "certificate.json", {"network": network.name, **budget.check(network).to_dict()})
    done = conclude(run, leg, images, pixels, {})
    return Trained(run, network, done.validation, done.test)


def run_together(leg: Leg, team: Team, progress: Progress) -> bool:
    """The leg, by all of the team, unless it is done; False where the training diverged."""
    device = leg.place.device
    if not leg.scores.exists() and not leg.diverged.exists():
        with Workers(run_leg, team.processes, device, True, progress, team.threads) as workers:
            workers.run([leg])
    return leg.scores.exists()


@dataclass(frozen=True, slots=True)
class Timings:
    """Images a second of each course on this machine, and how long its workers take to start."""

    courses: tuple[Timing, ...]
    startup_seconds: float


def timed(
    courses: Sequence[Course],
    place: Place,
    team: Team,
    progress: Progress | None = None,
    apart: bool = False,
    rounds: int = 1,
) -> Timings:
    """Time some steps of each course, now, with all of the team at work; `apart`: only as each trains by itself.

    In several rounds of all courses the median counts: a slow moment or a worker's first steps strike no course alone.
    """
    jobs = [(course, place, TIMING_SECONDS / rounds) for course in courses] * rounds
    before = time.monotonic()
    function = time_apart if apart else time_course
    count = itertools.count(1)

    def tell(*_: object) -> None:
        (progress or silent)(Update("timing", next(count), len(jobs)))

    with Workers(function, team.processes, place.device, True, progress, team.threads) as workers:
        found = [timing for timing in workers.run(jobs, tell) if timing is not None]
    worked = sum(timing.seconds for timing in found)
    timings = tuple(_median(found[place :: len(courses)]) for place in range(len(courses)))
    return Timings(timings, max(0.0, time.monotonic() - before - worked))


def _median(timings: Sequence[Timing]) -> Timing:
    """Of each rate the median; the seconds of all."""
    apart, together = (statistics.median(getattr(one, name) for one in timings) for name in ("apart", "together"))
    return Timing(apart, together, sum(one.seconds for one in timings))


def _bound(epochs: float | None, time_seconds: float | None) -> tuple[float | None, float | None]:
    """Epochs or seconds, checked."""
    if (epochs is None) == (time_seconds is None):
        raise ValueError("give either epochs or a time, not both and not neither")
    return None if epochs is None else number("epochs", epochs, above=0.0), (
        None if time_seconds is None else check_time(time_seconds)
    )


def check_classes(classes: int | None, images: ImageSet) -> None:
    """Raise a one-line `ValueError` where the images have another number of classes than was asked for."""
    if classes is not None and classes != len(images.classes):
        raise ValueError(
            f"classes is {classes}, but {images.name} has {len(images.classes)} classes; leave it out, for the "
            "images say how many there are"
        )


def check_computing(device: str, precision: str) -> None:
    """Raise a one-line `ValueError` for what cannot train here: a device, numbers it lacks, a launcher's process."""
    check_device(device)
    choose("precision", precision, PRECISIONS)
    if precision == "float16" and device == "cpu":
        raise ValueError("precision float16 needs a GPU; on cpu choose float32 or bfloat16")
    check_launcher()


def _check_same(
    plan: Mapping[str, Any], arguments: Mapping[str, Any], recipe: Recipe, network: Network, run: Path
) -> None:
    same_arguments(plan, {**arguments, "recipe": recipe.to_dict()}, run)
    same_arguments(plan["final"]["course"], {"network": json.loads(network.to_json())}, run)


def shared_batch(recipe: Recipe, images: ImageSet, device: str) -> tuple[int, Team]:
    """The batch of a training and the team that shares it, in equal parts."""
    batch = guarded_batch(recipe, len(images.indices("train")))
    team = team_for(device, batch)
    return batch // team.processes * team.processes, team


def _planned(
    draft: Course,
    place: Place,
    team: Team,
    images: ImageSet,
    epochs: float | None,
    time_seconds: float | None,
    began: float,
) -> Course:
    """The course with its steps: from epochs by arithmetic, from a time by timed steps."""
    count = len(images.indices("train"))
    if epochs is not None:
        return with_steps(draft, max(1, round(epochs * count / draft.batch)))
    assert time_seconds is not None
    timings = timed([draft], place, team)
    timing = timings.courses[0]
    spent = time.monotonic() - began
    left = time_seconds * (1 - SPARE_SHARE) - spent - timings.startup_seconds - evaluation_seconds(images, timing)
    if left < 1.0:
        raise ValueError(
            f"{time_seconds:g} s are gone by the time training could start; give at least {2 * spent + 10:.0f} s"
        )
    return with_steps(draft, max(1, int(left * timing.together / draft.batch)))


def with_steps(course: Course, steps: int, warmup_steps: int | None = None) -> Course:
    """The course with its length and the warm-up that belongs to it."""
    warmup = max(1, round(course.recipe.warmup_share * steps)) if warmup_steps is None else warmup_steps
    return dataclasses.replace(course, steps=steps, warmup_steps=warmup)


def evaluation_seconds(images: ImageSet, timing: Timing) -> float:
    """Time for the validation split, by one process, and the test split, by all cores."""
    together = len(images.indices("test")) / (FORWARD_RATE * timing.together)
    return validation_seconds(len(images.indices("validation")), timing) + together


def validation_seconds(count: int, timing: Timing) -> float:
    """Time that one process takes for the validation images."""
    return count / (FORWARD_RATE * timing.apart)


def _plan_row(
    course: Course, team: Team, data: str, images: ImageSet, arguments: dict[str, Any], budget: Budget | None
) -> dict[str, Any]:
    return {
        "command": "train",
        "data": data_row(data, images),
        "budget": budget.to_dict() if budget else None,
        "time_seconds": arguments["time_seconds"],
        "epochs": arguments["epochs"],
        "seed": course.seed,
        "precision": arguments["precision"],
        "recipe": course.recipe.to_dict(),
        "weights": arguments["weights"],
        "pretrained": arguments["pretrained"],
        "preprocessing": preprocessing_row(course.preprocessing),
        "machine": machine_row(),
        **team_row(team),
        "final": {"course": course_row(course), "steps": course.steps, "cooldown_steps": course.cooldown_steps},
    }
