"""Families side by side: one budget, one recipe, the same seeds, and what the differences are worth."""

from __future__ import annotations

import dataclasses
import math
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from budgetnet import zoo
from budgetnet.budget import Budget
from budgetnet.compare.entrants import FAMILIES, Entrant, LeftOut, families
from budgetnet.compare.plan import MEASURED_SECONDS, Draft, answers_path, drafted, legs_of, planned, training_id
from budgetnet.compare.result import Compared, Comparison, accuracy_of, pairs_of, seed_score
from budgetnet.compare.statement import statement
from budgetnet.compare.training import Tested, tested, train_and_test
from budgetnet.compare.words import blocks, design, listed
from budgetnet.learn.data import ImageSet, open_cache, open_images
from budgetnet.learn.leg import Leg, Place
from budgetnet.learn.outcome import clear
from budgetnet.learn.plan import (
    data_row,
    load_plan,
    machine_row,
    only_one,
    preprocessing_for,
    run_folder,
    same_arguments,
    save_plan,
    side_px_for,
    start_anew,
)
from budgetnet.learn.pretrained import Start, default_recipe, parent_for, write_starts
from budgetnet.learn.progress import Progress, Update, silent
from budgetnet.learn.recipe import Recipe, recipe_for, recipe_of
from budgetnet.learn.run import read_json, write_json
from budgetnet.learn.train import check_computing
from budgetnet.learn.workers import Workers, workers_for
from budgetnet.measure import Measurement, measure_each
from budgetnet.model.files import written_aside
from budgetnet.model.inherit import are_relatives
from budgetnet.model.weights import load_model
from budgetnet.scaling import STRATEGIES, Strategy
from budgetnet.spec import Network, check_integer, choose
from budgetnet.zoo.published import TOP1, Published

__all__ = ["FAMILIES", "Comparison", "compare"]


def compare(
    data: str | Path,
    budget: Budget,
    time_seconds: float = 3600.0,
    seeds: int = 3,
    networks: Sequence[str | Network] = FAMILIES,
    strategy: Strategy = "compound",
    pretrained: str = "none",
    recipe: str | Recipe | None = None,
    out: Path | str | None = None,
    device: str = "cpu",
    precision: str = "float32",
    fresh: bool = False,
    progress: Progress | None = None,
) -> Comparison:
    """Networks of several families at one budget, each trained `seeds` times for equal seconds of one core or GPU.

    Every base is scaled to the budget from the images' own size. Seed s splits the images and draws the weights and
    the augmentation, so that the networks of one seed answer the same test images: differences are paired
    (`learn.statistics.over_seeds`). `time_seconds` is for all of it; steps are planned once, by timed steps.

    With `pretrained`, a source as `load_weights` takes it or "auto" (the nearest relative of each), networks
    inherit. The recipe is one for all; unless given it is "modern", or "finetune" for what inherits.

    The same call goes on where a killed one was; a finished comparison is read, not made again, unless `fresh`.
    A base that cannot keep the budget is left out. Raises `BudgetError` if all are, `ValueError` for other bad input.
    """
    began = time.monotonic()
    _check(time_seconds, seeds, networks, strategy, device, precision)
    asked = {
        "budget": budget.to_dict(),
        "time_seconds": time_seconds,
        "seeds": seeds,
        "networks": [base if isinstance(base, str) else base.to_json() for base in networks],
        "strategy": strategy,
        "pretrained": pretrained,
        "recipe_name": None if recipe is None else recipe_of(recipe).name,
        "precision": precision,
    }
    run = run_folder(out, str(data), asked)
    with only_one(run):
        plan = load_plan(run, "compare", fresh)
        images = tuple(open_images(str(data), seed, progress) for seed in range(seeds))
        if plan is not None:
            same_arguments(plan, asked, run)
            _same_images(plan, images, run)
            if (run / "comparison.json").exists():
                return _shown(run)
        drafts, left_out = ((), ()) if plan else _drafts(images[0], budget, networks, strategy, pretrained, recipe)
        side_px = (
            plan["side_px"]
            if plan
            else max(side_px_for([row.entrant.network], row.course.preprocessing) for row in drafts)
        )
        open_cache(images[0], side_px, progress=progress)
        place = Place(str(data), 0, side_px, str(run / "training"), device, precision)
        if fresh:
            start_anew(run)
        if plan is None:
            _write_starts(drafts, seeds, place, progress)
            steps = planned(drafts, images[0], seeds, place, began, time_seconds, progress)
            plan = save_plan(run, {**_row(str(data), images, asked, left_out, side_px), **steps})
        return _Run(run, plan, budget, images, place, progress or silent).finish()


def _check(
    time_seconds: float, seeds: int, networks: Sequence[str | Network], strategy: str, device: str, precision: str
) -> None:
    if not math.isfinite(time_seconds) or time_seconds <= 0:
        raise ValueError(f"time is {time_seconds!r} s; it must be above 0")
    check_integer("seeds", seeds)
    if not networks:
        raise ValueError("give at least one network to compare")
    choose("strategy", strategy, STRATEGIES)
    check_computing(device, precision)


def _same_images(plan: Mapping[str, Any], images: Sequence[ImageSet], run: Path) -> None:
    if plan["fingerprints"] != [one.fingerprint for one in images]:
        raise ValueError(f"{run} was begun on other images than {images[0].name} holds now; use --fresh to start anew")


def _row(
    data: str, images: Sequence[ImageSet], asked: Mapping[str, Any], left_out: Sequence[LeftOut], side_px: int
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


def _drafts(
    images: ImageSet,
    budget: Budget,
    networks: Sequence[str | Network],
    strategy: Strategy,
    pretrained: str,
    recipe: str | Recipe | None,
) -> tuple[tuple[Draft, ...], tuple[LeftOut, ...]]:
    """The entrants with what each begins from and is trained by, and the bases that were left out, with a notice."""
    entrants, left_out = families(images, budget, networks, strategy, inherited=pretrained != "none")
    for row in left_out:
        warnings.warn(f"{row.base} is left out: {row.reason}", stacklevel=2)
    drafts: list[Draft] = []
    for entrant, parent in zip(entrants, _parents(entrants, pretrained), strict=True):
        fitted = recipe_for(recipe_of(recipe or default_recipe(parent)), images.in_channels)
        drafts.append(drafted(entrant, parent, fitted, preprocessing_for(images, parent), images))
    return tuple(drafts), left_out


def _parents(entrants: Sequence[Entrant], pretrained: str) -> list[str | None]:
    """Whose weights each begins from. Raises a one-line `ValueError` for those that are no relatives of a source."""
    if pretrained not in ("none", "auto"):
        parent = load_model(pretrained).network
        strangers = [row.label for row in entrants if not are_relatives(row.network, parent)]
        if strangers:
            raise ValueError(
                f"{listed(strangers)} cannot inherit from {pretrained}, which is {parent.name}: no relatives; "
                "leave them out, or take the nearest relative of each with auto"
            )
    return [parent_for(pretrained, row.network) for row in entrants]


def _write_starts(drafts: Sequence[Draft], seeds: int, place: Place, progress: Progress | None) -> None:
    """The initial weights of every training that inherits."""
    starts = [
        Start(
            dataclasses.replace(row.course, id=training_id(row.entrant.id, seed), seed=seed),
            dataclasses.replace(place, split_seed=seed),
            row.parent,
            exact=False,
        )
        for seed in range(seeds)
        for row in drafts
        if row.parent is not None
    ]
    if starts:
        write_starts(starts, place.device, progress)


def _shown(run: Path) -> Comparison:
    """The comparison that a finished run's files hold."""
    from budgetnet.show.compare.page import write_page

    clear(run / "training")
    return Comparison.from_file(read_json(run / "comparison.json"), run, write_page(run))


@dataclass(frozen=True, slots=True)
class _Run:
    """A planned comparison: what is done is read, what is missing is made."""

    run: Path
    plan: Mapping[str, Any]
    budget: Budget
    images: Sequence[ImageSet]
    place: Place
    progress: Progress

    def finish(self) -> Comparison:
        legs = legs_of(self.plan, self.place)
        self._train(legs)
        tests = self._tests(legs)
        rows = self.plan["entrants"]
        entrants = [Entrant.from_dict(row) for row in rows]
        speeds = measure_each(
            [entrant.network for entrant in entrants],
            seconds=MEASURED_SECONDS,
            device=self.place.device,
            progress=self.progress,
        )
        found = [
            self._compared(entrant, row, tests[entrant.id], speed)
            for entrant, row, speed in zip(entrants, rows, speeds, strict=True)
        ]
        found.sort(key=lambda row: (-row.accuracy, row.macs, row.id))
        self._write(tuple(found), tests)
        return _shown(self.run)

    def _train(self, legs: Sequence[Leg]) -> None:
        """Every training that is not done, one seed after another, as many at a time as there are workers."""
        missing = [leg for leg in legs if not answers_path(leg).exists()]
        if not missing:
            return

        def tell(text: str) -> None:
            done = sum(answers_path(leg).exists() for leg in legs)
            self.progress(Update("compare", done, len(legs), text))

        tell(f"{len(missing)} to do")
        count = min(workers_for(self.place.device), len(missing))
        with Workers(train_and_test, count, self.place.device, progress=self.progress) as workers:
            workers.run(missing, lambda leg, _: tell(leg.phase.removeprefix("compare/")))

    def _tests(self, legs: Sequence[Leg]) -> dict[str, list[Tested]]:
        """What every entrant answered, seed by seed."""
        done = {leg.course.id: tested(leg) for leg in legs}
        ids = [row["id"] for row in self.plan["entrants"]]
        return {name: [done[training_id(name, seed)] for seed in range(self.plan["seeds"])] for name in ids}

    def _compared(
        self, entrant: Entrant, row: Mapping[str, Any], tests: Sequence[Tested], speed: Measurement
    ) -> Compared:
        price, accuracy = self.budget.price(entrant.network), accuracy_of(tests)
        binding = self.budget.check(entrant.network).binding
        published = published_of(entrant.base, entrant.network)
        course, train_images = row["course"], len(self.images[0].indices("train"))
        return Compared(
            **{name: getattr(entrant, name) for name in ENTRANT_FIELDS},
            **{name: getattr(price, name) for name in PRICE_FIELDS},
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
            batch=course["batch"],
            steps=course["steps"],
            epochs=course["steps"] * course["batch"] / train_images,
            recipe=row["recipe"]["name"],
            parent=row["parent"],
            published_top1=published and published.top1,
            published_source=published and published.source,
        )

    def _write(self, found: tuple[Compared, ...], tests: Mapping[str, Sequence[Tested]]) -> None:
        """The networks' files, then comparison.json: where that is, the run is finished."""
        pairs = pairs_of(tests, [row.id for row in found])
        left_out = tuple(LeftOut(**row) for row in self.plan["left_out"])
        images = len(np.unique(np.concatenate([test.indices for test in tests[found[0].id]])))
        (self.run / "networks").mkdir(exist_ok=True)
        for row in found:
            with written_aside(self.run / "networks" / f"{row.id}.json") as aside:
                aside.write_text(row.network.to_json() + "\n", encoding="utf-8")
        result = Comparison(
            run=self.run,
            networks=found,
            pairs=pairs,
            statement=statement(found, pairs, images),
            left_out=left_out,
            test_images=images,
            seconds_each=self.plan["seconds_each"],
            disturbance=found[0].measurement.disturbance,
            report=self.run / "report.html",
        )
        write_json(self.run / "comparison.json", result.to_file())


ENTRANT_FIELDS = ("id", "label", "base", "strategy", "phi", "dropped_strides", "network")
PRICE_FIELDS = ("params", "macs", "activations", "weight_bytes", "peak_activation_bytes", "peak_bytes")


def published_of(base: str, network: Network) -> Published | None:
    """What was published of the family's base, where the network has the rows of the zoo's of that name.

    Scaling changes widths and repeats, never how many stages there are nor their kinds and kernels.
    """
    name = base.removeprefix("tf_")
    if name not in TOP1:
        return None
    forms = [[(stage.kind, stage.kernel) for stage in one.stages] for one in (network, zoo.network(name))]
    return TOP1[name] if forms[0] == forms[1] else None
