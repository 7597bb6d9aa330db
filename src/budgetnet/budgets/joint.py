"""Several limits at once: the largest network of four dials, and the networks in which no dial can be turned further.

    maximise MACs(x)   subject to   used(N(x), limit) <= limit for every limit,   distance(x, compound line) <= TAU

x are the places of depth, width, resolution and head (`budgets.dials`). One dial fills one limit and leaves the rest of
a budget unused; four fill several. The compound line is that of Tan & Le, arXiv:1905.11946, equation 3: how far from it
a network may be keeps the three dimensions in balance, where multiply-adds alone would take one of them to its end.
"""

from __future__ import annotations

import bisect
import dataclasses
import functools
import heapq
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from budgetnet.budgets.budget import (
    BAND,
    NARROW_HEAD,
    NO_MORE,
    Budget,
    BudgetError,
    Certificate,
    DialStep,
    Fit,
    beyond_hope,
    budget_of,
    limit_rows,
    nothing_fits,
)
from budgetnet.budgets.dials import DIALS, LEAST_FACTOR, SMALLEST, Dial, Position, dials_of
from budgetnet.budgets.latency_bounds import in_time
from budgetnet.budgets.memory_bounds import block_memory, have_room, stem_memory, tail_memory
from budgetnet.budgets.remembered import remembered
from budgetnet.costs.blocks import distinct_blocks
from budgetnet.costs.latency import Terms, block_terms, stem_terms, tail_terms
from budgetnet.costs.network_cost import Part, lower, part_of, stem_part_of, tail_part_of
from budgetnet.costs.number_types import WEIGHT_BYTES, weight_bytes
from budgetnet.costs.planners import PartMemory
from budgetnet.networks import Network, Px, check_integer, network_of
from budgetnet.networks.scaling import PAPER, Coefficients, Scaling, coefficients_of, with_integers

TAU = 2.0
"""How far from the compound line a joint network may be, in natural logarithms of cost: (log depth, 2 log width,
2 log resolution)."""
REFERENCE_PX = 1 << 14
"""A side at which the maps behind every halving have sizes of their own, so that their size names the level."""
MEMORY_LIMITS = ("weight_bytes", "peak_activation_bytes", "peak_bytes")
"""The limits that can hold one network and not a smaller one: skips and copies come and go as numbers are rounded, and
with the copies their part of the file."""

WEIGHTS = (1.0, 2.0, 2.0)
"""The logarithms of depth, width and resolution count in the cost with these weights."""

Obstacles = Callable[[Network], tuple[str, ...]]
Box = tuple[tuple[float, float], ...]
BlockPart = TypeVar("BlockPart")


@functools.lru_cache(maxsize=1 << 16)
def distance_from_line(box: Box, line: tuple[float, ...]) -> float:
    """From the nearest point of a box, an interval for each coordinate, to the line {t * line}.

    The squared distance is convex in t and piecewise quadratic; on each piece its least is where the derivative is 0.
    """

    def squared(t: float) -> float:
        return sum(max(low - t * v, 0.0, t * v - high) ** 2 for (low, high), v in zip(box, line, strict=True))

    edges = sorted(edge / v for pair, v in zip(box, line, strict=True) if v for edge in pair)
    least = min(map(squared, edges))
    for left, right in itertools.pairwise(edges):
        middle = (left + right) / 2
        # Those coordinates whose interval the line is outside of here, and the end that is nearer.
        outside = [
            (low if middle * v < low else high, v)
            for (low, high), v in zip(box, line, strict=True)
            if not low <= middle * v <= high
        ]
        weight = sum(v * v for _, v in outside)
        if weight:
            t = sum(end * v for end, v in outside) / weight
            least = min(least, squared(min(max(t, left), right)))
        else:
            least = min(least, squared(middle))
    return math.sqrt(least)


@dataclass(frozen=True, slots=True)
class Sums:
    """What a part, or several, add to a network: params, folded weights and biases, and weights by level of map."""

    params: int = 0
    weights: int = 0
    biases: int = 0
    at: tuple[tuple[Px, int], ...] = ()

    @staticmethod
    def of(parts: Sequence[tuple[Part, int]]) -> Sums:
        """Parts, each so many times."""
        at: dict[Px, int] = {}
        for part, times in parts:
            for level, weights in part.weights_at:
                at[level] = at.get(level, 0) + times * weights
        params, weights, biases = (
            sum(times * getattr(part, name) for part, times in parts) for name in ("params", "weights", "biases")
        )
        return Sums(params, weights, biases, tuple(at.items()))


def are_light(parts: Sequence[Sums], budget: Budget) -> bool:
    """Whether a network of these parts keeps the limits on params and weights: of weights the least that a file has."""
    weights, biases = sum(part.weights for part in parts), sum(part.biases for part in parts)
    most = min((limit for limit in (budget.weight_bytes, budget.peak_bytes) if limit is not None), default=math.inf)
    params = sum(part.params for part in parts)
    return weight_bytes(weights, biases, budget.dtype) <= most and (budget.params is None or params <= budget.params)


class JointSpace:
    """The networks of a base's dials under a budget. Sums are added from parts; a network is made only to be checked.

    Source of the sums: `costs.network_cost.Part`; of the bounds of memory: the parts of the runtime's planner.
    """

    def __init__(
        self,
        base: Network,
        budget: Budget,
        coefficients: Coefficients = PAPER,
        largest_px: int | None = None,
        obstacles: Obstacles | None = None,
        tau: float = TAU,
    ) -> None:
        self.base, self.budget, self.obstacles, self.tau = base, budget, obstacles, tau
        self.line = math.log(coefficients.alpha), 2 * math.log(coefficients.beta), 2 * math.log(coefficients.gamma)
        padless = budget.runtime == "tflite_micro"
        self.dials = dials_of(
            base, lambda one: not beyond_hope(one, budget, obstacles), largest_px, padless, self._least_factors
        )
        self._walls: list[Position] = []

    def _least_factors(self, dial: Dial, low: float) -> Scaling | None:
        """The least factors of all dials for a network in the band of which one dial's factor is at least exp(low).

        The line's t is then at least (weight * low - tau) / v, and each other coordinate at least t * v - tau.
        """
        if math.isinf(self.tau):
            return SMALLEST
        index = DIALS.index(dial)
        weight, v = WEIGHTS[index], self.line[index]
        if not v:
            return SMALLEST if weight * low <= self.tau else None
        t = (weight * low - self.tau) / v
        return Scaling(
            *(
                max(LEAST_FACTOR, math.exp((t * along - self.tau) / other))
                for other, along in zip(WEIGHTS, self.line, strict=True)
            )
        )

    def keeps(self, network: Network) -> bool:
        """Whether nothing keeps the network from being an answer. Obstacles are asked first: a plan of memory takes
        longer."""
        if self.obstacles is not None and self.obstacles(network):
            return False
        return self.budget.check(network).fits

    def breaks(self, network: Network) -> tuple[str, ...]:
        """All that keeps a network from being an answer: limits and obstacles."""
        return self.budget.check(network).breaks + (self.obstacles(network) if self.obstacles else ())

    @functools.cached_property
    def largest(self) -> Position | None:
        """The position of the most multiply-adds within the limits and the band; None where there is none.

        Of equals that with the smaller peak, then the smaller position. Exact: everything that could have more is asked
        first, by bounds from the sums.
        """
        heap: list[tuple[int, int, tuple[int, ...]]] = []
        for depth, width in self._pairs():
            top = self._top(depth, width)
            if top is not None:
                self._push_rest(heap, depth, width, top)
        best: list[tuple[int, tuple[int, ...], Position]] = []
        most = 0
        while heap and -heap[0][0] >= most:
            bound, is_network, indices = heapq.heappop(heap)
            if not is_network:
                depth, width, size = indices
                self._push_rest(heap, depth, width, size - 1)
                head = self._largest_head(depth, width, size)
                if head is not None and self.in_band(Position(depth, width, size, head)):
                    _push_network(heap, self.macs(Position(depth, width, size, head)), (depth, width, size, head))
                continue
            at = Position(*indices)
            kept = self._kept_head(at)
            if kept is None:
                continue
            if kept != at.head:
                at = Position(at.depth, at.width, at.resolution, kept)
                _push_network(heap, self.macs(at), at.indices)
                continue
            most = -bound
            peak = self.budget.price(self.dials.network(at)).peak_activation_bytes
            best.append((peak, at.indices, at))
        return min(best)[2] if best else None

    def frontier(self) -> tuple[Position, ...]:
        """The positions that keep every limit and of which no dial can be turned further, others kept or turned up.

        The band plays no part, the least head does. In descending order, only one before a position can stand further
        in all dials.
        """
        found: list[Position] = []
        for depth in reversed(range(len(self.dials.depths))):
            for width in reversed(range(len(self.dials.widths))):
                top = self._top(depth, width, within_band=False)
                for size in reversed(range(0 if top is None else top + 1)):
                    head = self._largest_head(depth, width, size)
                    if head is None or any(Position(depth, width, size, head) <= other for other in found):
                        continue
                    kept = self._kept_head(Position(depth, width, size, head))
                    if kept is not None:
                        at = Position(depth, width, size, kept)
                        if not any(at <= other for other in found):
                            found.append(at)
        return tuple(sorted(found, key=lambda at: at.indices))

    @functools.cached_property
    def least_heads(self) -> tuple[int, ...]:
        """Of every width the first head that is as wide as its last stage, or as the base's own head if that is less.

        Where flash is short, multiply-adds alone would spend it on the body and leave a few features to the classifier:
        less accurate at equal limits (docs/lab-log.md).
        """
        heads = [head or 0 for head, _ in self.dials.heads]
        own = self.base.head.channels or 0
        return tuple(
            bisect.bisect_left(heads, min(width.value[1][-1], own)) if own else 0 for width in self.dials.widths
        )

    def macs(self, at: Position) -> int:
        """Multiply-adds, exactly."""
        parts = self._body(at.depth, at.width), self._tail(at.width, at.head)
        return self.macs_of(parts, at.resolution)

    def macs_of(self, parts: Iterable[Sums], size: int) -> int:
        """Multiply-adds of these parts at a size, exactly."""
        pixels = self.pixels(size)
        return sum(pixels[level] * weights for part in parts for level, weights in part.at)

    def in_band(self, at: Position) -> bool:
        """Whether the nearest of the factors that give this position is at most tau from the compound line."""
        return distance_from_line(self._box(at), self.line) <= self.tau

    def _box(self, at: Position) -> Box:
        size = self.dials.sizes[at.resolution]
        return *self._flat_box(at.depth, at.width), (WEIGHTS[2] * size.low, WEIGHTS[2] * size.high)

    def _flat_box(self, depth: int, width: int) -> Box:
        """The box of all sizes of a depth and width, without the resolution's side."""
        deep, wide = self.dials.depths[depth], self.dials.widths[width]
        return (WEIGHTS[0] * deep.low, WEIGHTS[0] * deep.high), (WEIGHTS[1] * wide.low, WEIGHTS[1] * wide.high)

    # Sums, by parts that are kept: the body's of a depth and width, the tail's of a width and head.

    def _twice(self, at: Position) -> Network:
        """The network with two blocks in each stage: the first, and one of the rest."""
        return with_integers(self.base, self.dials.integers(at)._replace(repeats=(2,) * len(self.base.stages)))

    def _repeated(self, depth: int, blocks: Sequence[BlockPart]) -> Iterator[tuple[BlockPart, int]]:
        """What two blocks of each stage add, at a depth: the first once, the other for each of the rest."""
        for stage, repeats in enumerate(self.dials.depths[depth].value):
            yield blocks[2 * stage], 1
            if repeats > 1:
                yield blocks[2 * stage + 1], repeats - 1

    @remembered
    def _column(self, width: int) -> tuple[Part, tuple[Part, ...]]:
        """The stem of a width, and two blocks of each of its stages."""
        network = at_reference(self._twice(Position(0, width, 0, 0)))
        return stem_part_of(network), tuple(part_of(row.block, row.px) for row in distinct_blocks(network))

    @remembered
    def _body(self, depth: int, width: int) -> Sums:
        stem, blocks = self._column(width)
        return Sums.of([(stem, 1), *self._repeated(depth, blocks)])

    @remembered
    def _made_tail(self, width: int, head: int) -> Sums:
        """Head, hidden layer and classifier, as a network has them that is made for it."""
        at = Position(0, width, 0, head)
        return Sums.of([(tail_part_of(at_reference(with_integers(self.base, self.dials.integers(at)))), 1)])

    @remembered
    def _tail(self, width: int, head: int) -> Sums:
        """The same from numbers alone: that of the smallest width, and what is more."""
        if self.dials.heads[head][0] is None:
            return self._made_tail(width, head)
        # The head's convolution has a weight for each channel of the body and of its own; the rest sees its own alone.
        tail, first = self._made_tail(0, head), self.dials.widths[0].value[1][-1]
        level, weights = tail.at[0]
        more = weights // first * (self.dials.widths[width].value[1][-1] - first)
        at = ((level, weights + more), *tail.at[1:])
        return Sums(tail.params + more, tail.weights + more, tail.biases, at)

    # Bounds of memory, from what the runtime's planner says of parts.

    def memory(self, at: Position) -> PartMemory:
        """A lower bound of the memory that is needed: nothing is placed, and a wider head's maps are not counted."""
        return self._with_head(self._with_least_head(at.depth, at.width, at.resolution), at.width, at.head)

    @remembered
    def _with_least_head(self, depth: int, width: int, size: int) -> PartMemory:
        ends, blocks = self._column_memory(width, size)
        return PartMemory.of([(ends, 1), *self._repeated(depth, blocks)])

    @remembered
    def _column_memory(self, width: int, size: int) -> tuple[PartMemory, tuple[PartMemory, ...]]:
        """Both ends of a width and size, with the least head, and two blocks of each of its stages."""
        network = self._twice(Position(0, width, size, self.least_heads[width]))
        ends = stem_memory(network, self.budget), tail_memory(network, self.budget)
        blocks = tuple(block_memory(row.block, row.px, self.budget) for row in distinct_blocks(network))
        return PartMemory.of((end, 1) for end in ends), blocks

    def _with_head(self, memory: PartMemory, width: int, head: int) -> PartMemory:
        """The same with another head than the least."""
        before, behind = self._tail_memory(width, self.least_heads[width]), self._tail_memory(width, head)
        return memory._replace(
            planning_bytes=memory.planning_bytes + behind.planning_bytes - before.planning_bytes,
            tail_bytes=memory.tail_bytes + behind.tail_bytes - before.tail_bytes,
            file_bytes=memory.file_bytes + behind.file_bytes - before.file_bytes,
        )

    @remembered
    def _tail_memory(self, width: int, head: int) -> PartMemory:
        """What the tail of the smallest width and size needs, with the weights of this width."""
        if width:
            more = self._tail(width, head).weights - self._tail(0, head).weights
            known = self._tail_memory(0, head)
            return known._replace(file_bytes=known.file_bytes + more * WEIGHT_BYTES[self.budget.dtype])
        return tail_memory(with_integers(self.base, self.dials.integers(Position(0, 0, 0, head))), self.budget)

    # Latency, exactly, by parts that are kept, too.

    def terms(self, at: Position) -> Terms:
        """The terms that a latency is told from."""
        stem, blocks = self._column_terms(at.width, at.resolution)
        tail = self._tail_terms(at.width, at.resolution, at.head)
        return Terms.of([(stem, 1), *self._repeated(at.depth, blocks), (tail, 1)])

    @remembered
    def _column_terms(self, width: int, size: int) -> tuple[Terms, tuple[Terms, ...]]:
        """The stem of a width and size, and two blocks of each of its stages."""
        network = self._twice(Position(0, width, size, self.least_heads[width]))
        return stem_terms(network), tuple(block_terms(row.block, row.px) for row in distinct_blocks(network))

    @remembered
    def _tail_terms(self, width: int, size: int, head: int) -> Terms:
        return tail_terms(with_integers(self.base, self.dials.integers(Position(0, width, size, head))))

    def _is_quick(self, at: Position) -> bool:
        """Whether limits on multiply-adds and latency are kept, which a larger size or head never helps to keep."""
        few = self.budget.macs is None or self.macs(at) <= self.budget.macs
        return few and in_time(lambda: self.terms(at), self.budget)

    @remembered
    def pixels(self, size: int) -> dict[Px, int]:
        """How many pixels each level of map has at a size; a level is named by its map at `REFERENCE_PX`."""
        smallest = with_integers(self.base, self.dials.integers(Position(0, 0, size, 0)))
        levels = zip(_levels(smallest), _map_sizes(smallest), strict=True)
        return {level: px[0] * px[1] for level, px in levels}

    # Bounds: what a depth, width and size leave.

    def _pairs(self) -> Iterator[tuple[int, int]]:
        """Every depth and width whose least is light enough, and that some size could bring into the band."""
        for depth in range(len(self.dials.depths)):
            for width in range(len(self.dials.widths)):
                if not self._is_light(depth, width):
                    break  # nor is anything wider
                if distance_from_line(self._flat_box(depth, width), self.line[:2]) <= self.tau:
                    yield depth, width

    def _is_light(self, depth: int, width: int) -> bool:
        """Whether some head leaves params and weights kept."""
        least = self.least_heads[width]
        return least < len(self.dials.heads) and self._light(depth, width, least)

    def _light(self, depth: int, width: int, head: int) -> bool:
        """Whether params and weights, which no size changes, are kept."""
        return are_light((self._body(depth, width), self._tail(width, head)), self.budget)

    @remembered
    def _lightest_head(self, depth: int, width: int) -> int | None:
        """The largest head whose params and weights are kept."""
        least = self.least_heads[width]
        heads = range(least, len(self.dials.heads))
        found = bisect.bisect_left(heads, True, key=lambda head: not self._light(depth, width, head)) + least - 1
        return found if found >= least else None

    def _largest_head(self, depth: int, width: int, size: int) -> int | None:
        """The largest head whose params, weights and multiply-adds are kept, and bounds of whose memory are."""
        top = self._lightest_head(depth, width)
        if top is None:
            return None
        least = self.least_heads[width]

        def too_large(head: int) -> bool:
            at = Position(depth, width, size, head)
            return not (self._is_quick(at) and have_room(lambda: self.memory(at), self.budget))

        found = bisect.bisect_left(range(least, top + 1), True, key=too_large) + least - 1
        return found if found >= least else None

    def _top(self, depth: int, width: int, within_band: bool = True) -> int | None:
        """The largest size that the sums, memory without skips, and where asked the band could allow."""
        least = self.least_heads[width]
        if not self._is_light(depth, width):
            return None
        top = self._caps[width]
        if within_band:
            reach = self._reach(depth, width)
            top = min(top, bisect.bisect_right(range(len(self.dials.sizes)), reach, key=self._low) - 1)

        def too_slow(size: int) -> bool:
            return not self._is_quick(Position(depth, width, size, least))

        top = bisect.bisect_left(range(top + 1), True, key=too_slow) - 1
        return top if top >= 0 else None

    def _low(self, size: int) -> float:
        return WEIGHTS[2] * self.dials.sizes[size].low

    def _reach(self, depth: int, width: int) -> float:
        """2 log resolution beyond which nothing of this depth and width is in the band."""
        pairs = zip(self._flat_box(depth, width), self.line[:2], strict=True)
        ends = [(high + self.tau) / v for (_, high), v in pairs if v]
        return min(ends, default=math.inf) * self.line[2] + self.tau

    @functools.cached_property
    def _caps(self) -> tuple[int, ...]:
        """Of every width the largest size whose memory without skips is kept at the smallest depth and head.

        It never grows with the width: so from each width on it is only walked down, to -1 where none is light.
        """
        caps: list[int] = []
        top = len(self.dials.sizes) - 1
        for width in range(len(self.dials.widths)):
            if top >= 0 and not self._is_light(0, width):
                top = -1
            while top >= 0 and beyond_hope(self.dials.network(Position(0, width, top, 0)), self.budget, self.obstacles):
                top -= 1
            caps.append(top)
        return tuple(caps)

    # Networks that are made and checked.

    def _kept_head(self, at: Position) -> int | None:
        """The head of this position, or the largest below it, with which everything is kept; None where none is."""
        first = self.least_heads[at.width]
        least = Position(at.depth, at.width, at.resolution, first)
        if any(wall <= least for wall in self._walls):
            return None
        if self.keeps(self.dials.network(at)):
            return at.head
        smallest = self.dials.network(least)
        late = self.obstacles is not None and self.obstacles(smallest)
        broken = () if late else self.budget.check(smallest).breaks
        if late or broken:
            if late or not set(broken) <= set(MEMORY_LIMITS):
                self._walls = [wall for wall in self._walls if not least <= wall] + [least]
            return None

        def too_large(head: int) -> bool:
            return not self.keeps(self.dials.network(Position(at.depth, at.width, at.resolution, head)))

        return bisect.bisect_left(range(first, at.head), True, key=too_large) + first - 1

    def _push_rest(self, heap: list[tuple[int, int, tuple[int, ...]]], depth: int, width: int, size: int) -> None:
        """All sizes of a depth and width up to this one, by the most that any of them can have."""
        head = self._lightest_head(depth, width)
        if size < 0 or head is None:
            return
        bound = self.macs(Position(depth, width, size, head))
        if self.budget.macs is not None:
            bound = min(bound, self.budget.macs)
        heapq.heappush(heap, (-bound, 0, (depth, width, size)))


@functools.lru_cache(maxsize=8)
def joint_space(
    base: Network,
    budget: Budget,
    coefficients: Coefficients = PAPER,
    largest_px: int | None = None,
    obstacles: Obstacles | None = None,
) -> JointSpace:
    """The space of a fit, kept for a while: the staged network begins where the joint one ends."""
    return JointSpace(base, budget, coefficients, largest_px, obstacles)


def fit_joint(
    base: Network,
    budget: Budget,
    coefficients: Coefficients = PAPER,
    largest_px: int | None = None,
    obstacles: Obstacles | None = None,
) -> Fit:
    """The joint network of `fit`, with the reason why each dial is not turned further. Raises as `fit` does."""
    coefficients_of(coefficients)
    space = joint_space(base, budget, coefficients, largest_px, obstacles)
    at = largest_of(space)
    network = space.dials.network(at)
    price = budget.price(network)
    steps = tuple(_dial_step(space, at, dial) for dial in DIALS)
    certificate = Certificate(limit_rows(price, budget), dials=steps, runtime=budget.runtime)
    return Fit(network, None, price, certificate, "joint")


def largest_of(space: JointSpace) -> Position:
    """The position of the joint network. Raises a `BudgetError` where there is none."""
    at = space.largest
    if at is not None:
        return at
    smallest = space.dials.network(FIRST)
    broken = space.breaks(smallest)
    if not broken:
        raise _none_in_band(space, smallest)
    raise nothing_fits(f"of the four dials of {space.base.name}", "", smallest, space.budget, broken)


def frontier(base: Network, budget: Budget, largest_px: int | None = None) -> tuple[Network, ...]:
    """The networks of a base that keep every limit and in which no dial can be turned further.

    A dial is depth, width, resolution or head. Of such a network every other network of the base that stands at least
    as far in all four dials breaks a limit. They are the candidates for an answer, whatever is thought of their shapes:
    `fit` with the strategy "joint" takes the one of the most multiply-adds near the compound line.

    Args:
        base: The network to scale.
        budget: The limits.
        largest_px: The longest shorter side of an image.

    Returns:
        The networks, in the order of their dials, the depth first; none where the smallest breaks a limit.

    Raises:
        TypeError: An argument has another type.
        ValueError: `largest_px` is not a positive integer.

    Example:
        >>> import budgetnet
        >>> base = budgetnet.network("mobilenet_v3_small", classes=10, resolution_px=32)
        >>> budget = budgetnet.Budget(macs="300K", weight_bytes="40KiB", peak_activation_bytes="16KiB", dtype="int8")
        >>> found = budgetnet.frontier(base, budget, largest_px=32)
        >>> len(found) > 1, all(budget.check(network).fits for network in found)
        (True, True)
    """
    network_of("base", base)
    budget_of("budget", budget)
    if largest_px is not None:
        check_integer("largest_px", largest_px)
    space = JointSpace(base, budget, largest_px=largest_px, tau=math.inf)
    return tuple(space.dials.network(at) for at in space.frontier())


FIRST = Position(0, 0, 0, 0)


def _none_in_band(space: JointSpace, smallest: Network) -> BudgetError:
    worst = space.budget.check(smallest).binding
    message = (
        f"no network of the four dials of {space.base.name} that keeps {space.budget} is near its compound line; "
        "take another strategy, or a base whose resolution is nearer to what the limits allow, as `adapt` gives"
    )
    return BudgetError(message, worst.name, smallest, 0)


def _dial_step(space: JointSpace, at: Position, dial: Dial) -> DialStep:
    dials, here = space.dials, getattr(at, dial)
    text = dials.words(dial, here)
    if here + 1 >= dials.count(dial):
        return DialStep(dial, text, None, (), dials.ends[dial])
    turned = at.turned(dial)
    breaks = space.breaks(dials.network(turned)) + (() if space.in_band(turned) else (BAND,))
    if turned.head < space.least_heads[turned.width]:
        breaks += (NARROW_HEAD,)
    return DialStep(dial, text, dials.words(dial, here + 1), breaks or (NO_MORE,))


def _push_network(heap: list[tuple[int, int, tuple[int, ...]]], macs: int, indices: tuple[int, ...]) -> None:
    heapq.heappush(heap, (-macs, 1, indices))


def at_reference(network: Network) -> Network:
    """The network for images of `REFERENCE_PX`."""
    return dataclasses.replace(network, resolution_px=(REFERENCE_PX, REFERENCE_PX))


def _map_sizes(network: Network) -> list[Px]:
    """The map of every convolution and linear layer, in their order, those of the head behind."""
    return [(row.out_shape[1], row.out_shape[2]) for row in lower(network) if row.kind in ("conv", "linear")]


def _levels(network: Network) -> list[Px]:
    """The level of every one of them: its map's size at the reference."""
    return _map_sizes(at_reference(network))
