"""The third part of the chain: S0 to S3 trained alike, their networks and weights written, their accuracy judged."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from budgetnet.atomic_write import written_aside
from budgetnet.budgets.budget import Budget
from budgetnet.cluster.executor import Executor, batch_for
from budgetnet.cluster.pending import train_pending
from budgetnet.data import Data, ImageSet, open_cache
from budgetnet.experiments.family.members import members_of, published_members
from budgetnet.experiments.family.plan import Job, jobs_of, planned
from budgetnet.experiments.family.result import Family, Member, Part, gains_of, member_of
from budgetnet.experiments.family.statement import statement
from budgetnet.model.weights import save_weights
from budgetnet.networks import Network
from budgetnet.networks.scaling import Coefficients
from budgetnet.parallel.progress import Progress
from budgetnet.runs.run import SIDE_NOTE, read_events
from budgetnet.training.augmenting import chosen_of, fitted
from budgetnet.training.chance import check_any_learned
from budgetnet.training.job import JobContext, JobFiles, TrainingJob, opened, run_job
from budgetnet.training.outcome import clear, trained_model
from budgetnet.training.plan import (
    data_row,
    load_plan,
    machine_row,
    preprocessing_for,
    preprocessing_row,
    process_group_of,
    save_plan,
    side_px_for,
)
from budgetnet.training.predictions import TestPredictions, predictions_of, train_and_test, training_seconds
from budgetnet.training.recipe import Recipe, recipe_of
from budgetnet.training.trainer import TrainingConfig

COMMAND = "search family, family"
"""In the plan.json of the family's own folder."""


def job_for(
    networks: Sequence[Network],
    images: ImageSet,
    data: Data,
    recipe: str | Recipe,
    seed: int,
    folder: Path,
    executor: Executor,
    precision: str,
    progress: Progress | None,
    side_px: int | None = None,
    most_bytes: int | None = None,
) -> Job:
    """The images open at that side, or one that serves all these networks, and a config without network and steps.

    A training takes at most `most_bytes`.
    """
    chosen, preprocessing = recipe_of(recipe), preprocessing_for(images)
    side_px = side_px or side_px_for(networks, preprocessing)
    open_cache(images, side_px, progress=progress)
    batch = batch_for(executor, chosen, len(images.indices("train")), networks, most_bytes)
    draft = TrainingConfig("draft", networks[0], chosen, preprocessing, seed, batch, 1, 1)
    return Job(
        images, draft, JobContext(data, seed, side_px, str(folder / "training"), executor.device, precision), executor
    )


@dataclass(frozen=True, slots=True)
class Training:
    """A family's folder and its plan: what is done is read, what is missing is made."""

    folder: Path
    plan: Mapping[str, Any]
    job: Job
    progress: Progress

    def finish(self) -> dict[str, list[TestPredictions]]:
        """The answers of every member's trainings, the smallest first; networks and weights are written by then."""
        for row in self.plan["members"]:
            with written_aside(self.folder / f"{row['id']}.json") as aside:
                aside.write_text(network_of(row).to_json() + "\n", encoding="utf-8")
        jobs, most = jobs_of(self.plan, self.job.context), self.plan["processes"]
        executor, context = self.job.executor, self.job.context
        trainings = [MemberTraining(job) for job in jobs]
        train_pending(trainings, "family", executor, context, most, self.progress, train_member, tested)
        clear(self.folder / "training")
        done = {job.config.id: predictions_of(job, self.job.images) for job in jobs}
        check_any_learned("every member of the family", [one.chance for one in done.values()], self.plan["epochs"])
        return {row["id"]: [done[job.config.id] for job in self.jobs(row["id"])] for row in self.plan["members"]}

    def jobs(self, member: str) -> list[TrainingJob]:
        """The trainings of one member, by seed."""
        return [job for job in jobs_of(self.plan, self.job.context) if job.config.id.startswith(f"{member}-seed")]

    def member(self, row: Mapping[str, Any], tests: Sequence[TestPredictions], budget: Budget) -> Member:
        """A row of the plan with what its trainings found."""
        events = read_events(self.folder / "events.jsonl")
        took = [training_seconds(events, job) for job in self.jobs(row["id"])]
        known = [seconds for seconds in took if seconds is not None]
        mean = sum(known) / len(known) if known else None
        return member_of(row["id"], row["phi"], network_of(row), tests, budget, row["images_per_second"], mean)


def network_of(row: Mapping[str, Any]) -> Network:
    """The network of a member's row in the plan."""
    return Network.from_json(json.dumps(row["config"]["network"]))


@dataclass(frozen=True, slots=True)
class MemberTraining:
    """A member's training. The weights of the first seed's are kept beside the networks."""

    training: TrainingJob

    @property
    def context(self) -> JobContext:
        """The training's."""
        return self.training.context

    @property
    def phase(self) -> str:
        """The training's."""
        return self.training.phase

    @property
    def kept_weights(self) -> Path | None:
        """The file for the member's weights, if this is the first seed's training."""
        name, _, seed = self.training.config.id.rpartition("-seed")
        folder = Path(self.context.folder).parent
        return folder / f"{name}.safetensors" if int(seed) == self.context.split_seed else None

    @property
    def files(self) -> JobFiles:
        """Those of the training, and the member's weights before the answers: where those are, nothing is missing."""
        files, kept = self.training.files, self.kept_weights
        return files if kept is None else dataclasses.replace(files, leaves=(kept, *files.leaves))

    def at(self, context: JobContext) -> MemberTraining:
        """The same training at another place."""
        return MemberTraining(self.training.at(context))


def tested(member: MemberTraining) -> Path:
    """What is there once the training is done."""
    return member.training.predictions


def train_member(member: MemberTraining) -> bool:
    """Train and test in a worker, as `train_and_test`, and keep the weights in between."""
    job, file = member.training, member.kept_weights
    if not job.scores.exists():
        run_job(job)
    if file is not None:
        images, _ = opened(job.context.data, job.context.split_seed, job.context.side_px)
        notes = {SIDE_NOTE: str(job.context.side_px)}
        preprocessing = dataclasses.replace(job.config.preprocessing, value_range=images.value_range)
        save_weights(file, trained_model(job), images.classes, preprocessing_row(preprocessing), notes)
    return train_and_test(job)


def train_family(
    folder: Path,
    base: Network,
    coefficients: Coefficients,
    images: ImageSet,
    whole: Mapping[str, Any],
    data: Data,
    executor: Executor,
    progress: Progress,
) -> Training:
    """S0 to S3 of this base, planned in `folder`, or as they were planned; `whole` is the chain's plan."""
    began = time.monotonic()
    folder.mkdir(exist_ok=True)
    members = members_of(base, coefficients)
    networks = [network for _, _, network in members]
    plan = load_plan(folder, COMMAND)
    job = job_for(
        networks,
        images,
        data,
        fitted(recipe_of(whole["recipe_name"]), chosen_of(whole.get("augmentation"))),
        whole["seed"],
        folder,
        executor,
        whole["precision"],
        progress,
        side_px=None if plan is None else plan["side_px"],
        most_bytes=Budget.from_dict(whole["budget"]).train_bytes,
    )
    if plan is None:
        steps = planned(job, members, began, whole["seconds"]["family"], progress)
        row = {
            "command": COMMAND,
            "data": data_row(data, images),  # its weights are evaluated by themselves, too
            "seed": whole["seed"],
            "precision": whole["precision"],
            "recipe": job.draft.recipe.to_dict(),
            "preprocessing": preprocessing_row(job.draft.preprocessing),
            "machine": machine_row(),
            "side_px": job.context.side_px,
        }
        plan = save_plan(folder, {**row, **steps})
    else:
        process_group_of(plan, folder)  # says where the machine has other cores than the plan's
    return Training(folder, plan, job, progress)


def family_of(
    training: Training, run: Path, coefficients: Coefficients, budget: Budget, parts: Sequence[Part]
) -> Family:
    """The family, trained to its end."""
    tests, plan = training.finish(), training.plan
    members = tuple(training.member(row, tests[row["id"]], budget) for row in plan["members"])
    found = Family(
        run=run,
        coefficients=coefficients,
        members=members,
        gains=gains_of(tests),
        published=published_members(),
        steps=plan["steps"],
        batch=plan["members"][0]["config"]["batch"],
        epochs=plan["epochs"],
        test_images=len(tests["S0"][0].indices),
        parts=tuple(parts),
        statement=(),
        report=run / "report.html",
    )
    return dataclasses.replace(found, statement=statement(found))
