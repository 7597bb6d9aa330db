"""What the page and the pictures of a comparison show: values and text from its files, no HTML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from budgetnet.draw.wording import LIMIT_NAMES, count, counted, percent, points, sides, signed, size
from budgetnet.experiments.compare.suited import suited
from budgetnet.inspect.latency import Measurement
from budgetnet.networks.zoo.published import EFFICIENTNET_BEST, pareto

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Network:
    """A network's numbers: accuracy from 0 to 1 with its interval and each seed's, costs, ms an image if measured."""

    id: str
    name: str
    accuracy: float
    low: float
    high: float
    seeds: tuple[float, ...]
    macs: int
    params: int
    peak_bytes: int
    image_ms: float | None


@dataclass(frozen=True, slots=True)
class Difference:
    """Accuracy of `a` minus that of `b`, from -1 to 1, with its interval; the sign says nothing unless `differs`."""

    a: str
    b: str
    difference: float
    low: float
    high: float
    differs: bool
    stands: bool
    seeds: tuple[float, ...]


def networks_of(comparison: Row) -> tuple[Network, ...]:
    """The networks in their order."""
    return tuple(
        Network(
            id=row["id"],
            name=row["label"],
            accuracy=row["accuracy"],
            low=row["low"],
            high=row["high"],
            seeds=tuple(one["accuracy"] for one in row["seeds"]),
            macs=row["macs"],
            params=row["params"],
            peak_bytes=row["peak_bytes"],
            image_ms=Measurement(**row["measurement"]).image_ms,
        )
        for row in comparison["networks"]
    )


class Named(Protocol):
    """Something with an id."""

    @property
    def id(self) -> str:
        """Of the network."""
        ...


def order_of(costs: Sequence[Sequence[Named]]) -> list[str]:
    """The ids of networks at several costs: as they stand at the largest, then those that are left out there."""
    last = [row.id for row in costs[-1]]
    return list(dict.fromkeys([*last, *(row.id for networks in costs for row in networks)]))


def differences_of(comparison: Row) -> tuple[Difference, ...]:
    """The pairs by the names of their networks."""
    names = {row["id"]: row["label"] for row in comparison["networks"]}
    return tuple(
        Difference(
            a=names[row["a"]],
            b=names[row["b"]],
            difference=row["difference"],
            low=row["low"],
            high=row["high"],
            differs=row["differs"],
            stands=row["stands"],
            seeds=tuple(one["difference"] for one in row["seeds"]),
        )
        for row in comparison["pairs"]
    )


@dataclass(frozen=True, slots=True)
class Line:
    """A row of the page's table, as text."""

    name: str
    origin: str
    design: str
    blocks: str
    suited: str
    px: str
    macs: str
    share: str
    binding: str
    params: str
    activations: str
    peak: str
    ms: str
    training: str
    accuracy: str
    interval: str
    seeds: str
    published: str


def lines(comparison: Row) -> tuple[Line, ...]:
    """The table, the most accurate network first."""
    uses = suited(comparison["networks"])
    return tuple(_line(row, uses[row["id"]]) for row in comparison["networks"])


def _line(row: Row, use: str) -> Line:
    ms, seconds = Measurement(**row["measurement"]).image_ms, row.get("training_seconds")
    return Line(
        name=row["label"],
        origin=row.get("origin", ""),
        design=f"{row['design']}; φ\N{NO-BREAK SPACE}{signed(row['phi'])}{_dropped(row)}",
        blocks=row["blocks"],
        suited=use,
        px=sides(row["network"]["resolution_px"]),
        macs=count(row["macs"]),
        share=percent(row["share"], 0),
        binding=LIMIT_NAMES[row["binding"]],
        params=count(row["params"]),
        activations=count(row["activations"]),
        peak=size(row["peak_bytes"]),
        ms="\N{EN DASH}" if ms is None else f"{ms:.2f}",
        training="\N{EN DASH}" if seconds is None else f"{seconds:,.0f} s",
        accuracy=points(row["accuracy"]),
        interval=f"{points(row['low'])} to {points(row['high'])}",
        seeds=", ".join(points(one["accuracy"]) for one in row["seeds"]),
        published="\N{EN DASH}" if row["published_top1"] is None else f"{row['published_top1']:.1f}",
    )


def _dropped(row: Row) -> str:
    many = row["dropped_strides"]
    return f"; {counted(many, 'stride')} dropped" if many else ""


def pair_lines(comparison: Row) -> tuple[tuple[str, str, str, str, str], ...]:
    """(networks, points, interval, each seed's, verdict) of every pair."""
    rows: list[tuple[str, str, str, str, str]] = []
    for row in differences_of(comparison):
        verdict = "differ" if row.stands else "differ if looked at alone" if row.differs else "not told apart"
        span = f"{signed(100 * row.low, 1)} to {signed(100 * row.high, 1)}"
        each = ", ".join(signed(100 * value, 1) for value in row.seeds)
        rows.append((f"{row.a} against {row.b}", signed(100 * row.difference, 1), span, each, verdict))
    return tuple(rows)


def sources(comparison: Row) -> tuple[str, ...]:
    """Who published the figures that stand beside."""
    found = {row["published_source"] for row in comparison["networks"] if row["published_source"]}
    return tuple(sorted(found))


def best_published(comparison: Row) -> str | None:
    """EfficientNet's best figure, of which there are two; None where no EfficientNet is compared."""
    if not any(row["base"].startswith(("efficientnet_b", "tf_efficientnet_b")) for row in comparison["networks"]):
        return None
    return " and ".join(f"{one.top1:.1f} % ({one.source})" for one in EFFICIENTNET_BEST)


COSTS = {
    "macs": "multiply-adds (MACs) of one image",
    "params": "parameters",
    "peak_bytes": "weights and peak activations",
    "image_ms": "ms an image on this machine",
}
"""What accuracy is drawn against."""


def front(networks: Sequence[Network], cost: str) -> frozenset[str]:
    """The ids of those that no other beats: none costs less and is as accurate."""
    return pareto((row.id, getattr(row, cost), row.accuracy) for row in networks)
