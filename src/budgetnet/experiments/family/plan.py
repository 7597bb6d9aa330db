"""How the time is shared: a half for the baseline, a quarter each for coefficients and family; and the family's steps.

Every member of a family takes equal steps of one batch, so equal epochs, as B0 to B7 do in their authors' code
(tensorflow/tpu, efficientnet/main.py: 218,949 steps, whatever the model). Equal seconds would give S3 an eighth of
S0's epochs, and what it lost for want of training would look like what more compute is worth. The price is that about
half of the family's time is S3's.
"""

from __future__ import annotations

import dataclasses
import heapq
import math
import time
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from budgetnet.cluster.executor import Executor
from budgetnet.data import ImageSet
from budgetnet.experiments.baseline.finals import LEAST_EPOCHS
from budgetnet.experiments.coefficients.entrants import entrants_for
from budgetnet.experiments.coefficients.plan import FINALISTS, least_seconds
from budgetnet.experiments.race import survivors
from budgetnet.networks import Network
from budgetnet.parallel.progress import Progress
from budgetnet.parallel.workers import ProcessGroup
from budgetnet.training.job import JobContext, Timing, TrainingJob, whole_job
from budgetnet.training.plan import TooShort, config_of, config_row, process_group_row
from budgetnet.training.speed import least_steps
from budgetnet.training.train import FORWARD_RATE, SPARE_SHARE, Timings, with_steps
from budgetnet.training.trainer import TrainingConfig

SHARES: Mapping[str, float] = {"baseline": 0.5, "coefficients": 0.25, "family": 0.25}
"""Of the time: for three hours what the two searches have by themselves, 90 and 45 minutes, and 45 for the family."""
CANDIDATES = 24
MOST_SEEDS = 3
"""Of coefficients' last rung and of the family: fewer where a training would see its images fewer than 12 times."""
MOST_STEPS = 10**9
MARGIN = 1.2
"""On a least time: what is timed once is timed too fast by this, at worst."""
PAGE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Job:
    """What is known before any time is shared: the images, a config without network and steps, and where it runs."""

    images: ImageSet
    draft: TrainingConfig
    context: JobContext
    executor: Executor

    @property
    def workers(self) -> int:
        """Trainings at a time."""
        return self.executor.slots()

    @property
    def splits(self) -> list[int]:
        """Counts of validation and test images."""
        return [len(self.images.indices("validation")), len(self.images.indices("test"))]

    @property
    def enough_steps(self) -> int:
        """Steps in which a training sees its images 12 times."""
        return math.ceil(LEAST_EPOCHS * len(self.images.indices("train")) / self.draft.batch)

    @property
    def least_steps(self) -> int:
        """Steps in which a training sees its images as often as makes it one."""
        return least_steps(len(self.images.indices("train")), self.draft.batch)

    def config(self, name: str, network: Network) -> TrainingConfig:
        """The config of one network, still without steps."""
        return dataclasses.replace(self.draft, id=name, network=network)


def shared(
    job: Job, members: Sequence[tuple[str, int, Network]], began: float, time_seconds: float, progress: Progress | None
) -> dict[str, Any]:
    """The rows of plan.json that share the time. `members` stand for those that only the searches will find.

    Raises `TooShort` where coefficients or the family could not be trained: after the baseline it would be too late.
    """
    measured = _timed(job, members, progress)
    timings = measured.configs
    spent = time.monotonic() - began
    seconds = {part: max(0, int(share * (time_seconds - spent))) for part, share in SHARES.items()}
    overhead = measured.startup_seconds + sum(row.seconds for row in timings) / job.workers + PAGE_SECONDS
    kept = survivors(entrants_for(CANDIDATES, seconds["coefficients"], job.workers), FINALISTS)

    def race_seconds(seeds: int, steps: int) -> float:
        first, check = timings[1], timings[2]
        return MARGIN * (
            overhead + least_seconds(kept, seeds, job.workers, job.draft.batch, job.splits, first, check, steps)
        )

    wanted = [count for count in range(MOST_SEEDS, 1, -1)]
    seeds = next((n for n in wanted if race_seconds(n, job.enough_steps) <= seconds["coefficients"]), 1)
    least = {
        "coefficients": race_seconds(1, job.least_steps),
        "family": MARGIN * (overhead + family_seconds(job, timings, 1, job.least_steps)),
    }
    if any(seconds[part] < needed for part, needed in least.items()):
        whole = spent + max(needed / SHARES[part] for part, needed in least.items())
        raise TooShort(time_seconds, "for a baseline, coefficients and a family", whole)
    return {"shares": dict(SHARES), "seconds": seconds, "candidates": CANDIDATES, "coefficient_seeds": seeds}


def _timed(job: Job, members: Sequence[tuple[str, int, Network]], progress: Progress | None) -> Timings:
    return job.executor.timed([job.config(name, network) for name, _, network in members], job.context, progress)


def planned(
    job: Job,
    members: Sequence[tuple[str, int, Network]],
    began: float,
    seconds: float,
    progress: Progress | None,
) -> dict[str, Any]:
    """The rows of the family's plan.json: equal steps for all members, as many as the seconds allow.

    Raises `TooShort` where those are too few for a training.
    """
    measured = _timed(job, members, progress)
    spent = time.monotonic() - began + measured.startup_seconds + PAGE_SECONDS
    left = seconds * (1 - SPARE_SHARE) - spent
    lengths = {count: _steps_within(left, job, measured.configs, count) for count in range(MOST_SEEDS, 0, -1)}
    seeds = next((count for count, steps in lengths.items() if steps >= job.enough_steps), 1)
    steps = lengths[seeds]
    if steps < job.least_steps:
        needed = MARGIN * (spent + family_seconds(job, measured.configs, 1, job.least_steps))
        raise TooShort(seconds, f"for {len(members)} trainings of {job.least_steps} steps", needed)
    rows = zip(members, measured.configs, strict=True)
    return {
        **process_group_row(ProcessGroup(job.workers, 1)),
        "seeds": seeds,
        "steps": steps,
        "epochs": steps * job.draft.batch / len(job.images.indices("train")),
        "cooldown_steps": job.draft.recipe.cooldown_steps(steps),
        "members": [
            {
                "id": name,
                "phi": phi,
                "images_per_second": timing.single_process,
                "config": config_row(with_steps(job.config(name, network), steps)),
            }
            for (name, phi, network), timing in rows
        ],
    }


def family_seconds(job: Job, timings: Sequence[Timing], seeds: int, steps: int) -> float:
    """How long a family takes, the largest first, as many trainings at a time as there are workers."""
    asked = sum(job.splits) / FORWARD_RATE
    each = [(steps * job.draft.batch + asked) / row.single_process for row in reversed(timings) for _ in range(seeds)]
    return makespan(each, job.workers)


def makespan(seconds: Sequence[float], workers: int) -> float:
    """When the last of these jobs is done, each in its turn taken by the worker that is free first."""
    free = [0.0] * workers
    for one in seconds:
        heapq.heapreplace(free, free[0] + one)
    return max(free)


def _steps_within(left: float, job: Job, timings: Sequence[Timing], seeds: int) -> int:
    return bisect_right(range(1, MOST_STEPS), left, key=lambda steps: family_seconds(job, timings, seeds, steps))


def jobs_of(plan: Mapping[str, Any], context: JobContext) -> tuple[TrainingJob, ...]:
    """Every training of the family on the one split of the searches, the largest member first.

    A seed is of the weights and the augmentation; the first is the plan's.
    """
    rows = reversed(plan["members"])
    return tuple(_leg(row, plan, plan["seed"] + offset, context) for row in rows for offset in range(plan["seeds"]))


def _leg(row: Mapping[str, Any], plan: Mapping[str, Any], seed: int, context: JobContext) -> TrainingJob:
    config = config_of(row["config"], {**plan, "seed": seed})
    named = dataclasses.replace(config, id=f"{row['id']}-seed{seed}")
    return whole_job(named, context, f"family/{row['id']}, seed {seed}", plan["cooldown_steps"])
