"""What public functions are given, checked: each check gives back the plain value or raises one clear line.

Whatever means the same is taken: numpy's numbers, whole floats, paths and strings, one name for a list of one,
limits and times as people write them.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import numbers
import operator
import os
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import Any, TypeVar, cast

from budgetnet import amounts

Kind = TypeVar("Kind")
SHOWN_CHARACTERS = 60
"""A message shows at most this many characters of a value."""
MOST_DIGITS = 40
"""An integer may have at most this many digits: more than a count of anything, and far fewer than what is slow to
convert."""
RUN = "a run's folder or a source of weights"
MOST_SEED = 2**63 - 1
"""The largest that every generator of random numbers takes."""


class WrongType(TypeError, ValueError):
    """A value of a wrong type. It is a `ValueError` too, since values of files are checked by the same functions."""


def shown(value: object) -> str:
    """A value as an error message shows it: on one line, in printable characters, and short."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 10**MOST_DIGITS:
        return "an integer of more than 40 digits"
    # What is nested deeply or is long need not be spelled out to the end.
    try:
        text = repr(value[: SHOWN_CHARACTERS + 1] if isinstance(value, str | bytes) else _brief(value))
    except Exception:  # a class of somebody else's: its repr may do anything
        text = f"a {type(value).__name__}"
    text = " ".join(text.split())
    text = "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[: SHOWN_CHARACTERS - 3]}..."


def _brief(value: object) -> object:
    rows = cast("list[object]", value)
    if not isinstance(value, list | tuple | dict) or (len(rows) <= SHOWN_CHARACTERS and _depth_within(rows, 4)):
        return rows
    return _Described(rows)


class _Described:
    """Stands for a value that is too large to be shown."""

    def __init__(self, rows: object) -> None:
        self._text = f"a {type(rows).__name__} of {len(cast('list[object]', rows))}"

    def __repr__(self) -> str:
        return self._text


def _depth_within(value: object, most: int) -> bool:
    if not isinstance(value, list | tuple | dict):
        return True
    inner = cast("dict[object, object]", value).values() if isinstance(value, dict) else cast("list[object]", value)
    return most > 0 and all(_depth_within(one, most - 1) for one in inner)


def wrong(what: str, value: object, wanted: str, of_type: bool = False) -> ValueError:
    """The error that says what an argument is and what it must be; by `of_type` a `TypeError` as well."""
    return (WrongType if of_type else ValueError)(f"{what} is {shown(value)}; it must be {wanted}")


def integer(
    what: str,
    value: object,
    least: int = 1,
    most: int | None = None,
    written: Callable[[str], int] | None = None,
    wanted: str = "",
) -> int:
    """The integer that a value is: an int, numpy's, a whole float, or text where `written` reads it."""
    wanted = wanted or (f"an integer of at least {least}" if most is None else f"an integer from {least} to {most}")
    if isinstance(value, str) and written is not None:
        try:
            found = written(value)
        except ValueError as error:
            raise ValueError(f"{what}: {error}") from None
    else:
        found = _index(_single(value))
        if found is None:
            raise wrong(what, value, wanted, of_type=not _is_real(value))
    if found < least or (most is not None and found > most):
        raise wrong(what, value, wanted)
    return found


def _single(value: object) -> object:
    """The number in an array or a tensor of no dimension; anything else as it is."""
    single = getattr(value, "ndim", None) == 0 and hasattr(value, "item")
    return cast("Any", value).item() if single else value


def _index(value: object) -> int | None:
    """A number's integer; None for what is none or no number."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return int(value)
    try:
        return operator.index(cast("Any", value))
    except (TypeError, ValueError, RuntimeError):  # torch says RuntimeError of a tensor of several
        pass
    if not _is_real(value):
        return None
    real = float(cast("Any", value))
    return int(real) if math.isfinite(real) and real.is_integer() else None


def _is_real(value: object) -> bool:
    return not isinstance(value, bool) and isinstance(value, numbers.Real | Decimal)


def number(
    what: str,
    value: object,
    above: float | None = None,
    least: float | None = None,
    most: float | None = None,
    below: float | None = None,
    wanted: str = "",
) -> float:
    """The finite number that a value is, within the bounds; an int stays one."""
    if type(value) is float or type(value) is int:  # most values are: a search builds many thousand networks
        found, finite = value, type(value) is int or math.isfinite(value)
    else:
        value = _single(value)
        if not _is_real(value):
            bounds = wanted or _bounds(above, least, most, below)
            raise wrong(what, value, " ".join(["a number", bounds]).strip(), of_type=True)
        try:
            found = float(cast("Any", value))
        except OverflowError:
            found = math.inf
        finite = math.isfinite(found)
    if (
        finite
        and (above is None or found > above)
        and (least is None or found >= least)
        and (below is None or found < below)
        and (most is None or found <= most)
        and (type(found) is float or abs(found) < 10**300)
    ):
        return found
    raise wrong(what, value, wanted or _bounds(above, least, most, below) or "a finite number")


def _bounds(above: float | None, least: float | None, most: float | None, below: float | None) -> str:
    """The bounds in words; nothing where there are none."""
    words = {"above": above, "at least": least, "below": below, "at most": most}
    return " and ".join(f"{word} {bound:,g}" for word, bound in words.items() if bound is not None)


def seconds(what: str, value: object, least: float | None = None, wanted: str = "") -> float:
    """A time in seconds above 0: a number, or text with its unit as 15m."""
    if isinstance(value, str):
        try:
            value = amounts.seconds(value)
        except ValueError as error:
            raise ValueError(f"{what}: {error}") from None
    return number(what, value, above=0.0, least=least, wanted=wanted)


def flag(what: str, value: object) -> bool:
    """True or False, numpy's too."""
    single = _single(value)
    if isinstance(single, bool):
        return single
    raise wrong(what, value, "True or False", of_type=True)


def text(what: str, value: object) -> str:
    """A string."""
    if not isinstance(value, str):
        raise wrong(what, value, "a string", of_type=True)
    return str(value)


def path(what: str, value: object, wanted: str = "a path, as text or pathlib's") -> str:
    """A path as text. Whether anything lies there is not looked at."""
    given = value
    found: object = os.fspath(cast("str", given)) if isinstance(given, str | os.PathLike) else None
    if not isinstance(found, str):
        raise wrong(what, value, wanted, of_type=True)
    if not found.strip() or "\0" in found:
        raise wrong(what, value, wanted)
    return found


def choose(what: str, value: object, choices: Sequence[object]) -> None:
    """Raise the one-line `ValueError` that names the valid choices."""
    if type(value) is str and value in choices:
        return
    if not any(type(value) is type(choice) and value == choice for choice in choices) and not (
        isinstance(value, str) and value in choices
    ):
        raise ValueError(f"{what} is {shown(value)}; choose one of {', '.join(map(str, choices))}")


def of_kind(what: str, value: object, kind: type[Kind] | tuple[type[Kind], ...], wanted: str) -> Kind:
    """The value, if it is of that kind."""
    if not isinstance(value, kind):
        raise wrong(what, value, wanted, of_type=True)
    return value


def listener(what: str, value: object) -> Any:
    """A function that is told something as the work goes on, or None."""
    if value is not None and not callable(value):
        raise wrong(what, value, "a function of one argument, or None", of_type=True)
    return value


def run_arguments(out: object, seed: object, fresh: object, progress: object) -> tuple[str | None, int, bool, Any]:
    """What every function that makes a run is given: its folder or None, seed, whether anew, who listens."""
    return (
        None if out is None else path("out", out),
        integer("seed", seed, 0, MOST_SEED),
        flag("fresh", fresh),
        listener("progress", progress),
    )


def several(
    what: str,
    value: object,
    each: Callable[[str, object], Kind],
    single: tuple[type, ...] = (str, os.PathLike),
    wanted: str = "a list of names",
    empty: bool = False,
) -> tuple[Kind, ...]:
    """The members of a sequence, each checked; a value of a `single` type is a sequence of one."""
    if isinstance(value, single):
        return (each(what, value),)
    given = value
    if isinstance(given, bytes | bytearray | dict) or not isinstance(given, Iterable):
        raise wrong(what, value, wanted, of_type=True)
    try:
        members = list(cast("Iterable[object]", given))
    except TypeError:  # numpy's and torch's values of no dimension say that they can be gone through
        raise wrong(what, value, wanted, of_type=True) from None
    if not members and not empty:
        raise ValueError(f"{what} is empty; give {wanted} with at least one")
    return tuple(each(what, member) for member in members)


def plain_numbers(value: Any) -> None:
    """Make numpy's numbers and whole floats in the fields of a frozen dataclass Python's, by their annotations.

    What is not such a number stays, for the checks that follow.
    """
    for name, whole in _number_fields(cast("type[Any]", type(value))):
        given = getattr(value, name)
        if type(given) is int or (type(given) is float and not whole) or given is None:
            continue
        found = _index(given) if whole else float(given) if _is_real(given) else None
        if found is not None:
            object.__setattr__(value, name, found)


@functools.cache
def _number_fields(kind: type) -> tuple[tuple[str, bool], ...]:
    """Names of the fields that are numbers, and whether they are integers."""
    rows = [(field.name, str(field.type).partition(" |")[0]) for field in dataclasses.fields(kind) if field.init]
    return tuple((name, annotation == "int") for name, annotation in rows if annotation in ("int", "float"))
