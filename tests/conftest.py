"""What every test file shares: one computing thread, repeatable examples, and the way to the real images."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

# What asserts in tests/support fail by is shown as in test files.
pytest.register_assert_rewrite("support")

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


@pytest.fixture(scope="session")
def few_digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 180 of the embedded digits: a training of four epochs on them takes about a second."""
    return _digits(tmp_path_factory.mktemp("data") / "few-digits", 18)


@pytest.fixture(scope="session")
def some_digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 500 of the embedded digits, whose batches two processes can share."""
    return _digits(tmp_path_factory.mktemp("data") / "some-digits", 50)


def _digits(folder: Path, of_each: int) -> Path:
    import numpy as np
    from PIL import Image

    from budgetnet.data.digits import image_set, pixels

    for digit in range(10):
        (folder / str(digit)).mkdir(parents=True)
        for index in np.flatnonzero(np.asarray(image_set().labels) == digit)[:of_each]:
            Image.fromarray(pixels()[index][..., 0]).save(folder / str(digit) / f"{index:04d}.png")
    return folder
