"""The trainings above the scores: semifinals of what those hold for the best, then finals of the best and the base.

    scores       many, 1/16 of a final training
    semifinals   16 or fewer, 1/4                        chosen by a model of all scores
    finals       the best of those and the base, whole   chosen by the objective of the semifinals

The best of many noisy scores is in part luck, so what goes on must prove itself again and for longer: successive
halving with few rungs, every training from nothing and by another seed. Source: Jamieson & Talwalkar, Non-stochastic
best arm identification, arXiv:1502.07943.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from budgetnet.data import ImageSet, Preprocessing
from budgetnet.networks import Network
from budgetnet.training.job import JobContext, TrainingJob, whole_job
from budgetnet.training.recipe import Recipe
from budgetnet.training.speed import least_steps
from budgetnet.training.train import FORWARD_RATE, with_steps
from budgetnet.training.trainer import TrainingConfig

LEAST_SCORE_STEPS = 40
"""The fewest steps of a training that only ranks: fewer say nothing (docs/lab-log.md)."""
FINALS = ((3, 3), (3, 2), (2, 2), (2, 1))
"""Finalists and seeds, the most first: the first pair by which a training sees its images `LEAST_EPOCHS` times."""
MOST_FINALISTS = 7
"""Where places would have nothing to do in the last turn of the finals, more finalists take them."""
LEAST_EPOCHS = 12
SEMIFINAL_LENGTH = 1 / 4
"""Of the length of a final training."""
MOST_SEMIFINALISTS = 16


def finals_of(config: TrainingConfig, images: ImageSet, slowest: float, workers: int, seconds: float) -> dict[str, Any]:
    """Finalists, seeds and steps of every final training: the base's beside the finalists', equal steps for all."""
    answers = _answer_seconds(images, slowest)

    def seconds_each(finalists: int, seeds: int) -> float:
        return seconds / _turns(finalists, seeds, workers) - answers

    enough = LEAST_EPOCHS * len(images.indices("train")) / slowest
    finalists, seeds = next((pair for pair in FINALS if seconds_each(*pair) >= enough), FINALS[-1])
    finalists = as_many_as_fit(finalists, seeds, workers)
    each = seconds_each(finalists, seeds)
    return {
        "finalists": finalists,
        "seeds": seeds,
        "images_per_second": slowest,
        "seconds_each": max(0.0, each),
        **_training_row(config, max(1, int(each * slowest / config.batch))),
    }


def as_many_as_fit(finalists: int, seeds: int, workers: int) -> int:
    """At least `finalists`, and as many more as the workers train in the same number of turns."""
    wide = range(finalists, MOST_FINALISTS + 1)
    return max(more for more in wide if _turns(more, seeds, workers) == _turns(finalists, seeds, workers))


def least_finals(config: TrainingConfig, images: ImageSet, slowest: float, workers: int) -> float:
    """Seconds of the fewest and shortest finals."""
    steps = least_final_steps(config, images)
    return _turns(*FINALS[-1], workers) * (steps * config.batch / slowest + _answer_seconds(images, slowest))


def least_final_steps(config: TrainingConfig, images: ImageSet) -> int:
    """Of a final training: fewer are no training at all."""
    return least_steps(len(images.indices("train")), config.batch)


def semifinals_of(
    config: TrainingConfig,
    images: ImageSet,
    rate: float,
    workers: int,
    seconds: float,
    finals: Mapping[str, Any],
    most: int = MOST_SEMIFINALISTS,
) -> dict[str, Any] | None:
    """How many candidates are trained once more, and for how long, in at most this many seconds of all workers.

    None where no more could be than there are finalists. `most`: of the space.
    """
    steps = max(LEAST_SCORE_STEPS, round(SEMIFINAL_LENGTH * finals["config"]["steps"]))
    each = steps * config.batch / rate + len(images.indices("validation")) / (FORWARD_RATE * rate)
    networks = min(most, MOST_SEMIFINALISTS, workers * int(seconds / each))
    if networks <= finals["finalists"]:
        return None
    return {
        "networks": networks,
        "seconds": each * math.ceil(networks / workers),
        **_training_row(config, steps),
    }


def _training_row(config: TrainingConfig, steps: int) -> dict[str, Any]:
    planned = with_steps(config, steps)
    row = {"batch": config.batch, "steps": steps, "warmup_steps": planned.warmup_steps}
    return {"config": row, "cooldown_steps": planned.cooldown_steps}


def _turns(finalists: int, seeds: int, workers: int) -> int:
    """How many trainings of the finalists and the base each worker makes, at most."""
    return math.ceil((finalists + 1) * seeds / workers)


def _answer_seconds(images: ImageSet, rate: float) -> float:
    return (len(images.indices("validation")) + len(images.indices("test"))) / (FORWARD_RATE * rate)


def semifinal_jobs(
    plan: Mapping[str, Any], networks: Sequence[tuple[str, Network]], context: JobContext
) -> tuple[TrainingJob, ...]:
    """The semifinals of these (id, network), by a seed that neither scores nor finals have."""
    row = plan["semifinals"]
    seed = plan["seed"] + plan["finals"]["seeds"]
    configs = [(name, _config(plan, row, f"{name}-semifinal", network, seed)) for name, network in networks]
    return tuple(whole_job(config, context, f"semifinals/{name}", row["cooldown_steps"]) for name, config in configs)


def final_jobs(
    plan: Mapping[str, Any], networks: Sequence[tuple[str, Network]], context: JobContext
) -> tuple[TrainingJob, ...]:
    """The final trainings of these (id, network), one seed after another, on the one split of the search.

    A seed is of the weights and the augmentation: other splits' test images would be known to the search.
    """
    row = plan["finals"]
    return tuple(
        whole_job(
            _config(plan, row, final_id(name, seed), network, plan["seed"] + seed),
            context,
            f"finals/{name}, seed {seed}",
            row["cooldown_steps"],
        )
        for seed in range(row["seeds"])
        for name, network in networks
    )


def final_id(name: str, seed: int) -> str:
    """The name of a final training's files."""
    return f"{name}-seed{seed}"


def _config(plan: Mapping[str, Any], row: Mapping[str, Any], name: str, network: Network, seed: int) -> TrainingConfig:
    recipe, preprocessing = Recipe.from_dict(plan["recipe"]), Preprocessing(**plan["preprocessing"])
    return TrainingConfig(name, network, recipe, preprocessing, seed, **row["config"])
