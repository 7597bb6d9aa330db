"""Numbers as people write them: 60M, 0.06G, 4MiB, 15m, 5%. Text in, exact values out.

What could be two numbers is refused with both, never guessed: 1,5M, 1.500, 4Mb, 1:30, 60MFLOPs.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from decimal import Decimal

_WRITTEN = re.compile(
    r"(?P<sign>[+-]?)(?P<number>\d(?:[\d.,_'\s]*\d)?)(?P<power>e[+-]?\d{1,2})?\s*(?P<unit>[a-z]*)", re.IGNORECASE
)
_PLAIN = re.compile(r"\d+(?:_\d+)*(?:\.\d+)?")
_GROUPS = re.compile(  # of three, with a decimal sign that can be no other: 1,234,567  1,234.5  1.234,5  60 000  60'000
    r"\d{1,3}(?:(?:,\d{3}){2,}|(?:,\d{3})+(?P<point>\.\d+)|(?:\.\d{3}){2,}|(?:\.\d{3})+(?P<comma>,\d+)"
    r"|(?:[\s']\d{3})+(?P<other>\.\d+)?)"
)

_COUNTS = {
    "": 1,
    **{"k": 10**3, "m": 10**6, "g": 10**9, "b": 10**9, "t": 10**12},
    **{"thousand": 10**3, "million": 10**6, "billion": 10**9},
}
_BYTES = {
    "": 1,
    "b": 1,
    **{f"{prefix}b": 1000**power for power, prefix in enumerate("kmgt", 1)},
    **{f"{prefix}ib": 1024**power for power, prefix in enumerate("kmgt", 1)},
}
_SECONDS = {
    "us": Decimal("0.000001"),
    "ms": Decimal("0.001"),
    **{"s": Decimal(1), "m": Decimal(60), "h": Decimal(3600), "d": Decimal(86400)},
}
_LONG_UNITS = {
    **dict.fromkeys(("sec", "secs", "second", "seconds"), "s"),
    **dict.fromkeys(("min", "mins", "minute", "minutes"), "m"),
    **dict.fromkeys(("hr", "hrs", "hour", "hours"), "h"),
    **dict.fromkeys(("day", "days"), "d"),
}
_COUNT_EXAMPLES = "write a count as 60M, 1.5M or 2500000"


def count(text: str) -> int:
    """A whole number with an optional K, M, G (or B) or T: 60M is 60,000,000, in capitals or not.

    What a unit leaves of a fraction is cut, as no limit notices. Raises a one-line `ValueError`.
    """
    return _at_least_one(text, _COUNTS, _COUNT_EXAMPLES)


def size_bytes(text: str) -> int:
    """Bytes: 4MiB is 4 * 1024**2, 4MB is 4 * 1000**2. Raises `ValueError`, also for 4M and 4Mb: both could be two."""
    clear = "write bytes as 4MiB, 256KB or 500000"
    number, unit = _split(text, clear)
    if re.fullmatch("[kmgt]i?", unit, re.IGNORECASE):
        prefix = unit[0].upper()
        raise ValueError(
            f"{text!r} could be two sizes; write {number}{prefix}iB (powers of 1024) or {number}{prefix}B (of 1000)"
        )
    if re.fullmatch("[KMGT]i?b", unit):
        of_bytes, eighth = unit[:-1] + "B", _written(Decimal(number) / 8)
        raise ValueError(
            f"{text!r} could be bytes or, by its small b, bits; write {number}{of_bytes} or {eighth}{of_bytes}"
        )
    return _at_least_one(text, _BYTES, clear)


def whole(text: str) -> int:
    """An integer of any sign, also as 3.0, 1,234,567 or 20K. Raises a one-line `ValueError`, for 1.5 as well."""
    clear = "write an integer, as 3 or 2000"
    if re.search(r"\d", text) is None:
        raise ValueError(f"{text!r} is not a number; {clear}")
    value = _value(text, _COUNTS, clear)
    if value != value.to_integral_value():
        raise ValueError(f"{text!r} is not an integer; {clear}")
    return int(value)


def number(text: str) -> float:
    """A real number with a decimal point, as 1.5 or -2e-3. Raises a one-line `ValueError`, for 1,5 as well."""
    clear = "write a number with a decimal point, as 1.5"
    _refuse_comma(text.strip(), "")
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a number; {clear}") from None
    if not math.isfinite(value):
        raise ValueError(f"{text!r} is not a finite number; {clear}")
    return value


def seconds(text: str) -> float:
    """A time with its unit, or several: 15m, 100s, 1h30m, 8ms, 1:30:00. Raises a one-line `ValueError`."""
    clear = "write a time with its unit, as in 15m, 100s or 1h30m"
    plain = text.strip()
    if (clock := _clock(plain)) is not None:
        return clock
    if re.fullmatch(r"[+-]?\d+(?:\.\d+)?", plain):
        raise ValueError(f"{text!r} has no unit: write {plain}s or {plain}m with its unit")
    parts: list[tuple[str, str]] = re.findall(r"(\d+(?:[.,]\d+)?)\s*([a-z]+)\s*", plain, re.IGNORECASE)
    if not parts or "".join(f"{number}{unit}" for number, unit in parts) != re.sub(r"\s", "", plain):
        raise ValueError(f"{text!r} is not a time; {clear}")
    total = Decimal(0)
    for digits, unit in parts:
        _refuse_comma(digits, unit)
        if unit.lower() == "ms" and unit != "ms":
            raise ValueError(f"{text!r} has the unknown unit {unit!r}; write milliseconds as {digits}ms")
        if unit == "M":
            raise ValueError(f"{text!r} could be minutes or months; write {digits}m for minutes, or days as 30d")
        factor = _SECONDS.get(_LONG_UNITS.get(unit.lower(), unit.lower()))
        if factor is None:
            raise ValueError(f"{text!r} has the unknown unit {unit!r}; {clear}")
        total += Decimal(digits) * factor
    if not total:
        raise ValueError(f"{text!r} is a time of 0; {clear}")
    return float(total)


def microseconds(text: str) -> int:
    """A short time with its unit, in whole microseconds, 1 at least: 8ms is 8,000. Raises a one-line `ValueError`."""
    if re.fullmatch(r"[+-]?\d+(?:\.\d+)?", text.strip()):
        raise ValueError(f"{text!r} has no unit: write {text.strip()}ms, or {text.strip()}us")
    return max(1, round(1_000_000 * seconds(text)))


def share(text: str) -> float:
    """A share of 1: 5% or 0.05. Raises a one-line `ValueError`."""
    plain, percent = text.strip().removesuffix("%").rstrip(), text.strip().endswith("%")
    _refuse_comma(plain, "%" if percent else "")
    try:
        value = float(plain)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or value < 0.0:
        raise ValueError(f"{text!r} is not a share; write it as 5% or 0.05")
    if not percent and value >= 1.0:
        raise ValueError(f"{text!r} is a share of 1 or more; write {plain}% if per cent are meant, or 0.05")
    return value / 100 if percent else value


def _clock(text: str) -> float | None:
    """Hours, minutes and seconds of 1:30:00; None where there is no colon. Two parts alone could be either pair."""
    if ":" not in text:
        return None
    parts = text.split(":")
    if (
        not all(re.fullmatch(r"\d{1,3}", part) for part in parts)
        or len(parts) > 3
        or any(int(p) > 59 for p in parts[1:])
    ):
        raise ValueError(f"{text!r} is not a time; write a time with its unit, as in 15m, 100s or 1h30m")
    first, second = int(parts[0]), int(parts[1])
    if len(parts) == 2:
        raise ValueError(f"{text!r} could be two times; write {first}m{second}s or {first}h{second}m")
    total = 3600 * first + 60 * second + int(parts[2])
    if not total:
        raise ValueError(f"{text!r} is a time of 0; write a time with its unit, as in 15m")
    return float(total)


def _at_least_one(text: str, units: Mapping[str, int], clear: str) -> int:
    value = int(_value(text, units, clear))
    if value < 1:
        raise ValueError(f"{text!r} is below 1; {clear}")
    return value


def _value(text: str, units: Mapping[str, int], clear: str) -> Decimal:
    """The number times its unit, exact; a number without a unit must be whole."""
    number, unit = _split(text, clear)
    if (flops := re.fullmatch("([kmgt]?)flops?", unit, re.IGNORECASE)) is not None:
        prefix, half = flops[1].upper(), _written(Decimal(number) / 2)
        raise ValueError(
            f"{text!r} could be two counts, for some count a multiply-add as one of the FLOPs and some as two; "
            f"write {number}{prefix} or {half}{prefix} multiply-adds"
        )
    factor = units.get(unit.lower())
    if factor is None:
        raise ValueError(f"{text!r} has the unknown unit {unit!r}; {clear}")
    value = Decimal(number)
    if re.fullmatch(r"[+-]?[1-9]\d{0,2}\.\d{3}", number):
        whole, real = number.replace(".", ""), _written(value)
        raise ValueError(f"{text!r} could be two numbers; write {whole}{unit} or {real}{unit}")
    if not unit and value > 1 and value != value.to_integral_value():
        raise ValueError(f"{text!r} is not a whole number; {clear}")
    return value * factor


def _split(text: str, clear: str) -> tuple[str, str]:
    """The number without signs of grouping, and the unit as it was written."""
    match = _WRITTEN.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a size; {clear}")
    digits, unit = match["number"], match["unit"]
    _refuse_comma(digits, unit)
    if (groups := _GROUPS.fullmatch(digits)) is not None:
        tail = groups["point"] or groups["comma"] or groups["other"] or ""
        digits = re.sub(r"[.,\s']", "", digits.removesuffix(tail)) + tail.replace(",", ".")
    if _PLAIN.fullmatch(digits) is None:
        raise ValueError(f"{text!r} is not a size; {clear}")
    return match["sign"] + digits.replace("_", "") + (match["power"] or ""), unit


def _refuse_comma(digits: str, unit: str) -> None:
    """Raise `ValueError` for one comma alone: a decimal sign to some, a sign of grouping to others."""
    if re.fullmatch(r"[+-]?\d+,\d+", digits):
        point, grouped = _written(Decimal(digits.replace(",", "."))), digits.replace(",", "")
        if grouped.lstrip("+-").startswith("0"):
            raise ValueError(f"'{digits}{unit}' has a decimal comma; write {point}{unit}")
        raise ValueError(
            f"'{digits}{unit}' could be two numbers, by a decimal or a grouping comma; write {point}{unit} or "
            f"{grouped}{unit}"
        )


def _written(value: Decimal) -> str:
    """The number without an exponent and without zeros at its end."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
