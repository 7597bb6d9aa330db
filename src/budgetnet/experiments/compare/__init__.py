"""Families side by side: one budget, one recipe, the same seeds, and what the differences are worth."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from budgetnet.arguments import integer, number, path, run_arguments
from budgetnet.atomic_write import written_aside
from budgetnet.budgets.budget import Budget, budget_of
from budgetnet.cluster.executor import LocalExecutor
from budgetnet.cluster.pending import train_pending
from budgetnet.data import Data, Folders, ImageSet, data_of, open_cache, open_images, tell_images
from budgetnet.experiments.bases import given_bases
from budgetnet.experiments.compare.ablation import WHOLE
from budgetnet.experiments.compare.drafts import Draft, augmented, begin, drafts_of, training_id
from budgetnet.experiments.compare.entrants import FAMILIES, Entrant, LeftOut
from budgetnet.experiments.compare.plan import MEASURED_SECONDS, jobs_of, planned
from budgetnet.experiments.compare.questions import Question, bases_of
from budgetnet.experiments.compare.result import Compared, Comparison, accuracy_of, pairs_of, published_of, seed_score
from budgetnet.experiments.compare.scalings import SCALINGS, START_SHARE
from budgetnet.experiments.compare.statement import statement
from budgetnet.experiments.compare.words import blocks, design, origin
from budgetnet.inspect.latency import Measurement, measure_each
from budgetnet.networks import Network
from budgetnet.networks.scaling import PAPER, Coefficients, Strategy, check_compound, coefficients_of
from budgetnet.parallel.progress import Progress, silent
from budgetnet.runs.run import read_events, read_json, write_json
from budgetnet.training.augmenting import (
    Augment,
    Chosen,
    Everything,
    augment_of,
    chosen_of,
    given_augment,
    tell_augmentation,
)
from budgetnet.training.chance import check_any_learned
from budgetnet.training.job import JobContext, TrainingJob
from budgetnet.training.outcome import clear
from budgetnet.training.plan import (
    check_time,
    clear_run,
    data_row,
    epochs_of,
    given_coefficients,
    load_plan,
    machine_row,
    process_group_of,
    run_folder,
    run_lock,
    same_arguments,
    same_data,
    same_values,
    save_plan,
    side_px_for,
)
from budgetnet.training.predictions import TestPredictions, test_predictions, training_seconds
from budgetnet.training.recipe import Recipe, recipe_of
from budgetnet.training.train import check_computing

__all__ = ["FAMILIES", "Comparison", "compare"]


def compare(
    data: str | Path | Folders,
    budget: Budget,
    time_seconds: float = 3600.0,
    seeds: int = 3,
    networks: Sequence[str | Network] | None = None,
    strategy: Strategy = "compound",
    pretrained: str = "none",
    recipe: str | Recipe | None = None,
    question: Question = "families",
    out: Path | str | None = None,
    device: str = "cpu",
    precision: str = "float32",
    fresh: bool = False,
    progress: Progress | None = None,
    start_share: float = START_SHARE,
    coefficients: Coefficients = PAPER,
    augment: Augment | Everything = "auto",
) -> Comparison:
    """Networks at one budget side by side, each trained several times for equal seconds of one core or GPU.

    Every base is scaled to the budget from the images' own size; one that cannot keep it is left out. Seed s splits the
    images and draws the weights and the augmentation, so that the networks of one seed answer the same test images and
    differences are paired. Steps are planned once, from timed steps. docs/compare.md says how to read the result.

    The same call continues where a stopped one was; a finished run is read and not made again, unless `fresh` is given.

    Args:
        data: The images, as `open_images` takes them.
        budget: The limits.
        time_seconds: For everything: a number of seconds, or text such as "60m".
        seeds: How many times each network is trained.
        networks: The bases, or their names. Unless given, one of every family; for "scaling" and "ablation" one base.
        strategy: How bases are scaled to the budget: see `scale`.
        pretrained: A source of weights as `load_weights` takes it, which the networks inherit; "auto" for the nearest
            relative of each; "none".
        recipe: One for all: "modern", "paper", "finetune" or a `Recipe`. Unless given "modern", and "finetune" for what
            inherits.
        question: "families" (the bases), "scaling" (one base under several strategies) or "ablation" (one base, and
            the same without one of its parts).
        out: The run's folder; unless given, one under runs/ that is named after the data and the arguments.
        device: "cpu", "cuda" or "mps".
        precision: "float32", "bfloat16" or "float16".
        fresh: Whether a run in the folder is removed and made again.
        progress: Called with an `Update` as the work goes on.
        start_share: For "scaling", all strategies grow from one network that uses at most this share of the budget.
        coefficients: Alpha, beta and gamma of the compound strategy.
        augment: Which kinds of augmentation are drawn: an `Augment`, "auto" (those that change no class) or "none".

    Returns:
        Accuracies, paired differences with intervals, what they show in words, and where the run and its report lie.

    Raises:
        BudgetError: No base keeps the budget.
        ValueError: An argument or the images are wrong, the time is too short, or the folder was begun with other
            arguments.
        TypeError: An argument has another type.

    Example:
        >>> import budgetnet
        >>> bases = ["mobilenet_v2", "mobilenet_v3_small"]
        >>> found = budgetnet.compare("digits", budgetnet.Budget(macs="1M"), "2m", seeds=1, networks=bases, out="run")
        >>> len(found.networks), len(found.pairs)
        (2, 1)
    """
    began = time.monotonic()
    data = data_of(data)
    out, _, fresh, progress = run_arguments(out, 0, fresh, progress)
    budget_of("budget", budget)
    time_seconds, seeds = check_time(time_seconds), integer("seeds", seeds)
    given = None if networks is None else given_bases("networks", networks)
    pretrained = path("pretrained", pretrained)
    recipe = None if recipe is None else recipe_of(recipe)
    start_share = number("start_share", start_share)
    coefficients_of(coefficients)
    check_computing(device, precision)
    bases = bases_of(question, given, strategy)
    augment = augment_of(augment)
    check_compound(coefficients, SCALINGS if question == "scaling" else [strategy])
    asked = {
        "question": question,
        "budget": budget.to_dict(),
        "time_seconds": time_seconds,
        "seeds": seeds,
        "networks": [base if isinstance(base, str) else base.to_json() for base in bases],
        "strategy": strategy,
        "coefficients": given_coefficients(coefficients),
        "pretrained": pretrained,
        "recipe_name": None if recipe is None else recipe.name,
        "precision": precision,
        "augment": given_augment(augment),
        **({"start_share": start_share} if question == "scaling" else {}),
    }
    run = run_folder(out, data, asked)
    with run_lock(run):
        plan = load_plan(run, "compare", fresh)
        images = tuple(open_images(data, seed, progress) for seed in range(seeds))
        if plan is not None:
            same_arguments(plan, asked, run)
            for fingerprint, one in zip(plan["fingerprints"], images, strict=True):
                same_data(fingerprint, one, run)
            if (run / "comparison.json").exists():
                return _shown(run)
            same_values(plan, images[0], run)
            process_group_of(plan, run)  # says where the machine has other cores than the plan's
        drafts, left_out = (
            ((), ())
            if plan
            else drafts_of(
                images[0], budget, question, bases, strategy, pretrained, recipe, start_share, coefficients, device
            )
        )
        side_px = (
            plan["side_px"]
            if plan
            else max(side_px_for([row.entrant.network], row.config.preprocessing) for row in drafts)
        )
        tell_images(images[0], progress)
        pixels = open_cache(images[0], side_px, progress=progress)
        drafts = augmented(drafts, augment, images, pixels)
        tell_augmentation(_first_choice(plan, drafts), progress)
        context = JobContext(data, 0, side_px, str(run / "training"), device, precision)
        if fresh:
            clear_run(run)
        if plan is None:
            begin(drafts, seeds, context, progress)
            steps = planned(drafts, images[0], seeds, context, began, time_seconds, progress)
            plan = save_plan(run, {**_row(data, images, asked, left_out, side_px), **steps})
        return _Run(run, plan, budget, images, context, progress or silent).finish()


def _first_choice(plan: Mapping[str, Any] | None, drafts: Sequence[Draft]) -> tuple[Chosen, ...]:
    """What the first entrant draws under the first seed; empty for a plan from before there was a choice."""
    if plan is None:
        return drafts[0].augmentation[0]
    return chosen_of((plan["entrants"][0].get("augmentation") or [()])[0])


def _row(
    data: Data, images: Sequence[ImageSet], asked: Mapping[str, Any], left_out: Sequence[LeftOut], side_px: int
) -> dict[str, Any]:
    return {
        "command": "compare",
        "data": data_row(data, images[0]),
        "fingerprints": [one.fingerprint for one in images],
        **asked,
        "machine": machine_row(),
        "left_out": [{"base": row.base, "reason": row.reason} for row in left_out],
        "side_px": side_px,
    }


def _shown(run: Path) -> Comparison:
    """The comparison that a finished run's files hold."""
    from budgetnet.experiments.compare.page import write_page

    clear(run / "training")
    found = Comparison.from_file(read_json(run / "comparison.json"), run, run / "report.html")
    write_page(run)
    return found


Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class _Run:
    """A planned comparison: what is done is read, what is missing is made."""

    run: Path
    plan: Mapping[str, Any]
    budget: Budget
    images: Sequence[ImageSet]
    context: JobContext
    progress: Progress

    def finish(self) -> Comparison:
        jobs = jobs_of(self.plan, self.context)
        executor = LocalExecutor(self.context.device)
        train_pending(jobs, "compare", executor, self.context, executor.places(), self.progress)
        tests = self._by_entrant(jobs, lambda job: test_predictions(job, self.images[job.context.split_seed]))
        took, rows = self._took(jobs), self.plan["entrants"]
        self._check_learned(tests)
        entrants = [Entrant.from_dict(row) for row in rows]
        speeds = measure_each(
            [entrant.network for entrant in entrants],
            seconds=MEASURED_SECONDS,
            device=self.context.device,
            progress=self.progress,
        )
        found = [
            self._compared(entrant, row, tests[entrant.id], took[entrant.id], speed)
            for entrant, row, speed in zip(entrants, rows, speeds, strict=True)
        ]
        found.sort(key=lambda row: (-row.accuracy, row.macs, row.id))
        self._write(tuple(found), tests)
        return _shown(self.run)

    def _by_entrant(self, jobs: Sequence[TrainingJob], found: Callable[[TrainingJob], Found]) -> dict[str, list[Found]]:
        """What was found of every entrant's trainings, seed by seed."""
        done = {job.config.id: found(job) for job in jobs}
        ids = [row["id"] for row in self.plan["entrants"]]
        return {name: [done[training_id(name, seed)] for seed in range(self.plan["seeds"])] for name in ids}

    def _check_learned(self, tests: Mapping[str, Sequence[TestPredictions]]) -> None:
        """Raise a one-line `ValueError` where no training learned anything: then there is nothing to compare."""
        best = min(self.plan["entrants"], key=lambda row: min(test.chance.loss for test in tests[row["id"]]))
        epochs = epochs_of(best["config"], self.images[0])
        every = [test.chance for row in tests.values() for test in row]
        check_any_learned(f"{best['label']}, the best of all,", every, epochs)

    def _took(self, jobs: Sequence[TrainingJob]) -> dict[str, float | None]:
        """Mean seconds of every entrant's trainings."""
        events = read_events(self.run / "events.jsonl")
        each = self._by_entrant(jobs, lambda job: training_seconds(events, job))
        return {name: _mean(found) for name, found in each.items()}

    def _compared(
        self,
        entrant: Entrant,
        row: Mapping[str, Any],
        tests: Sequence[TestPredictions],
        took: float | None,
        speed: Measurement,
    ) -> Compared:
        price, accuracy = self.budget.price(entrant.network), accuracy_of(tests)
        binding = self.budget.check(entrant.network).binding
        published = published_of(entrant.base, entrant.network) if self.plan["question"] == "families" else None
        config = row["config"]
        return Compared(
            **{name: getattr(entrant, name) for name in ENTRANT_FIELDS},
            **{name: getattr(price, name) for name in PRICE_FIELDS},
            origin=origin(entrant.base, entrant.network.source),
            design=design(entrant.strategy, entrant.network.rounding),
            blocks=blocks(entrant.network),
            accuracy=accuracy.found.mean,
            low=accuracy.low,
            high=accuracy.high,
            error_images=accuracy.found.error_images,
            error_seeds=accuracy.found.error_seeds,
            seeds=tuple(map(seed_score, tests)),
            binding=binding.name,
            share=binding.share,
            measurement=speed,
            images_per_second=row["images_per_second"],
            batch=config["batch"],
            steps=config["steps"],
            epochs=epochs_of(config, self.images[0]),
            recipe=row["recipe"]["name"],
            parent=row["parent"],
            published_top1=published and published.top1,
            published_source=published and published.source,
            training_seconds=took,
        )

    def _write(self, found: tuple[Compared, ...], tests: Mapping[str, Sequence[TestPredictions]]) -> None:
        """The networks' files, then comparison.json: where that is, the run is finished."""
        reference = WHOLE if self.plan["question"] == "ablation" and WHOLE in tests else None
        pairs = pairs_of(tests, [row.id for row in found], reference)
        left_out = tuple(LeftOut(**row) for row in self.plan["left_out"])
        images = len(np.unique(np.concatenate([test.indices for test in tests[found[0].id]])))
        (self.run / "networks").mkdir(exist_ok=True)
        for row in found:
            with written_aside(self.run / "networks" / f"{row.id}.json") as aside:
                aside.write_text(row.network.to_json() + "\n", encoding="utf-8")
        result = Comparison(
            run=self.run,
            networks=found,
            reference=reference,
            pairs=pairs,
            statement=statement(found, pairs, images, reference),
            left_out=left_out,
            test_images=images,
            seconds_each=self.plan["seconds_each"],
            disturbance=found[0].measurement.disturbance,
            report=self.run / "report.html",
        )
        write_json(self.run / "comparison.json", result.to_file())


def _mean(values: Sequence[float | None]) -> float | None:
    """The mean; None where one is not known."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known and len(known) == len(values) else None


ENTRANT_FIELDS = ("id", "label", "base", "strategy", "phi", "dropped_strides", "network")
PRICE_FIELDS = ("params", "macs", "activations", "weight_bytes", "peak_activation_bytes", "peak_bytes")
