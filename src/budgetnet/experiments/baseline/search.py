"""The search for a baseline: propose a batch of architectures, score it, and go on from all scores.

The search is a function of its `Search` and of the scores, which must be functions of the architectures. So it keeps no
files: a search that was killed is run again from its beginning, and whoever scores gives back what is already known.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from budgetnet.budgets.feasible_space import FeasibleSpace
from budgetnet.budgets.search_space import Architecture
from budgetnet.experiments.baseline.evolution import Evolution
from budgetnet.experiments.baseline.objective import Objective, Score, Scored
from budgetnet.networks import choose

Sampler = Literal["evolution", "random"]
SAMPLERS: tuple[Sampler, ...] = ("evolution", "random")

OnResult = Callable[[Architecture, Score], None]
ScoreBatch = Callable[[Sequence[Architecture], OnResult], object]
"""Scores several architectures at once, and calls `OnResult` with each score as soon as it is known."""


@dataclass(frozen=True, slots=True)
class Search:
    """What a search is a function of: how many architectures it scores, `at_once` of them side by side, how it proposes
    them. Raises a one-line `ValueError` for an unknown sampler."""

    space: FeasibleSpace
    trials: int
    at_once: int
    objective: Objective
    sampler: Sampler = "evolution"
    seed: int = 0

    def __post_init__(self) -> None:
        choose("sampler", self.sampler, SAMPLERS)


def run_search(
    search: Search, score_batch: ScoreBatch, on_scored: Callable[[Sequence[Scored]], None] = lambda rows: None
) -> tuple[Scored, ...]:
    """Score `search.trials` architectures, and give all in the order in which they were proposed.

    All are different, and all keep the budget. `on_scored` is called with all that are scored, after each. Fewer come
    back where the space within the budget has no more.
    """
    evolution = Evolution.of(search.space, search.seed)
    found: list[Scored] = []

    def on_part(rows: Sequence[Scored]) -> None:
        on_scored([*found, *rows])

    while len(found) < search.trials:
        batch = _proposed(search, evolution, found)
        if not batch:
            break
        found += _scored(search, batch, score_batch, on_part)
    return tuple(found)


def _proposed(search: Search, evolution: Evolution, found: Sequence[Scored]) -> list[Architecture]:
    """The next batch: fewer than `at_once` at the end, and none where the space is exhausted."""
    known = {row.architecture.id for row in found}
    parents = evolution.parents(found) if search.sampler == "evolution" else ()
    batch: list[Architecture] = []
    for number in range(len(found), min(len(found) + search.at_once, search.trials)):
        proposed = evolution.propose(parents, number)
        architecture = search.space.repaired(proposed, known, search.seed, "near", number)
        if architecture is None:
            break
        known.add(architecture.id)
        batch.append(architecture)
    return batch


def _scored(
    search: Search,
    batch: Sequence[Architecture],
    score_batch: ScoreBatch,
    on_part: Callable[[Sequence[Scored]], None],
) -> list[Scored]:
    """The batch in its own order, in whichever order the scores come; `on_part` is called with those that are known."""
    rows: dict[str, Scored] = {}

    def on_result(architecture: Architecture, score: Score) -> None:
        rows[architecture.id] = search.objective.scored(architecture, search.space.macs(architecture), score)
        on_part(list(rows.values()))

    score_batch(batch, on_result)
    return [rows[architecture.id] for architecture in batch]
