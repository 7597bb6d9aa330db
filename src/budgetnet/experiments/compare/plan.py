"""How the time of a comparison is shared: every training the same seconds of one worker, as counts of steps."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

from budgetnet.data import ImageSet
from budgetnet.experiments.compare.drafts import Draft, training_id
from budgetnet.parallel.progress import Progress
from budgetnet.parallel.workers import ProcessGroup, workers_for
from budgetnet.training.augmenting import chosen_of, fitted
from budgetnet.training.job import JobContext, Timing, TrainingJob, whole_job
from budgetnet.training.plan import TooShort, config_of, config_row, preprocessing_row, process_group_row
from budgetnet.training.speed import least_epochs
from budgetnet.training.train import FORWARD_RATE, SPARE_SHARE, timed, with_steps

ROUNDS = 3
"""Of timing: whoever is timed alone and first is timed too slow, by a fifth, and would get a fifth fewer steps."""
MEASURED_SECONDS = 2.0
"""How long each network runs at the end, for its milliseconds an image."""
PAGE_SECONDS = 5.0
"""For the report."""


def planned(
    drafts: Sequence[Draft],
    images: ImageSet,
    seeds: int,
    context: JobContext,
    began: float,
    time_seconds: float,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """The rows of plan.json that say how long each training is: equal seconds, steps by speed.

    Raises a one-line `ValueError` where that is too short for any training.
    """
    trainings = len(drafts) * seeds
    workers = min(workers_for(context.device), trainings)
    measured = timed([draft.config for draft in drafts], context, ProcessGroup(workers, 1), progress, True, ROUNDS)
    asked = len(images.indices("validation")) + len(images.indices("test"))
    waves = math.ceil(trainings / workers)
    answers = max(asked / (FORWARD_RATE * timing.single_process) for timing in measured.configs)
    spent = time.monotonic() - began
    after = measured.startup_seconds + waves * answers + len(drafts) * MEASURED_SECONDS + PAGE_SECONDS
    seconds = (time_seconds * (1 - SPARE_SHARE) - spent - after) / waves
    pairs = list(zip(drafts, measured.configs, strict=True))
    count = len(images.indices("train"))
    epochs = {draft.entrant.id: least_epochs(draft.parent is not None)[0] for draft in drafts}
    least = max(epochs[draft.entrant.id] * count / timing.single_process for draft, timing in pairs)
    if seconds < least:
        needed = 1.2 * (spent + after + waves * least) / (1 - SPARE_SHARE)
        what = (
            f"for {trainings} trainings, {workers} at a time: each is to see its {count:,} training images "
            f"{max(epochs.values()):g} times at least"
        )
        raise TooShort(time_seconds, what, needed)
    return {
        **process_group_row(ProcessGroup(workers, 1)),
        "seconds_each": seconds,
        "entrants": [entrant_row(draft, timing, seconds) for draft, timing in pairs],
    }


def entrant_row(draft: Draft, timing: Timing, seconds: float) -> dict[str, Any]:
    """One entrant with the steps that so many seconds of one worker are."""
    config = with_steps(draft.config, max(1, int(seconds * timing.single_process / draft.config.batch)))
    return {
        **draft.entrant.to_dict(),
        "parent": draft.parent,
        "recipe": config.recipe.to_dict(),
        "augmentation": [[one.to_dict() for one in chosen] for chosen in draft.augmentation],
        "preprocessing": preprocessing_row(config.preprocessing),
        "images_per_second": timing.single_process,
        "cooldown_steps": config.cooldown_steps,
        "config": config_row(config),
    }


def jobs_of(plan: Mapping[str, Any], context: JobContext) -> tuple[TrainingJob, ...]:
    """Every training as one job, one seed after another."""
    return tuple(_leg(row, seed, context) for seed in range(plan["seeds"]) for row in plan["entrants"])


def _leg(row: Mapping[str, Any], seed: int, context: JobContext) -> TrainingJob:
    plan = {"recipe": row["recipe"], "preprocessing": row["preprocessing"], "seed": seed}
    config = config_of(row["config"], plan)
    by_seed = row.get("augmentation")  # a plan from before there was a choice says it in its recipe
    recipe = fitted(config.recipe, chosen_of(by_seed and by_seed[seed]))
    config = dataclasses.replace(config, id=training_id(row["id"], seed), recipe=recipe)
    here = dataclasses.replace(context, split_seed=seed)
    return whole_job(config, here, f"compare/{row['id']}, seed {seed}", row["cooldown_steps"])
