"""Stages shaped one by one: from the joint network on, what one stage does not need goes to another that can use it.

    maximise MACs(N)   subject to   used(N, limit) <= limit for every limit,   the shape rules of `StagedSpace`

Memory of activations is short in the first stages, memory of weights in the last. Four dials turn all stages together,
so the first limit that any stage meets ends them all. Here each stage has dials of its own. There are far too many
networks to ask all of them: simulated annealing (Kirkpatrick, Gelatt & Vecchi, Science 220, 1983) finds a good one, and
a walk from there ends where no dial, and no two dials against each other, give more.

That stages differ in what binds them, and need different shapes on a microcontroller: Lin et al., MCUNet,
arXiv:2007.10319, section 3.2.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal, TypeVar

from budgetnet.budgets.budget import NO_MORE, Budget, Certificate, DialStep, Fit, limit_rows
from budgetnet.budgets.joint import JointSpace, Obstacles, largest_of
from budgetnet.costs.network_cost import computing
from budgetnet.networks import MOST_CHANNELS, Network, Px, Stage
from budgetnet.networks.scaling import LEAST_CHANNELS, PAPER, Coefficients, coefficients_of

SEED = 0
"""The annealing draws by this seed, so that the same limits give the same network."""
ANNEALING_STEPS = 1500
"""The annealing ends when it has tried this many changes. Four times as many give a few percent more multiply-adds
(docs/lab-log.md)."""
FIRST_TEMPERATURE = 0.05
"""The annealing begins by taking losses of about this much, in the natural logarithm of multiply-adds."""
LARGEST_EXPANSION = 6.0
"""The most that an expansion is turned up to, if its base has less: the most that the families here have."""
MOST_WIDER = 2.0
"""A stage has at least 1 / 2 and at most 2 times the channels that it has in the joint network."""
MOST_DEEPER = 1
"""A stage has at most one block more than it has in its base, or in the joint network."""

Setting = TypeVar("Setting")
Part = Literal["resolution", "stem", "head", "width", "depth", "expansion", "kernel"]
STAGE_PARTS: tuple[Part, ...] = ("width", "depth", "expansion", "kernel")


@dataclass(frozen=True, slots=True)
class Knob:
    """What one stage, or the whole network, can be turned by. `stage` is an index; None for the whole network."""

    part: Part
    stage: int | None = None

    @property
    def title(self) -> str:
        """As certificates name it; stages are counted from 0."""
        return self.part if self.stage is None else f"stage {self.stage} {self.part}"


class StagedSpace:
    """The networks around a joint network under a budget.

    Shape rules: no stage is narrower than the one before it, unless the joint network's is, as in published families
    (Radosavovic et al., arXiv:2003.13678, section 3.3); the head is at least as wide as the last stage, or as its
    base's own; the stem is at most as wide as the joint network's; a stage's width and depth stay near that network's.
    Kernels are those that the base has.
    """

    def __init__(self, joint: JointSpace, start: Network) -> None:
        self.base, self.budget, self.start = joint.base, joint.budget, start
        self.sizes: tuple[Px, ...] = tuple(size.value for size in joint.dials.sizes)
        self.heads = joint.dials.heads
        self.kernels = tuple(sorted({stage.kernel for stage in self.base.stages if stage.kernel}))
        self.knobs = tuple(
            knob for knob in self._all_knobs() if self.turned(start, knob, 1) or self.turned(start, knob, -1)
        )
        self.breaks = joint.breaks
        self._kept: dict[Network, bool] = {}

    def _all_knobs(self) -> tuple[Knob, ...]:
        whole = tuple(Knob(part) for part in ("resolution", "stem", "head"))
        return whole + tuple(Knob(part, stage) for stage in range(len(self.base.stages)) for part in STAGE_PARTS)

    def turned(self, network: Network, knob: Knob, by: Literal[1, -1]) -> Network | None:
        """The network with one knob a step further or back; None where it ends."""
        if knob.stage is not None:
            stage = self._turned_stage(network.stages[knob.stage], knob, by)
            if stage is None:
                return None
            stages = *network.stages[: knob.stage], stage, *network.stages[knob.stage + 1 :]
            return dataclasses.replace(network, stages=stages)
        if knob.part == "resolution":
            px = _beside(self.sizes, network.resolution_px, by)
            return px and dataclasses.replace(network, resolution_px=px)
        if knob.part == "head":
            ends = _beside(self.heads, (network.head.channels, network.head.hidden), by)
            return ends and dataclasses.replace(
                network, head=dataclasses.replace(network.head, channels=ends[0], hidden=ends[1])
            )
        channels = network.stem.channels + by * self.base.rounding.channel_multiple
        if not LEAST_CHANNELS <= channels <= self.start.stem.channels:
            return None
        return dataclasses.replace(network, stem=dataclasses.replace(network.stem, channels=channels))

    def _turned_stage(self, stage: Stage, knob: Knob, by: Literal[1, -1]) -> Stage | None:
        assert knob.stage is not None
        base = self.base.stages[knob.stage]
        if knob.part == "width":
            channels = stage.channels + by * self.base.rounding.channel_multiple
            return (
                dataclasses.replace(stage, channels=channels) if LEAST_CHANNELS <= channels <= MOST_CHANNELS else None
            )
        if knob.part == "depth":
            return dataclasses.replace(stage, repeats=stage.repeats + by) if stage.repeats + by >= 1 else None
        if knob.part == "expansion":
            if base.expansion == 1.0 or base.kind == "bottleneck":
                return None
            expansion = float(math.floor(stage.expansion) + 1 if by > 0 else math.ceil(stage.expansion) - 1)
            most = max(LARGEST_EXPANSION, base.expansion)
            return dataclasses.replace(stage, expansion=expansion) if 2.0 <= expansion <= most else None
        kernel = _beside(self.kernels, stage.kernel, by)
        return None if kernel is None else dataclasses.replace(stage, kernel=kernel)

    def fault(self, network: Network) -> str | None:
        """The shape rule that a network does not follow, in words; None where it follows all."""
        widths = [stage.channels for stage in network.stages]
        joint = [stage.channels for stage in self.start.stages]
        pairs = zip(itertools.pairwise(widths), itertools.pairwise(joint), strict=True)
        if any(before > behind and started <= ended for (before, behind), (started, ended) in pairs):
            return "no stage is narrower than the one before it"
        own, head = self.base.head.channels, network.head.channels
        if own is not None and head is not None and head < min(widths[-1], own):
            return "the head is at least as wide as the last stage"
        if any(not start / MOST_WIDER <= wide <= start * MOST_WIDER for wide, start in zip(widths, joint, strict=True)):
            return f"a stage has at most {MOST_WIDER:g} times the width of the joint network's, or 1 / {MOST_WIDER:g}"
        rows = zip(network.stages, self.start.stages, self.base.stages, strict=True)
        if any(stage.repeats > max(base.repeats, start.repeats) + MOST_DEEPER for stage, start, base in rows):
            return f"a stage has at most {MOST_DEEPER} block more than in the joint network or the base"
        return None

    def keeps(self, network: Network) -> bool:
        """Whether it follows the shape rules and breaks no limit."""
        known = self._kept.get(network)
        if known is None:
            known = self._kept[network] = self.fault(network) is None and not self.breaks(network)
        return known

    def annealed(self, steps: int, random: Random) -> Network:
        """The network of the most multiply-adds that a random walk from the joint network meets within the limits.

        A change is one to three turns of knobs drawn at random. What has fewer multiply-adds is taken with the
        probability exp(loss / temperature), and the temperature falls to 0.
        """
        here = best = self.start
        value = most = log_macs(here)
        for step in range(steps):
            temperature = FIRST_TEMPERATURE * (1 - step / steps) ** 2
            new = here
            for _ in range(random.choice((1, 1, 2, 2, 3))):
                new = self.turned(new, random.choice(self.knobs), random.choice((1, 1, -1))) or new
            found = log_macs(new)
            least = value + temperature * math.log(1.0 - random.random())
            if new == here or found < least or not self.keeps(new):
                continue
            here, value = new, found
            if value > most:
                best, most = here, value
        return best

    def polished(self, here: Network) -> Network:
        """From a network on, until no knob further, and none further against another back, gives more multiply-adds."""
        while (new := self._better(here)) is not None:
            here = new
        return here

    def _better(self, here: Network) -> Network | None:
        value = log_macs(here)
        forward = [(knob, new) for knob in self.knobs if (new := self.turned(here, knob, 1)) is not None]
        for _, new in forward:
            if log_macs(new) > value and self.keeps(new):
                return new
        for (knob, further), back in itertools.product(forward, self.knobs):
            new = self.turned(further, back, -1) if back != knob else None
            if new is not None and log_macs(new) > value and self.keeps(new):
                return new
        return None

    def words(self, network: Network, knob: Knob) -> str:
        """Where a knob stands, as people read it."""
        if knob.stage is None:
            if knob.part == "resolution":
                height, width = network.resolution_px
                return f"{height}x{width} px"
            return f"{(network.stem if knob.part == 'stem' else network.head).channels} channels"
        stage = network.stages[knob.stage]
        if knob.part == "width":
            return f"{stage.channels} channels"
        if knob.part == "depth":
            return f"{stage.repeats} {'block' if stage.repeats == 1 else 'blocks'}"
        return (
            f"{stage.expansion:g} times the channels" if knob.part == "expansion" else f"{stage.kernel}x{stage.kernel}"
        )


def _beside(settings: Sequence[Setting], at: Setting, by: Literal[1, -1]) -> Setting | None:
    """The setting one step further or back; None at the end, and for one that is not among them."""
    index = settings.index(at) + by if at in settings else -1
    return settings[index] if 0 <= index < len(settings) else None


def log_macs(network: Network) -> float:
    """What is maximised: the natural logarithm of multiply-adds."""
    return math.log(computing(network).macs)


def fit_staged(
    base: Network,
    budget: Budget,
    coefficients: Coefficients = PAPER,
    largest_px: int | None = None,
    obstacles: Obstacles | None = None,
    changes: int = ANNEALING_STEPS,
) -> Fit:
    """The staged network of `fit`, with the reason why each of its dials is not turned further. Raises as `fit` does.

    It never has fewer multiply-adds than the joint network, from which it begins.
    """
    coefficients_of(coefficients)
    joint = JointSpace(base, budget, coefficients, largest_px, obstacles)
    at = largest_of(joint)
    space = StagedSpace(joint, joint.dials.network(at))
    found = space.polished(space.annealed(changes, Random(SEED)))
    network = dataclasses.replace(found, name=f"{base.name} staged")
    price = budget.price(network)
    steps = (_dial_step(space, found, knob) for knob in space.knobs)
    dials = tuple(step for step in steps if step is not None)
    certificate = Certificate(limit_rows(price, budget), dials=dials, runtime=budget.runtime)
    return Fit(network, None, price, certificate, "staged")


def _dial_step(space: StagedSpace, network: Network, knob: Knob) -> DialStep | None:
    """Why one dial is not turned further; None where it has no setting behind this one."""
    text, turned = space.words(network, knob), space.turned(network, knob, 1)
    if turned is None:
        return None
    fault = space.fault(turned)
    if fault is not None:
        return DialStep(knob.title, text, None, (), fault)
    return DialStep(knob.title, text, space.words(turned, knob), space.breaks(turned) or (NO_MORE,))
