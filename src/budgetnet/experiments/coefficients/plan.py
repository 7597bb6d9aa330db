"""How the time of a search is shared, as counts of steps: made once, kept in plan.json.

A third is for the check. In the race a training of the last early rung is a quarter as long as one of the last rung,
one of the rung before that half as long, and so on.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from budgetnet.cluster.executor import Executor
from budgetnet.codec import to_plain
from budgetnet.data import ImageSet
from budgetnet.experiments.coefficients.entrants import Entrant, Entrants, Matched
from budgetnet.experiments.race import survivors
from budgetnet.experiments.solve.plan import entrant_row as rungs_row
from budgetnet.networks import Network
from budgetnet.parallel.progress import Progress
from budgetnet.parallel.workers import ProcessGroup
from budgetnet.training.job import JobContext, Timing, TrainingJob, whole_job
from budgetnet.training.plan import TooShort, config_of, config_row, process_group_row
from budgetnet.training.speed import least_steps
from budgetnet.training.train import FORWARD_RATE, validation_seconds, with_steps
from budgetnet.training.trainer import TrainingConfig

FINALISTS = 4
"""At most so many in the last rung, unless another number is asked for."""
CHECK_SHARE = 0.33
"""Of the time left for training. The rest is the race's."""
EARLY_LENGTH, SHORTER = 0.25, 0.5
"""Of the length of a training in the last rung what one of the rung before has; of that what one before that has, and
so on. By measurement: docs/lab-log.md."""
LEAST_EARLY_STEPS = 40
"""Of the first rung, or fewer race: the order after 20 steps had nothing to do with that of full trainings, after 40 it
had as much as after 80 (docs/lab-log.md)."""
SPARE_SHARE = 0.015
"""Of the time, for steps that turn out slower than the timed ones. Many trainings of many networks even that out."""
PAGE_SECONDS = 3.0
"""For the answers' statistics and the report."""
FOUND, PAPER_ID = "found", "paper"
"""The two of the check."""


def planned(
    entrants: Entrants,
    draft: TrainingConfig,
    images: ImageSet,
    finalists: int,
    seeds: int,
    context: JobContext,
    executor: Executor,
    began: float,
    time_seconds: float,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """The rows of plan.json that say who trains for how many steps in each rung, in the last one and in the check.

    Every training of a rung has equal seconds of one worker. `draft` is a config without its network and steps. Fewer
    race, the first of the entrants, where the first rung of all would be too short to say anything.
    Raises a one-line `ValueError` where the time is too short.
    """
    networks = [row.candidate.network for row in entrants.rows]
    checks = list(dict.fromkeys([entrants.paper.network, *(row.check.network for row in entrants.rows)]))
    drafts = [_draft(draft, network, f"timed{at}") for at, network in enumerate([*networks, *checks])]
    workers = executor.slots()
    measured = executor.timed(drafts, context, progress)
    speeds = dict(zip([*networks, *checks], measured.configs, strict=True))
    spent = time.monotonic() - began + measured.startup_seconds + PAGE_SECONDS
    left = time_seconds * (1 - SPARE_SHARE) - spent
    splits = [len(images.indices("validation")), len(images.indices("test"))]
    timings = [speeds[network] for network in networks]
    rows = entrants.rows[: most_racing(timings, finalists, seeds, workers, left, draft.batch, splits[0])]
    kept = survivors(len(rows), finalists)
    seconds = shared(left, kept, seeds, workers)
    first, check = (
        min((speeds[one] for one in each), key=lambda one: one.single_process) for each in (networks, checks)
    )
    fewest = least_steps(len(images.indices("train")), draft.batch)
    least = least_seconds(kept, seeds, workers, draft.batch, splits, first, check, fewest)
    if left < least:
        what = f"to race {len(rows)} networks and train the last {kept[-1]} and a check with {seeds} seeds each"
        needed = 1.2 * (spent + max(10.0, least))
        raise TooShort(time_seconds, what, needed, ", or fewer --candidates, --finalists or --seeds")
    return {
        **process_group_row(ProcessGroup(workers, 1)),
        "kept": list(kept),
        "incumbent": entrants.rows[0].id,
        "seconds": dataclasses.asdict(seconds),
        "entrants": [_entrant_row(row, draft, seconds, splits, speeds) for row in rows],
        "paper": _check_row(entrants.paper, draft, seconds.check, splits, speeds),
    }


def _draft(draft: TrainingConfig, network: Network, name: str) -> TrainingConfig:
    return dataclasses.replace(draft, network=network, id=name)


@dataclass(frozen=True, slots=True)
class Seconds:
    """Of one training: in every early rung, in the last one, in the check."""

    rungs: tuple[float, ...]
    last: float
    check: float


def shared(left: float, kept: Sequence[int], seeds: int, workers: int) -> Seconds:
    """The time by rule: lengths of trainings times the turns that so many workers take for them."""
    lengths = [EARLY_LENGTH * SHORTER ** (len(kept) - 2 - rung) for rung in range(len(kept) - 1)]
    turns = [math.ceil(count / workers) for count in kept[:-1]]
    early = sum(length * many for length, many in zip(lengths, turns, strict=True))
    check = CHECK_SHARE * left
    last = (left - check) / (early + math.ceil(kept[-1] * seeds / workers))
    return Seconds(tuple(length * last for length in lengths), last, check / math.ceil(2 * seeds / workers))


def most_racing(
    timings: Sequence[Timing], finalists: int, seeds: int, workers: int, left: float, batch: int, validation: int
) -> int:
    """The most of the first entrants, by their speeds, of whom each has `LEAST_EARLY_STEPS` in the first rung.

    As many as meet in the last rung have no early one, and race in any case.
    """
    for count in range(len(timings), finalists, -1):
        seconds = shared(left, survivors(count, finalists), seeds, workers)
        slowest = min(timings[:count], key=lambda one: one.single_process)
        steps = (seconds.rungs[0] - validation_seconds(validation, slowest)) * slowest.single_process / batch
        if steps >= LEAST_EARLY_STEPS:
            return count
    return min(finalists, len(timings))


def least_seconds(
    kept: Sequence[int],
    seeds: int,
    workers: int,
    batch: int,
    splits: Sequence[int],
    first: Timing,
    check: Timing,
    steps: int,
) -> float:
    """The least time for the race and the check: each training of the last rung and the check has so many steps.

    Those of early rungs only say who goes on: for them `LEAST_EARLY_STEPS` are enough, or fewer race (`most_racing`).
    All have their answers. `splits` are the counts of validation and test images; `first` is the speed of a candidate,
    `check` that of one at phi = 2.
    """
    shares = shared(1.0, kept, seeds, workers)
    raced = validation_seconds(splits[0], first) + steps * batch / first.single_process
    checked = validation_seconds(sum(splits), check) + steps * batch / check.single_process
    return max(raced / shares.last, checked / shares.check)


def _entrant_row(
    row: Entrant, draft: TrainingConfig, seconds: Seconds, splits: Sequence[int], speeds: Mapping[Network, Timing]
) -> dict[str, Any]:
    candidate, timing = row.candidate, speeds[row.candidate.network]
    config = _draft(draft, candidate.network, row.id)
    raced = rungs_row(config, timing, seconds.rungs, seconds.last, splits[0]) if seconds.rungs else {"rungs": []}
    chosen = candidate.coefficients
    return {
        "id": row.id,
        "alpha": chosen.alpha,
        "beta": chosen.beta,
        "gamma": chosen.gamma,
        "region": to_plain(candidate.region),
        "cost": candidate.cost,
        "images_per_second": timing.single_process,
        "rungs": raced["rungs"],
        "race": raced.get("config"),
        "last": _training_row(config, seconds.last - validation_seconds(splits[0], timing), timing),
        "check": _check_row(row.check, draft, seconds.check, splits, speeds),
    }


def _check_row(
    row: Matched, draft: TrainingConfig, seconds: float, splits: Sequence[int], speeds: Mapping[Network, Timing]
) -> dict[str, Any]:
    timing = speeds[row.network]
    answers = sum(splits) / (FORWARD_RATE * timing.single_process)
    config = _draft(draft, row.network, FOUND)
    return {"phi": row.phi, "cost": row.cost, **_training_row(config, seconds - answers, timing)}


def _training_row(draft: TrainingConfig, seconds: float, timing: Timing) -> dict[str, Any]:
    """A whole training of so many seconds."""
    config = with_steps(draft, max(2, int(seconds * timing.single_process / draft.batch)))
    return {"config": config_row(config), "cooldown_steps": config.cooldown_steps}


def early_leg(plan: Mapping[str, Any], context: JobContext, name: str, rung: int) -> TrainingJob:
    """An entrant's way through an early rung, on from where the one before left its trunk."""
    row = entrant_of(plan, name)
    steps = row["rungs"][rung]
    config = config_of(row["race"], plan)
    return TrainingJob(config, context, f"rung-{rung}", f"race/{name}", steps["trunk_until"], steps["cooldown_steps"])


def last_legs(plan: Mapping[str, Any], context: JobContext, name: str) -> tuple[TrainingJob, ...]:
    """A finalist's trainings, one a seed, from the beginning."""
    return tuple(_whole(plan, context, entrant_of(plan, name)["last"], f"last/{name}", name))


def check_legs(plan: Mapping[str, Any], context: JobContext, found: str) -> dict[str, tuple[TrainingJob, ...]]:
    """The trainings of the check: the found coefficients' and the paper's network at phi = 2."""
    rows = {FOUND: entrant_of(plan, found)["check"], PAPER_ID: plan["paper"]}
    return {name: tuple(_whole(plan, context, row, f"check/{name}", name)) for name, row in rows.items()}


def _whole(
    plan: Mapping[str, Any], context: JobContext, row: Mapping[str, Any], phase: str, name: str
) -> Iterator[TrainingJob]:
    for offset in range(plan["seeds"]):
        seed = plan["seed"] + offset
        config = config_of(row["config"], {**plan, "seed": seed})
        config = dataclasses.replace(config, id=f"{name}-seed{seed}")
        yield whole_job(config, context, f"{phase}, seed {seed}", row["cooldown_steps"])


def entrant_of(plan: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """The plan's row of an entrant."""
    return next(row for row in plan["entrants"] if row["id"] == name)
