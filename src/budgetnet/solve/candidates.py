"""The networks that could answer: every base and strategy that fits, duplicates merged, a diverse few raced."""

from __future__ import annotations

import dataclasses
import json
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from budgetnet.budget import Budget, BudgetError, Fit, fit, nearest_miss
from budgetnet.learn.bases import LEAST_LAST_PX, adapted_bases, largest_px, last_px, safe_name
from budgetnet.learn.data import ImageSet
from budgetnet.scaling import PAPER, STRATEGIES, Coefficients, Strategy, for_strategy
from budgetnet.spec import Network

BASES = (
    "efficientnet_b0",
    "efficientnet_lite0",
    "mobilenet_v1",
    "mobilenet_v2",
    "mobilenet_v3_large",
    "mobilenet_v3_small",
)
LEAST_SHARE = 0.85
"""A raced candidate uses at least this share of the limit that binds it."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A network that keeps the budget. `binding` is the limit that it uses most of, `share` how much.

    `why` says why it is raced or not.
    """

    id: str
    base: str
    strategy: Strategy
    dropped_strides: int
    fit: Fit
    raced: bool
    why: str

    @property
    def network(self) -> Network:
        """The network that would be trained."""
        return self.fit.network

    @property
    def binding(self) -> str:
        """The name of the limit that it uses most of."""
        return self.fit.certificate.binding.name

    @property
    def share(self) -> float:
        """Used share of the binding limit, 0 to 1."""
        return self.fit.certificate.binding.share

    def to_dict(self) -> dict[str, Any]:
        """The row of plan.json."""
        cost = self.fit.cost
        return {
            "id": self.id,
            "base": self.base,
            "strategy": self.strategy,
            "phi": self.fit.phi,
            "dropped_strides": self.dropped_strides,
            "resolution_px": list(self.network.resolution_px),
            "network": self.network.name,
            "macs": cost.macs,
            "params": cost.params,
            "activations": cost.activations,
            "weight_bytes": cost.weight_bytes,
            "peak_activation_bytes": cost.peak_activation_bytes,
            "peak_bytes": cost.peak_bytes,
            "binding": self.binding,
            "share": self.share,
            "raced": self.raced,
            "why": self.why,
        }


def candidates(
    images: ImageSet,
    budget: Budget,
    entrants: int,
    bases: Sequence[str | Network] = BASES,
    strategies: Sequence[Strategy] = STRATEGIES,
    inherited: bool = False,
    coefficients: Coefficients = PAPER,
) -> tuple[Candidate, ...]:
    """Everything that fits, the raced ones marked: at most `entrants`, as unlike as can be.

    `inherited`: they start from pretrained weights of the bases. Raises `BudgetError` where nothing fits: the
    one that misses by least; `ValueError` for two bases of one name.
    """
    found: dict[str, Candidate] = {}
    failures: list[BudgetError] = []
    most_px = largest_px(images)
    for name, dropped, base in adapted_bases(images, bases, inherited):
        for strategy in strategies:
            try:
                fitted = fit(base, budget, strategy, for_strategy(coefficients, strategy), most_px)
            except BudgetError as error:
                failures.append(error)
                continue
            tail = f"-{dropped}" if dropped else ""
            key = repr(dataclasses.replace(fitted.network, name="-", source="", rounding=base.rounding))
            found.setdefault(
                key, Candidate(f"{safe_name(name)}-{strategy}{tail}", name, strategy, dropped, fitted, False, "")
            )
    if not found:
        raise nearest_miss(failures, budget)
    return _chosen(tuple(found.values()), entrants, inherited)


def as_planned(found: Sequence[Candidate], plan: Mapping[str, Any]) -> bool:
    """Whether the raced networks are the plan's; those of another version may differ under one id."""
    raced = [(row.id, row.network) for row in found if row.raced]
    entrants = plan["race"]["entrants"]
    return raced == [(row["id"], Network.from_json(json.dumps(row["course"]["network"]))) for row in entrants]


def raced_of(plan: Mapping[str, Any], budget: Budget) -> tuple[Candidate, ...]:
    """The raced candidates as a plan keeps them: all that can be told of a run that another version planned."""
    rows = {row["id"]: row for row in plan["candidates"]}
    found: list[Candidate] = []
    for entrant in plan["race"]["entrants"]:
        row, network = rows[entrant["id"]], Network.from_json(json.dumps(entrant["course"]["network"]))
        fitted = Fit(network, row["phi"], budget.price(network), budget.check(network), row["strategy"])
        found.append(
            Candidate(row["id"], row["base"], row["strategy"], row["dropped_strides"], fitted, True, row["why"])
        )
    return tuple(found)


def _chosen(found: Sequence[Candidate], entrants: int, inherited: bool) -> tuple[Candidate, ...]:
    """Mark the raced ones: always the one that brings all that fit nearest to one that is raced.

    So they are unlike each other, and each stands for many: the farthest from all would be freaks.
    Greedy maximisation of facility location; Nemhauser et al., Mathematical Programming 14 (1978).
    Where the parent itself fits at a lower resolution, it comes first. If only one may meet it, that is the compound
    network: ahead of it where both were trained to the end (docs/lab-log.md), though most like the others.
    """
    open_rows = _inheriting(found) if inherited else _open(found, entrants)
    distance = _distances(open_rows)
    incumbent = incumbent_of(open_rows) if inherited else None
    opponent = _compound_of(open_rows) if entrants == 2 else None
    chosen = [name for name in (incumbent, opponent) if name is not None] if incumbent else []
    nearest = {row.id: min((distance[new, row.id] for new in chosen), default=math.inf) for row in open_rows}
    while len(chosen) < min(entrants, len(open_rows)):
        rest = [row.id for row in open_rows if row.id not in chosen]
        best = min(rest, key=lambda new: (sum(min(near, distance[new, old]) for old, near in nearest.items()), new))
        chosen.append(best)
        nearest = {old: min(near, distance[best, old]) for old, near in nearest.items()}
    rows = [dataclasses.replace(row, raced=row.id in chosen, why=_why(row, chosen, distance)) for row in found]
    place = {name: position for position, name in enumerate(chosen)}
    return tuple(sorted(rows, key=lambda row: (place.get(row.id, len(chosen)), row.id)))


def incumbent_of(rows: Sequence[Candidate]) -> str | None:
    """The parent at a lower resolution among inherited candidates: what one would do by hand."""
    return next((row.id for row in rows if row.strategy == "resolution"), None)


def _compound_of(rows: Sequence[Candidate]) -> str | None:
    return next((row.id for row in rows if row.strategy == "compound"), None)


def _open(found: Sequence[Candidate], entrants: int) -> Sequence[Candidate]:
    """Those that may race: they use the budget and, where enough do, end in a map that a kernel fits on."""
    full = _used(found)
    roomy = [row for row in full if last_px(row.network) >= LEAST_LAST_PX]
    return roomy if len(roomy) >= entrants else full


def _inheriting(found: Sequence[Candidate]) -> Sequence[Candidate]:
    """Those that use most of what binds them, and the parent at a lower resolution in any case: at few pixels its
    steps are coarse."""
    full = {row.id for row in _used(found)}
    return [row for row in found if row.id in full or row.strategy == "resolution"]


def _used(found: Sequence[Candidate]) -> Sequence[Candidate]:
    """Those that use most of what binds them, or the one that uses most."""
    return [row for row in found if row.share >= LEAST_SHARE] or [max(found, key=lambda row: row.share)]


def _why(row: Candidate, chosen: Sequence[str], distance: Mapping[tuple[str, str], float]) -> str:
    if row.id in chosen:
        names = {pair[1] for pair in distance}
        alike = [name for name in names if min(chosen, key=lambda one: (distance[one, name], one)) == row.id]
        return f"stands for {len(alike) - 1} like it" if len(alike) > 1 else "like no other that fits"
    if row.share < LEAST_SHARE:
        return f"uses only {100 * row.share:.0f} % of its binding limit"
    if (row.id, row.id) not in distance:
        return f"ends in a map of {last_px(row.network)} px"
    return f"like {min(chosen, key=lambda one: (distance[one, row.id], one))}, which is raced"


def _features(row: Candidate) -> tuple[float, ...]:
    """What makes networks unlike at matched cost: depth, width, size of maps, params, activations; in octaves."""
    network, cost = row.network, row.fit.cost
    width = sum(stage.channels * stage.repeats for stage in network.stages) / network.depth
    values = (network.depth, width, network.resolution_px[0], last_px(network), cost.params, cost.activations)
    return tuple(math.log2(value) for value in values)


def _distances(rows: Sequence[Candidate]) -> dict[tuple[str, str], float]:
    """Euclidean between features of deviation 1, and 1 more where the base differs: blocks differ in
    ways that sizes do not say."""
    columns = list(zip(*map(_features, rows), strict=True))
    spreads = [statistics.pstdev(column) or 1.0 for column in columns]
    places = [
        tuple(value / spread for value, spread in zip(values, spreads, strict=True))
        for values in zip(*columns, strict=True)
    ]
    return {
        (row.id, other.id): math.dist(here, there) + (1.0 if row.base != other.base else 0.0)
        for row, here in zip(rows, places, strict=True)
        for other, there in zip(rows, places, strict=True)
    }
