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
from budgetnet.cluster.missing import train_missing
from budgetnet.cluster.parcel import Errand, leg_errand
from budgetnet.cluster.where import Where, batch_for
from budgetnet.data import Data, ImageSet, open_cache
from budgetnet.experiments.family.members import members_of, published_members
from budgetnet.experiments.family.plan import Job, legs_of, planned
from budgetnet.experiments.family.result import Family, Member, Part, gains_of, member_of
from budgetnet.experiments.family.statement import statement
from budgetnet.model.weights import save_weights
from budgetnet.networks import Network
from budgetnet.networks.scaling import Coefficients
from budgetnet.parallel.progress import Progress
from budgetnet.runs.run import SIDE_NOTE, read_events
from budgetnet.training.answers import Answered, answered, train_and_test, training_seconds
from budgetnet.training.augmenting import chosen_of, fitted
from budgetnet.training.chance import check_any_learned
from budgetnet.training.leg import Leg, Place, opened, run_leg
from budgetnet.training.outcome import clear, trained_model
from budgetnet.training.plan import (
    data_row,
    load_plan,
    machine_row,
    preprocessing_for,
    preprocessing_row,
    save_plan,
    side_px_for,
    team_of,
)
from budgetnet.training.recipe import Recipe, recipe_of
from budgetnet.training.trainer import Course

COMMAND = "search family, family"
"""In the plan.json of the family's own folder."""


def job_for(
    networks: Sequence[Network],
    images: ImageSet,
    data: Data,
    recipe: str | Recipe,
    seed: int,
    folder: Path,
    where: Where,
    precision: str,
    progress: Progress | None,
    side_px: int | None = None,
    most_bytes: int | None = None,
) -> Job:
    """The images open at that side, or one that serves all these networks, and a course without network and steps.

    A training takes at most `most_bytes`.
    """
    chosen, preprocessing = recipe_of(recipe), preprocessing_for(images)
    side_px = side_px or side_px_for(networks, preprocessing)
    open_cache(images, side_px, progress=progress)
    batch = batch_for(where, chosen, len(images.indices("train")), networks, most_bytes)
    draft = Course("draft", networks[0], chosen, preprocessing, seed, batch, 1, 1)
    return Job(images, draft, Place(data, seed, side_px, str(folder / "training"), where.device, precision), where)


@dataclass(frozen=True, slots=True)
class Training:
    """A family's folder and its plan: what is done is read, what is missing is made."""

    folder: Path
    plan: Mapping[str, Any]
    job: Job
    progress: Progress

    def finish(self) -> dict[str, list[Answered]]:
        """The answers of every member's trainings, the smallest first; networks and weights are written by then."""
        for row in self.plan["members"]:
            with written_aside(self.folder / f"{row['id']}.json") as aside:
                aside.write_text(network_of(row).to_json() + "\n", encoding="utf-8")
        legs, most = legs_of(self.plan, self.job.place), self.plan["processes"]
        where, place = self.job.where, self.job.place
        train_missing(legs, "family", where, place, most, self.progress, train_member, member_errand)
        clear(self.folder / "training")
        done = {leg.course.id: answered(leg, self.job.images) for leg in legs}
        check_any_learned("every member of the family", [one.chance for one in done.values()], self.plan["epochs"])
        return {row["id"]: [done[leg.course.id] for leg in self.legs(row["id"])] for row in self.plan["members"]}

    def legs(self, member: str) -> list[Leg]:
        """The trainings of one member, by seed."""
        return [leg for leg in legs_of(self.plan, self.job.place) if leg.course.id.startswith(f"{member}-seed")]

    def member(self, row: Mapping[str, Any], tests: Sequence[Answered], budget: Budget) -> Member:
        """A row of the plan with what its trainings found."""
        events = read_events(self.folder / "events.jsonl")
        took = [training_seconds(events, leg) for leg in self.legs(row["id"])]
        known = [seconds for seconds in took if seconds is not None]
        mean = sum(known) / len(known) if known else None
        return member_of(row["id"], row["phi"], network_of(row), tests, budget, row["images_per_second"], mean)


def network_of(row: Mapping[str, Any]) -> Network:
    """The network of a member's row in the plan."""
    return Network.from_json(json.dumps(row["course"]["network"]))


def train_member(leg: Leg) -> bool:
    """Train and test in a worker, as `train_and_test`; the first seed's weights are kept beside the networks."""
    if not leg.scores.exists():
        run_leg(leg)
    file = kept_weights(leg)
    if file is not None:
        images, _ = opened(leg.place.data, leg.place.split_seed, leg.place.side_px)
        notes = {SIDE_NOTE: str(leg.place.side_px)}
        preprocessing = dataclasses.replace(leg.course.preprocessing, value_range=images.value_range)
        save_weights(file, trained_model(leg), images.classes, preprocessing_row(preprocessing), notes)
    return train_and_test(leg)


def kept_weights(leg: Leg) -> Path | None:
    """The file for a member's weights, which the first seed's training leaves."""
    name, _, seed = leg.course.id.rpartition("-seed")
    return Path(leg.place.folder).parent / f"{name}.safetensors" if int(seed) == leg.place.split_seed else None


def member_errand(leg: Leg) -> Errand:
    """As of any training, and the member's weights before the answers: where those are, nothing is missing."""
    errand, file = leg_errand(leg), kept_weights(leg)
    return errand if file is None else dataclasses.replace(errand, leaves=(file, *errand.leaves))


def train_family(
    folder: Path,
    base: Network,
    coefficients: Coefficients,
    images: ImageSet,
    whole: Mapping[str, Any],
    data: Data,
    where: Where,
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
        where,
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
            "side_px": job.place.side_px,
        }
        plan = save_plan(folder, {**row, **steps})
    else:
        team_of(plan, folder)  # says where the machine has other cores than the plan's
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
        batch=plan["members"][0]["course"]["batch"],
        epochs=plan["epochs"],
        test_images=len(tests["S0"][0].indices),
        parts=tuple(parts),
        statement=(),
        report=run / "report.html",
    )
    return dataclasses.replace(found, statement=statement(found))
