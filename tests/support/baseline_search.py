"""What tests of a baseline's search share: how its candidates are trained, and the scores that a run has."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from budgetnet.data import Preprocessing, default_preprocessing
from budgetnet.training.recipe import MODERN

PREPROCESSING: Preprocessing = default_preprocessing(1)
GREY = dataclasses.replace(MODERN, augmentation=MODERN.augmentation.without("flip"))


def scores_in(run: Path) -> dict[str, str]:
    """The scores of a run by the ids of the candidates, as they lie there while another process may write one."""
    return {path.stem: path.read_text() for path in (run / "candidates").glob("*.json")}
