"""Finished runs without a training: every file as `train` and `solve` leave it, only the answers are drawn."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import budgetnet
from budgetnet import Budget
from budgetnet.budgets.budget import Fit
from budgetnet.codec import to_plain
from budgetnet.data import Data, ImageSet, default_preprocessing
from budgetnet.experiments.experiment import read_finished
from budgetnet.experiments.solve import SOLVE
from budgetnet.experiments.solve.candidates import Contender
from budgetnet.experiments.solve.choice import Choice
from budgetnet.experiments.solve.plan import Entrant, SolvePlan, Steps
from budgetnet.experiments.solve.request import SolveRequest
from budgetnet.experiments.solve.result import RungScore, SolveRecord, SolveResult
from budgetnet.experiments.train import TRAIN, TrainRecord
from budgetnet.experiments.train.plan import TrainPlan
from budgetnet.experiments.train.request import TrainRequest
from budgetnet.experiments.train.result import TrainResult
from budgetnet.model.trust import Promise, Trust, curve_of
from budgetnet.networks import Network
from budgetnet.networks.scaling import PAPER, FitStrategy
from budgetnet.parallel.workers import ProcessGroup
from budgetnet.runs.files import append_event, write_json
from budgetnet.runs.record import MachineRecord, Record, data_record, save_record
from budgetnet.runs.split_file import write_split
from budgetnet.statistics import Estimate, wilson
from budgetnet.training.augmenting import AUTO, Chosen
from budgetnet.training.calibration import Calibration
from budgetnet.training.evaluation import Evaluation, evaluation_of
from budgetnet.training.image_scores import ImageScores, image_scores
from budgetnet.training.outcome import Metrics, mistakes
from budgetnet.training.recipe import MODERN
from budgetnet.training.trainer import TrainingSpec
from support.simulated import limits_of

BUDGET = Budget(macs=2_000_000, weight_bytes=4 * 1024**2)
MACHINE = MachineRecord(cpu="A processor & more", cores=2, torch="2.14.1", python="3.11.7", budgetnet="0.1.0")
AUGMENTATION = (Chosen("crop", True, "asked for"), Chosen("flip", False, "greyscale images are scans more often"))
GROUP = ProcessGroup(2, 1)
SEED = 7
"""Of a solve, and of the split of its images."""
STEPS = 55
"""Of the final training."""
NAMES = ("first", "second", "third")
BASES: tuple[tuple[str, FitStrategy], ...] = (
    ("mobilenet_v2", "width"),
    ("mobilenet_v3_small", "compound"),
    ("mobilenet_v2", "compound"),
)


def drawn_scores(images: ImageSet, split: str, right_share: float) -> ImageScores:
    """Answers to a split that are right about that often."""
    indices, classes = images.indices(split), len(images.classes)
    random = np.random.default_rng(len(indices))
    labels = np.asarray(images.labels)[indices]
    wrong = (labels + random.integers(1, classes, len(labels))) % classes
    table = random.dirichlet(np.ones(classes), len(labels)).astype(np.float32)
    target = np.where(random.random(len(labels)) < right_share, labels, wrong)
    table[np.arange(len(labels)), target] += random.uniform(1, 4, len(labels))
    return image_scores(table / table.sum(1, keepdims=True), labels)


def drawn_metrics(images: ImageSet) -> Metrics:
    """The scores of a network that is right about four times of five."""
    labels = np.asarray(images.labels)
    answers = {split: drawn_scores(images, split, share) for split, share in (("validation", 0.85), ("test", 0.8))}
    validation, test = (
        evaluation_of(scores, labels[images.indices(split)], images.classes) for split, scores in answers.items()
    )
    found = mistakes(answers["test"], images, images.indices("test"))
    calibration = Calibration(0.62, validation.count, "validation", 0.09, 0.03, 0.08, 0.04)
    held_out, tested = answers["validation"], answers["test"]
    trust = Trust(validation.count, curve_of(held_out.confidence, held_out.right), 0.7)
    promise = Promise(0.1, 0.55, validation.count, (validation.count + 1) // 2, 0)
    checked = promise.check(tested.confidence, tested.right)
    return Metrics(validation, test, calibration, found, ("train",), 0, trust=trust, promises=(checked,))


def fits(images: ImageSet, budget: Budget, first: FitStrategy) -> list[Fit]:
    """Those of `BASES`, the first of them by this strategy."""
    found: list[Fit] = []
    strategies: list[FitStrategy] = [first, *(strategy for _, strategy in BASES[1:])]
    for (name, _), strategy in zip(BASES, strategies, strict=True):
        base = dataclasses.replace(
            budgetnet.network(name), classes=len(images.classes), in_channels=images.in_channels, resolution_px=(32, 32)
        )
        found.append(budgetnet.fit(base, budget, strategy))
    return found


def solve_record(
    data: Data,
    images: ImageSet,
    names: Sequence[str] = NAMES,
    budget: Budget = BUDGET,
    strategy: FitStrategy = BASES[0][1],
) -> SolveRecord:
    """Three candidates, of which two raced in two rungs."""
    request = SolveRequest(
        budget=budget,
        time_seconds=95.0,
        seed=SEED,
        recipe=MODERN,
        bases=("mobilenet_v2", "efficientnet_b0"),
        strategies=(strategy,),
        pretrained="none",
        coefficients=PAPER,
        augment=AUTO,
        precision="float32",
    )
    contenders = [
        Contender(name, name, fit.strategy, 0, fit, index < 2, "as it is <unlike> the others")
        for index, (name, fit) in enumerate(zip(names, fits(images, budget, strategy), strict=True))
    ]
    preprocessing = default_preprocessing(images.in_channels)
    entrants = tuple(
        Entrant(
            id=row.id,
            strategy=row.strategy,
            phi=row.fit.phi,
            certificate=row.fit.certificate,
            config=TrainingSpec(row.id, row.network, MODERN, preprocessing, SEED, 64).for_steps(STEPS),
            rungs=(Steps(8, 3), Steps(16, 3)),
            final=Steps(28, STEPS - 28),
            single_process=300.0,
            data_parallel=500.0,
        )
        for row in contenders[:2]
    )
    plan = SolvePlan(
        parent=None,
        recipe=MODERN,
        augmentation=AUGMENTATION,
        side_px=32,
        group=GROUP,
        slots=2,
        training=limits_of(1e12),
        candidates=tuple(row.row() for row in contenders),
        kept=(2, 1),
        incumbent=None,
        entrants=entrants,
        race_seconds=30.2,
        final_seconds=61.0,
        finish_seconds=4.0,
        held_out=0,
    )
    return Record("solve", data_record(data, images), SEED, MACHINE, request, plan)


def race_scores(images: ImageSet, names: Sequence[str]) -> tuple[RungScore, ...]:
    total = len(images.indices("validation"))
    rows: list[RungScore] = []
    for name, rung, share in ((names[0], 0, 0.5), (names[1], 0, 0.4), (names[0], 1, 0.75)):
        right = round(share * total)
        rows.append(RungScore(name, rung, 40, right / total, *wilson(right, total), 1 - share))
    return tuple(rows)


def finished_solve(
    run: Path,
    images: ImageSet,
    data: Data,
    names: Sequence[str] = NAMES,
    budget: Budget = BUDGET,
    strategy: FitStrategy = BASES[0][1],
) -> tuple[SolveRecord, SolveResult]:
    """The files of a solve that is finished, on images that are split by `SEED`. `strategy` scaled the winner."""
    run.mkdir(parents=True, exist_ok=True)
    record, metrics = solve_record(data, images, names, budget, strategy), drawn_metrics(images)
    save_record(run, record)
    choice = Choice(names[0], names[1], f"{names[0]} is as good", Estimate(0.0042, -0.011, 0.0194, 179))
    write_json(
        run / SOLVE.file,
        {
            "format": SOLVE.format,
            **to_plain(metrics),
            "choice": to_plain(choice),
            "race": to_plain(race_scores(images, names)),
        },
    )
    winner = record.plan.entrant(names[0])
    write_json(run / "certificate.json", {"network": winner.config.network.name, **winner.certificate.to_dict()})
    _write_rest(run, images, winner.config.network, metrics.validation)
    return read_finished(SOLVE, run)


def train_record(data: Data, images: ImageSet, network: Network, epochs: float = 20.0, seed: int = 0) -> TrainRecord:
    """A training of `STEPS` steps without limits."""
    network = dataclasses.replace(network, classes=len(images.classes), in_channels=images.in_channels)
    request = TrainRequest(network, epochs, None, MODERN, seed, "float32", None, "none", AUTO, None)
    config = TrainingSpec(
        "final", network, MODERN, default_preprocessing(images.in_channels), seed, MODERN.batch
    ).for_steps(STEPS)
    plan = TrainPlan(None, AUGMENTATION, 32, GROUP, config, config.cooldown_steps, 0.0)
    return Record("train", data_record(data, images), seed, MACHINE, request, plan)


def finished_train(run: Path, images: ImageSet, record: TrainRecord) -> tuple[TrainRecord, TrainResult]:
    """The files of a training that is finished."""
    run.mkdir(parents=True, exist_ok=True)
    save_record(run, record)
    metrics = drawn_metrics(images)
    write_json(run / TRAIN.file, {"format": TRAIN.format, **to_plain(metrics)})
    _write_rest(run, images, record.plan.config.network, metrics.validation)
    return read_finished(TRAIN, run)


def _write_rest(run: Path, images: ImageSet, network: Network, validation: Evaluation) -> None:
    from budgetnet.model.build import build
    from budgetnet.model.weights import save_weights

    (run / "network.json").write_text(network.to_json(), encoding="utf-8")
    preprocessing = to_plain(default_preprocessing(images.in_channels))
    save_weights(run / "weights.safetensors", build(network, seed=0), images.classes, preprocessing)
    write_split(run, images, ("train",), ())
    for step in range(5, STEPS + 5, 5):
        event = {"kind": "step", "phase": "final", "step": step, "epoch": step / 20, "loss": 3 / step}
        append_event(
            run / "events.jsonl", {**event, "accuracy": step / 80, "learning_rate": 0.01, "seconds": 1.0 * step}
        )
    score = {"kind": "score", "phase": "final", "step": STEPS, "accuracy": validation.top1}
    append_event(run / "events.jsonl", {**score, "low": validation.top1_low, "high": validation.top1_high})
