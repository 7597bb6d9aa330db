"""How the time of a solve is shared, as counts of steps: made once, kept in plan.json.

First an estimate says which networks there is time to train (`training.speed`). One small network is timed, which
corrects the estimate; the candidates that are then raced are timed themselves, the quickest first. Whoever turns out to
be too slow for a training is not raced. So nothing is timed that could not be trained.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from budgetnet.data import ImageSet, Preprocessing
from budgetnet.data.held_out import held_out_count
from budgetnet.experiments.race import survivors
from budgetnet.experiments.solve.candidates import Candidate
from budgetnet.networks import Network
from budgetnet.parallel.progress import Progress
from budgetnet.parallel.workers import LEAST_IMAGES, ProcessGroup, workers_for
from budgetnet.training.job import JobContext, Timing
from budgetnet.training.memory import most_training_bytes
from budgetnet.training.plan import TooShort, config_row, epochs_of, process_group_row, too_few
from budgetnet.training.recipe import Recipe
from budgetnet.training.speed import RACE_SHARE, USUAL_SPEED, TrainingLimits, image_work, least_epochs
from budgetnet.training.stopwatch import TIMING_SECONDS, Clock, Stopwatch
from budgetnet.training.train import SPARE_SHARE, evaluation_seconds, shared_batch, validation_seconds, with_steps
from budgetnet.training.trainer import TrainingConfig

CORE_SECONDS_AN_ENTRANT = 100.0
MOST_ENTRANTS = 12
ENOUGH_STEPS = 0.6
"""Of the steps that a race and a final training give the winner: so many for every entrant make a race needless."""
RUNG_COOLDOWN_SHARE = 0.3
"""Of a rung's steps: the short cool-down before its score."""


USUAL_STARTUP_SECONDS = 5.0
"""Of worker processes, before it is measured."""
TIMING_SHARE = 0.1
"""Of the time: the most that timing takes."""
ROUNDS = 3
"""Of choosing candidates and timing them: each corrects the estimate that the next chooses by."""
LEAST_LEFT_SHARE = 0.75
"""Of the time: once less is left, what is timed by then is planned with."""
CLOSE = 1.25
"""A measured speed within this factor of the estimate corrects nothing."""


@dataclass(frozen=True, slots=True)
class Deadline:
    """When the solve began, by its clock, and how many seconds it may take."""

    clock: Clock
    began: float
    seconds: float

    @property
    def left_seconds(self) -> float:
        """What is left now, less a spare part for steps slower than the timed ones."""
        return self.seconds * (1 - SPARE_SHARE) - (self.clock.now() - self.began)


def entrants_for(time_seconds: float, workers: int) -> int:
    """How many candidates a race can tell apart: max(2, core-seconds of the race / 100), at most 12."""
    return min(MOST_ENTRANTS, max(2, int(RACE_SHARE * time_seconds * workers / CORE_SECONDS_AN_ENTRANT)))


@dataclass(frozen=True, slots=True)
class Field:
    """What is raced: all candidates, and of the raced ones their configs and how fast each trains here.

    `training` is what the candidates were chosen by; steps are not known yet.
    """

    found: tuple[Candidate, ...]
    training: TrainingLimits
    drafts: tuple[TrainingConfig, ...]
    timings: tuple[Timing, ...]
    group: ProcessGroup
    context: JobContext
    startup_seconds: float


def drafted(
    networks: Mapping[str, Network],
    images: ImageSet,
    recipe: Recipe,
    preprocessing: Preprocessing,
    seed: int,
    device: str,
    most_bytes: int | None = None,
) -> tuple[tuple[TrainingConfig, ...], ProcessGroup]:
    """The configs of these networks by their ids, steps not yet known, and the process group that shares a batch."""
    batch, group = shared_batch(recipe, images, device, list(networks.values()), most_bytes)
    rows = [TrainingConfig(name, row, recipe, preprocessing, seed, batch, 1, 1) for name, row in networks.items()]
    return tuple(rows), group


def estimated_limits(
    images: ImageSet,
    recipe: Recipe,
    deadline: Deadline,
    device: str,
    inherited: bool,
    most_bytes: int | None,
) -> TrainingLimits:
    """What there is to train with, before anything was timed: usual processors, and the memory that is free now."""
    count = len(images.indices("train"))
    (batch, _), workers = shared_batch(recipe, images, device), workers_for(device)
    least, enough = least_epochs(inherited)
    final_seconds = _final_seconds(deadline, USUAL_STARTUP_SECONDS, TIMING_SHARE * deadline.seconds)
    return TrainingLimits(
        seconds=deadline.seconds,
        final_seconds=final_seconds,
        work=final_seconds * USUAL_SPEED[device] * workers,
        images=count,
        batch=max(1, batch),
        least_epochs=least,
        enough_epochs=enough,
        bytes=most_training_bytes(device, most_bytes),
        least_batch=min(LEAST_IMAGES, batch),
        optimiser=recipe.optimiser,
        ema=recipe.ema_share > 0,
    )


def _final_seconds(deadline: Deadline, startup_seconds: float, timing_seconds: float) -> float:
    """About what race and timing will leave for the final training."""
    left = deadline.left_seconds - 2 * startup_seconds - timing_seconds
    return max(0.1, left - min(RACE_SHARE * deadline.seconds, 0.5 * left))


def chosen_field(
    find: Callable[[TrainingLimits], tuple[Candidate, ...]],
    draft: Callable[[Mapping[str, Network]], tuple[tuple[TrainingConfig, ...], ProcessGroup]],
    open_place: Callable[[Sequence[Network]], JobContext],
    limits: TrainingLimits,
    deadline: Deadline,
    device: str,
    progress: Progress | None = None,
) -> Field:
    """The candidates that there is time to train, and how fast the raced ones are.

    `find` gives the candidates for what there is to train with, `draft` configs for networks, `open_place` decodes the
    images for these networks. Raises `TooShort` where nothing that keeps the budget can be trained.
    """
    found = find(limits)
    raced = _raced(found)
    drafts, group = draft(raced)
    quickest = min(drafts, key=lambda row: image_work(row.network, row.batch))
    seconds = min(TIMING_SECONDS, TIMING_SHARE * deadline.seconds / (2 * (len(drafts) + 1)))
    with deadline.clock.stopwatch(device, group, progress) as stopwatch:
        known: dict[Network, Timing] = {}
        context = open_place(list(raced.values()))
        known[quickest.network] = stopwatch.time([quickest], context, seconds)[0]
        ratio, final_seconds = _ratio(known, limits, deadline, stopwatch, seconds * len(drafts))
        again = not 1 / CLOSE < ratio < CLOSE
        for _ in range(ROUNDS):
            if again:
                limits = limits.times(ratio, final_seconds)
                found = find(limits)
                raced = _raced(found)
                drafts, group = draft(raced)
                context = open_place(list(raced.values()))
            new = sorted(
                (row for row in drafts if row.network not in known),
                key=lambda row: image_work(row.network, row.batch),
            )
            if new:
                known |= zip([row.network for row in new], stopwatch.time(new, context, seconds), strict=True)
            timed = {row.network: known[row.network] for row in drafts}
            ratio, final_seconds = _ratio(timed, limits, deadline, stopwatch, 0.0)
            slower = limits.times(ratio, final_seconds)
            again = ratio < 1 / CLOSE and any(slower.is_short_for(network) for network in timed)
            if not again or deadline.left_seconds < LEAST_LEFT_SHARE * deadline.seconds:
                break
        startup = stopwatch.startup_seconds
    timings = tuple(known[row.network] for row in drafts)
    return Field(found, limits, drafts, timings, group, context, startup)


def _raced(found: Sequence[Candidate]) -> dict[str, Network]:
    return {row.id: row.network for row in found if row.raced}


def _ratio(
    known: Mapping[Network, Timing],
    limits: TrainingLimits,
    deadline: Deadline,
    stopwatch: Stopwatch,
    timing_seconds: float,
) -> tuple[float, float]:
    """How much more work there is time for than the limits say, by the slowest of the timed networks; in how long."""
    seconds = _final_seconds(deadline, stopwatch.startup_seconds, timing_seconds)
    speed = min(timing.data_parallel * image_work(network, limits.batch) for network, timing in known.items())
    return seconds * speed / limits.work, seconds


def planned(
    field: Field,
    images: ImageSet,
    deadline: Deadline,
    device: str,
    incumbent: str | None = None,
) -> tuple[Field, dict[str, Any]]:
    """The field without those that are too slow, and the rows "race", "final" and of the process group for plan.json.

    Every candidate gets equal time, not equal steps: the budget of time is the user's, and a faster
    network sees more images in it. Where each has a core and gets about as far on it as the winner of a race would, all
    are trained to the end and compared then, for early scores favour what has least to recover; `final` is then None.
    Raises `TooShort` where the time is gone before any training, or no training would be one.
    """
    while True:
        steps = _shared(field, images, deadline, device, incumbent)
        epochs = {row["id"]: epochs_of(row["config"], images) for row in steps["race"]["entrants"]}
        slow = [name for name, count in epochs.items() if count < field.training.least_epochs]
        if not slow:
            return field, steps
        if len(slow) == len(epochs):
            best = max(epochs.values())
            least = field.training.least_epochs
            raise TooShort(
                deadline.seconds,
                f"for a training on {field.training.images:,} images: the quickest of the networks that could be raced "
                f"would see each {too_few(best, least)}",
                field.training.least_seconds(max(best, 0.01)),
            )
        field = _without(field, {name: epochs[name] for name in slow})


def _without(field: Field, slow: Mapping[str, float]) -> Field:
    """The field without these, whose timing gave so few epochs."""
    found = tuple(
        dataclasses.replace(
            row, raced=False, why=f"too slow here: it would see each image only {slow[row.id]:.1f} times in the time"
        )
        if row.id in slow
        else row
        for row in field.found
    )
    kept = [index for index, row in enumerate(field.drafts) if row.id not in slow]
    return dataclasses.replace(
        field,
        found=tuple(sorted(found, key=lambda row: not row.raced)),
        drafts=tuple(field.drafts[index] for index in kept),
        timings=tuple(field.timings[index] for index in kept),
    )


def _shared(field: Field, images: ImageSet, deadline: Deadline, device: str, incumbent: str | None) -> dict[str, Any]:
    """The rows of plan.json for these entrants: how many steps each takes in every rung and at the end."""
    drafts, timings = field.drafts, field.timings
    evaluation = max(evaluation_seconds(images, timing) for timing in timings)
    # Workers start twice more: for the race and for the final training.
    left = deadline.left_seconds - 2 * field.startup_seconds - evaluation
    if left < 2.0:
        needed = 2 * (deadline.seconds - deadline.left_seconds) + 20
        raise TooShort(deadline.seconds, "to start a training: starting and timing alone take them", needed)
    race_seconds = min(RACE_SHARE * deadline.seconds, 0.5 * left)
    counts = survivors(len(drafts))
    workers = workers_for(device)
    waves = [-(-count // workers) for count in counts]
    seconds = [race_seconds / len(counts) / wave for wave in waves]
    validation = len(images.indices("validation"))
    entrants = [
        entrant_row(draft, timing, seconds, left - race_seconds, validation)
        for draft, timing in zip(drafts, timings, strict=True)
    ]
    final: dict[str, Any] | None = {
        "seconds": left - race_seconds,
        "learns": ["train", "validation"],
        "held_out": held_out_count(validation),
    }
    whole_seconds = left + field.startup_seconds  # there is no final training that workers would start for
    whole = [whole_row(draft, timing, whole_seconds) for draft, timing in zip(drafts, timings, strict=True)]
    enough = all(epochs_of(row["config"], images) >= field.training.least_epochs for row in whole)
    if 1 < len(drafts) <= workers and enough and _get_as_far(whole, entrants):
        entrants, race_seconds, final = whole, whole_seconds, None
    return {
        **process_group_row(field.group),
        "race": {
            "seconds": race_seconds,
            "kept": list(counts),
            "incumbent": incumbent,
            "images_per_second": {
                draft.id: {"single_process": timing.single_process, "data_parallel": timing.data_parallel}
                for draft, timing in zip(drafts, timings, strict=True)
            },
            "entrants": entrants,
        },
        "final": final,
    }


def _get_as_far(whole: Sequence[Mapping[str, Any]], raced: Sequence[Mapping[str, Any]]) -> bool:
    steps = ((one["config"]["steps"], other["config"]["steps"]) for one, other in zip(whole, raced, strict=True))
    return all(one >= ENOUGH_STEPS * other for one, other in steps)


def whole_row(draft: TrainingConfig, timing: Timing, seconds: float) -> dict[str, Any]:
    """An entrant's config and steps where its only rung is the whole training, on one core."""
    steps = max(2, int(seconds * timing.single_process / draft.batch))
    cooldown = min(steps - 1, round(draft.recipe.cooldown_share * steps))
    return {
        "id": draft.id,
        "config": config_row(with_steps(draft, steps)),
        "rungs": [{"trunk_until": steps - cooldown, "cooldown_steps": cooldown}],
        "final": None,
    }


def entrant_row(
    draft: TrainingConfig, timing: Timing, rung_seconds: Sequence[float], final_seconds: float, validation: int
) -> dict[str, Any]:
    """One entrant's config and its steps: where each rung leaves the trunk, and the end.

    A rung's seconds pay for the score on the `validation` images too.
    """
    rungs: list[dict[str, int]] = []
    trunk = 0
    for seconds in rung_seconds:
        left = seconds - validation_seconds(validation, timing)
        steps = max(2, int(left * timing.single_process / draft.batch))
        cooldown = max(1, round(RUNG_COOLDOWN_SHARE * steps))
        trunk += steps - cooldown
        rungs.append({"trunk_until": trunk, "cooldown_steps": cooldown})
    final_steps = max(2, int(final_seconds * timing.data_parallel / draft.batch))
    total = trunk + final_steps
    cooldown = min(final_steps - 1, round(draft.recipe.cooldown_share * total))
    warmup = max(1, min(round(draft.recipe.warmup_share * total), rungs[0]["trunk_until"] // 2))
    config = with_steps(draft, total, warmup)
    return {
        "id": draft.id,
        "config": config_row(config),
        "rungs": rungs,
        "final": {"trunk_until": total - cooldown, "cooldown_steps": cooldown},
    }
