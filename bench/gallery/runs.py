"""The runs that the gallery shows: those that are given, and short ones on the embedded digits for the others."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import budgetnet
from budgetnet import Budget, adapt, compare, fit, network
from budgetnet.experiments.activations import ACTIVATION_STUDY, Study
from budgetnet.experiments.compare import COMPARE
from budgetnet.experiments.compare.ablation import CHANGES
from budgetnet.experiments.compare.costs import at_costs
from budgetnet.experiments.compare.request import Question
from budgetnet.experiments.compare.result import Comparison
from budgetnet.experiments.compare.scalings import START_SHARE
from budgetnet.experiments.experiment import read_finished
from budgetnet.networks import Network
from budgetnet.networks.scaling import Scaling, Strategy, resize
from budgetnet.parallel.progress import Progress
from budgetnet.runs.record import read_header

EPOCHS = 10.0
SCALED = Budget(macs=5_500_000)
"""Of the four networks of figure 7, which grow from one of 2.7 M multiply-adds."""
SOLVE_SECONDS = 60.0
COMPARED, SOLVED = Budget(macs=1_000_000), Budget(macs=2_000_000)
SECONDS = {"families": 80.0, "scaling": 45.0, "ablation": 120.0}
"""Of a comparison; that of ways to scale is made at each of the `SHARES` of the budget."""
SHARES = (0.5, 1.0)
SEEDS = 2
STUDY_SEEDS, STUDY_STEPS = 3, 100
STRATEGIES: tuple[Strategy, ...] = ("compound", "depth", "width", "resolution")


@dataclass(frozen=True, slots=True)
class Asked:
    """What was given; `work` is the folder of what is made where nothing was, in `longer` times the usual time."""

    run: Path | None
    beside: Path | None
    others: tuple[Path, ...]
    gates: Path | None
    loss: tuple[Path, Path] | None
    solved: Path | None
    compared: Path | None
    scaling: Path | None
    ablation: Path | None
    study: Path | None
    images: tuple[str, ...]
    credit: str
    longer: float
    work: Path
    out: Path


def small_base() -> Network:
    """EfficientNet-B0's stages at a third of the width, two fifths of the depth and 16 px."""
    base = dataclasses.replace(network("efficientnet_b0", classes=10), in_channels=1)
    return resize(adapt(base, 16, dropped_strides=2), Scaling(depth=0.4, width=0.35), name="small")


def scaled_run(work: Path, strategy: Strategy, progress: Progress) -> Path:
    """A training of the small base, scaled to `SCALED` by a strategy."""
    return _trained(work / strategy, fit(small_base(), SCALED, strategy).network, progress)


def twin_run(work: Path, progress: Progress) -> Path:
    """A training of the network that compound scaling gives, with ReLU for Swish."""
    relu = next(change for change in CHANGES if change.id == "relu")
    return _trained(work / "compound-relu", relu.of(fit(small_base(), SCALED).network), progress)


def twin_pair(asked: Asked, progress: Progress) -> tuple[Path, Path]:
    """The given twins for the loss around their weights, or those of the digits."""
    if asked.loss is not None:
        return asked.loss
    return scaled_run(asked.work, "compound", progress), twin_run(asked.work, progress)


def _trained(run: Path, value: Network, progress: Progress) -> Path:
    return budgetnet.train("digits", value, out=run, epochs=EPOCHS, progress=progress).run


def solved_run(asked: Asked, progress: Progress) -> Path:
    """The given solution, or one of the digits. Raises a one-line `ValueError` for a run of something else."""
    if asked.solved is not None:
        if read_header(asked.solved).command != "solve":
            raise ValueError(f"{asked.solved} is not a run of budgetnet solve; --solve takes one")
        return asked.solved
    return budgetnet.solve(
        "digits", SOLVED, asked.longer * SOLVE_SECONDS, out=asked.work / "solve", progress=progress
    ).run


def comparisons_of(asked: Asked, question: Question, progress: Progress) -> tuple[Comparison, ...]:
    """The given comparison of that kind, or one on the digits; of several costs each, the smallest first.

    Raises a one-line `ValueError` for another kind.
    """
    given = {"families": asked.compared, "scaling": asked.scaling, "ablation": asked.ablation}[question]
    if given is None:
        return _compared(asked, question, progress)
    runs = sorted(given.glob("share-*"), key=lambda run: float(run.name.partition("-")[2])) or [given]
    found = tuple(map(read_comparison, runs))
    for one in found:
        if (kind := one.record.request.question) != question:
            raise ValueError(f"{one.run} is a comparison of {kind}, not of {question}")
    return found


def read_comparison(run: Path) -> Comparison:
    """The comparison of a finished run. Raises a one-line `ValueError` for anything else."""
    return read_finished(COMPARE, run)[1]


def _compared(asked: Asked, question: Question, progress: Progress) -> tuple[Comparison, ...]:
    """A comparison on the digits, of ways to scale at two costs."""
    seconds, folder = asked.longer * SECONDS[question], asked.work / question

    def at(share: float, out: Path | None) -> Comparison:
        return compare(
            "digits",
            COMPARED.times(share),
            seconds,
            SEEDS,
            question=question,
            out=out,
            progress=progress,
            start_share=START_SHARE * min(SHARES) / share,
        )

    if question != "scaling":
        return (at(1.0, folder),)
    return at_costs(at, SHARES, folder).comparisons


def studied(asked: Asked, progress: Progress) -> Study:
    """The given study of activations, or one on the digits. Raises a one-line `ValueError` for none."""
    if asked.study is None:
        out = asked.work / "study"
        return budgetnet.activation_study("digits", seeds=STUDY_SEEDS, steps=STUDY_STEPS, out=out, progress=progress)
    return read_finished(ACTIVATION_STUDY, asked.study / "training")[1]
