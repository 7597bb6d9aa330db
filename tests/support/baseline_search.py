"""What tests of a baseline's search share: a request, a record with a plan, and the scores that a run has."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from budgetnet.data import ImageSet, Preprocessing, default_preprocessing
from budgetnet.experiments.baseline.objective import EXPONENT
from budgetnet.experiments.baseline.plan import BaselinePlan, Rung
from budgetnet.experiments.baseline.request import BaselineRequest
from budgetnet.experiments.baseline.result import BaselineRecord
from budgetnet.runs.record import Record, data_record, machine_record
from budgetnet.training.augmenting import augment_of
from budgetnet.training.recipe import MODERN
from support.spaces import BUDGET, SMALL

PREPROCESSING: Preprocessing = default_preprocessing(1)
GREY = dataclasses.replace(MODERN, augmentation=MODERN.augmentation.without("flip"))
REQUEST = BaselineRequest(
    budget=BUDGET,
    time_seconds=60.0,
    space=SMALL,
    base="efficientnet_b0",
    sampler="evolution",
    exponent=EXPONENT,
    seed=0,
    recipe=MODERN,
    precision="float32",
    augment=augment_of("none"),
)
SHORT, LONG = Rung(2, 2, 8, 1.0, 1.0), Rung(1, 4, 30, 1.0, 1.0)


def record_of(digits: ImageSet, **options: Any) -> BaselineRecord:
    """A plan of two scores, two semifinals of 8 steps and one finalist of 30 with two seeds."""
    request = dataclasses.replace(REQUEST, **options)
    plan = BaselinePlan(8, SMALL, MODERN, (), PREPROCESSING, 16, 2, 2, 1.0, SHORT, SHORT, LONG)
    about = data_record("digits", digits), request.seed, machine_record()
    return Record("search baseline", *about, request, plan)


def scores_in(run: Path) -> dict[str, str]:
    """The scores of a run by the ids of the candidates, as they lie there while another process may write one."""
    return {path.stem: path.read_text() for path in (run / "candidates").glob("*.json")}
