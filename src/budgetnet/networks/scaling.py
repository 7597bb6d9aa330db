"""One dial, phi: strategies turn it into (depth, width, resolution), and rounding into integers.

    d = alpha**phi,  w = beta**phi,  r = gamma**phi,   alpha * beta**2 * gamma**2 ~ 2

Source: Tan & Le, EfficientNet, arXiv:1905.11946, section 3.3, equations 2 and 3.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple, cast, get_args

from budgetnet.arguments import integer, number, of_kind, plain_numbers, shown
from budgetnet.networks import (
    MOST_BLOCKS,
    MOST_CHANNELS,
    MOST_PX,
    Keeping,
    Network,
    Px,
    Rounding,
    Stage,
    ceil,
    choose,
    network_of,
    round_channels,
    square,
)

Strategy = Literal["compound", "depth", "width", "resolution", "dWr", "tiny"]
STRATEGIES: tuple[Strategy, ...] = get_args(Strategy)
FitStrategy = Literal[Strategy, "joint", "staged"]
"""A strategy of one dial, phi, or one of several dials, which has no network but for a budget: "joint" has a dial for
each of depth, width, resolution and head (`budgets.joint`), "staged" has dials of each stage (`budgets.staged`)."""
FIT_STRATEGIES: tuple[FitStrategy, ...] = get_args(FitStrategy)
SEVERAL_DIALS: tuple[FitStrategy, ...] = ("joint", "staged")
"""These strategies have several dials."""
NEAR_THE_LINE: tuple[FitStrategy, ...] = ("compound", *SEVERAL_DIALS)
"""The strategies that coefficients say something about."""

LEAST_CHANNELS = 8
LEAST_PX = 32
LEAST_PX_OF_SMALL_BASE = 16
SMALL_BASE_PX = 64
FACTOR_DIGITS = 8
MOST_FACTOR = 1e60
"""The largest factor on one dimension. Networks end far below, at their bounds; this keeps what is compared with them
finite."""
MOST_COEFFICIENT = 10_000.0
"""The largest alpha, beta or gamma, far above any in use: each step of phi is meant to double the cost."""


@dataclass(frozen=True, slots=True)
class Coefficients:
    """The constants of compound scaling: d = alpha**phi, w = beta**phi, r = gamma**phi.

    Source: Tan & Le, EfficientNet, arXiv:1905.11946, section 3.3, equation 3.

    Attributes:
        alpha: The factor on depth (layers) of one step of phi, at least 1.
        beta: The factor on width (channels) of one step of phi, at least 1.
        gamma: The factor on height and width of the image of one step of phi, at least 1.

    Raises:
        ValueError: A constant is below 1, above 10,000 or not a number, or all three are 1.

    Example:
        >>> import budgetnet
        >>> round(budgetnet.Coefficients(alpha=1.2, beta=1.1, gamma=1.15).growth, 2)
        1.92
    """

    alpha: float
    beta: float
    gamma: float

    def __post_init__(self) -> None:
        plain_numbers(self)
        values = (self.alpha, self.beta, self.gamma)
        for field in dataclasses.fields(self):
            if type(getattr(self, field.name)) not in (int, float):
                number(field.name, getattr(self, field.name), least=1.0)
        if not all(1.0 <= value <= MOST_COEFFICIENT for value in values) or max(values) == 1.0:
            raise ValueError(
                f"alpha, beta, gamma are {', '.join(map(shown, values))}; "
                f"all must be at least 1, and one above 1, none above {MOST_COEFFICIENT:,.0f}"
            )

    @property
    def growth(self) -> float:
        """alpha * beta**2 * gamma**2: the factor on multiply-adds of one step of phi."""
        return self.alpha * self.beta**2 * self.gamma**2


PAPER = Coefficients(1.2, 1.1, 1.15)
"""The coefficients of the paper are 1.2, 1.1 and 1.15, from a grid search on EfficientNet-B0.

Source: Tan & Le, EfficientNet, arXiv:1905.11946, section 4. One step of phi multiplies the nominal cost by 1.92.

Example:
    >>> import budgetnet
    >>> budgetnet.PAPER
    Coefficients(alpha=1.2, beta=1.1, gamma=1.15)
"""


def coefficients_of(value: object) -> Coefficients:
    """The value, if it is `Coefficients`. Raises a one-line `TypeError` that says how they are given."""
    return of_kind("coefficients", value, Coefficients, "Coefficients, as Coefficients(1.2, 1.1, 1.15)")


def strategy_of(what: str, value: object) -> Strategy:
    """The value, if it is a strategy's name. Raises a one-line `ValueError` that names them all."""
    choose(what, value, STRATEGIES)
    return cast("Strategy", value)


def fit_strategy_of(what: str, value: object) -> FitStrategy:
    """The value, if it names a strategy that a fit takes. Raises a one-line `ValueError` that names them all."""
    choose(what, value, FIT_STRATEGIES)
    return cast("FitStrategy", value)


def for_strategy(coefficients: Coefficients, strategy: FitStrategy) -> Coefficients:
    """The coefficients where the strategy is compound, or stays near its line; else the paper's, which say nothing."""
    return coefficients if strategy in NEAR_THE_LINE else PAPER


def check_compound(coefficients: Coefficients, strategies: Iterable[FitStrategy]) -> None:
    """Raise a one-line `ValueError` where coefficients are given and none of the strategies takes them."""
    named = tuple(strategies)
    if coefficients != PAPER and not set(NEAR_THE_LINE) & set(named):
        raise ValueError(f"coefficients belong to the compound strategy, not to {', '.join(named)}")


@dataclass(frozen=True, slots=True)
class Scaling:
    """Factors on the number of layers, on channels, and on height and width."""

    depth: float = 1.0
    width: float = 1.0
    resolution: float = 1.0

    def __post_init__(self) -> None:
        plain_numbers(self)
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            number(f"the {field.name} factor", value, above=0.0, most=MOST_FACTOR)

    @property
    def nominal_cost(self) -> float:
        """depth * width**2 * resolution**2: multiply-adds before anything is rounded."""
        return self.depth * self.width**2 * self.resolution**2


TINYNETS: Mapping[str, Scaling] = {
    "tinynet_a": Scaling(depth=1.2, width=1.0, resolution=192 / 224),
    "tinynet_b": Scaling(depth=1.1, width=0.75, resolution=188 / 224),
    "tinynet_c": Scaling(depth=0.85, width=0.54, resolution=184 / 224),
    "tinynet_d": Scaling(depth=0.695, width=0.54, resolution=152 / 224),
    "tinynet_e": Scaling(depth=0.6, width=0.51, resolution=106 / 224),
}
"""TinyNet-A to E have these factors on EfficientNet-B0. Source: huawei-noah, tinynet_pytorch, as timm's tinynet entries
give them."""


@dataclass(frozen=True, slots=True)
class _Rule:
    """How a strategy shares 2**phi: exponents of 2**phi, and the depth rounding that it asks for."""

    exponents: tuple[float, float, float]
    depth_rounding: Literal["up", "nearest"] | None
    source: str


def _tiny_exponents() -> tuple[float, float, float]:
    """Exponents (depth, width, resolution) of the compute ratio c = d * w**2 * r**2, by least squares
    in logarithms over the published rows, through d = w = r = 1 at c = 1 so that phi = 0 is the base."""
    rows = TINYNETS.values()
    ratios = [math.log(row.nominal_cost) for row in rows]
    square_sum = sum(ratio**2 for ratio in ratios)
    depth = sum(x * math.log(row.depth) for x, row in zip(ratios, rows, strict=True)) / square_sum
    resolution = sum(x * math.log(row.resolution) for x, row in zip(ratios, rows, strict=True)) / square_sum
    return depth, (1 - depth - 2 * resolution) / 2, resolution


_DWR_ALPHA = 0.8
_RULES: dict[str, _Rule] = {
    "depth": _Rule((1.0, 0.0, 0.0), None, "arXiv:1905.11946, figure 3: d = 2**phi"),
    "width": _Rule((0.0, 0.5, 0.0), None, "arXiv:1905.11946, figure 3: w = 2**(phi/2)"),
    "resolution": _Rule((0.0, 0.0, 0.5), None, "arXiv:1905.11946, figure 3: r = 2**(phi/2)"),
    # Dollar et al., equation 6: alpha to width, the rest shared by depth and resolution.
    "dWr": _Rule(
        ((1 - _DWR_ALPHA) / 2, _DWR_ALPHA / 2, (1 - _DWR_ALPHA) / 4),
        "nearest",
        "arXiv:2103.06877, section 4: d = s**0.1, w = s**0.4, r = s**0.05 for s = 2**phi",
    ),
    "tiny": _Rule(
        _tiny_exponents(),
        "nearest",
        "arXiv:2010.14819, section 3.3: powers of the compute ratio fitted to TinyNet-A..E",
    ),
}


def source(strategy: Strategy) -> str:
    """Where a strategy's rule comes from."""
    choose("strategy", strategy, STRATEGIES)
    return "arXiv:1905.11946, equation 3" if strategy == "compound" else _RULES[strategy].source


def factors(phi: float, strategy: Strategy = "compound", coefficients: Coefficients = PAPER) -> Scaling:
    """The scaling that a phi gives; nominal cost 2**phi (compound: coefficients.growth**phi).

    Raises `ValueError` for an unknown strategy, a phi that is not finite, tiny with phi above 0, or
    coefficients with another strategy than compound.
    """
    choose("strategy", strategy, STRATEGIES)
    coefficients_of(coefficients)
    phi = number("phi", phi)
    if strategy != "compound" and coefficients != PAPER:
        raise ValueError(f"coefficients belong to the compound strategy, not to {strategy}")
    if strategy == "tiny" and phi > 0.0:
        raise ValueError(f"the tiny strategy only shrinks: phi is {phi}, it must be at most 0")
    try:
        if strategy == "compound":
            return Scaling(coefficients.alpha**phi, coefficients.beta**phi, coefficients.gamma**phi)
        return Scaling(*(2.0 ** (phi * exponent) for exponent in _RULES[strategy].exponents))
    except OverflowError as error:
        raise ValueError(f"phi is {phi}; its factors are too large to be numbers, paths end at 10") from error


def rounding(network: Network, strategy: Strategy) -> Rounding:
    """The family's rounding, with the depth rounding that the strategy was published with."""
    rule = _RULES.get(strategy)
    if rule is None or rule.depth_rounding is None:
        return network.rounding
    return dataclasses.replace(network.rounding, depth=rule.depth_rounding)


def scale(
    network: Network, phi: float = 1.0, strategy: Strategy = "compound", coefficients: Coefficients = PAPER
) -> Network:
    """The base network scaled by phi and rounded to whole layers, channels and pixels.

    Every strategy multiplies the nominal cost by about 2**phi. The table of strategies with their sources, and the
    rounding, are in docs/how-it-works.md. A dimension whose factor is exactly 1 stays as it is. Nothing falls below one
    block a stage, 8 channels, and 32 px (16 px where the base is smaller than 64 px).

    Args:
        network: The base.
        phi: The dial: 1 about doubles the cost, -1 about halves it. Any finite number.
        strategy: "compound" (depth, width and resolution together), "depth", "width", "resolution", "dWr" or "tiny";
            "tiny" only takes a phi of at most 0.
        coefficients: Alpha, beta and gamma of the compound strategy.

    Returns:
        A new network; its name says the strategy and phi.

    Raises:
        ValueError: The strategy is unknown, phi is not a finite number, or coefficients other than the paper's are
            given with another strategy than "compound".
        TypeError: An argument has another type.

    Example:
        >>> import budgetnet
        >>> base = budgetnet.network("efficientnet_b0")
        >>> budgetnet.scale(base, phi=1.0).resolution_px  # 224 * 1.15, to the nearest even number
        (258, 258)
    """
    network_of("network", network)
    scaling = factors(phi, strategy, coefficients)
    name = network.name if phi == 0 else f"{network.name} {strategy} phi={phi:.6g}"
    return resize(network, scaling, rounding(network, strategy), name)


def resize(network: Network, scaling: Scaling, rounding: Rounding | None = None, name: str | None = None) -> Network:
    """The network with depth, width and resolution multiplied by `scaling` and rounded.

    Strides, kernels, classes and dropout stay as they are.
    """
    return with_integers(network, integers(network, scaling, rounding), name)


def with_integers(network: Network, chosen: Integers, name: str | None = None) -> Network:
    """The network with these integers in place of its own."""
    rows = zip(network.stages, chosen.channels, chosen.repeats, strict=True)
    return dataclasses.replace(
        network,
        name=name or network.name,
        stem=dataclasses.replace(network.stem, channels=chosen.stem),
        stages=tuple(_sized(*row) for row in rows),
        head=dataclasses.replace(network.head, channels=chosen.head, hidden=chosen.hidden),
        resolution_px=chosen.resolution_px,
    )


@functools.lru_cache(maxsize=1 << 14)
def _sized(stage: Stage, channels: int, repeats: int) -> Stage:
    """A stage of another size, kept: a search asks for the same ones again and again."""
    return dataclasses.replace(stage, channels=channels, repeats=repeats)


class Integers(NamedTuple):
    """All that scaling changes in a network: two of a base's networks are one where these are equal."""

    stem: int
    channels: tuple[int, ...]
    repeats: tuple[int, ...]
    head: int | None
    hidden: int | None
    resolution_px: Px


def beyond_bounds(chosen: Integers) -> str | None:
    """What makes these integers no network's, in words; None where nothing does. Once there it stays, as all grow."""
    wide = max(chosen.stem, *chosen.channels, chosen.head or 0, chosen.hidden or 0)
    if sum(chosen.repeats) > MOST_BLOCKS:
        return f"more than {MOST_BLOCKS:,} blocks"
    if wide > MOST_CHANNELS:
        return f"more than {MOST_CHANNELS:,} channels"
    return f"a side of more than {MOST_PX:,} px" if max(chosen.resolution_px) > MOST_PX else None


def integers(network: Network, scaling: Scaling, rounding: Rounding | None = None) -> Integers:
    """What the network's integers become under `scaling`. None of them falls as a factor grows.

    Repeats of the first and the last stage are kept where the family keeps them.
    """
    rule = rounding or network.rounding
    head, last = network.head, len(network.stages) - 1
    # Coarser than the tolerances of rounding: what should step at one factor, such as all repeats just
    # above 1, does so together, and not one by one as the tolerance weighs less on larger numbers.
    deep, wide, large = (round(factor, FACTOR_DIGITS) for factor in (scaling.depth, scaling.width, scaling.resolution))
    depths = [1.0 if rule.keeps_end_repeats and index in (0, last) else deep for index in range(last + 1)]
    return Integers(
        stem=keep(network.stem.channels, wide, rule.stem, rule),
        channels=tuple(width(stage.channels, wide, rule) for stage in network.stages),
        repeats=tuple(repeats(stage.repeats, depth, rule) for stage, depth in zip(network.stages, depths, strict=True)),
        head=head.channels and keep(head.channels, wide, rule.head, rule),
        hidden=head.hidden and keep(head.hidden, wide, "kept" if rule.head == "kept" else "grows", rule),
        resolution_px=resolution(network.resolution_px, large, rule.resolution_multiple),
    )


def keep(channels: int, factor: float, keeping: Keeping, rule: Rounding) -> int:
    """Channels of a stem or head: scaled, kept, or scaled but never below the base's own."""
    if keeping == "kept":
        return channels
    scaled = width(channels, factor, rule)
    return max(channels, scaled) if keeping == "grows" else scaled


def width(channels: int, factor: float, rule: Rounding) -> int:
    """Channels times factor, to the family's multiple, never 10 % lower, at least 8."""
    if factor == 1.0:
        return channels
    least = max(LEAST_CHANNELS, rule.channel_multiple)
    rounded = round_channels(channels * factor, rule.channel_multiple, least, rule.least_share)
    return _not_against(channels, factor, rounded)


def _not_against(base: int, factor: float, rounded: int) -> int:
    """`rounded`, but shrinking never makes more of a base that is not a multiple, nor growing less."""
    return min(base, rounded) if factor < 1.0 else max(base, rounded)


def repeats(count: int, factor: float, rule: Rounding) -> int:
    """Repeats times factor, up or to the nearest (halves up), at least 1."""
    if factor == 1.0:
        return count
    return max(1, ceil(count * factor) if rule.depth == "up" else math.floor(count * factor + 0.5 + 1e-9))


def resolution(base_px: Px, factor: float, multiple: int = 2) -> Px:
    """Both sides times factor, to the nearest multiple (halves up), not below the floor."""
    if factor == 1.0:
        return base_px
    least = LEAST_PX_OF_SMALL_BASE if min(base_px) < SMALL_BASE_PX else LEAST_PX
    height, width_px = (
        _not_against(side, factor, max(min(least, side), math.floor(side * factor / multiple + 0.5 + 1e-9) * multiple))
        for side in base_px
    )
    return height, width_px


def adapt(network: Network, resolution_px: int | Px, dropped_strides: int = 0) -> Network:
    """The base for images of another size: its resolution is set, and its first strides of 2 become 1.

    Do this once, before scaling: nothing else changes strides. A network with a total stride of 32 has one pixel left
    of an image of 32 px, so small images need it. Each dropped stride makes all later maps four times larger, and the
    cost with them.

    Args:
        network: The base.
        resolution_px: Height and width in pixels; an integer is a square.
        dropped_strides: How many of the first strides of 2 become 1. A pooling of stride 2 counts as one.

    Returns:
        A new network with the same layers and weights' shapes.

    Raises:
        ValueError: The network has fewer strides of 2, or the resolution is not one or two positive integers.

    Example:
        >>> import budgetnet
        >>> base = budgetnet.network("efficientnet_b0", classes=10)
        >>> small = budgetnet.adapt(base, 32, dropped_strides=2)
        >>> small.resolution_px, small.stem.stride
        ((32, 32), 1)
    """
    network_of("network", network)
    resolution_px = square(resolution_px)
    strides = _strides(network)
    halving = [index for index, stride in enumerate(strides) if stride == 2]
    some = f"an integer: {network.name} has 0 to {len(halving)} to drop"
    for index in halving[: integer("dropped_strides", dropped_strides, 0, len(halving), wanted=some)]:
        strides[index] = 1
    return dataclasses.replace(
        network,
        resolution_px=resolution_px,
        stem=dataclasses.replace(network.stem, stride=strides[0], pool=strides[1] == 2),
        stages=tuple(
            dataclasses.replace(stage, stride=stride) for stage, stride in zip(network.stages, strides[2:], strict=True)
        ),
    )


def droppable_strides(network: Network) -> int:
    """How many strides of 2 `adapt` could make 1."""
    return _strides(network).count(2)


def _strides(network: Network) -> list[int]:
    return [network.stem.stride, 2 if network.stem.pool else 1, *(stage.stride for stage in network.stages)]
