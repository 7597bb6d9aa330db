"""Which parameters of a test belong to the quick run."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import pytest


def quick_for(names: Collection[str], quick: Collection[str]) -> list[Any]:
    """A parameter for each name: those of `quick` for `make test`, all others for `make test-slow`.

    Quick are one or two small networks of a family, which between them take every branch of what is tested.
    """
    absent = set(quick) - set(names)
    assert not absent, f"no parameter is named so: {', '.join(sorted(absent))}"
    return [pytest.param(name, marks=() if name in quick else pytest.mark.slow) for name in names]
