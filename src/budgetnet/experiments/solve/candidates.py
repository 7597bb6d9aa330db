"""The networks that could answer: every base and strategy that fits, duplicates merged, a diverse few raced.

A network that the time does not let train is not an answer, however well it keeps the budget. So where time is short
each path offers two networks: the largest that can be trained at all, and the largest that the time does not limit. The
race takes some of both. A network that can be trained within a budget and a time can be with more of either.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from budgetnet.budgets.budget import MEMORY, TIME, Budget, BudgetError, Fit, LimitName, nearest_miss
from budgetnet.budgets.fit import fit
from budgetnet.codec import NonNegativeInt, PositiveFloat, PositiveInt
from budgetnet.data import ImageSet
from budgetnet.experiments.bases import LEAST_LAST_PX, AdaptedBase, adapted_bases, largest_px, last_px, safe_name
from budgetnet.networks import Network, Px
from budgetnet.networks.scaling import PAPER, SEVERAL_DIALS, STRATEGIES, Coefficients, FitStrategy, for_strategy
from budgetnet.training.plan import TooShort, too_few
from budgetnet.training.speed import TrainingLimits

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
class Contender:
    """A network that keeps the budget, with its fit. `binding` is the limit that it uses most of, `share` how much.

    `why` says why it is raced or not. `epochs` is the estimate, before anything was timed, of how often the final
    training shows it each image; None where the time was not asked for.
    """

    id: str
    base: str
    strategy: FitStrategy
    dropped_strides: int
    fit: Fit
    raced: bool
    why: str
    epochs: float | None = None

    @property
    def network(self) -> Network:
        """The network that would be trained."""
        return self.fit.network

    @property
    def binding(self) -> LimitName:
        """The name of the limit that it uses most of."""
        return self.fit.certificate.binding.name

    @property
    def share(self) -> float:
        """Used share of the binding limit, 0 to 1."""
        return self.fit.certificate.binding.share

    @property
    def at_its_limit(self) -> bool:
        """Whether it uses most of what binds it: of a limit, or of the time or memory for its training."""
        return self.share >= LEAST_SHARE or bool({TIME, MEMORY} & self.fit.certificate.hindrances)

    def row(self) -> Candidate:
        """What plan.json keeps of it."""
        cost = self.fit.cost
        return Candidate(
            id=self.id,
            base=self.base,
            strategy=self.strategy,
            phi=self.fit.phi,
            dropped_strides=self.dropped_strides,
            resolution_px=self.network.resolution_px,
            network=self.network.name,
            macs=cost.macs,
            params=cost.params,
            activations=cost.activations,
            weight_bytes=cost.weight_bytes,
            peak_activation_bytes=cost.peak_activation_bytes,
            peak_bytes=cost.peak_bytes,
            binding=self.binding,
            share=self.share,
            epochs=self.epochs,
            raced=self.raced,
            why=self.why,
        )


@dataclass(frozen=True, slots=True)
class Candidate:
    """A network that keeps the budget, in numbers; `network` is its name.

    `binding` is the limit that it uses most of, `share` how much. `why` says why it is raced or not. `epochs` is the
    estimate, before anything was timed, of how often the final training shows it each image.
    """

    id: str
    base: str
    strategy: FitStrategy
    phi: float | None
    dropped_strides: NonNegativeInt
    resolution_px: Px
    network: str
    macs: PositiveInt
    params: PositiveInt
    activations: PositiveInt
    weight_bytes: PositiveInt
    peak_activation_bytes: PositiveInt
    peak_bytes: PositiveInt
    binding: LimitName
    share: PositiveFloat
    epochs: PositiveFloat | None
    raced: bool
    why: str


def candidates(
    images: ImageSet,
    budget: Budget,
    entrants: int,
    bases: Sequence[str | Network] = BASES,
    strategies: Sequence[FitStrategy] = STRATEGIES,
    inherited: bool = False,
    coefficients: Coefficients = PAPER,
    training: TrainingLimits | None = None,
    obstacle: Obstacles | None = None,
) -> tuple[Contender, ...]:
    """Everything that fits and, by `training`, can be trained; the raced ones are marked.

    At most `entrants` are raced, as unlike as can be; where time is short, half of them such that it does not limit
    them. `inherited`: they start from pretrained weights of the bases. `obstacle`: what else keeps a
    network out. Raises `BudgetError` where nothing fits: the
    one that misses by least; `TooShort` where nothing that fits can be trained in the time; `ValueError` where memory
    is too small for any training, and for two bases of one name.
    """
    found: dict[str, Contender] = {}
    failures: list[BudgetError] = []
    most_px = largest_px(images)
    conditions = _conditions(training, obstacle)

    def fitted(base: Network, strategy: FitStrategy, obstacles: Obstacles | None) -> Fit:
        return fit(base, budget, strategy, for_strategy(coefficients, strategy), most_px, obstacles)

    def answers(base: Network, strategy: FitStrategy) -> Iterator[tuple[bool, Fit]]:
        """The largest that can be trained and, where time is short for it, the largest that is not hurried."""
        largest: Fit | None = None
        for quick, obstacles in conditions:
            if quick and strategy == "staged":
                return  # it takes seconds to find: where time is short, the other strategies offer the quick ones
            if largest is not None and training is not None and not training.is_short_for(largest.network):
                return
            try:
                largest = fitted(base, strategy, obstacles)
            except BudgetError as error:
                failures.append(error)
                return
            yield quick, largest

    def largest_joint(base: AdaptedBase) -> int:
        try:
            return fitted(base[2], "joint", conditions[0][1]).cost.macs
        except BudgetError:
            return 0

    for _, group in itertools.groupby(adapted_bases(images, bases, inherited), lambda row: row[0]):
        variants = tuple(group)
        for strategy in strategies:
            # Of a base with strides dropped and without, the staged network begins where the joint one has most
            # multiply-adds: each takes seconds to find.
            several = strategy == "staged" and len(variants) > 1
            for name, dropped, base in (max(variants, key=largest_joint),) if several else variants:
                for quick, answer in answers(base, strategy):
                    tail = (f"-{dropped}" if dropped else "") + ("-quick" if quick else "")
                    key = repr(dataclasses.replace(answer.network, name="-", source="", rounding=base.rounding))
                    epochs = None if training is None else training.epochs(answer.network)
                    row = Contender(
                        f"{safe_name(name)}-{strategy}{tail}", name, strategy, dropped, answer, False, "", epochs
                    )
                    found.setdefault(key, row)
    if not found:
        raise _nothing(failures, budget, training)
    return chosen(tuple(found.values()), entrants, inherited, training)


Obstacles = Callable[[Network], tuple[str, ...]]


def _conditions(
    training: TrainingLimits | None, obstacle: Obstacles | None
) -> tuple[tuple[bool, Obstacles | None], ...]:
    """What a path's candidates must keep besides the budget. The second, a `quick` one, is another network only where
    time is short."""
    if training is None:
        return ((False, obstacle),)
    if obstacle is None:
        return (False, training.obstacles), (True, lambda network: training.obstacles(network, well=True))
    return (
        (False, lambda network: obstacle(network) + training.obstacles(network)),
        (True, lambda network: obstacle(network) + training.obstacles(network, well=True)),
    )


def _nothing(failures: Sequence[BudgetError], budget: Budget, training: TrainingLimits | None) -> ValueError:
    """Why there is no candidate: the budget, or what there is to train those that keep it."""
    smallest = [error.smallest for error in failures if error.limit == TIME]
    if training is not None and smallest:
        best = max(smallest, key=training.epochs)
        epochs = training.epochs(best)
        return TooShort(
            training.seconds,
            f"to train any network that keeps the budget: the quickest, {best.name}, would see each of the "
            f"{training.images:,} training images {too_few(epochs, training.least_epochs)}",
            training.least_seconds(epochs),
        )
    if any(error.limit == MEMORY for error in failures) and training is not None:
        return ValueError(
            f"no network that keeps the budget can be trained in the {training.bytes / 1e9:.2g} GB that each training "
            f"may take, with {training.least_batch} images at once; free some memory or raise --train-bytes"
        )
    return nearest_miss(failures, budget)


def chosen(
    found: Sequence[Contender], entrants: int, inherited: bool, training: TrainingLimits | None
) -> tuple[Contender, ...]:
    """Mark the raced ones: always the one that brings all that fit nearest to one that is raced.

    So they are unlike each other, and each stands for many; the farthest from all would stand for themselves alone.
    Greedy maximisation of facility location; Nemhauser et al., Mathematical Programming 14 (1978).
    Where the parent itself fits at a lower resolution, it comes first. If only one may meet it, that is the compound
    network: ahead of it where both were trained to the end (docs/lab-log.md), though most like the others.
    Those for which the time is too short to train them well are chosen from by themselves, for half of the places.
    """
    hurried = [row for row in found if training is not None and training.is_short_for(row.network)]
    unhurried = [row for row in found if row not in hurried]
    if unhurried and hurried:
        counts = entrants - entrants // 2, entrants // 2
        groups = [_open(rows, count, inherited) for rows, count in zip((unhurried, hurried), counts, strict=True)]
    else:
        groups, counts = [_open(found, entrants, inherited)], (entrants,)
    distance = _distances([row for rows in groups for row in rows])
    chosen: list[str] = []
    for rows, count in zip(groups, counts, strict=True):
        chosen += _representatives(rows, count, distance, inherited and not chosen, entrants == 2 and inherited)
    several = bool(_of_several_dials(found))
    rows = [
        dataclasses.replace(row, raced=row.id in chosen, why=_why(row, chosen, distance, training, several))
        for row in found
    ]
    rank = {name: index for index, name in enumerate(chosen)}
    return tuple(sorted(rows, key=lambda row: (rank.get(row.id, len(chosen)), row.id)))


def _representatives(
    rows: Sequence[Contender],
    count: int,
    distance: Mapping[tuple[str, str], float],
    with_incumbent: bool,
    with_opponent: bool,
) -> list[str]:
    """The `count` of these that stand for all of them, the parent at a lower resolution and the compound one first."""
    incumbent = incumbent_of(rows) if with_incumbent else None
    opponent = _opponent_of(rows) if with_opponent and (incumbent is not None or not with_incumbent) else None
    chosen = [name for name in dict.fromkeys((incumbent, opponent)) if name is not None][:count]
    nearest = {row.id: min((distance[new, row.id] for new in chosen), default=math.inf) for row in rows}
    while len(chosen) < min(count, len(rows)):
        rest = [row.id for row in rows if row.id not in chosen]
        left = {new: sum(min(near, distance[new, old]) for old, near in nearest.items()) for new in rest}
        best = min(rest, key=lambda new: (left[new], new))
        chosen.append(best)
        nearest = {old: min(near, distance[best, old]) for old, near in nearest.items()}
    return chosen


def incumbent_of(rows: Sequence[Contender]) -> str | None:
    """The parent at a lower resolution among inherited candidates: what one would do by hand."""
    return next((row.id for row in rows if row.strategy == "resolution"), None)


def _opponent_of(rows: Sequence[Contender]) -> str | None:
    """Whom the incumbent meets: the joint network where there are several limits, else the compound one."""
    strategies: tuple[FitStrategy, ...] = ("joint", "compound")
    return next((row.id for strategy in strategies for row in rows if row.strategy == strategy), None)


def _of_several_dials(rows: Sequence[Contender]) -> list[Contender]:
    return [row for row in rows if row.strategy in SEVERAL_DIALS]


def _open(found: Sequence[Contender], entrants: int, inherited: bool) -> Sequence[Contender]:
    """Those that may race: they use the budget or the time and, where enough do, end in a map that a kernel fits on.

    From pretrained weights also the parent at a lower resolution: at few pixels its steps are coarse.
    """
    full = [row for row in found if row.at_its_limit] or [max(found, key=lambda row: row.share)]
    # Where there are several limits, one dial leaves most of a budget unused: docs/lab-log.md has the accuracies.
    full = _of_several_dials(full) or full
    if inherited:
        ids = {row.id for row in full}
        return [row for row in found if row.id in ids or row.strategy == "resolution"]
    roomy = [row for row in full if last_px(row.network) >= LEAST_LAST_PX]
    return roomy if len(roomy) >= entrants else full


def _why(
    row: Contender,
    chosen: Sequence[str],
    distance: Mapping[tuple[str, str], float],
    training: TrainingLimits | None,
    several: bool,
) -> str:
    """Why a network races or does not; `several`: those that fill several limits race."""
    hurried = training is not None and training.is_short_for(row.network)
    pace = f"; the time lets it see each image about {row.epochs:.0f} times" if hurried else ""
    if row.id in chosen:
        names = {pair[1] for pair in distance}
        alike = [name for name in names if min(chosen, key=lambda one: (distance[one, name], one)) == row.id]
        similar = f"the choice among {len(alike)} similar networks" if len(alike) > 1 else "similar to none that fits"
        return similar + pace
    if not row.at_its_limit:
        return f"uses only {100 * row.share:.0f} % of its binding limit"
    if (row.id, row.id) not in distance:
        if several and row.strategy not in SEVERAL_DIALS:
            return "has one dial, and those of several use more of the limits"
        return f"ends in a map of {last_px(row.network)} px"
    return f"like {min(chosen, key=lambda one: (distance[one, row.id], one))}, which is raced" + pace


def _features(row: Contender) -> tuple[float, ...]:
    """What makes networks unlike at matched cost: depth, width, size of maps, params, activations; in octaves."""
    network, cost = row.network, row.fit.cost
    width = sum(stage.channels * stage.repeats for stage in network.stages) / network.depth
    values = (network.depth, width, network.resolution_px[0], last_px(network), cost.params, cost.activations)
    return tuple(math.log2(value) for value in values)


def _distances(rows: Sequence[Contender]) -> dict[tuple[str, str], float]:
    """Euclidean between features of deviation 1, and 1 more where the base differs: blocks differ in
    ways that sizes do not say."""
    columns = list(zip(*map(_features, rows), strict=True))
    spreads = [statistics.pstdev(column) or 1.0 for column in columns]
    points = [
        tuple(value / spread for value, spread in zip(values, spreads, strict=True))
        for values in zip(*columns, strict=True)
    ]
    return {
        (row.id, other.id): math.dist(here, there) + (1.0 if row.base != other.base else 0.0)
        for row, here in zip(rows, points, strict=True)
        for other, there in zip(rows, points, strict=True)
    }
