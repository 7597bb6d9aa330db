"""How the search proposes architectures: an evolution whose parents are the best of all that is scored.

    parents    the best 20 of all complete generations of 20, by the objective
    crossover  with probability 0.9 of two parents, each the better of two that are drawn: every factor of every stage
               comes from one of them; else one parent, drawn evenly
    mutation   each of the n factors is drawn again with probability 1 / n

With one objective this is what NSGA-II does. The first generation is drawn evenly from all that keep the budget. The
search replaces a child that breaks the budget, or that is known, by a neighbour: an evolution of single factors does
not know limits on the whole network.
Source: Deb et al., A fast and elitist multiobjective genetic algorithm: NSGA-II, IEEE TEC 6 (2002).
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from budgetnet.budgets.feasible_space import FeasibleSpace
from budgetnet.budgets.search_space import FACTORS, Architecture, Choice, Factors, FactorValue
from budgetnet.experiments.baseline.objective import Scored, best_of

POPULATION = 20
CROSSOVER = 0.9
Genes = tuple[FactorValue, ...]
"""An architecture is the values of all factors of all stages, one stage after another."""


@dataclass(frozen=True, slots=True)
class Evolution:
    """Proposes architectures of a space; `Evolution.of` makes it. Every proposal is a function of the seed, its number
    and what is scored."""

    space: FeasibleSpace
    seed: int
    factors: tuple[Mapping[Choice, Factors], ...]
    values: tuple[Genes, ...]

    @staticmethod
    def of(space: FeasibleSpace, seed: int) -> Evolution:
        """The evolution of a space by a seed."""
        factors = tuple(space.factors(index) for index in range(len(space.stages)))
        columns = (column for rows in factors for column in zip(*rows.values(), strict=True))
        return Evolution(space, seed, factors, tuple(tuple(dict.fromkeys(column)) for column in columns))

    def parents(self, scored: Sequence[Scored]) -> tuple[Genes, ...]:
        """The best of all complete generations of these, in the order of proposal; none in the first generation."""
        complete = len(scored) - len(scored) % POPULATION
        return tuple(self._genes(row.architecture) for row in best_of(scored[:complete], POPULATION))

    def propose(self, parents: Sequence[Genes], number: int) -> Architecture:
        """The architecture of this number, from 0, in the order of all proposals; it may break the budget or be known.

        `parents` are the best first. Without any it is an even draw.
        """
        if not parents:
            return self.space.sample(self.seed, "even", number)
        numbers = random.Random(repr((self.seed, "evolution", number)))
        return self._architecture(self._mutated(self._crossed(parents, numbers), numbers))

    def _crossed(self, parents: Sequence[Genes], numbers: random.Random) -> Genes:
        """Of two parents the one with the lower index is the better."""
        ranks = range(len(parents))
        if numbers.random() >= CROSSOVER:
            return parents[numbers.choice(ranks)]
        first = min(numbers.sample(ranks, 2))
        second = min(numbers.sample([rank for rank in ranks if rank != first], 2))
        pairs = zip(parents[first], parents[second], strict=True)
        return tuple(one if numbers.random() < 0.5 else other for one, other in pairs)

    def _mutated(self, genes: Genes, numbers: random.Random) -> Genes:
        pairs = zip(genes, self.values, strict=True)
        return tuple(numbers.choice(values) if numbers.random() < 1 / len(genes) else gene for gene, values in pairs)

    def _genes(self, architecture: Architecture) -> Genes:
        rows = zip(self.factors, architecture.stages, strict=True)
        return tuple(value for factors, choice in rows for value in factors[choice])

    def _architecture(self, genes: Genes) -> Architecture:
        width, space = len(FACTORS), self.space.space
        rows = (cast("Factors", genes[width * index : width * (index + 1)]) for index in range(len(self.factors)))
        return Architecture(tuple(space.choice(index, row) for index, row in enumerate(rows)))
