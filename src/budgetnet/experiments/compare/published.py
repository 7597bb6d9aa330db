"""The paper's own comparisons of ways to scale, with what each network really costs beside what was published."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby

from budgetnet.costs.network_cost import cost
from budgetnet.draw.wording import TIMES
from budgetnet.experiments.report import Block, Column, Section, Table, Text, row
from budgetnet.networks import zoo
from budgetnet.networks.scaling import Scaling, resize
from budgetnet.networks.zoo.published import SCALED_UP, ScaledUp


@dataclass(frozen=True, slots=True)
class PublishedLine:
    """A network of one table as text: MACs in thousand millions as published and as counted, top-1 in percent."""

    scaling: str
    published: str
    counted: str
    top1: str


@dataclass(frozen=True, slots=True)
class PublishedTable:
    """One base of one table. `spread`: the dearest scaled network's counted MACs over the cheapest's, less 1."""

    base: str
    source: str
    lines: tuple[PublishedLine, ...]
    spread: float


@lru_cache(maxsize=1)
def published_tables() -> tuple[PublishedTable, ...]:
    """Tables 7 and 3 of the paper, base by base."""
    groups = groupby(SCALED_UP, key=lambda row: (row.base, row.source))
    return tuple(_table(base, source, tuple(rows)) for (base, source), rows in groups)


def _table(base: str, source: str, rows: tuple[ScaledUp, ...]) -> PublishedTable:
    macs = [cost(resize(zoo.network(base), row.scaling)).macs for row in rows]
    scaled = [value for row, value in zip(rows, macs, strict=True) if row.scaling != Scaling()]
    lines = tuple(
        PublishedLine(_factors(row.scaling), f"{row.macs_g:.1f}", f"{value / 1e9:.2f}", f"{row.top1:.1f}")
        for row, value in zip(rows, macs, strict=True)
    )
    return PublishedTable(base, source, lines, max(scaled) / min(scaled) - 1)


def _factors(scaling: Scaling) -> str:
    named = (("depth", scaling.depth), ("width", scaling.width), ("resolution", scaling.resolution))
    return ", ".join(f"{name} {TIMES}{value:g}" for name, value in named if value != 1.0) or "as it is"


def published_section() -> Section:
    """The paper's tables as a part of a page."""
    columns = (
        Column("scaled by", number=False),
        Column("MACs, G, published"),
        Column("MACs, G, counted"),
        Column("top-1 %, published"),
    )
    tables: list[Block] = [
        Text(
            "The paper compares ways to scale as well, on ImageNet. Beside its multiply-adds stand ours, counted from "
            "the same factors: what it calls equal is not always so."
        )
    ]
    for table in published_tables():
        rows = tuple(row(line.scaling, line.published, line.counted, line.top1) for line in table.lines)
        note = f"the scaled ones cost up to {100 * table.spread:.0f} % more than the cheapest of them"
        tables.append(Table(columns, rows, f"{table.base}: {table.source}; {note}.", terminal=False))
    tables.append(
        Text(
            "None of these was measured here. One seed each, no intervals; the cost was matched by formula and "
            "rounded, not counted. Compare them with nothing on this page but their order.",
            quiet=True,
        )
    )
    return Section("published", "What was published", tuple(tables), "Published")
