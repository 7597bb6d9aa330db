"""Stages shaped one by one: from the joint network on, what one stage does not need goes to another that can use it.

    maximise   MACs(N) / blocks(N)
    subject to used(N, limit) <= limit for every limit,   the shape rules of `StagedSpace`

Memory of activations is short in the first stages, memory of weights in the last. Four dials turn all stages together,
so the first limit that any stage meets ends them all. Here each stage has dials of its own. There are far too many
networks to ask all of them: simulated annealing (Kirkpatrick, Gelatt & Vecchi, Science 220, 1983) finds a good one, and
a walk from there ends where no dial, and no two dials against each other, give more.

Multiply-adds alone are not accuracy: the most of them under limits of 100 kB are in 18 blocks of 8 to 24 channels, and
these learn less in the same epochs than 9 wider ones (docs/lab-log.md, `bench/what_ranks.py`). So it is multiply-adds a
block that count: a block is added where it has as many of its own as the others have. Nearly as many in all are found
in far fewer blocks.

That stages differ in what binds them, and need different shapes on a microcontroller: Lin et al., MCUNet,
arXiv:2007.10319, section 3.2.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal, NamedTuple

from budgetnet.budgets.budget import NO_MORE, ONE_BLOCK_MORE, Budget, Certificate, DialStep, Fit, limit_rows
from budgetnet.budgets.joint import (
    JointSpace,
    Obstacles,
    Sums,
    are_light,
    at_reference,
    joint_space,
    largest_of,
)
from budgetnet.budgets.latency_bounds import in_time
from budgetnet.budgets.memory_bounds import block_memory, have_room, stem_memory, tail_memory
from budgetnet.budgets.remembered import remembered
from budgetnet.costs.blocks import distinct_blocks
from budgetnet.costs.latency import Terms, block_terms, stem_terms, tail_terms
from budgetnet.costs.network_cost import part_of, stem_part_of, tail_part_of
from budgetnet.costs.planners import PartMemory
from budgetnet.networks import MOST_CHANNELS, Block, Network, Px, Stage
from budgetnet.networks.scaling import LEAST_CHANNELS, PAPER, Coefficients, coefficients_of

SEED = 0
"""The annealing draws by this seed, so that the same limits give the same network."""
ANNEALING_CHANGES = 1500
"""The annealing ends when it has tried this many changes. Four times as many give a few percent more multiply-adds
(docs/lab-log.md)."""
FIRST_TEMPERATURE = 0.05
"""The annealing begins by taking losses of about this much, in the natural logarithm of what is maximised."""
LARGEST_EXPANSION = 6.0
"""An expansion is turned up to this, or to its base's own if that is larger: it is the most that the families have."""
MOST_WIDER = 2.0
"""A stage has at least 1 / 2 and at most 2 times the channels that it has in the joint network."""
MOST_DEEPER = 1
"""A stage has at most one block more than it has in its base, or in the joint network."""

DialPart = Literal["resolution", "stem", "head", "width", "depth", "expansion", "kernel"]
STAGE_PARTS: tuple[DialPart, ...] = ("width", "depth", "expansion", "kernel")


class StageShape(NamedTuple):
    """What can be turned in a stage."""

    channels: int
    repeats: int
    expansion: float
    kernel: int


class Shape(NamedTuple):
    """What can be turned in a network: the rest is its base's. `size` and `head` are indices of the joint dials."""

    size: int
    stem: int
    head: int
    stages: tuple[StageShape, ...]

    @property
    def blocks(self) -> int:
        """The blocks of all stages."""
        return sum(stage.repeats for stage in self.stages)


@dataclass(frozen=True, slots=True)
class StageDial:
    """What one stage, or the whole network, can be turned by. `stage` is an index; None for the whole network."""

    part: DialPart
    stage: int | None = None

    @property
    def title(self) -> str:
        """As certificates name it; stages are counted from 0."""
        return self.part if self.stage is None else f"stage {self.stage} {self.part}"


Worth = Callable[["StagedSpace", Shape], float]
"""The logarithm of what is maximised."""


def macs_a_block(space: StagedSpace, shape: Shape) -> float:
    """The natural logarithm of multiply-adds / blocks."""
    return space.log_macs(shape) - math.log(shape.blocks)


class StagedSpace:
    """The shapes around a joint network under a budget.

    Shape rules: no stage is narrower than the one before it, unless the joint network's is, as in published families
    (Radosavovic et al., arXiv:2003.13678, section 3.3); the head is at least as wide as the last stage, or as its
    base's own; the stem is at most as wide as the joint network's; a stage's width and depth stay near that network's.
    Kernels are those that the base has. `worth` of a shape is the logarithm of what is maximised.
    """

    def __init__(self, joint: JointSpace, worth: Worth = macs_a_block) -> None:
        self._worth = worth
        self.base, self.budget, self.joint_dials = joint.base, joint.budget, joint.dials
        self.breaks, self.keeps_limits = joint.breaks, joint.keeps
        at = largest_of(joint)
        network = joint.dials.network(at)
        stages = tuple(StageShape(one.channels, one.repeats, one.expansion, one.kernel) for one in network.stages)
        self.start = Shape(at.resolution, network.stem.channels, at.head, stages)
        self.kernels = tuple(sorted({stage.kernel for stage in self.base.stages if stage.kernel}))
        self.dials = tuple(
            dial for dial in self._all_dials() if self.turned(self.start, dial, 1) or self.turned(self.start, dial, -1)
        )
        self._macs_of = joint.macs_of

    def _all_dials(self) -> tuple[StageDial, ...]:
        whole: tuple[DialPart, ...] = ("resolution", "stem", "head")
        stages = range(len(self.base.stages))
        each = (StageDial(part, stage) for stage in stages for part in STAGE_PARTS)
        return *(StageDial(part) for part in whole), *each

    def network(self, shape: Shape) -> Network:
        """The base in this shape."""
        base, (channels, hidden) = self.base, self.joint_dials.heads[shape.head]
        if channels is None and hidden is None:  # no head that could be turned
            hidden = base.head.hidden
        return dataclasses.replace(
            base,
            name=f"{base.name} staged",
            resolution_px=self.joint_dials.sizes[shape.size].value,
            stem=dataclasses.replace(base.stem, channels=shape.stem),
            stages=tuple(_shaped(*pair) for pair in zip(base.stages, shape.stages, strict=True)),
            head=dataclasses.replace(base.head, channels=channels, hidden=hidden),
        )

    # Turns.

    def turned(self, shape: Shape, dial: StageDial, by: Literal[1, -1]) -> Shape | None:
        """The shape with one dial a step further or back; None where it ends."""
        if dial.stage is not None:
            stage = self._turned_stage(shape.stages[dial.stage], self.base.stages[dial.stage], dial.part, by)
            if stage is None:
                return None
            return shape._replace(stages=(*shape.stages[: dial.stage], stage, *shape.stages[dial.stage + 1 :]))
        if dial.part == "resolution":
            size = shape.size + by
            return shape._replace(size=size) if 0 <= size < len(self.joint_dials.sizes) else None
        if dial.part == "head":
            head = shape.head + by
            return shape._replace(head=head) if 0 <= head < len(self.joint_dials.heads) else None
        stem = shape.stem + by * self.base.rounding.channel_multiple
        return shape._replace(stem=stem) if LEAST_CHANNELS <= stem <= self.start.stem else None

    def _turned_stage(self, stage: StageShape, base: Stage, part: DialPart, by: Literal[1, -1]) -> StageShape | None:
        if part == "width":
            channels = stage.channels + by * self.base.rounding.channel_multiple
            return stage._replace(channels=channels) if LEAST_CHANNELS <= channels <= MOST_CHANNELS else None
        if part == "depth":
            return stage._replace(repeats=stage.repeats + by) if stage.repeats + by >= 1 else None
        if part == "expansion":
            if base.expansion == 1.0 or base.kind == "bottleneck":
                return None
            expansion = float(math.floor(stage.expansion) + 1 if by > 0 else math.ceil(stage.expansion) - 1)
            most = max(LARGEST_EXPANSION, base.expansion)
            return stage._replace(expansion=expansion) if 2.0 <= expansion <= most else None
        index = self.kernels.index(stage.kernel) + by if stage.kernel in self.kernels else -1
        return stage._replace(kernel=self.kernels[index]) if 0 <= index < len(self.kernels) else None

    # What a shape costs, and whether it may be.

    def parts(self, shape: Shape) -> list[Sums]:
        """What stem, stages and tail add: each is counted once and kept."""
        return [
            self._stem(shape.stem),
            *(self._stage(*placed) for placed in _placed(shape)),
            self._tail(shape.head, shape.stages[-1].channels),
        ]

    @remembered
    def _stem(self, channels: int) -> Sums:
        return Sums.of([(stem_part_of(at_reference(self._with_stem(channels, self.start.size))), 1)])

    @remembered
    def _stage(self, index: int, in_channels: int, shape: StageShape) -> Sums:
        blocks = self._blocks(index, in_channels, shape, self._reference_px)
        return Sums.of([(part_of(block, px), times) for block, px, times in blocks])

    @remembered
    def _tail(self, head: int, in_channels: int) -> Sums:
        return Sums.of([(tail_part_of(at_reference(self._with_tail(head, in_channels, self.start.size))), 1)])

    def _with_stem(self, channels: int, size: int) -> Network:
        """A network with this stem, at a size."""
        return self.network(self.start._replace(stem=channels, size=size))

    def _with_tail(self, head: int, in_channels: int, size: int) -> Network:
        """A network with this head behind so many channels, at a size."""
        last = self.start.stages[-1]._replace(channels=in_channels)
        return self.network(self.start._replace(size=size, head=head, stages=(*self.start.stages[:-1], last)))

    def _blocks(
        self, index: int, in_channels: int, shape: StageShape, stage_px: Sequence[Px]
    ) -> list[tuple[Block, Px, int]]:
        """The first block of a stage and the rest, with the maps that they see, each so many times."""
        first, rest = self.base.blocks_of(_shaped(self.base.stages[index], shape), in_channels)
        px = stage_px[index]
        blocks = [(first, px, 1), (rest, first.out_px(px), shape.repeats - 1)]
        return blocks[: shape.repeats]

    @functools.cached_property
    def _reference_px(self) -> tuple[Px, ...]:
        return _stage_px(at_reference(self.network(self.start)))

    # Bounds of memory, from what the runtime's planner says of parts.

    def memory(self, shape: Shape) -> PartMemory:
        """A lower bound of what the network needs."""
        size = shape.size
        parts = [self._stage_memory(*placed, size) for placed in _placed(shape)]
        parts += self._stem_memory(shape.stem, size), self._tail_memory(shape.head, shape.stages[-1].channels, size)
        return PartMemory.of((part, 1) for part in parts)

    @remembered
    def _stem_memory(self, channels: int, size: int) -> PartMemory:
        return stem_memory(self._with_stem(channels, size), self.budget)

    @remembered
    def _stage_memory(self, index: int, in_channels: int, shape: StageShape, size: int) -> PartMemory:
        blocks = self._blocks(index, in_channels, shape, self._px_at(size))
        return PartMemory.of((block_memory(block, px, self.budget), times) for block, px, times in blocks)

    @remembered
    def _tail_memory(self, head: int, in_channels: int, size: int) -> PartMemory:
        return tail_memory(self._with_tail(head, in_channels, size), self.budget)

    # Latency, by parts that are kept, too.

    def terms(self, shape: Shape) -> Terms:
        """The terms that a latency is told from."""
        size = shape.size
        parts = [self._stage_terms(*placed, size) for placed in _placed(shape)]
        parts += self._stem_terms(shape.stem, size), self._tail_terms(shape.head, shape.stages[-1].channels, size)
        return Terms.of((part, 1) for part in parts)

    @remembered
    def _stem_terms(self, channels: int, size: int) -> Terms:
        return stem_terms(self._with_stem(channels, size))

    @remembered
    def _stage_terms(self, index: int, in_channels: int, shape: StageShape, size: int) -> Terms:
        blocks = self._blocks(index, in_channels, shape, self._px_at(size))
        return Terms.of((block_terms(block, px), times) for block, px, times in blocks)

    @remembered
    def _tail_terms(self, head: int, in_channels: int, size: int) -> Terms:
        return tail_terms(self._with_tail(head, in_channels, size))

    @remembered
    def _px_at(self, size: int) -> tuple[Px, ...]:
        return _stage_px(self.network(self.start._replace(size=size)))

    def macs(self, shape: Shape) -> int:
        """Multiply-adds, exactly."""
        return self._macs_of(self.parts(shape), shape.size)

    def log_macs(self, shape: Shape) -> float:
        """The natural logarithm of multiply-adds."""
        return math.log(self.macs(shape))

    def worth(self, shape: Shape) -> float:
        """The logarithm of what is maximised."""
        return self._worth(self, shape)

    def fault(self, shape: Shape) -> str | None:
        """The shape rule that is not followed, in words; None where all are."""
        widths, joint = ([stage.channels for stage in one.stages] for one in (shape, self.start))
        pairs = zip(itertools.pairwise(widths), itertools.pairwise(joint), strict=True)
        if any(before > behind and started <= ended for (before, behind), (started, ended) in pairs):
            return "no stage is narrower than the one before it"
        own, head = self.base.head.channels, self.joint_dials.heads[shape.head][0]
        if own is not None and head is not None and head < min(widths[-1], own):
            return "the head is at least as wide as the last stage"
        if any(not start / MOST_WIDER <= wide <= start * MOST_WIDER for wide, start in zip(widths, joint, strict=True)):
            return f"a stage has at most {MOST_WIDER:g} times the width of the joint network's, or 1 / {MOST_WIDER:g}"
        rows = zip(shape.stages, self.start.stages, self.base.stages, strict=True)
        if any(stage.repeats > max(base.repeats, start.repeats) + MOST_DEEPER for stage, start, base in rows):
            return f"a stage has at most {MOST_DEEPER} block more than in the joint network or the base"
        return None

    @remembered
    def keeps(self, shape: Shape) -> bool:
        """Whether it follows the shape rules and breaks no limit. A network is made only where sums and bounds keep
        theirs."""
        if self.fault(shape) is not None or not self._light(shape):
            return False
        bounded = in_time(lambda: self.terms(shape), self.budget) and have_room(lambda: self.memory(shape), self.budget)
        return bounded and self.keeps_limits(self.network(shape))

    def _light(self, shape: Shape) -> bool:
        """Whether the sums keep their limits."""
        limit = self.budget.macs
        return are_light(self.parts(shape), self.budget) and (limit is None or self.macs(shape) <= limit)

    # The search.

    def largest(self, changes: int = ANNEALING_CHANGES) -> Shape:
        """The shape of the most worth that is found; never less than the joint network's."""
        return self._polished(self._annealed(changes, Random(SEED)))

    def _annealed(self, changes: int, random: Random) -> Shape:
        """The worthiest shape that a random walk from the joint network meets within the limits.

        A change is one to three turns of dials drawn at random. What is worth less is taken with the probability
        exp(loss / temperature), and the temperature falls to 0.
        """
        here = best = self.start
        value = most = self.worth(here)
        for change in range(changes):
            temperature = FIRST_TEMPERATURE * (1 - change / changes) ** 2
            new = here
            for _ in range(random.choice((1, 1, 2, 2, 3))):
                new = self.turned(new, random.choice(self.dials), random.choice((1, 1, -1))) or new
            least = value + temperature * math.log(1.0 - random.random())
            if new == here or (found := self.worth(new)) < least or not self.keeps(new):
                continue
            here, value = new, found
            if value > most:
                best, most = here, value
        return best

    def _polished(self, here: Shape) -> Shape:
        """From a shape on, until no dial a step, and none further against another back, gives more worth."""
        while (new := self._better(here)) is not None:
            here = new
        return here

    def _better(self, here: Shape) -> Shape | None:
        value = self.worth(here)
        forward = [(dial, new) for dial in self.dials if (new := self.turned(here, dial, 1)) is not None]
        back = (new for dial in self.dials if (new := self.turned(here, dial, -1)) is not None)
        for new in itertools.chain((new for _, new in forward), back):
            if self.worth(new) > value and self.keeps(new):
                return new
        for (dial, further), other in itertools.product(forward, self.dials):
            new = self.turned(further, other, -1) if other != dial else None
            if new is not None and self.worth(new) > value and self.keeps(new):
                return new
        return None

    def words(self, shape: Shape, dial: StageDial) -> str:
        """Where a dial stands, as people read it."""
        if dial.stage is None:
            if dial.part == "resolution":
                height, width = self.joint_dials.sizes[shape.size].value
                return f"{height}x{width} px"
            return f"{shape.stem if dial.part == 'stem' else self.joint_dials.heads[shape.head][0]} channels"
        stage = shape.stages[dial.stage]
        if dial.part == "width":
            return f"{stage.channels} channels"
        if dial.part == "depth":
            return f"{stage.repeats} {'block' if stage.repeats == 1 else 'blocks'}"
        if dial.part == "expansion":
            return f"{stage.expansion:g} times the channels"
        return f"{stage.kernel}x{stage.kernel}"


def _placed(shape: Shape) -> Iterator[tuple[int, int, StageShape]]:
    """Each stage with its index and the channels that it reads."""
    reads = shape.stem
    for index, stage in enumerate(shape.stages):
        yield index, reads, stage
        reads = stage.channels


def _stage_px(network: Network) -> tuple[Px, ...]:
    """The map that each stage sees."""
    return tuple(placed.px for placed in distinct_blocks(network) if placed.first == 0)


@functools.lru_cache(maxsize=1 << 14)
def _shaped(base: Stage, shape: StageShape) -> Stage:
    channels, repeats, expansion, kernel = shape
    return dataclasses.replace(base, channels=channels, repeats=repeats, expansion=expansion, kernel=kernel)


def fit_staged(
    base: Network,
    budget: Budget,
    coefficients: Coefficients = PAPER,
    largest_px: int | None = None,
    obstacles: Obstacles | None = None,
    changes: int = ANNEALING_CHANGES,
) -> Fit:
    """The staged network of `fit`, with the reason why each of its dials is not turned further. Raises as `fit` does.

    It begins from the joint network, and never has fewer multiply-adds a block than that.
    """
    coefficients_of(coefficients)
    space = StagedSpace(joint_space(base, budget, coefficients, largest_px, obstacles))
    shape = space.largest(changes)
    network = space.network(shape)
    price = budget.price(network)
    steps = (_dial_step(space, shape, dial) for dial in space.dials)
    dials = tuple(step for step in steps if step is not None)
    certificate = Certificate(limit_rows(price, budget), dials=dials, runtime=budget.runtime)
    return Fit(network, None, price, certificate, "staged")


def _dial_step(space: StagedSpace, shape: Shape, dial: StageDial) -> DialStep | None:
    """Why one dial is not turned further; None where it has no setting behind this one."""
    text, turned = space.words(shape, dial), space.turned(shape, dial, 1)
    if turned is None:
        return None
    fault = space.fault(turned)
    if fault is not None:
        return DialStep(dial.title, text, None, (), fault)
    breaks = space.breaks(space.network(turned))
    if not breaks:
        breaks = (NO_MORE if space.macs(turned) <= space.macs(shape) else ONE_BLOCK_MORE,)
    return DialStep(dial.title, text, space.words(turned, dial), breaks)
