"""What a training can compute on and in."""

from __future__ import annotations

from budgetnet.networks import choose
from budgetnet.parallel.workers import check_launcher
from budgetnet.runs.run import check_device

PRECISIONS = ("float32", "bfloat16", "float16")


def check_computing(device: str, precision: str) -> None:
    """Raise a one-line `ValueError` for what cannot train here: a device, numbers it lacks, a launcher's process."""
    check_device(device)
    choose("precision", precision, PRECISIONS)
    if precision == "float16" and device == "cpu":
        raise ValueError("precision float16 needs a GPU; on cpu choose float32 or bfloat16")
    check_launcher()
