"""Sizes as people write them, for options: 60M, 4MiB, 15m, 192x256, 1.2,1.1,1.15. Text in, exact values out."""

from __future__ import annotations

import re

from budgetnet.amounts import count, microseconds, number, seconds, share, size_bytes, whole
from budgetnet.networks import Px, square
from budgetnet.networks.scaling import Coefficients

__all__ = [
    "coefficients",
    "count",
    "microseconds",
    "number",
    "resolution_px",
    "seconds",
    "share",
    "size_bytes",
    "whole",
]


def resolution_px(text: str) -> Px:
    """(height, width): 224, or 192x256 for 192 high and 256 wide. Raises `ValueError`."""
    match = re.fullmatch(r"(\d+)(?:\s*[x\N{MULTIPLICATION SIGN}]\s*(\d+))?(?:\s*px)?", text.strip(), re.IGNORECASE)
    if match is None:
        raise ValueError(f"{text!r} is not a resolution; write 224, or HEIGHTxWIDTH as in 192x256")
    height, width = match.groups()
    return square((int(height), int(width or height)))


def coefficients(text: str) -> Coefficients:
    """alpha, beta and gamma, as in 1.2,1.1,1.15. Raises `ValueError`."""
    try:
        alpha, beta, gamma = (float(part) for part in text.split(","))
    except ValueError as error:
        raise ValueError(f"{text!r} is not alpha,beta,gamma; write three numbers as in 1.2,1.1,1.15") from error
    return Coefficients(alpha, beta, gamma)
