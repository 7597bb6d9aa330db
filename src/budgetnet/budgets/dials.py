"""The dials of a base: every distinct depth, width, resolution and head that rounding leaves it, in order.

Each of the first three depends on one factor alone and its integers change at single numbers, so a dial is a list of
settings, each with the interval of factors that give it. The head is a dial of its own here, whatever the family's rule
for it is; a hidden layer keeps its ratio to it.
"""

from __future__ import annotations

import bisect
import dataclasses
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar, get_args

from budgetnet.networks import Network, Px
from budgetnet.networks.scaling import (
    Integers,
    Scaling,
    beyond_bounds,
    integers,
    width,
    with_integers,
)

Dial = Literal["depth", "width", "resolution", "head"]
DIALS: tuple[Dial, ...] = get_args(Dial)
Value = TypeVar("Value")

LEAST_FACTOR = 2.0**-10
MOST_FACTOR = 2.0**10
"""Where dials begin and end at the latest: the factors of phi = -10 and 10 where one dial has all."""
SMALLEST = Scaling(LEAST_FACTOR, LEAST_FACTOR, LEAST_FACTOR)
MOST_SETTINGS = 4096
"""A dial has at most this many settings. A budget leaves far fewer, unless it limits nothing that the dial changes."""
OCTAVE = 2.0
CHUNK = 32
"""Settings between two questions whether the limits are still kept."""
NO_HEAD = "the network has no head that could be turned"
END_OF_HEAD = "it grows with the width alone"
NOTHING_FURTHER = "nothing further keeps the limits"


@dataclass(frozen=True, slots=True)
class Setting(Generic[Value]):
    """One place of a dial: the integers, and the natural logarithms of the factors that give them."""

    value: Value
    low: float
    high: float


Depth = Setting[tuple[int, ...]]
Width = Setting[tuple[int, tuple[int, ...]]]
Size = Setting[Px]
Head = tuple[int | None, int | None]


@dataclass(frozen=True, slots=True)
class Position:
    """Where the four dials of a base stand: indices of their settings."""

    depth: int
    width: int
    resolution: int
    head: int

    def __le__(self, other: Position) -> bool:
        """Whether no dial stands further than the other's."""
        return all(index <= other_index for index, other_index in zip(self.indices, other.indices, strict=True))

    @property
    def indices(self) -> tuple[int, int, int, int]:
        """In the order of `DIALS`."""
        return self.depth, self.width, self.resolution, self.head

    def turned(self, dial: Dial, by: int = 1) -> Position:
        """With one dial turned."""
        return dataclasses.replace(self, **{dial: getattr(self, dial) + by})


@dataclass(frozen=True, slots=True)
class Dials:
    """The settings of a base's four dials, the smallest first.

    `ends` says for each dial why it has no setting behind its last.
    """

    base: Network
    depths: tuple[Depth, ...]
    widths: tuple[Width, ...]
    sizes: tuple[Size, ...]
    heads: tuple[Head, ...]
    ends: dict[Dial, str]

    def integers(self, at: Position) -> Integers:
        """What scaling would change, at this position."""
        stem, channels = self.widths[at.width].value
        head, hidden = self.heads[at.head]
        if head is None and hidden is None:  # no head that could be turned: what hidden layer there is, is the base's
            hidden = self.base.head.hidden
        return Integers(stem, channels, self.depths[at.depth].value, head, hidden, self.sizes[at.resolution].value)

    def network(self, at: Position) -> Network:
        """The base at this position; its name says where the dials stand."""
        return with_integers(self.base, self.integers(at), f"{self.base.name} joint {'-'.join(map(str, at.indices))}")

    def words(self, dial: Dial, index: int) -> str:
        """A setting of a dial as people read it."""
        if dial == "depth":
            repeats = self.depths[index].value
            return f"{sum(repeats)} blocks ({'-'.join(map(str, repeats))})"
        if dial == "width":
            stem, channels = self.widths[index].value
            return f"stem {stem}, {'-'.join(map(str, channels))}"
        if dial == "resolution":
            height, wide = self.sizes[index].value
            return f"{height}x{wide} px"
        head, hidden = self.heads[index]
        if head is None:
            return "none"
        return f"{head} channels" + (f", {hidden} behind them" if hidden else "")

    def count(self, dial: Dial) -> int:
        """How many settings a dial has."""
        rows: Sequence[object] = {
            "depth": self.depths,
            "width": self.widths,
            "resolution": self.sizes,
            "head": self.heads,
        }[dial]
        return len(rows)


def dials_of(
    base: Network,
    keeps: Callable[[Network], bool],
    largest_px: int | None = None,
    padless: bool = False,
    least: Callable[[Dial, float], Scaling | None] = lambda dial, low: SMALLEST,
) -> Dials:
    """The dials of a base, each up to its last setting that `keeps` the limits while the others stand at their least.

    `keeps` must not become true again as a dial is turned up. No setting has a shorter side above `largest_px`.
    `padless`: sizes of 32k + 1, for which no runtime copies a map to pad it, are settings too. `least` gives the least
    factors of the others for a setting that begins at this logarithm of its factor, and None where there are none; they
    must not fall as it grows.
    """
    smallest = _at(base, SMALLEST)

    def fits(chosen: Integers) -> bool:
        return beyond_bounds(chosen) is None and keeps(with_integers(base, chosen))

    def others(dial: Dial, setting: Setting[Value], **values: object) -> bool:
        scaling = least(dial, setting.low)
        return scaling is not None and fits(_at(base, scaling)._replace(**values))

    def within(px: Px) -> bool:
        return largest_px is None or min(px) <= largest_px

    depths, deep_end = _settings(
        base, "depth", lambda row: row.repeats, lambda one: others("depth", one, repeats=one.value)
    )
    widths, wide_end = _settings(
        base,
        "width",
        lambda row: (row.stem, row.channels),
        lambda one: others("width", one, stem=one.value[0], channels=one.value[1]),
    )
    sizes, large_end = _settings(
        base,
        "resolution",
        lambda row: row.resolution_px,
        lambda one: within(one.value) and others("resolution", one, resolution_px=one.value),
    )
    if padless:
        sizes = _with_padless(base.resolution_px, sizes)
    heads, more_heads = _heads(
        base,
        max(1.0, math.exp(widths[-1].low)),
        lambda head, hidden: fits(smallest._replace(head=head, hidden=hidden)),
    )
    if sizes and largest_px is not None and large_end is not None and not within(large_end):
        large = f"the shorter side is at most {largest_px} px"
    else:
        large = NOTHING_FURTHER
    none = NOTHING_FURTHER
    ends: dict[Dial, str] = {
        "depth": none if deep_end is not None else "the dial ends here",
        "width": none if wide_end is not None else "the dial ends here",
        "resolution": large,
        "head": none if more_heads else NO_HEAD if heads[-1][0] is None else END_OF_HEAD,
    }
    return Dials(base, depths, widths, sizes, heads, ends)


def _at(base: Network, scaling: Scaling) -> Integers:
    """The body at these factors, the head at its first setting."""
    found = integers(base, scaling)
    head, hidden = _head_at(base, LEAST_FACTOR)
    return found._replace(head=head, hidden=hidden if head is not None else found.hidden)


def _settings(
    base: Network,
    dimension: Literal["depth", "width", "resolution"],
    part: Callable[[Integers], Value],
    keeps: Callable[[Setting[Value]], bool],
) -> tuple[tuple[Setting[Value], ...], Value | None]:
    """The settings of a dimension up to the last that keeps the limits, and the one behind it if there is one."""
    found: list[Setting[Value]] = []
    walk = _walk(base, dimension, part)
    while len(found) < MOST_SETTINGS and (chunk := list(itertools.islice(walk, CHUNK))):
        if not keeps(chunk[-1]):
            kept = bisect.bisect_left(chunk, True, key=lambda setting: not keeps(setting))
            found += chunk[: max(kept, 0 if found else 1)]  # there is a first setting, whatever it breaks
            return tuple(found), chunk[min(kept, len(chunk) - 1)].value
        found += chunk
    return tuple(found), None


def _walk(
    base: Network, dimension: Literal["depth", "width", "resolution"], part: Callable[[Integers], Value]
) -> Iterator[Setting[Value]]:
    """Every setting of a dimension from its floor on."""

    def at(factor: float) -> Value:
        return part(integers(base, dataclasses.replace(Scaling(), **{dimension: factor})))

    value, low = at(LEAST_FACTOR), LEAST_FACTOR
    end = LEAST_FACTOR
    while end < MOST_FACTOR:
        start, end = end, end * OCTAVE
        # Between two neighbours of these no integer changes: what is between them shows what it is on both sides.
        edges = [start, *sorted(edge for edge in _edges(base, dimension, start, end) if start < edge < end), end]
        for left, right in itertools.pairwise(edges):
            for factor, begins in ((math.sqrt(left * right), left), (right, right)):
                if (factor != right or right == 1.0) and (now := at(factor)) != value:
                    yield Setting(value, math.log(low), math.log(begins))
                    value, low = now, begins
    yield Setting(value, math.log(low), math.log(MOST_FACTOR))


def _edges(base: Network, dimension: Literal["depth", "width", "resolution"], start: float, end: float) -> set[float]:
    """Every factor between the two at which an integer of this dimension can change, and 1."""
    rule, found = base.rounding, {1.0}
    if dimension == "depth":
        for count in {stage.repeats for stage in base.stages}:
            half = 0.5 if rule.depth == "nearest" else 0.0
            found |= {(k + half) / count for k in range(int(start * count), int(end * count) + 2)}
    elif dimension == "width":
        multiple = rule.channel_multiple
        for channels in {base.stem.channels, *(stage.channels for stage in base.stages)}:
            first, last = int(start * channels / multiple) - 1, int(end * channels / multiple) + 2
            for k in range(max(0, first), last + 1):
                found.add((k + 0.5) * multiple / channels)
                if rule.least_share:
                    found.add(k * multiple / (rule.least_share * channels))
    else:
        multiple = rule.resolution_multiple
        for side in set(base.resolution_px):
            found |= {
                (k + 0.5) * multiple / side for k in range(int(start * side / multiple), int(end * side / multiple) + 2)
            }
    return {factor for factor in found if factor > 0.0}


def _with_padless(base_px: Px, sizes: Sequence[Size]) -> tuple[Size, ...]:
    """With every size of 32k + 1, in both sides where they differ, between the smallest and the largest."""
    height, wide = base_px
    aspect = wide / height
    known = {size.value for size in sizes}
    found = list(sizes)
    first, last = sizes[0].value[0], sizes[-1].value[0]
    for k in range(1, last // 32 + 1):
        tall = 32 * k + 1
        px = tall, 32 * max(1, round((tall * aspect - 1) / 32)) + 1
        if first < tall <= last and px not in known and abs(px[1] / px[0] / aspect - 1) < 0.03:
            log_factor = math.log(tall / height)
            found.append(Setting(px, log_factor, log_factor))
    return tuple(sorted(found, key=lambda size: (size.value[0] * size.value[1], size.value)))


def _head_at(base: Network, factor: float) -> Head:
    """Head and hidden layer at a factor of the head's own."""
    head, hidden = base.head.channels, base.head.hidden
    if head is None:
        return None, None
    return width(head, factor, base.rounding), hidden and width(hidden, factor, base.rounding)


def _heads(
    base: Network, most_factor: float, keeps: Callable[[int | None, int | None], bool]
) -> tuple[tuple[Head, ...], bool]:
    """The head's settings up to the last that keeps the limits; whether there is one behind it.

    At most `most_factor` times the base's own: where nothing else is left to give, more features help no classifier.
    """
    channels, multiple = base.head.channels, base.rounding.channel_multiple
    if channels is None:
        return ((None, None),), False
    by_channels = {
        head[0]: head
        for k in range(1, math.ceil(most_factor * channels / multiple) + 1)
        for head in [_head_at(base, k * multiple / channels)]
    }
    by_channels[channels] = channels, base.head.hidden
    found = [by_channels[head] for head in sorted(by_channels, key=lambda head: head or 0)]
    kept = bisect.bisect_left(range(1, len(found)), True, key=lambda k: not keeps(*found[k])) + 1
    return tuple(found[:kept]), kept < len(found)
