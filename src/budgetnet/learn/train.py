"""Train one network on one folder of images: bounded by epochs or by the clock, and safe to kill."""

from __future__ import annotations

import dataclasses
import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from budgetnet.budget import Budget
from budgetnet.learn.data import ImageSet, Pixels, open_cache, open_images
from budgetnet.learn.evaluate import Evaluation
from budgetnet.learn.leg import Leg, Place, Timing, run_leg, time_course
from budgetnet.learn.outcome import conclude, finished, write_split
from budgetnet.learn.plan import (
    course_of,
    course_row,
    data_row,
    load_plan,
    machine_row,
    only_one,
    preprocessing_for,
    preprocessing_row,
    run_folder,
    same_arguments,
    same_data,
    save_plan,
    side_px_for,
)
from budgetnet.learn.progress import Progress, silent
from budgetnet.learn.recipe import Recipe, guarded_batch, recipe_for, recipe_of
from budgetnet.learn.run import check_device, write_json
from budgetnet.learn.trainer import Course
from budgetnet.learn.workers import Workers, workers_for
from budgetnet.spec import Network, choose

PRECISIONS = ("float32", "bfloat16", "float16")
TIMING_SECONDS = 2.0
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
    network: Network,
    out: Path | str | None = None,
    epochs: float | None = None,
    time_seconds: float | None = None,
    recipe: str | Recipe = "modern",
    seed: int = 0,
    device: str = "cpu",
    precision: str = "float32",
    budget: Budget | None = None,
    fresh: bool = False,
    progress: Progress | None = None,
) -> Trained:
    """Train `network`, its classes and input channels set from the data, and test it once.

    Give `epochs` or `time_seconds`; a time becomes a count of steps once, by timed steps, and is
    kept in plan.json. The same call goes on where a killed one was; a finished run is read, not made
    again, unless `fresh`. It starts one process a core or one a GPU itself. Raises `ValueError` for
    bad arguments or images, and for a run that was begun with other arguments.
    """
    began = time.monotonic()
    _check(epochs, time_seconds, device, precision)
    chosen = recipe_of(recipe)
    arguments = {
        "network": network.to_json(),
        "epochs": epochs,
        "time_seconds": time_seconds,
        "recipe": chosen.to_dict(),
        "seed": seed,
        "precision": precision,
    }
    run = run_folder(out, str(data), arguments)
    with only_one(run, fresh):
        plan = load_plan(run, "train")
        images = open_images(str(data), seed, progress)
        network = dataclasses.replace(network, classes=len(images.classes), in_channels=images.in_channels)
        chosen = recipe_for(chosen, images.in_channels)
        if plan is not None:
            _check_same(plan, arguments, chosen, network, run)
            same_data(plan, images, run)
        preprocessing = preprocessing_for(images)
        side_px = side_px_for([network], images, preprocessing)
        pixels = open_cache(images, side_px, progress=progress)
        place = Place(str(data), seed, side_px, str(run / "training"), device, precision)
        if plan is None:
            draft = Course("final", network, chosen, preprocessing, seed, _batch(chosen, images), 1, 1)
            draft = _planned(draft, place, images, epochs, time_seconds, began)
            plan = save_plan(run, _plan_row(draft, str(data), images, arguments, budget))
        course = course_of(plan["final"]["course"], plan)
        leg = Leg(
            course,
            place,
            "final",
            "final",
            course.steps - plan["final"]["cooldown_steps"],
            plan["final"]["cooldown_steps"],
        )
        return _trained(run, leg, images, pixels, budget, progress or silent)


def _trained(
    run: Path, leg: Leg, images: ImageSet, pixels: Pixels, budget: Budget | None, progress: Progress
) -> Trained:
    done = finished(run)
    if done is None:
        if not leg.scores.exists():
            run_together(leg, progress)
        write_split(run, images)
        if budget is not None:
            write_json(
                run / "certificate.json",
                {"network": leg.course.network.name, **budget.check(leg.course.network).to_dict()},
            )
        done = conclude(run, leg, images, pixels, {})
    return Trained(run, leg.course.network, done.validation, done.test)


def run_together(leg: Leg, progress: Progress) -> None:
    """The leg, by all workers of its device."""
    with Workers(run_leg, workers_for(leg.place.device), leg.place.device, together=True, progress=progress) as workers:
        workers.run([leg])


@dataclass(frozen=True, slots=True)
class Timings:
    """Images a second of each course on this machine, and how long its workers take to start."""

    courses: tuple[Timing, ...]
    startup_seconds: float


def timed(courses: Sequence[Course], place: Place, progress: Progress | None = None) -> Timings:
    """Time some steps of each course, now, with every worker of the device at work."""
    jobs = [(course, place, TIMING_SECONDS) for course in courses]
    before = time.monotonic()
    with Workers(time_course, workers_for(place.device), place.device, together=True, progress=progress) as workers:
        timings = tuple(timing for timing in workers.run(jobs) if timing is not None)
    worked = sum(timing.seconds for timing in timings)
    return Timings(timings, max(0.0, time.monotonic() - before - worked))


def _check(epochs: float | None, time_seconds: float | None, device: str, precision: str) -> None:
    if (epochs is None) == (time_seconds is None):
        raise ValueError("give either epochs or a time, not both and not neither")
    bound = epochs if time_seconds is None else time_seconds
    if bound is None or not math.isfinite(bound) or bound <= 0:
        raise ValueError(f"{'epochs' if time_seconds is None else 'time'} is {bound!r}; it must be above 0")
    check_device(device)
    choose("precision", precision, PRECISIONS)


def _check_same(
    plan: Mapping[str, Any], arguments: Mapping[str, Any], recipe: Recipe, network: Network, run: Path
) -> None:
    same_arguments(plan, {**arguments, "recipe": recipe.to_dict()}, run)
    same_arguments(plan["final"]["course"], {"network": json.loads(network.to_json())}, run)


def _batch(recipe: Recipe, images: ImageSet) -> int:
    return guarded_batch(recipe, len(images.indices("train")))


def _planned(
    draft: Course, place: Place, images: ImageSet, epochs: float | None, time_seconds: float | None, began: float
) -> Course:
    """The course with its steps: from epochs by arithmetic, from a time by timed steps."""
    count = len(images.indices("train"))
    if epochs is not None:
        return with_steps(draft, max(1, round(epochs * count / draft.batch)))
    assert time_seconds is not None
    timings = timed([draft], place)
    rate = timings.courses[0].together
    spent = time.monotonic() - began
    left = time_seconds * (1 - SPARE_SHARE) - spent - timings.startup_seconds - evaluation_seconds(images, rate)
    if left < 1.0:
        raise ValueError(
            f"{time_seconds:g} s are gone by the time training could start; give at least {2 * spent + 10:.0f} s"
        )
    return with_steps(draft, max(1, int(left * rate / draft.batch)))


def with_steps(course: Course, steps: int, warmup_steps: int | None = None) -> Course:
    """The course with its length and the warm-up that belongs to it."""
    warmup = max(1, round(course.recipe.warmup_share * steps)) if warmup_steps is None else warmup_steps
    return dataclasses.replace(course, steps=steps, warmup_steps=warmup)


def evaluation_seconds(images: ImageSet, training_rate: float) -> float:
    """Time for the validation and test splits: a forward pass is about a third of a training step."""
    count = len(images.indices("validation")) + len(images.indices("test"))
    return count / (2 * training_rate)


def _plan_row(
    course: Course, data: str, images: ImageSet, arguments: dict[str, Any], budget: Budget | None
) -> dict[str, Any]:
    cooldown = min(course.steps, round(course.recipe.cooldown_share * course.steps))
    return {
        "command": "train",
        "data": data_row(data, images),
        "budget": budget.to_dict() if budget else None,
        "time_seconds": arguments["time_seconds"],
        "epochs": arguments["epochs"],
        "seed": course.seed,
        "precision": arguments["precision"],
        "recipe": course.recipe.to_dict(),
        "preprocessing": preprocessing_row(course.preprocessing),
        "machine": machine_row(),
        "final": {"course": course_row(course), "steps": course.steps, "cooldown_steps": cooldown},
    }
