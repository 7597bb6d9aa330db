"""Sizes as people write them: 60M, 4MiB, 15m, 192x256, 1.2,1.1,1.15. Text in, exact values out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal

from budgetnet.scaling import Coefficients
from budgetnet.spec import Px, square

_NUMBER = re.compile(r"(?P<number>\d[\d_,]*(?:\.\d+)?(?:e\d{1,2})?)\s*(?P<unit>[a-z]*)", re.IGNORECASE)

_COUNTS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "b": 10**9, "t": 10**12}
_BYTES = {
    "": 1,
    "b": 1,
    **{f"{prefix}b": 1000**power for power, prefix in enumerate("kmgt", 1)},
    **{f"{prefix}ib": 1024**power for power, prefix in enumerate("kmgt", 1)},
}
_SECONDS = {"ms": Decimal("0.001"), "s": Decimal(1), "m": Decimal(60), "h": Decimal(3600), "d": Decimal(86400)}
_LONG_UNITS = {"sec": "s", "min": "m", "hour": "h", "hours": "h", "day": "d", "days": "d"}


def count(text: str) -> int:
    """A whole number with an optional K, M, G (or B) or T: 60M is 60,000,000. Raises `ValueError`."""
    return _whole(text, _COUNTS, "write a count as 60M, 1.5M or 2500000")


def size_bytes(text: str) -> int:
    """Bytes: 4MiB is 4 * 1024**2, 4MB is 4 * 1000**2. A bare 4M is refused: it could be either. Raises `ValueError`."""
    if re.fullmatch(r"[\d.,_]+\s*[kmgt]i?", text.strip(), re.IGNORECASE):
        number, prefix = text.strip().rstrip("iI")[:-1].strip(), text.strip().rstrip("iI")[-1].upper()
        raise ValueError(
            f"{text!r} could be two sizes; write {number}{prefix}iB (powers of 1024) or {number}{prefix}B (of 1000)"
        )
    return _whole(text, _BYTES, "write bytes as 4MiB, 256KB or 500000")


def seconds(text: str) -> float:
    """A time with its unit, or several: 15m, 100s, 1h30m, 8ms. Raises `ValueError`."""
    clear = "write a time with its unit, as in 15m, 100s or 1h30m"
    parts: list[tuple[str, str]] = re.findall(r"(\d+(?:\.\d+)?)\s*([a-z]+)\s*", text.strip().lower())
    if not parts or "".join(f"{number}{unit}" for number, unit in parts) != re.sub(r"\s", "", text.lower()):
        raise ValueError(f"{text!r} is no time; {clear}")
    total = Decimal(0)
    for number, unit in parts:
        factor = _SECONDS.get(_LONG_UNITS.get(unit, unit))
        if factor is None:
            raise ValueError(f"{text!r} has the unknown unit {unit!r}; {clear}")
        total += Decimal(number) * factor
    if not total:
        raise ValueError(f"{text!r} is no time at all; {clear}")
    return float(total)


def resolution_px(text: str) -> Px:
    """(height, width): 224, or 192x256 for 192 high and 256 wide. Raises `ValueError`."""
    match = re.fullmatch(r"(\d+)(?:\s*x\s*(\d+))?(?:\s*px)?", text.strip(), re.IGNORECASE)
    if match is None:
        raise ValueError(f"{text!r} is no resolution; write 224, or HEIGHTxWIDTH as in 192x256")
    height, width = match.groups()
    return square((int(height), int(width or height)))


def coefficients(text: str) -> Coefficients:
    """alpha, beta and gamma, as in 1.2,1.1,1.15. Raises `ValueError`."""
    try:
        alpha, beta, gamma = (float(part) for part in text.split(","))
    except ValueError as error:
        raise ValueError(f"{text!r} is no alpha,beta,gamma; write three numbers as in 1.2,1.1,1.15") from error
    return Coefficients(alpha, beta, gamma)


def share(text: str) -> float:
    """A share of 1: 5% or 0.05. Raises `ValueError`."""
    number, percent = text.strip().removesuffix("%"), text.strip().endswith("%")
    try:
        value = float(number)
    except ValueError as error:
        raise ValueError(f"{text!r} is no share; write it as 5% or 0.05") from error
    if not percent and value >= 1.0:
        raise ValueError(f"{text!r} is a share of 1 or more; write {number}% if per cent are meant, or 0.05")
    return value / 100 if percent else value


def _whole(text: str, units: Mapping[str, int], clear: str) -> int:
    """The number times its unit, exact, rounded down to a whole number of at least 1."""
    match = _NUMBER.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is no size; {clear}")
    factor = units.get(match["unit"].lower())
    if factor is None:
        raise ValueError(f"{text!r} has the unknown unit {match['unit']!r}; {clear}")
    value = int(Decimal(match["number"].replace(",", "").replace("_", "")) * factor)
    if value < 1:
        raise ValueError(f"{text!r} is below 1; {clear}")
    return value
