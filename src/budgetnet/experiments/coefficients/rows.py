"""What the page of a search for coefficients shows: values and text from its files, no HTML."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from budgetnet.budgets.coefficient_sample import Shares, corners, shares
from budgetnet.budgets.coefficient_space import Interval, Region
from budgetnet.codec import from_plain
from budgetnet.draw import wording
from budgetnet.experiments.compare.rows import Network
from budgetnet.networks.scaling import Coefficients

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Spot:
    """A network on the triangle: its place, its region's corners, its accuracy in the first rung."""

    name: str
    place: Shares
    corners: tuple[Shares, ...]
    accuracy: float
    finalist: bool
    best: bool


@dataclass(frozen=True, slots=True)
class Line:
    """A row of the ranking, as text. `last` says that it came into the last rung."""

    name: str
    coefficients: tuple[str, str, str]
    region: tuple[str, str, str]
    px: str
    blocks: str
    cost: str
    ratio: str
    rung: str
    loss: str
    loss_interval: str
    accuracy: str
    accuracy_interval: str
    last: bool
    paper: bool


def region_of(row: Row) -> Region:
    """The region of a file."""
    return from_plain(Region, row, "a region")


def spots(found: Row) -> tuple[Spot, ...]:
    """All that raced, as places on the triangle."""
    return tuple(
        Spot(
            name=f"{row['id']}  {triple(row['coefficients'])}",
            place=shares(Coefficients(**row["coefficients"])),
            corners=corners(region_of(row["region"])),
            accuracy=row["first"]["accuracy"],
            finalist=row["finalist"],
            best=place == 0,
        )
        for place, row in enumerate(found["ranking"])
    )


def triple(row: Row) -> str:
    """alpha, beta, gamma to three digits."""
    return ", ".join(f"{row[name]:.3g}" for name in ("alpha", "beta", "gamma"))


def lines(found: Row) -> tuple[Line, ...]:
    """The ranking, the best first."""
    return tuple(_line(row, found) for row in found["ranking"])


def _line(row: Row, found: Row) -> Line:
    score, network = row["score"], row["network"]
    alpha, beta, gamma = (f"{row['coefficients'][name]:.3g}" for name in ("alpha", "beta", "gamma"))
    deep, wide, large = map(between, region_of(row["region"]).sides)
    return Line(
        name=row["id"],
        coefficients=(alpha, beta, gamma),
        region=(deep, wide, large),
        px=wording.sides(network["resolution_px"]),
        blocks=str(sum(stage["repeats"] for stage in network["stages"])),
        cost=wording.amount(found["measure"], row["cost"]),
        ratio=f"{row['cost'] / found['base_cost']:.2f}",
        rung=str(row["rung"] + 1),
        loss=f"{score['log_loss']:.3f}",
        loss_interval=f"{score['log_loss_low']:.3f} to {score['log_loss_high']:.3f}",
        accuracy=wording.points(score["accuracy"]),
        accuracy_interval=f"{wording.points(score['accuracy_low'])} to {wording.points(score['accuracy_high'])}",
        last=row["finalist"],
        paper=row["paper"],
    )


def between(side: Interval) -> str:
    """1.12 to 1.16; exactly 1."""
    return f"exactly {side.low:g}" if side.top == side.low else f"{side.low:.4g} to {side.high:.4g}"


def finalists(found: Row) -> tuple[Network, ...]:
    """Those of the last rung, for the picture of their accuracies."""
    return tuple(
        _network(f"{row['id']}  {triple(row['coefficients'])}{', nearest to the paper' if row['paper'] else ''}", row)
        for row in found["ranking"]
        if row["finalist"]
    )


def checked(found: Row) -> tuple[Network, ...]:
    """The two of the check."""
    names = {"found": "found", "paper": "the paper's"}
    rows = found["check"]["networks"]
    return tuple(_network(f"{names[row['id']]}  {triple(row['coefficients'])}", row) for row in rows)


def _network(name: str, row: Row) -> Network:
    score = row["score"]
    return Network(
        id=row["id"],
        name=name,
        accuracy=score["accuracy"],
        low=score["accuracy_low"],
        high=score["accuracy_high"],
        seeds=tuple(one["accuracy"] for one in score["seeds"]),
        macs=0,
        params=0,
        peak_bytes=0,
        image_ms=None,
    )


def difference_lines(found: Row) -> Iterator[tuple[str, str, str, str, str, str]]:
    """(pair, log loss, its interval, points, their interval, verdict) of every pair of the last rung."""
    names = {row["id"]: f"{row['id']} ({triple(row['coefficients'])})" for row in found["ranking"]}
    for row in found["differences"]:
        yield difference_line(row, names)


def difference_line(row: Row, names: Mapping[str, str]) -> tuple[str, str, str, str, str, str]:
    """One of them."""
    verdict = "differ" if row["stands"] else "differ if looked at alone" if row["differs"] else "not told apart"
    return (
        f"{names[row['a']]} against {names[row['b']]}",
        wording.signed(row["log_loss"], 3),
        f"{wording.signed(row['low'], 3)} to {wording.signed(row['high'], 3)}",
        wording.signed(100 * row["accuracy"], 1),
        f"{wording.signed(100 * row['accuracy_low'], 1)} to {wording.signed(100 * row['accuracy_high'], 1)}",
        verdict,
    )
