"""Numbers and names as people read them: three digits and a unit, durations, signs that can be shown."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

HIDDEN = "\N{REPLACEMENT CHARACTER}"
"""What is shown in place of a character that must not be shown."""
TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Characters that turn the direction of the text behind them, beyond the name that they stand in."""
MINUS, TIMES = "\N{MINUS SIGN}", "\N{MULTIPLICATION SIGN}"
LIMIT_TITLES = {
    "macs": "Multiply-adds (MACs)",
    "params": "Parameters",
    "weight_bytes": "Weights",
    "peak_activation_bytes": "Peak activations",
    "peak_bytes": "Weights and peak activations",
    "train_bytes": "Memory of a training step",
    "latency_us": "Latency of one image",
}


LIMIT_NAMES = {
    "macs": "MACs",
    "params": "params",
    "weight_bytes": "weights",
    "peak_activation_bytes": "peak activations",
    "peak_bytes": "peak bytes",
    "train_bytes": "training",
    "latency_us": "latency",
}


COUNTED_FOR_A_RUNTIME = ("weight_bytes", "peak_activation_bytes", "peak_bytes")
"""The limits whose bytes are a runtime's."""


def on_runtime(name: str, runtime: str) -> str:
    """Behind a limit's name: the runtime that its bytes are counted for, where that is not the deployed form."""
    return f" on {runtime}" if name in COUNTED_FOR_A_RUNTIME and runtime != "deployed" else ""


def amount(name: str, value: float) -> str:
    """A limit's value in its unit: 58.9 M for counts, 1.20 MiB for names in bytes, 8.00 ms for microseconds."""
    if name.endswith("_us"):
        return _scaled(value, 1000, ("us", "ms", "s"))
    return size(value) if name.endswith("bytes") else count(value)


def rounded(name: str, value: float) -> str:
    """As `amount`, for values that people chose: 60 M and not 60.0 M, 2.5 MiB and not 2.50 MiB."""
    number, space, unit = amount(name, value).partition("\N{NO-BREAK SPACE}")
    return (number.rstrip("0").rstrip(".") if "." in number else number) + space + unit


def count(value: float) -> str:
    """A count to three digits in powers of 1000: 389 M."""
    return _scaled(value, 1000, ("", "K", "M", "G", "T"))


def size(value: float) -> str:
    """Bytes to three digits in powers of 1024: 20.2 MiB."""
    return _scaled(value, 1024, ("B", "KiB", "MiB", "GiB", "TiB"))


def _scaled(value: float, base: int, units: Sequence[str]) -> str:
    scaled, power = abs(float(value)), 0
    while scaled >= 999.5 and power < len(units) - 1:
        scaled, power = scaled / base, power + 1
    digits = 0 if power == 0 or scaled >= 99.95 else 1 if scaled >= 9.995 else 2
    sign = MINUS if value < 0 else ""
    return f"{sign}{scaled:.{digits}f}\N{NO-BREAK SPACE}{units[power]}".rstrip("\N{NO-BREAK SPACE}")


def percent(share: float, digits: int = 1) -> str:
    """A share of 1 as 91.2 %."""
    return f"{points(share, digits)}\N{NO-BREAK SPACE}%"


def points(share: float, digits: int = 1) -> str:
    """A share of 1 as 91.2, for columns whose head has the unit."""
    return f"{100 * share:.{digits}f}".replace("-", MINUS)


def signed(value: float, digits: int = 2) -> str:
    """A number with its sign: +0.53, and a minus that is as wide."""
    return f"{value:+.{digits}f}".replace("-", MINUS)


def plain(value: float) -> str:
    """A round number as it was given, with a minus that is as wide as a plus."""
    return f"{value:g}".replace("-", MINUS)


def counted(number: int, noun: str) -> str:
    """6 dense layers, 1 unit."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def sides(resolution_px: Sequence[int]) -> str:
    """One side of a square, 112; height and width of any other, 84×112."""
    height, width = resolution_px
    return str(height) if height == width else f"{height}{TIMES}{width}"


def duration(seconds: float) -> str:
    """Seconds as 42 s, 14 min 52 s or 3 h 5 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{whole} s"
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if rest else f"{minutes} min"


def printable(text: str) -> str:
    """The text without signs that no page and no terminal may get: control signs, halves of a surrogate in a file's
    name, separators of lines, signs that turn the direction."""
    return text if text.isascii() and text.isprintable() else "".join(map(_shown, text))


def _shown(sign: str) -> str:
    hidden = sign in TURNING or (sign not in "\n\t" and unicodedata.category(sign) in ("Cc", "Cs", "Zl", "Zp"))
    return HIDDEN if hidden else sign


def shortened(text: str, most: int) -> str:
    """At most that many signs, the middle left out."""
    if len(text) <= most:
        return text
    half = (most - 1) // 2
    return f"{text[:half]}\N{HORIZONTAL ELLIPSIS}{text[len(text) - (most - 1 - half) :]}"


def listed(parts: Sequence[str]) -> str:
    """a, b and c."""
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]
