"""How answers are printed: tables that fit 80 columns, numbers that line up, one JSON document for programs."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from budgetnet.codec import is_kept
from budgetnet.costs.network_cost import Cost
from budgetnet.draw import wording
from budgetnet.networks import Network

if TYPE_CHECKING:
    from rich.console import Console

PIPE_COLUMNS = 10_000
"""A table in a pipe may be this wide, as no table is: what reads a pipe must get whole cells."""


def console() -> Console:
    """Standard output: in a terminal as wide as it is and in colour, in a pipe plain and never cut."""
    from rich.console import Console

    width = None if sys.stdout.isatty() else PIPE_COLUMNS
    return Console(highlight=False, markup=False, emoji=False, width=width)


def line(text: str) -> str:
    """One line that a terminal can only show: no escape sequences of names, no line ends, no turned direction."""
    return wording.printable(text).replace("\n", wording.HIDDEN).replace("\t", " ")


def say(text: str = "", style: str | None = None) -> None:
    """A line of text; long ones wrap between words in a terminal only."""
    console().print(line(text), style=style, soft_wrap=not sys.stdout.isatty())


def notice(text: str) -> None:
    """A line to standard error, which leaves standard output to the answer."""
    print(line(text), file=sys.stderr, flush=True)


def tell(text: str) -> None:
    """A line of the answer at once: plain, in one piece, and told before the next is known."""
    print(line(text), flush=True)


def table(
    headers: Sequence[str],
    rows: Sequence[Sequence[str]],
    title: str = "",
    text_columns: int = 1,
    numbers: Sequence[bool] | None = None,
) -> None:
    """Print aligned columns: texts to the left, numbers to the right. Nothing is cut.

    `numbers` says which columns are numbers; unless given, all but the first `text_columns`.
    """
    from rich.table import Table

    right = [index >= text_columns for index in range(len(headers))] if numbers is None else numbers
    grid = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold", show_edge=False)
    for header, number in zip(headers, right, strict=True):
        grid.add_column(line(header), justify="right" if number else "left", no_wrap=number, overflow="fold")
    for row in rows:
        grid.add_row(*map(line, row))
    if title:
        say(title, "bold")
    console().print(grid)


def facts(rows: Mapping[str, str]) -> None:
    """Names and their values, a line each."""
    wide = max(map(len, rows))
    for name, value in rows.items():
        say(f"{name:<{wide}}  {value}")


def number(value: float) -> str:
    """Whole numbers with separators, small ones with their digits."""
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.3g}"


def amount(name: str, value: int) -> str:
    """A limit's value in its unit: 58.9 M for counts, 1.20 MiB for bytes."""
    return typed(wording.amount(name, value))


def words(name: str) -> str:
    """A cost's name as people write it: MACs, peak bytes."""
    return "MACs" if name == "macs" else name.replace("_", " ")


def short(value: int) -> str:
    """A count to three digits: 389 M."""
    return typed(wording.count(value))


def size(value: int) -> str:
    """Bytes to three digits, in powers of 1024: 20.2 MiB."""
    return typed(wording.size(value))


def percent(share: float, digits: int = 1) -> str:
    """A share of 1 as 97.3 %."""
    return typed(wording.percent(share, digits))


TYPED = {
    "\N{NO-BREAK SPACE}": " ",
    wording.MINUS: "-",
    wording.TIMES: "x",
    "\N{EN DASH}": "-",
    "±": "+-",
    "α": "alpha",
    "β": "beta",
    "γ": "gamma",
    "φ": "phi",
}


def typed(text: str) -> str:
    """The report's wording in signs that a keyboard has, for grep and for spreadsheets."""
    return text.translate(str.maketrans(TYPED))


def resolution(network: Network) -> str:
    """height x width as 224x224."""
    return "{}x{}".format(*network.resolution_px)


def sides(network: Network) -> str:
    """One side of a square, both of another; the published networks are squares."""
    return typed(wording.sides(network.resolution_px))


def stages(network: Network) -> None:
    """The network's table of stages, its first line as a title."""
    title, *rows = str(dataclasses.replace(network, name=line(network.name))).splitlines()
    say(title, "bold")
    for row in rows:
        say(row)


def print_json(value: Any) -> None:
    """One JSON document on standard output; what a terminal or the output's encoding cannot show is escaped."""
    text = json.dumps(plain(value), indent=2, ensure_ascii=False, allow_nan=False)
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    print("".join(sign if sign == "\n" or _is_plain(sign, encoding) else json.dumps(sign)[1:-1] for sign in text))


def _is_plain(sign: str, encoding: str) -> bool:
    """Whether a sign of a JSON text may stand as it is."""
    if " " <= sign <= "~":
        return True
    return wording.printable(sign) == sign and sign.encode(encoding, "replace").decode(encoding) == sign


def plain(value: Any) -> Any:
    """JSON's own types: a dataclass is an object of its fields, but a value with a JSON of its own, as a network or an
    interval, is that.

    A cost leaves its network out: that stands beside it.
    """
    if hasattr(value, "to_json"):
        return json.loads(value.to_json())
    if isinstance(value, Cost):
        return {name: item for name, item in _fields(value).items() if name != "network"}
    if hasattr(value, "to_dict"):
        return plain(value.to_dict())
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {name: plain(item) for name, item in _fields(value).items()}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    if value is None or isinstance(value, str | int | float | bool):
        return value
    raise TypeError(f"no JSON for {type(value).__name__}")


def _fields(value: Any) -> dict[str, Any]:
    """What is shown of a dataclass: as in a file, a field that is there only if it is set is left out else."""
    shown = [field for field in dataclasses.fields(value) if field.metadata.get("shown") != "no"]
    return {field.name: getattr(value, field.name) for field in shown if is_kept(field, getattr(value, field.name))}
