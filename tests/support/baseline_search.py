"""What tests of a baseline's search share: a request, a record with a plan, and the scores that a run has."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any

from budgetnet.data import ImageSet, Preprocessing, default_preprocessing
from budgetnet.experiments.baseline import SEARCH_BASELINE
from budgetnet.experiments.baseline.objective import EXPONENT
from budgetnet.experiments.baseline.plan import BaselinePlan, Rung
from budgetnet.experiments.baseline.request import BaselineRequest
from budgetnet.experiments.baseline.result import Baseline, BaselineRecord
from budgetnet.experiments.compute import Compute
from budgetnet.experiments.experiment import perform
from budgetnet.runs.record import Record, data_record, machine_record, read_record
from budgetnet.training.augmenting import augment_of
from budgetnet.training.recipe import MODERN
from support.simulated import SimulatedClock
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


def made_again(run: Path, folder: Path) -> Baseline:
    """The search by a copy of another run's plan.json, whatever time it takes: the same amendments and no more."""
    folder.mkdir(exist_ok=True)
    shutil.copy(run / "plan.json", folder)
    record = read_record(run, SEARCH_BASELINE.name, *SEARCH_BASELINE.types)
    assert record is not None
    return perform(SEARCH_BASELINE, record.request, "digits", Compute(), folder, clock=SimulatedClock())


def scores_in(run: Path) -> dict[str, str]:
    """The scores of a run by the ids of the candidates, as they lie there while another process may write one."""
    return {path.stem: path.read_text() for path in (run / "candidates").glob("*.json")}
