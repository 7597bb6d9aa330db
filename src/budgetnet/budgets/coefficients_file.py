"""The answer of a search as a file that `scale`, `fit`, `solve` and `compare` take: coefficients.json."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from budgetnet.networks.scaling import Coefficients
from budgetnet.reading import read_json_file

FORMAT = "budgetnet.coefficients.v2"
READ = ("budgetnet.coefficients.v1", FORMAT)
"""Files of these formats have the same meaning of alpha, beta and gamma."""
FILE = "coefficients.json"


def read_coefficients(path: Path) -> Coefficients:
    """alpha, beta and gamma of a coefficients.json, or of the run's folder that holds one.

    Raises a one-line `ValueError` for a file that is absent, none of ours or damaged.
    """
    file = path / FILE if path.is_dir() else path
    found: Any = read_json_file(file)
    row = cast("dict[str, Any]", found) if isinstance(found, dict) else {}
    kind = row.get("format")
    if kind not in READ:
        raise ValueError(f"{file} holds no coefficients: its format is {kind!r}, not {FORMAT!r}")
    try:
        return Coefficients(*(float(row[name]) for name in ("alpha", "beta", "gamma")))
    except (KeyError, TypeError, ValueError) as error:
        what = f"it has no {error}" if isinstance(error, KeyError) else str(error)
        raise ValueError(f"{file} is damaged: {what}") from error
