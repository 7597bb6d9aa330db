"""Train one network on one folder of images: bounded by epochs or by the clock, and safe to kill."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from budgetnet import networks as spec
from budgetnet.arguments import integer, number, path, run_arguments
from budgetnet.budgets.budget import Budget, budget_of
from budgetnet.data import Data, Folders, ImageSet, Pixels, data_of, open_cache, open_images, tell_images
from budgetnet.model.weights import load_model
from budgetnet.networks import Network, choose
from budgetnet.parallel.progress import Progress, silent
from budgetnet.parallel.workers import ProcessGroup, Workers, check_launcher, process_group_for, workers_for
from budgetnet.runs.run import check_device, write_json
from budgetnet.training.augmenting import Augment, Everything, augment_of, augmentation_for, fitted, given_augment
from budgetnet.training.chance import AgainstChance, against_chance
from budgetnet.training.evaluate import Evaluation
from budgetnet.training.job import JobContext, Timing, TrainingJob, run_job, whole_job
from budgetnet.training.memory import training_batch, training_bytes
from budgetnet.training.outcome import check_trained, finalize, finished, write_split
from budgetnet.training.plan import (
    TooShort,
    check_plan,
    check_time,
    clear_run,
    config_of,
    config_row,
    data_row,
    load_plan,
    machine_row,
    planned_preprocessing,
    preprocessing_row,
    process_group_of,
    process_group_row,
    run_folder,
    run_lock,
    same_arguments,
    same_data,
    same_values,
    save_plan,
    side_px_for,
    too_few,
)
from budgetnet.training.predictions import read_validation_predictions
from budgetnet.training.pretrained import InitialWeights, default_recipe, source_of, write_initial_weights
from budgetnet.training.recipe import Recipe, guarded_batch, recipe_of
from budgetnet.training.speed import MOST_SPEED, USUAL_SPEED, image_work, least_epochs
from budgetnet.training.stopwatch import MACHINE, TIMING_SECONDS, Clock, median_timing
from budgetnet.training.trainer import TrainingConfig

PRECISIONS = ("float32", "bfloat16", "float16")
FORWARD_RATE = 2.0
"""Images a second of a forward pass to those of a training step; measured: two to three."""
SPARE_SHARE = 0.03
"""Of the time, left for steps that turn out slower than the timed ones."""


@dataclass(frozen=True, slots=True)
class Trained:
    """A finished training and where it lies.

    Attributes:
        run: The run's folder; docs/formats.md says what is in it.
        network: The network that was trained, with the classes and input channels of the images.
        validation: The scores on the validation images.
        test: The scores on the test images, which no choice has seen.
    """

    run: Path
    network: Network
    validation: Evaluation
    test: Evaluation


def train(
    data: str | Path | Folders,
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
    augment: Augment | Everything = "auto",
    classes: int | None = None,
) -> Trained:
    """Train one network on labelled images, and test it once.

    The call starts one process for each core or GPU by itself. The same call continues where a stopped one was, to the
    same weights; a finished run is read and not made again, unless `fresh` is given.

    Args:
        data: The images, as `open_images` takes them.
        network: The network to train; its classes and input channels are set from the images. Not needed with `weights`
            or `pretrained`, which have a network.
        out: The run's folder; unless given, one under runs/ that is named after the data and the arguments.
        epochs: How many times through the training images. Give this or `time_seconds`.
        time_seconds: A number of seconds, or text such as "15m". It becomes a number of steps once, from timed steps,
            and is written to plan.json.
        recipe: "modern", "paper", "finetune" or a `Recipe`. Unless given "modern", and "finetune" from pretrained
            weights.
        seed: The split, the first weights, the order of the images and the augmentation are functions of it.
        device: "cpu", "cuda" or "mps".
        precision: "float32", "bfloat16" or "float16".
        budget: A network that breaks one of these limits is refused; `train_bytes` is kept by a smaller batch.
        fresh: Whether a run in the folder is removed and made again.
        progress: Called with an `Update` as the work goes on.
        weights: A source of weights that fit the network exactly, as `load_weights` takes it, to begin from.
        pretrained: A source of weights of a relative of any size, which the network inherits (`inherit`); "auto" for
            the nearest that is installed or cached; "none".
        augment: Which kinds of augmentation are drawn: an `Augment`, "auto" (those that change no class) or "none".
        classes: Where given, the images must have this number of classes.

    Returns:
        The scores, and the folder of the run.

    Raises:
        ValueError: An argument or the images are wrong; each image would be seen fewer than four times in the given
            time (twice with pretrained weights); the folder was begun with other arguments; the training learned
            nothing.
        TypeError: An argument has another type.

    Example:
        >>> import budgetnet
        >>> net = budgetnet.network("mobilenet_v3_small", classes=10, resolution_px=32)
        >>> trained = budgetnet.train("digits", net, out="digits-run", epochs=4)
        >>> trained.test.count
        359
    """
    began = time.monotonic()
    data = data_of(data)
    out, seed, fresh, progress = run_arguments(out, seed, fresh, progress)
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
    given, augment = pretrained if weights is None else str(weights), augment_of(augment)
    arguments = {
        "network": network.to_json(),
        "epochs": epochs,
        "time_seconds": time_seconds,
        "recipe": recipe_of(recipe or default_recipe(None if given == "none" else given)).to_dict(),
        "seed": seed,
        "precision": precision,
        "weights": None if weights is None else str(weights),
        "pretrained": pretrained,
        "augment": given_augment(augment),
    }
    run = run_folder(out, data, arguments)
    with run_lock(run):
        plan = load_plan(run, "train", fresh)
        images = open_images(data, seed, progress)
        check_classes(classes, images)
        source = source_of(plan, given, network)
        network = dataclasses.replace(network, classes=len(images.classes), in_channels=images.in_channels)
        asked = recipe_of(recipe or default_recipe(source))
        check_keeps(network, budget)
        if plan is not None:
            check_plan(plan, run)
            _check_planned_bytes(plan, asked, network, budget, run)
            _check_same(plan, arguments, asked, network, run)
            same_data(plan["data"]["fingerprint"], images, run)
            if (done := finished(run)) is not None:
                return Trained(run, network, done.validation, done.test)
            same_values(plan, images, run)
        tell_images(images, progress)
        preprocessing = planned_preprocessing(plan, images, source)
        side_px = side_px_for([network], preprocessing)
        pixels = open_cache(images, side_px, progress=progress)
        context = JobContext(data, seed, side_px, str(run / "training"), device, precision)
        drawn = augmentation_for(plan, augment, asked, images, pixels, seed, progress)
        if fresh:
            clear_run(run)
        if plan is None:
            batch, group = shared_batch(
                asked, images, device, [network], budget.train_bytes if budget else None, single_process=epochs is None
            )
            draft = TrainingConfig("final", network, fitted(asked, drawn), preprocessing, seed, batch, 1, 1)
            if time_seconds is not None:
                check_possible(draft, images, device, time_seconds, source is not None)
            if source is not None:
                write_initial_weights(
                    [InitialWeights(draft, context, source, exact=weights is not None)], device, progress
                )
            draft = _planned(draft, context, group, images, epochs, time_seconds, began, source is not None)
            row = _plan_row(draft, group, data, images, arguments, budget)
            plan = save_plan(run, {**row, "parent": source, "augmentation": [one.to_dict() for one in drawn]})
        config = config_of(plan["final"]["config"], plan)
        job = whole_job(config, context, "final", plan["final"]["cooldown_steps"])
        return _trained(run, job, process_group_of(plan, run), images, pixels, budget, progress or silent)


def network_of(network: Network | None, weights: str | Path | None, pretrained: str = "none") -> Network:
    """The network to train: the one given, or that of the weights. Raises `ValueError` without either."""
    if network is not None:
        return network
    source = pretrained if weights is None and pretrained not in ("none", "auto") else weights
    if source is None:
        raise ValueError("give a network to train, or weights that have one")
    return load_model(source).network


def _trained(
    run: Path,
    job: TrainingJob,
    group: ProcessGroup,
    images: ImageSet,
    pixels: Pixels,
    budget: Budget | None,
    progress: Progress,
) -> Trained:
    network = job.config.network
    if not run_together(job, group, progress):
        what = f"the training of {network.name} diverged: its answers are no numbers"
        raise ValueError(f"{what}; give another --recipe or --seed, and --fresh if it is to lie in {run} as well")
    check_learned(job, images, run)
    write_split(run, images)
    if budget is not None:
        write_json(run / "certificate.json", {"network": network.name, **budget.check(network).to_dict()})
    done = finalize(run, job, images, pixels, {})
    return Trained(run, network, done.validation, done.test)


def check_learned(job: TrainingJob, images: ImageSet, run: Path) -> None:
    """Raise a one-line `ValueError` unless the job's answers to the validation images beat the class frequencies."""
    check_trained(run, job)
    epochs = job.config.steps * job.config.batch / len(images.indices("train"))
    chance_of(job, images).check(job.config.network.name, epochs)


def chance_of(job: TrainingJob, images: ImageSet) -> AgainstChance:
    """The job's answers to the validation images, against the class frequencies."""
    answers, indices = read_validation_predictions(job, images)
    return against_chance(answers.losses, np.asarray(images.labels)[indices], images)


def run_together(job: TrainingJob, group: ProcessGroup, progress: Progress) -> bool:
    """The job, by all of the process group, unless it is done; False where the training diverged."""
    device = job.context.device
    if not job.scores.exists() and not job.diverged.exists():
        with Workers(run_job, group.processes, device, True, progress, group.threads) as workers:
            workers.run([job])
    return job.scores.exists()


@dataclass(frozen=True, slots=True)
class Timings:
    """Images a second of each config on this machine, and how long its workers take to start."""

    configs: tuple[Timing, ...]
    startup_seconds: float


def timed(
    configs: Sequence[TrainingConfig],
    context: JobContext,
    group: ProcessGroup,
    progress: Progress | None = None,
    single_process: bool = False,
    rounds: int = 1,
    clock: Clock = MACHINE,
) -> Timings:
    """Time some training steps of each config now, with all of the process group at work.

    `single_process`: only as each trains by itself. In several rounds of all configs the median counts, so that a slow
    moment or a worker's first steps do not strike one config alone.
    """
    with clock.stopwatch(context.device, group, progress, single_process) as stopwatch:
        found = stopwatch.time(list(configs) * rounds, context, TIMING_SECONDS / rounds)
    timings = tuple(median_timing(found[index :: len(configs)]) for index in range(len(configs)))
    return Timings(timings, stopwatch.startup_seconds)


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
    same_arguments(plan["final"]["config"], {"network": json.loads(network.to_json())}, run)


def shared_batch(
    recipe: Recipe,
    images: ImageSet,
    device: str,
    networks: Sequence[Network] = (),
    most_bytes: int | None = None,
    single_process: bool = True,
) -> tuple[int, ProcessGroup]:
    """The batch of a training and the process group that shares it, in equal parts.

    With `networks`, any of them can be trained in the memory that there is, and in `most_bytes`, and where trainings
    run `single_process` by each worker for itself; see `training_batch`.
    """
    count = len(images.indices("train"))
    batch = (
        training_batch(recipe, count, networks, device, single_process, most_bytes)
        if networks
        else guarded_batch(recipe, count)
    )
    group = process_group_for(device, batch)
    return batch // group.processes * group.processes, group


def _planned(
    draft: TrainingConfig,
    context: JobContext,
    group: ProcessGroup,
    images: ImageSet,
    epochs: float | None,
    time_seconds: float | None,
    began: float,
    inherited: bool,
) -> TrainingConfig:
    """The config with its steps: from epochs by arithmetic, from a time by timed steps."""
    count = len(images.indices("train"))
    if epochs is not None:
        return with_steps(draft, max(1, round(epochs * count / draft.batch)))
    assert time_seconds is not None
    timings = timed([draft], context, group)
    timing = timings.configs[0]
    spent = time.monotonic() - began
    left = time_seconds * (1 - SPARE_SHARE) - spent - timings.startup_seconds - evaluation_seconds(images, timing)
    steps = max(0, int(left * timing.data_parallel / draft.batch))
    least, _ = least_epochs(inherited)
    if steps * draft.batch < least * count:
        needed = (
            spent + timings.startup_seconds + evaluation_seconds(images, timing) + least * count / timing.data_parallel
        )
        raise TooShort(
            time_seconds,
            f"for {draft.network.name}: it would see each of the {count:,} training images "
            + too_few(steps * draft.batch / count, least),
            1.1 * needed / (1 - SPARE_SHARE),
        )
    return with_steps(draft, steps)


def check_keeps(network: Network, budget: Budget | None) -> None:
    """Raise a one-line `ValueError` for a network that breaks a limit: it is said before it is trained, not after."""
    broken = [] if budget is None else [row for row in budget.check(network).limits if row.left < 0]
    if broken:
        told = ", ".join(f"{row.name} {row.used:,} where the limit is {row.limit:,}" for row in broken)
        raise ValueError(
            f"{network.name} for {network.classes} classes has {told}; "
            "`budgetnet fit` finds the largest of its path that keeps the limits, `budgetnet solve` the best of all"
        )


def _check_planned_bytes(
    plan: Mapping[str, Any], recipe: Recipe, network: Network, budget: Budget | None, run: Path
) -> None:
    """Raise a one-line `ValueError` where a begun run's batch, which its bits depend on, breaks the train bytes."""
    if budget is None or budget.train_bytes is None:
        return
    processes, batch = plan["processes"], plan["final"]["config"]["batch"]
    need = processes * training_bytes(network, recipe, max(1, batch // processes))
    if need > budget.train_bytes:
        raise ValueError(
            f"{run} was begun with {batch} images at once, which take {need:,} bytes where train_bytes allows "
            f"{budget.train_bytes:,}; give --fresh or another --out"
        )


def check_possible(draft: TrainingConfig, images: ImageSet, device: str, time_seconds: float, inherited: bool) -> None:
    """Raise `TooShort` for a time that no processor of today would do with: nothing needs to be timed for that."""
    count = len(images.indices("train"))
    least, _ = least_epochs(inherited)
    work = least * count * image_work(draft.network, draft.batch)
    seconds = work / (MOST_SPEED[device] * workers_for(device))
    if seconds > time_seconds:
        raise TooShort(
            time_seconds,
            f"for {draft.network.name}: to see {count:,} training images {least:g} times takes this machine far longer",
            seconds * MOST_SPEED[device] / USUAL_SPEED[device],
        )


def with_steps(config: TrainingConfig, steps: int, warmup_steps: int | None = None) -> TrainingConfig:
    """The config with its length and the warm-up that belongs to it."""
    warmup = max(1, round(config.recipe.warmup_share * steps)) if warmup_steps is None else warmup_steps
    return dataclasses.replace(config, steps=steps, warmup_steps=warmup)


def evaluation_seconds(images: ImageSet, timing: Timing) -> float:
    """Time for the validation split, by one process, and the test split, by all cores."""
    data_parallel = len(images.indices("test")) / (FORWARD_RATE * timing.data_parallel)
    return validation_seconds(len(images.indices("validation")), timing) + data_parallel


def validation_seconds(count: int, timing: Timing) -> float:
    """Time that one process takes for the validation images."""
    return count / (FORWARD_RATE * timing.single_process)


def _plan_row(
    config: TrainingConfig,
    group: ProcessGroup,
    data: Data,
    images: ImageSet,
    arguments: dict[str, Any],
    budget: Budget | None,
) -> dict[str, Any]:
    return {
        "command": "train",
        "data": data_row(data, images),
        "budget": budget.to_dict() if budget else None,
        "time_seconds": arguments["time_seconds"],
        "epochs": arguments["epochs"],
        "seed": config.seed,
        "precision": arguments["precision"],
        "recipe": config.recipe.to_dict(),
        "weights": arguments["weights"],
        "pretrained": arguments["pretrained"],
        "augment": arguments["augment"],
        "preprocessing": preprocessing_row(config.preprocessing),
        "machine": machine_row(),
        **process_group_row(group),
        "final": {"config": config_row(config), "steps": config.steps, "cooldown_steps": config.cooldown_steps},
    }
