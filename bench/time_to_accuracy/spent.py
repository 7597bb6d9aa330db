"""How many steps a finished run of ours took, by its plan.json and metrics.json: plain JSON, so of any tree's runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Row = Mapping[str, Any]
TRAINING_MACS = 3
"""A training step of an image counts as this many times the multiply-adds of an answer: forwards once, backwards for
the inputs of each layer and for its weights. Scores, timings and what is no convolution or matrix are not counted."""


@dataclass(frozen=True, slots=True)
class Leg:
    """Steps of one training: from behind `first` up to `last`."""

    config: Row
    first: int
    last: int

    @property
    def images(self) -> int:
        """That were seen."""
        return (self.last - self.first) * int(self.config["batch"])


def legs(plan: Row, metrics: Row) -> Iterator[Leg]:
    """All that was trained: by `train` one leg, by `solve` those of the race and the final one."""
    whole = plan["plan"]
    if "config" in whole:
        config = whole["config"]
        cooldown = whole["cooldown_steps"]
        planned = {"trunk_until": config["steps"] - cooldown, "cooldown_steps": cooldown}
        yield Leg(config, 0, _last(_kept(plan, config["id"], "final", planned)))
        return
    entrants = {row["id"]: row for row in whole["entrants"]}
    for score in metrics["race"]:
        yield Leg(entrants[score["id"]]["config"], _trunk(plan, entrants[score["id"]], score["rung"]), score["steps"])
    winner = entrants[metrics["choice"]["id"]]
    if winner["final"] is not None:
        kept = _kept(plan, winner["id"], "final", winner["final"])
        yield Leg(winner["config"], _trunk(plan, winner, len(winner["rungs"])), _last(kept))


def winner_images(plan: Row, metrics: Row) -> int:
    """What the network that came out has seen: along its trunk, and down its last cool-down."""
    rows = list(legs(plan, metrics))
    if "choice" in metrics:
        rows = [row for row in rows if row.config["id"] == metrics["choice"]["id"]]
    return rows[-1].last * int(rows[-1].config["batch"])


def _trunk(plan: Row, entrant: Row, rung: int) -> int:
    """Where a rung's training begins: at the end of the trunk of the rung before."""
    if rung == 0:
        return 0
    return int(_kept(plan, entrant["id"], f"rung-{rung - 1}", entrant["rungs"][rung - 1])["trunk_until"])


def _kept(plan: Row, job: str, part: str, planned: Row) -> Row:
    """The steps of a job as they were amended last, or as planned."""
    rows = [row for row in plan["amendments"] if (row["job"], row["part"]) == (job, part)]
    return rows[-1] if rows else planned


def _last(steps: Row) -> int:
    return int(steps["trunk_until"]) + int(steps["cooldown_steps"])
