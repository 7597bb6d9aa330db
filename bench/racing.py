"""What a race saves: its multiply-adds against training every candidate in full, and what its winner is worth.

    python -m bench.racing DATA --base bench/bases/small28.json --out FOLDER

The candidates are those of `budgetnet search coefficients`: networks of `--growth` times the base's multiply-adds.
Each is trained in full with several seeds, and along the way its trunk is left for a short cool-down and a score at
1/16, 1/8, 1/4 and 1/2 of the steps. Once more each is trained from weights that it inherits from the trained base, to
1/4 of the steps. A race of any form is then replayed from these scores, with the seeds of every candidate drawn anew
each time, and judged by the full trainings: the test accuracy of its winner and of the one that is best of all on
validation. Scores on validation choose, answers to the test images judge. Killed anywhere, the same command goes on.
Results: docs/lab-log.md.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.random_search import BACKWARD
from bench.replay import forms_for, judged
from budgetnet import Network, cost, open_images
from budgetnet.cli.progress import progress
from budgetnet.data import open_cache
from budgetnet.experiments.coefficients.entrants import base_of, entrants_of
from budgetnet.experiments.solve.plan import RUNG_COOLDOWN_SHARE
from budgetnet.model.files import save_tensors
from budgetnet.model.inherit import inherit
from budgetnet.parallel.progress import Update
from budgetnet.parallel.workers import Workers, workers_for
from budgetnet.runs.files import write_json
from budgetnet.training.augmenting import AUTO, choose_augmentation, fitted
from budgetnet.training.job import JobContext, TrainingJob, opened, run_job
from budgetnet.training.outcome import trained_model
from budgetnet.training.plan import preprocessing_for, side_px_for
from budgetnet.training.predictions import train_and_test
from budgetnet.training.pretrained import fitting_images
from budgetnet.training.recipe import guarded_batch, recipe_of
from budgetnet.training.trainer import TrainingConfig, TrainingSpec, initial_model

FORMAT = "budgetnet.racing.v1"
MARKS = (1 / 16, 1 / 8, 1 / 4, 1 / 2)
"""Of a full training's steps: where scores are taken."""
INHERITED_MARKS = MARKS[:3]


@dataclass(frozen=True, slots=True)
class Training:
    """One network's training: a job for each score, in order. `parent` is the one whose weights it begins from."""

    jobs: tuple[TrainingJob, ...]
    parent: TrainingJob | None
    tested: bool

    @property
    def done(self) -> bool:
        """Whether nothing of it is missing."""
        last = self.jobs[-1]
        return (last.predictions if self.tested else last.scores).exists()


def main() -> None:
    """Train what is missing, replay the races, print what they cost and find."""
    asked = _asked()
    images = open_images(asked.data)
    base = base_of(images, Network.from_json(asked.base.read_text(encoding="utf-8")))
    rows = entrants_of(images, base, asked.growth, asked.tolerance, "macs", asked.candidates).rows
    networks = {row.id: row.candidate.network for row in rows}
    preprocessing, recipe = preprocessing_for(images), recipe_of("modern")
    side_px = side_px_for([base, *networks.values()], preprocessing)
    pixels = open_cache(images, side_px)
    recipe = fitted(recipe, choose_augmentation(AUTO, recipe, images, pixels, 0))
    context = JobContext(asked.data, 0, side_px, str(asked.out / "training"))
    batch = guarded_batch(recipe, len(images.indices("train")))
    draft = TrainingSpec("draft", base, recipe, preprocessing, 0, batch).for_steps(asked.steps)
    parent = training_of(draft, base, "base", 0, context, (), None)
    plain = {name: _seeds(draft, row, name, asked.seeds, context, None) for name, row in networks.items()}
    begun = parent.jobs[-1]
    heirs = {name: _seeds(draft, row, f"{name}-heir", asked.seeds, context, begun) for name, row in networks.items()}
    _train([parent], "base")
    _train([one for group in (plain, heirs) for each in group.values() for one in each], "candidates")
    first_macs = BACKWARD * cost(base).macs * batch * asked.steps
    row = judged(forms_for(len(networks), asked.seeds), first_macs, _legs(plain), _legs(heirs), images)
    write_json(asked.out / "racing.json", {"format": FORMAT, "steps": asked.steps, "seeds": asked.seeds, **row})
    _say(row)


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--base", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--growth", type=float, default=2.0)
    parser.add_argument("--tolerance", type=float, default=0.05)
    parser.add_argument("--candidates", type=int, default=12)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=400)
    return parser.parse_args()


def _legs(trainings: Mapping[str, Sequence[Training]]) -> dict[str, list[tuple[TrainingJob, ...]]]:
    return {name: [one.jobs for one in rows] for name, rows in trainings.items()}


def _seeds(
    draft: TrainingConfig, network: Network, name: str, seeds: int, context: JobContext, parent: TrainingJob | None
) -> tuple[Training, ...]:
    marks = MARKS if parent is None else INHERITED_MARKS
    return tuple(training_of(draft, network, name, seed, context, marks, parent) for seed in range(seeds))


def training_of(
    draft: TrainingConfig,
    network: Network,
    name: str,
    seed: int,
    context: JobContext,
    marks: Sequence[float],
    parent: TrainingJob | None,
) -> Training:
    """A training that leaves its trunk at every mark for a score; without a parent it also goes on to its end."""
    config = dataclasses.replace(draft, id=f"{name}-seed{seed}", network=network, seed=seed)
    jobs: list[TrainingJob] = []
    for mark in marks:
        steps = max(2, round(mark * config.steps))
        down = max(1, round(RUNG_COOLDOWN_SHARE * steps))
        jobs.append(TrainingJob(config, context, f"mark-{len(jobs)}", f"{config.id}, {mark:g}", steps - down, down))
    if parent is None:
        down = config.cooldown_steps
        jobs.append(TrainingJob(config, context, "end", f"{config.id}, 1", config.steps - down, down))
    return Training(tuple(jobs), parent, tested=parent is None and bool(marks))


def trained(one: Training) -> bool:
    """In a worker: what is missing of a training."""
    first = one.jobs[0]
    if one.parent is not None and not first.initial.exists():
        images, pixels = opened(first.context.data, first.context.split_seed, first.context.side_px)
        model = initial_model(first.config.network, first.config)
        inherit(model, trained_model(one.parent), fitting_images(first.config, images, pixels))
        first.initial.parent.mkdir(parents=True, exist_ok=True)
        save_tensors(first.initial, model.state_dict())
    for job in one.jobs[: len(one.jobs) - one.tested]:
        if not job.scores.exists():
            run_job(job)
    return train_and_test(one.jobs[-1]) if one.tested else True


def _train(rows: Sequence[Training], what: str) -> None:
    missing = [row for row in rows if not row.done]
    if not missing:
        return
    count = min(workers_for("cpu"), len(missing))
    with progress() as shown, Workers(trained, count, "cpu", progress=shown) as workers:

        def on_result(one: Training, _: bool) -> None:
            shown(Update(what, sum(row.done for row in rows), len(rows), one.jobs[0].config.id))

        workers.run(missing, on_result)


def _say(row: Mapping[str, Any]) -> None:
    print(f"{'network':<9}{'MACs':>11}{'log loss':>10}{'test %':>8}{'less than the best':>20}")
    for one in sorted(row["networks"], key=lambda one: one["log_loss"]):
        inside = "inside" if one["inside"] else "outside"
        told = f"{100 * one['lost']:+.1f}, {inside}"
        print(f"{one['id']:<9}{one['macs']:>11,}{one['log_loss']:>10.3f}{100 * one['test']:>8.1f}{told:>20}")
    print(f"\n{'race':<38}{'T MACs':>8}{'times less':>12}{'same':>7}{'inside':>8}{'points lost':>13}")
    for one in row["forms"]:
        print(
            f"{one['name']:<38}{one['macs'] / 1e12:>8.2f}{one['times_less']:>12.1f}{100 * one['same']:>6.0f}%"
            f"{100 * one['inside']:>7.0f}%{100 * one['lost']:>13.2f}"
        )
    chance = row["by_chance"]
    inside, lost = 100 * chance["inside"], 100 * chance["lost"]
    print(f"{'one drawn by chance':<38}{0:>8}{'-':>12}{'':>7}{inside:>7.0f}%{lost:>13.2f}")
    for name, values in row["tau"].items():
        print(f"tau of one seed's scores at each mark, {name}: " + ", ".join(f"{value:+.2f}" for value in values))


if __name__ == "__main__":
    main()
