"""What tests of a baseline's search share: a short teaching, and the trials that a study has finished."""

from __future__ import annotations

import dataclasses
import sqlite3
from pathlib import Path

from budgetnet.budgets.feasible_space import options_of
from budgetnet.data import Preprocessing, default_preprocessing
from budgetnet.experiments.baseline.teaching import Teaching
from budgetnet.training.job import JobContext
from budgetnet.training.recipe import MODERN
from support.spaces import BUDGET, SMALL

PREPROCESSING: Preprocessing = default_preprocessing(1)
GREY = dataclasses.replace(MODERN, augmentation=MODERN.augmentation.without("flip"))


def teaching(folder: Path, steps: int = 4) -> Teaching:
    context = JobContext("digits", 0, 8, str(folder / "training"))
    return Teaching(options_of(SMALL, BUDGET), context, GREY, PREPROCESSING, 0, 16, steps)


def finished_trials(run: Path) -> dict[int, str]:
    """Numbers and architectures of the trials that are done, read as a file while another process may write it."""
    study = run / "study.db"
    if not study.exists():
        return {}
    with sqlite3.connect(f"file:{study}?mode=ro", uri=True) as database:
        try:
            rows = database.execute(
                "SELECT number, value_json FROM trials JOIN trial_user_attributes USING (trial_id) "
                "WHERE state = 'COMPLETE' AND key = 'architecture'"
            ).fetchall()
        except sqlite3.OperationalError:  # its tables are being made
            return {}
    return dict(rows)
