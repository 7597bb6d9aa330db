"""Successive halving: many start, the better part goes on, on more and more training."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

Score = Callable[[int, Sequence[str]], Mapping[str, float]]
"""(rung, entrants) -> a score of each; higher is better. In the last rung it may be a mean over several seeds."""


def survivors(entrants: int, most_last: int = 2) -> tuple[int, ...]:
    """How many take part in each rung: halved, rounded down, until at most `most_last` meet, and at least two.

    Few long rungs: early scores say least, and two fill a small machine's cores. Source: Jamieson &
    Talwalkar, Non-stochastic best arm identification, arXiv:1502.07943, figure 3. Raises `ValueError` for a last
    rung of fewer than two.
    """
    if most_last < 2:
        raise ValueError(f"most_last is {most_last}; at least two meet in the last rung")
    rungs = [entrants]
    while rungs[-1] > most_last:
        rungs.append(max(2, rungs[-1] // 2))
    return tuple(rungs)


def race(
    entrants: Sequence[str], score: Score, kept: Sequence[int], incumbent: str | None = None
) -> tuple[Mapping[str, float], ...]:
    """The scores of every rung; `kept` says how many take part in each, and the scores of the last decide.

    Ties go to the entrant that stands first in `entrants`. The `incumbent`, what one would take without a race,
    goes on to the last rung in any case: only the longest comparison may set it aside. Raises `ValueError` without
    entrants.
    """
    if not entrants:
        raise ValueError("a race needs at least one entrant")
    order = {entrant: index for index, entrant in enumerate(entrants)}
    going = list(entrants)
    results: list[Mapping[str, float]] = []
    for rung, count in enumerate(kept):
        going = going[:count]
        scores = score(rung, going)
        results.append(scores)
        going = sorted(going, key=lambda entrant: (entrant != incumbent, -scores[entrant], order[entrant]))
    return tuple(results)
