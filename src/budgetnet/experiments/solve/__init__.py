"""The main job: a budget and images in, the winner and its evidence out."""

from __future__ import annotations

import dataclasses
import functools
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from budgetnet.arguments import of_kind, path, run_arguments, seconds, several
from budgetnet.budgets.budget import Budget, Certificate, Fit, budget_of
from budgetnet.data import Data, Folders, ImageSet, Pixels, Preprocessing, data_of, open_cache, open_images, tell_images
from budgetnet.experiments.bases import given_bases
from budgetnet.experiments.race import race
from budgetnet.experiments.solve.candidates import (
    BASES,
    Candidate,
    as_planned,
    candidates,
    incumbent_of,
    marked_as_planned,
    raced_of,
)
from budgetnet.experiments.solve.choice import Choice, Judged, choose_winner
from budgetnet.experiments.solve.plan import Deadline, chosen_field, drafted, entrants_for, estimated_limits, planned
from budgetnet.networks import Network, zoo
from budgetnet.networks.scaling import (
    PAPER,
    STRATEGIES,
    Coefficients,
    Strategy,
    check_compound,
    coefficients_of,
    strategy_of,
)
from budgetnet.parallel.progress import Progress, Update, silent
from budgetnet.parallel.workers import ProcessGroup, Workers, workers_for
from budgetnet.runs.run import learned_validation, read_json, reading, write_json
from budgetnet.statistics import wilson
from budgetnet.training.augmenting import Augment, Everything, augment_of, augmentation_for, fitted, given_augment
from budgetnet.training.evaluate import Evaluation
from budgetnet.training.job import JobContext, TrainingJob, run_job
from budgetnet.training.outcome import Outcome, finalize, finished, write_split
from budgetnet.training.plan import (
    check_plan,
    clear_run,
    config_of,
    data_row,
    given_coefficients,
    load_plan,
    machine_row,
    planned_preprocessing,
    preprocessing_row,
    process_group_of,
    run_folder,
    run_lock,
    same_arguments,
    same_data,
    same_values,
    save_plan,
    side_px_for,
)
from budgetnet.training.predictions import read_validation_predictions
from budgetnet.training.pretrained import InitialWeights, base_of, default_recipe, source_of, write_initial_weights
from budgetnet.training.recipe import Recipe, recipe_of
from budgetnet.training.speed import TrainingLimits
from budgetnet.training.stopwatch import MACHINE, Clock
from budgetnet.training.train import chance_of, check_computing, check_learned, run_together

LEAST_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Solution:
    """The winner and its evidence. `choice` says in a sentence why it is this one."""

    run: Path
    fit: Fit
    candidates: tuple[Candidate, ...]
    choice: str
    validation: Evaluation
    test: Evaluation
    report: Path


def solve(
    data: str | Path | Folders,
    budget: Budget,
    time_seconds: float = 900.0,
    out: Path | str | None = None,
    seed: int = 0,
    recipe: str | Recipe | None = None,
    bases: Sequence[str | Network] | None = None,
    strategies: Sequence[Strategy] | None = None,
    device: str = "cpu",
    precision: str = "float32",
    fresh: bool = False,
    progress: Progress | None = None,
    pretrained: str = "none",
    coefficients: Coefficients = PAPER,
    augment: Augment | Everything = "auto",
    clock: Clock = MACHINE,
) -> Solution:
    """The most accurate network that keeps the budget, trained within a time.

    Candidates of every base and strategy are fitted to the budget, a diverse few race on the validation images, and
    the winner trains for the rest of the time and is tested once on images that no choice has seen. Where the time is
    too short to train the largest network that fits, smaller ones take part: a network of which a training would see
    each image fewer than four times (twice with pretrained weights) is not a candidate. docs/how-it-works.md explains
    each step.

    The same call continues where a stopped one was; a finished run is read and not made again, unless `fresh` is given.

    Args:
        data: The images, as `open_images` takes them.
        budget: The limits.
        time_seconds: For the race and the training together: a number of seconds, or text such as "15m".
        out: The run's folder; unless given, one under runs/ that is named after the data and the arguments.
        seed: The split, the weights and the augmentation are functions of it.
        recipe: "modern", "paper", "finetune" or a `Recipe`. Unless given "modern", and "finetune" from pretrained
            weights.
        bases: Networks to scale, or their names. Unless given, one of every family; with `pretrained`, its own network.
        strategies: How they are scaled (see `scale`); all strategies unless given.
        device: "cpu", "cuda" or "mps".
        precision: "float32", "bfloat16" or "float16".
        fresh: Whether a run in the folder is removed and made again.
        progress: Called with an `Update` as the work goes on.
        pretrained: A source of weights as `load_weights` takes it, which every candidate inherits (`inherit`); "auto"
            for the nearest that is installed or cached; "none".
        coefficients: Alpha, beta and gamma of the compound strategy, such as `search_coefficients` finds.
        augment: Which kinds of augmentation are drawn: an `Augment`, "auto" (those that change no class) or "none".
        clock: Where the plan's seconds come from: this machine, or another in a simulation.

    Returns:
        The network, its certificate, its scores, the candidates, and where the run and its report lie.

    Raises:
        BudgetError: No network keeps the budget.
        ValueError: An argument or the images are wrong, nothing that keeps the budget can be trained in the time, the
            folder was begun with other arguments, or the training learned nothing.
        TypeError: An argument has another type.

    Example:
        >>> import budgetnet
        >>> answer = budgetnet.solve("digits", budgetnet.Budget(macs="2M"), time_seconds=120, out="run")
        >>> answer.fit.cost.macs <= 2_000_000, answer.test.count
        (True, 359)
    """
    data = data_of(data)
    out, seed, fresh, progress = run_arguments(out, seed, fresh, progress)
    budget_of("budget", budget)
    long = f"at least {LEAST_SECONDS:g} s, which a race and a training need"
    time_seconds = seconds("time", time_seconds, LEAST_SECONDS, long)
    recipe = None if recipe is None else recipe_of(recipe)
    bases = None if bases is None else given_bases("bases", bases)
    strategies = None if strategies is None else several("strategies", strategies, strategy_of)
    pretrained = path("pretrained", pretrained)
    coefficients_of(coefficients)
    of_kind("clock", clock, Clock, "a Clock, as budgetnet.training.stopwatch has it")
    check_computing(device, precision)
    nothing = pretrained == "none"
    asked = _Asked(
        data,
        budget,
        time_seconds,
        seed,
        recipe_of(recipe or default_recipe(None if nothing else pretrained)),
        tuple(bases or (BASES if nothing else ())),
        tuple(strategies or STRATEGIES),
        pretrained,
        coefficients,
        augment_of(augment),
    )
    check_compound(coefficients, asked.strategies)
    began = clock.now()
    run = run_folder(out, asked.data, {**asked.to_dict(), "precision": precision})
    with run_lock(run):
        plan = load_plan(run, "solve", fresh)
        images = open_images(asked.data, seed, progress)
        source = source_of(plan, pretrained, budget)
        asked = asked.beginning_from(source, plan, recipe)
        arguments = {**asked.to_dict(), "precision": precision}
        if plan is not None:
            check_plan(plan, run)
            same_arguments(plan, arguments, run)
            same_data(plan["data"]["fingerprint"], images, run)
        found: tuple[Candidate, ...] = ()
        find = _finder(asked, images, source is not None, entrants_for(time_seconds, workers_for(device)))
        preprocessing = planned_preprocessing(plan, images, source)
        if plan is not None:
            limits = TrainingLimits.from_dict(plan["training"])
            found = marked_as_planned(find(limits, len(plan["race"]["entrants"])), plan)
            if (done := finished(run)) is not None:
                return _shown(run, found if as_planned(found, plan) else raced_of(plan, budget), done)
            if not as_planned(found, plan):
                made_by = plan["machine"]["budgetnet"]
                raise ValueError(
                    f"{run} was planned by budgetnet {made_by} with other candidates; use --fresh or another --out"
                )
            same_values(plan, images, run)
        opening = _Opening(images, preprocessing, asked.data, seed, run / "training", device, precision, progress)
        deadline = Deadline(clock, began, time_seconds)
        estimate = estimated_limits(images, asked.recipe, deadline, device, source is not None, budget.train_bytes)
        raced = [row.network for row in (found or find(estimate)) if row.raced]
        tell_images(images, progress)  # not before: of a budget that nothing keeps one line is said
        opening.context(raced)
        drawn = augmentation_for(plan, asked.augment, asked.recipe, images, opening.pixels, seed, progress)
        if fresh:
            clear_run(run)
        begun_here = plan is None
        if plan is None:
            trained_by = fitted(asked.recipe, drawn)
            field = chosen_field(
                find,
                lambda networks: drafted(networks, images, trained_by, preprocessing, seed, device, budget.train_bytes),
                opening.context,
                estimate,
                deadline,
                device,
                progress,
            )
            if source is not None:
                initial = [InitialWeights(draft, field.context, source, exact=False) for draft in field.drafts]
                write_initial_weights(initial, device, progress)
            raced = [row for row in field.found if row.raced]
            incumbent = None if source is None else incumbent_of(raced)
            field, steps = planned(field, images, deadline, device, incumbent)
            found = field.found
            row = {
                **asked.row(images, found),
                "recipe": trained_by.to_dict(),
                "augmentation": [one.to_dict() for one in drawn],
                "precision": precision,
                "preprocessing": preprocessing_row(preprocessing),
                "parent": source,
                "training": field.training.to_dict(),
                **steps,
            }
            plan = save_plan(run, row)
        context = opening.context([row.network for row in found if row.raced])
        group = process_group_of(plan, run)
        return _Run(run, plan, begun_here, found, images, opening.pixels, context, group, progress or silent).finish()


def _finder(asked: _Asked, images: ImageSet, inherited: bool, entrants: int) -> Callable[..., tuple[Candidate, ...]]:
    """Candidates as a function of what there is to train with, and of how many are raced."""

    @functools.cache
    def find(limits: TrainingLimits, most: int = entrants) -> tuple[Candidate, ...]:
        return candidates(
            images, asked.budget, most, asked.bases, asked.strategies, inherited, asked.coefficients, limits
        )

    return find


class _Opening:
    """The pixels that a run's networks need, decoded once for the largest of them so far."""

    def __init__(
        self,
        images: ImageSet,
        preprocessing: Preprocessing,
        data: Data,
        seed: int,
        folder: Path,
        device: str,
        precision: str,
        progress: Progress | None,
    ) -> None:
        self.images, self.preprocessing, self.progress = images, preprocessing, progress
        self._place = JobContext(data, seed, 0, str(folder), device, precision)
        self._pixels: Pixels | None = None

    @property
    def pixels(self) -> Pixels:
        """Those of the last place."""
        assert self._pixels is not None, "a place is opened first"
        return self._pixels

    def context(self, networks: Sequence[Network]) -> JobContext:
        """Where workers find the pixels for these networks."""
        side_px = side_px_for(networks, self.preprocessing)
        if self._pixels is None or side_px != self._place.side_px:
            self._pixels = open_cache(self.images, side_px, progress=self.progress)
            self._place = dataclasses.replace(self._place, side_px=side_px)
        return self._place


def _shown(run: Path, found: tuple[Candidate, ...], done: Outcome) -> Solution:
    """The solution that a finished run's files hold."""
    from budgetnet.experiments.report.page import write_report

    with reading(run / "metrics.json"):
        choice = read_json(run / "metrics.json")["choice"]
        winner = {row.id: row for row in found}[choice["id"]]
    with reading(run / "certificate.json"):
        certificate = Certificate.from_dict(read_json(run / "certificate.json"))
    fitted = dataclasses.replace(winner.fit, certificate=certificate)
    return Solution(run, fitted, found, choice["reason"], done.validation, done.test, write_report(run))


@dataclass(frozen=True, slots=True)
class _Asked:
    """The question, as the run's name and plan.json hold it."""

    data: Data
    budget: Budget
    time_seconds: float
    seed: int
    recipe: Recipe
    bases: tuple[str | Network, ...]
    strategies: tuple[Strategy, ...]
    pretrained: str
    coefficients: Coefficients
    augment: Augment

    def beginning_from(self, source: str | None, plan: Mapping[str, Any] | None, recipe: str | Recipe | None) -> _Asked:
        """With what the source decides: the recipe, unless given, and the bases, which a plan already has."""
        bases = self.bases
        if not bases and plan is not None:
            bases = tuple(row if row in zoo.names() else Network.from_json(row) for row in plan["bases"])
        elif not bases:
            bases = BASES if source is None else (base_of(source),)
        return dataclasses.replace(self, recipe=recipe_of(recipe or default_recipe(source)), bases=bases)

    def to_dict(self) -> dict[str, Any]:
        return {
            "budget": self.budget.to_dict(),
            "time_seconds": self.time_seconds,
            "seed": self.seed,
            "recipe": self.recipe.to_dict(),
            "bases": [base if isinstance(base, str) else base.to_json() for base in self.bases],
            "strategies": list(self.strategies),
            "pretrained": self.pretrained,
            "coefficients": given_coefficients(self.coefficients),
            "augment": given_augment(self.augment),
        }

    def row(self, images: ImageSet, found: Sequence[Candidate]) -> dict[str, Any]:
        return {
            "command": "solve",
            "data": data_row(self.data, images),
            **self.to_dict(),
            "machine": machine_row(),
            "candidates": [row.to_dict() for row in found],
        }


@dataclass(frozen=True, slots=True)
class _Run:
    """A planned run: what is done is read, what is missing is made. `begun_here`: planned by this very call."""

    run: Path
    plan: Mapping[str, Any]
    begun_here: bool
    found: tuple[Candidate, ...]
    images: ImageSet
    pixels: Pixels
    context: JobContext
    group: ProcessGroup
    progress: Progress

    def finish(self) -> Solution:
        began = time.monotonic()
        jobs = self._raced()
        raced = time.monotonic()
        choice, final = self._final(jobs[-1])
        judged = next(job for job in jobs[-1] if job.config.id == choice.id)
        winner = next(row for row in self.found if row.id == choice.id)
        write_split(self.run, self.images)
        write_json(self.run / "certificate.json", {"network": winner.network.name, **winner.fit.certificate.to_dict()})
        extra: dict[str, Any] = {"choice": choice.to_dict(), "race": self._scores(jobs)}
        if self.begun_here:  # a call that went on with another's work knows only its own time
            extra["seconds"] = {"race": raced - began, "final": time.monotonic() - raced}
        if final.learns_validation != learned_validation(self.plan):
            extra["learned"] = ["train"]
        # What learned from the validation images has no score on them: then that of its last rung counts.
        done = finalize(self.run, final, self.images, self.pixels, extra, judged if final.learns_validation else None)
        return _shown(self.run, self.found, done)

    def _final(self, finalists: Sequence[TrainingJob]) -> tuple[Choice, TrainingJob]:
        """The winner and its final training. One that diverges is passed over: the next best is trained."""
        lost: list[str] = []
        while left := [job for job in finalists if job.config.id not in lost]:
            choice = self._choose(left)
            final = self._ended(next(job for job in left if job.config.id == choice.id))
            if final is not None:
                check_learned(final, self.images, self.run)
                diverged = f"the final training of {' and '.join(lost)} diverged; of the others " if lost else ""
                return dataclasses.replace(choice, reason=diverged + choice.reason), final
            lost.append(choice.id)
        raise ValueError(
            f"the final training of every finalist diverged ({', '.join(lost)}): their answers are no numbers; "
            f"give another --recipe or --seed, and --fresh if it is to lie in {self.run} as well"
        )

    def _ended(self, job: TrainingJob) -> TrainingJob | None:
        """A finalist's training, done: its last rung where that was the whole, else a final one. None: it diverged."""
        steps = self._entrant(job.config.id)["final"]
        if steps is None:
            return job if math.isfinite(self._judged(job).log_loss) else None
        final = self._leg(job.config.id, "final", "final", steps)
        # Where nothing was learned yet, only images that the final training does not see can tell whether it does.
        learns = learned_validation(self.plan) and chance_of(job, self.images).learned
        final = dataclasses.replace(final, learns_validation=learns)
        return final if run_together(final, self.group, self.progress) else None

    def _raced(self) -> list[list[TrainingJob]]:
        """The jobs of every rung, all done. A rung that is finished is not run again."""
        rungs: list[list[TrainingJob]] = []
        count = workers_for(self.context.device)
        total = sum(self.plan["race"]["kept"])
        with Workers(run_job, count, self.context.device, progress=self.progress) as workers:

            def score(rung: int, ids: Sequence[str]) -> dict[str, float]:
                jobs = [
                    self._leg(name, f"rung-{rung}", f"race/{name}", self._entrant(name)["rungs"][rung]) for name in ids
                ]
                done = sum(len(row) for row in rungs)
                rungs.append(jobs)
                missing = [job for job in jobs if not job.scores.exists()]

                def tell(text: str) -> None:
                    self.progress(Update("race", done + sum(job.scores.exists() for job in jobs), total, text))

                tell(f"rung {rung + 1}")
                workers.run(missing, lambda job, _: tell(job.config.id))
                return {job.config.id: -self._judged(job).log_loss for job in jobs}

            plan = self.plan["race"]
            race([row["id"] for row in plan["entrants"]], score, plan.get("incumbent"))
        return rungs

    def _choose(self, jobs: Sequence[TrainingJob]) -> Choice:
        macs = {row.id: row.fit.cost.macs for row in self.found}
        return choose_winner({job.config.id: self._judged(job) for job in jobs}, macs)

    def _judged(self, job: TrainingJob) -> Judged:
        """The answers of the job's model to the validation images."""
        answers, _ = read_validation_predictions(job, self.images)
        return Judged(answers.right, answers.losses)

    def _scores(self, rungs: Sequence[Sequence[TrainingJob]]) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        for rung, jobs in enumerate(rungs):
            for job in jobs:
                judged = self._judged(job)
                low, high = wilson(int(judged.right.sum()), len(judged.right))
                steps = job.trunk_until + job.cooldown_steps
                row = {"id": job.config.id, "rung": rung, "steps": steps, "accuracy": judged.accuracy}
                loss = judged.log_loss if math.isfinite(judged.log_loss) else None
                rows.append({**row, "low": low, "high": high, "log_loss": loss})
        return rows

    def _entrant(self, name: str) -> Mapping[str, Any]:
        return next(row for row in self.plan["race"]["entrants"] if row["id"] == name)

    def _leg(self, name: str, file: str, phase: str, steps: Mapping[str, int]) -> TrainingJob:
        config = config_of(self._entrant(name)["config"], self.plan)
        return TrainingJob(config, self.context, file, phase, steps["trunk_until"], steps["cooldown_steps"])
