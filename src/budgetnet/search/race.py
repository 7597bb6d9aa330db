"""Successive halving: many start, the better part goes on, on more and more training."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

Score = Callable[[int, Sequence[str]], Mapping[str, float]]
"""(rung, entrants) -> a score of each; higher is better."""


def survivors(entrants: int) -> tuple[int, ...]:
    """How many take part in each rung: halved, rounded down, but two meet in the last.

    Few long rungs: early scores say least, and two fill a small machine's cores. Source: Jamieson &
    Talwalkar, Non-stochastic best arm identification, arXiv:1502.07943, figure 3.
    """
    rungs = [entrants]
    while rungs[-1] > 2:
        rungs.append(max(2, rungs[-1] // 2))
    return tuple(rungs)


def race(entrants: Sequence[str], score: Score, incumbent: str | None = None) -> tuple[Mapping[str, float], ...]:
    """The scores of every rung; those of the last decide.

    Ties go to the entrant that stands first in `entrants`. The `incumbent`, what one would take without a race,
    goes on to the last rung in any case: only the longest comparison may set it aside. Raises `ValueError` without
    entrants.
    """
    if not entrants:
        raise ValueError("a race needs at least one entrant")
    order = {entrant: place for place, entrant in enumerate(entrants)}
    going, results = list(entrants), []
    for rung, count in enumerate(survivors(len(entrants))):
        going = going[:count]
        scores = score(rung, going)
        results.append(scores)
        going = sorted(going, key=lambda entrant: (entrant != incumbent, -scores[entrant], order[entrant]))
    return tuple(results)
