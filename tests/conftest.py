"""What every test file shares: one computing thread, repeatable examples, and the way to the real images."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

# Before torch is imported anywhere: more computing threads than cores are up to ten times slower.
os.environ.setdefault("OMP_NUM_THREADS", "1")

ROOT = Path(__file__).resolve().parents[1]

# Repeatable: a change that breaks a property must not depend on the day's luck.
settings.register_profile("budgetnet", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("budgetnet")


@pytest.fixture(scope="session")
def shared_data() -> Callable[[str], Path]:
    """The folder of real images of a name; skips, with the reason, where there is none."""

    def folder(name: str) -> Path:
        path = ROOT.parent / "shared" / "data" / name
        if not path.is_dir():
            pytest.skip(f"the real images of {name} are not beside the checkout, at ../shared/data/{name}")
        return path

    return folder
