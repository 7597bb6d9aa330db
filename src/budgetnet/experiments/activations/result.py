"""What the trainings of twins came to: measures with their spread over seeds, paired differences, curves, betas."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from budgetnet.experiments.activations.networks import twin_title
from budgetnet.experiments.activations.probe import Probe
from budgetnet.experiments.activations.training import WatchedTraining, probe_of
from budgetnet.inspect.landscape.plane import Spread
from budgetnet.inspect.landscape.training.words import PROBED, TITLES
from budgetnet.networks import Activation
from budgetnet.statistics import OverSeeds, from_seeds, holm, mean_interval, over_seeds
from budgetnet.training.image_scores import scores_in

LAST_SHARE = 0.05
"""Of all steps, whose mean loss is the loss at the end."""
CURVE_POINTS = 40
MEASURES = tuple(TITLES)
"""Those of `PROBED` are of a training the median over its probes."""
BY_IMAGE = ("train_loss", "accuracy")
"""Measures that are means over images, so that the choice of images has an error, too."""


@dataclass(frozen=True, slots=True, eq=False)
class Training:
    """One training, as its file has it: a row a step, a row a probe, and what was measured at its end."""

    seed: int
    losses: NDArray[np.float64]
    betas: NDArray[np.float64]
    layers: tuple[str, ...]
    probes: tuple[Probe, ...]
    train_indices: NDArray[np.int64]
    train_losses: NDArray[np.float64]
    indices: NDArray[np.int64]
    right: NDArray[np.bool_]
    diverged: bool
    units: int
    dead: int
    silent: int
    blocked_share: float

    def by_image(self, measure: str) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Which images, and the value of each: one of `BY_IMAGE`."""
        if measure == "train_loss":
            return self.train_indices, self.train_losses
        return self.indices, self.right.astype(np.float64)

    def value(self, measure: str) -> float:
        """One of `MEASURES`; NaN where a loss that ran away left none."""
        if measure in BY_IMAGE:
            return float(self.by_image(measure)[1].mean())
        if measure == "last_loss":
            return float(self.losses[-last_steps(len(self.losses)) :].mean())
        if measure == "dead_share":
            return self.dead / self.units
        return float(np.median([getattr(row, measure) for row in self.probes]))


def last_steps(steps: int) -> int:
    """How many steps at the end count for `last_loss`: a twentieth, at least 10 where there are as many."""
    return min(steps, max(10, round(LAST_SHARE * steps)))


def read_training(job: WatchedTraining) -> Training:
    """What `train_and_look` wrote."""
    with np.load(job.answers) as rows:
        units, answers = rows["units"], scores_in(rows, rows["labels"])
        return Training(
            seed=job.training.context.split_seed,
            losses=rows["losses"],
            betas=rows["betas"],
            layers=tuple(rows["layers"].tolist()),
            probes=tuple(probe_of(row, rows["lengths"]) for row in rows["probes"]),
            train_indices=rows["train_indices"],
            train_losses=rows["train_losses"],
            indices=rows["indices"],
            right=answers.right,
            diverged=not bool(answers.finite.all()),
            units=int(units.sum()),
            dead=int(rows["dead"].sum()),
            silent=int(rows["silent"].sum()),
            blocked_share=float((rows["blocked_shares"] * units).sum() / units.sum()),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Twin:
    """One activation and its trainings, a seed each."""

    name: str
    title: str
    kind: str
    beta: float
    trainable: bool
    trainings: tuple[Training, ...]

    def spread(self, measure: str) -> Spread | None:
        """Mean, standard deviation and each seed's value of a measure; None where a seed has none."""
        values = [one.value(measure) for one in self.trainings]
        if not all(map(math.isfinite, values)):
            return None
        deviation = float(np.std(values, ddof=1)) if len(values) > 1 else None
        return Spread(float(np.mean(values)), deviation, tuple(values))


@dataclass(frozen=True, slots=True)
class TwinDifference:
    """A measure of twin a minus that of twin b, with the same seeds: mean, 95 % interval, and each seed's.

    `differs`: the interval leaves 0 out; `stands`: so it does when all differences of the study are counted (Holm).
    The interval is None for one seed of a measure that is no mean over images.
    """

    measure: str
    a: str
    b: str
    mean: float
    low: float | None
    high: float | None
    chance: float | None
    differs: bool
    stands: bool
    values: tuple[float, ...]


def differences_of(twins: Sequence[Twin]) -> tuple[TwinDifference, ...]:
    """Every measure of every pair of twins, the later one minus the earlier one."""
    rows = [
        _difference(measure, later, earlier)
        for measure in MEASURES
        for earlier, later in itertools.combinations(twins, 2)
        if later.spread(measure) and earlier.spread(measure)
    ]
    chances = [(place, row.chance) for place, row in enumerate(rows) if row.chance is not None]
    stands = holm([chance for _, chance in chances])
    standing = {place for (place, _), stand in zip(chances, stands, strict=True) if stand}
    return tuple(replace(row, stands=row.differs and place in standing) for place, row in enumerate(rows))


def _difference(measure: str, a: Twin, b: Twin) -> TwinDifference:
    pairs = list(zip(a.trainings, b.trainings, strict=True))
    values = tuple(one.value(measure) - other.value(measure) for one, other in pairs)
    found = from_seeds(values) if measure not in BY_IMAGE else over_seeds([_paired(measure, *pair) for pair in pairs])
    row = TwinDifference(measure, a.name, b.name, found.mean, None, None, None, False, False, values)
    if found.error_seeds is None and measure not in BY_IMAGE:
        return row
    return _judged(row, found)


def _paired(measure: str, ours: Training, theirs: Training) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    indices, values = ours.by_image(measure)
    others, minus = theirs.by_image(measure)
    assert np.array_equal(indices, others), "the same images in the same order"
    return indices, values - minus


def _judged(row: TwinDifference, found: OverSeeds) -> TwinDifference:
    low, high = mean_interval(found)
    return replace(row, low=low, high=high, chance=found.chance, differs=low > 0.0 or high < 0.0)


def twin_row(twin: Twin) -> dict[str, Any]:
    """A twin in training.json."""
    spreads = {name: twin.spread(name) for name in MEASURES}
    return {
        "name": twin.name,
        "title": twin.title,
        "kind": twin.kind,
        "beta": twin.beta,
        "trainable": twin.trainable,
        "layers": list(twin.trainings[0].layers),
        "measures": {name: row and asdict(row) for name, row in spreads.items()},
        "trainings": [_training_row(one) for one in twin.trainings],
    }


def _training_row(one: Training) -> dict[str, Any]:
    points = curve_steps(len(one.losses))
    return {
        "seed": one.seed,
        "diverged": one.diverged,
        "correct": int(one.right.sum()),
        "count": len(one.right),
        "units": one.units,
        "dead": one.dead,
        "silent": one.silent,
        "blocked_share": one.blocked_share,
        "losses": [_finite(float(one.losses[low:high].mean())) for low, high in itertools.pairwise([0, *points])],
        "betas": [[_finite(beta) for beta in one.betas[step - 1].tolist()] for step in points] if one.layers else [],
        "probes": [_probe_row(row) for row in one.probes],
    }


def curve_steps(steps: int) -> list[int]:
    """The last step of each stretch whose mean loss is a point of a curve."""
    return sorted({max(1, round(steps * place / CURVE_POINTS)) for place in range(1, CURVE_POINTS + 1)})


def _probe_row(row: Probe) -> dict[str, Any]:
    names = ("loss", "gradient_norm", "weight_norm", "smoothness", *PROBED)
    return {
        **{name: _finite(getattr(row, name)) for name in names},
        **{name: [_finite(value) for value in getattr(row, name)] for name in PER_LENGTH},
    }


PER_LENGTH = ("losses", "gradient_changes", "first_order_errors")


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def twins_of(plan: Mapping[str, Any], jobs: Sequence[WatchedTraining]) -> tuple[Twin, ...]:
    """The twins of a study whose trainings are done: jobs come one seed after another."""
    many = len(plan["twins"])
    found: list[Twin] = []
    for place, row in enumerate(plan["twins"]):
        activation = Activation(row["kind"], row["beta"], row["trainable"])
        trainings = tuple(map(read_training, jobs[place::many]))
        found.append(Twin(row["name"], twin_title(activation), row["kind"], row["beta"], row["trainable"], trainings))
    return tuple(found)
