"""What a search may choose from: the distinct networks of a space within a budget, counted, sampled and changed."""

from __future__ import annotations

import dataclasses
import itertools
import math
import operator
import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from budgetnet.budgets.budget import Budget
from budgetnet.budgets.search_space import Architecture, Choice, Factors, Space
from budgetnet.networks import Network, Px, block_macs

MOST_DRAWS = 100_000
"""After this many draws a sample gives up: where fewer networks than one in this many keep the budget, none is
found."""


@dataclass(frozen=True, slots=True)
class FeasibleSpace:
    """The choices of every stage that a network within the budget can have; `FeasibleSpace.of` makes it.

    Two architectures of these choices that differ are two networks, and each is drawn as often as any other.
    """

    space: Space
    budget: Budget
    stages: tuple[tuple[Choice, ...], ...]
    _macs: dict[tuple[int, int, Choice], int] = field(
        init=False, repr=False, compare=False, default_factory=dict[tuple[int, int, Choice], int]
    )

    @staticmethod
    def of(space: Space, budget: Budget) -> FeasibleSpace:
        """The networks of a space within a budget: choices that break its limit of MACs with any other stages are left
        out.

        Raises a one-line `ValueError` where the smallest network of the space does not keep the budget.
        """
        every = tuple(tuple(space.choices(index)) for index in range(len(space.stages)))
        whole = FeasibleSpace(space, budget, every)
        certificate = budget.check(whole.network(whole.smallest()))
        if not certificate.fits:
            worst = certificate.binding
            raise ValueError(
                f"no network of the space keeps {budget}: its smallest has {worst.name} {worst.used:,}, "
                f"{worst.share:.3g} times the limit; raise it, or give a space with smaller choices"
            )
        if budget.macs is None:
            return whole
        return FeasibleSpace(space, budget, _within(whole, budget.macs))

    @property
    def count(self) -> int:
        """How many networks, those that break the budget in sum among them."""
        return math.prod(map(len, self.stages))

    def network(self, architecture: Architecture, name: str | None = None) -> Network:
        """The network of an architecture."""
        return self.space.network(architecture, name)

    def macs(self, architecture: Architecture) -> int:
        """Multiply-adds of the architecture's network, for one image."""
        base = self.space.base
        total, channels = base.stem_conv.macs(base.resolution_px), base.stem.channels
        for index, choice in enumerate(architecture.stages):
            total += self.stage_macs(index, channels, choice)
            channels = choice.channels
        return total + self.head_macs(channels)

    def stage_macs(self, index: int, in_channels: int, choice: Choice) -> int:
        """Multiply-adds of one stage behind so many channels."""
        key = index, in_channels, choice
        if key not in self._macs:
            base = self.space.base
            stem = dataclasses.replace(base.stem, channels=in_channels)
            alone = dataclasses.replace(base, stem=stem, stages=(self.space.stage(index, choice),))
            px, total = _stage_px(base, index), 0
            for block in alone.stage_blocks()[0]:
                total += block_macs(block, px)
                px = block.out_px(px)
            self._macs[key] = total
        return self._macs[key]

    def head_macs(self, channels: int) -> int:
        """Multiply-adds behind the last stage, where it has so many channels."""
        base = self.space.base
        last = dataclasses.replace(base.stages[-1], channels=channels)
        network = dataclasses.replace(base, stages=(*base.stages[:-1], last))
        px = _stage_px(base, len(base.stages))
        head = network.head_conv.macs(px) if network.head_conv else 0
        hidden = network.hidden_linear.macs((1, 1)) if network.hidden_linear else 0
        return head + hidden + network.classifier.macs((1, 1))

    def fits(self, architecture: Architecture) -> bool:
        """Whether the network keeps every limit of the budget."""
        limits = self.budget.limits()
        if "macs" in limits and self.macs(architecture) > limits["macs"]:
            return False
        return limits.keys() == {"macs"} or self.budget.check(self.network(architecture)).fits

    def smallest(self) -> Architecture:
        """The network of the fewest multiply-adds: for each count of filters the cheapest way to reach it."""
        best: dict[int, tuple[int, tuple[Choice, ...]]] = {self.space.base.stem.channels: (0, ())}
        for index, choices in enumerate(self.stages):
            ways: dict[int, tuple[int, tuple[Choice, ...]]] = {}
            for (channels, (macs, before)), choice in itertools.product(best.items(), choices):
                total = macs + self.stage_macs(index, channels, choice)
                if choice.channels not in ways or total < ways[choice.channels][0]:
                    ways[choice.channels] = total, (*before, choice)
            best = ways
        return Architecture(min(best.items(), key=lambda row: row[1][0] + self.head_macs(row[0]))[1][1])

    def sample(self, *seed: object) -> Architecture:
        """One of all networks that keep the budget, each as likely: a function of the seed's parts.

        Raises a one-line `ValueError` where so few keep the budget that none is found.
        """
        numbers = random.Random(repr(seed))
        for _ in range(MOST_DRAWS):
            found = Architecture(tuple(numbers.choice(choices) for choices in self.stages))
            if self.fits(found):
                return found
        raise ValueError(
            f"of {MOST_DRAWS:,} networks drawn from the space none keeps {self.budget}; raise the limit, or edit the "
            "space towards smaller ones"
        )

    def mutated(self, architecture: Architecture, *seed: object) -> Architecture:
        """The architecture with one factor of one stage changed, and what cannot stay as it was with it."""
        numbers = random.Random(repr(seed))
        open_stages = [index for index, choices in enumerate(self.stages) if len(choices) > 1]
        if not open_stages:
            return architecture
        index = numbers.choice(open_stages)
        now = dataclasses.astuple(architecture.stages[index])
        rows = {choice: dataclasses.astuple(choice) for choice in self.stages[index]}
        changing = [factor for factor, value in enumerate(now) if any(row[factor] != value for row in rows.values())]
        factor = numbers.choice(changing)
        others = {choice: row for choice, row in rows.items() if row[factor] != now[factor]}
        changes = {choice: sum(map(operator.ne, row, now)) for choice, row in others.items()}
        nearest = [choice for choice, count in changes.items() if count == min(changes.values())]
        stages = list(architecture.stages)
        stages[index] = numbers.choice(nearest)
        return Architecture(tuple(stages))

    def repaired(self, architecture: Architecture, known: Collection[str], *seed: object) -> Architecture | None:
        """A network near this one that keeps the budget and is none of the `known` ids, by single mutations.

        While it breaks the budget only mutations towards fewer multiply-adds count. None where none was found.
        """
        now = architecture
        for attempt in range(2_000):
            if self.fits(now) and now.id not in known:
                return now
            after = self.mutated(now, *seed, attempt)
            if self.fits(after) or self.macs(after) <= self.macs(now):
                now = after
        return None

    def factors(self, index: int) -> dict[Choice, Factors]:
        """For every choice of a stage the values of its factors that give it."""
        alive = set(self.stages[index])
        return {choice: row for choice, row in self.space.choices(index).items() if choice in alive}


def _within(whole: FeasibleSpace, macs: int) -> tuple[tuple[Choice, ...], ...]:
    """The choices whose stage leaves the other stages their least multiply-adds."""
    channels = [{whole.space.base.stem.channels}, *({row.channels for row in rows} for rows in whole.stages)]

    def least(index: int, choice: Choice) -> int:
        return min(whole.stage_macs(index, before, choice) for before in channels[index])

    leasts = [min(least(index, row) for row in rows) for index, rows in enumerate(whole.stages)]
    base = whole.space.base
    ends = base.stem_conv.macs(base.resolution_px) + min(map(whole.head_macs, channels[-1]))
    slack = macs - ends - sum(leasts)
    return tuple(
        tuple(row for row in rows if least(index, row) - leasts[index] <= slack)
        for index, rows in enumerate(whole.stages)
    )


def _stage_px(base: Network, index: int) -> Px:
    """Height and width that a stage reads; behind the last stage what the head reads."""
    px = base.stem_px
    for stage in base.stages[:index]:
        px = -(-px[0] // stage.stride), -(-px[1] // stage.stride)
    return px


def front(points: Sequence[tuple[float, float]]) -> tuple[int, ...]:
    """Of (cost, score) pairs the positions that no other beats: none costs less or as much and scores higher, nor costs
    less and scores as high. The cheapest comes first; of equals the first counts."""
    best, found = -math.inf, list[int]()
    for index in sorted(range(len(points)), key=lambda index: (points[index][0], -points[index][1], index)):
        if points[index][1] > best:
            best = points[index][1]
            found.append(index)
    return tuple(found)


def hypervolume(points: Sequence[tuple[float, float]], most_cost: float) -> float:
    """The share of the rectangle [0, most_cost] x [0, 1] that the points dominate.

    Of the front's points (c_i, s_i) in order of cost: sum of s_i (c_(i+1) - c_i) / most_cost, most_cost being the last.
    Source: Zitzler and Thiele, PPSN V (1998), section 4.
    """
    rows = [points[index] for index in front(points) if points[index][0] <= most_cost]
    ends = [*(cost for cost, _ in rows), most_cost][1:]
    return sum(score * (end - cost) for (cost, score), end in zip(rows, ends, strict=True)) / most_cost
