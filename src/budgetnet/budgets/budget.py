"""Limits on a network, what keeps them, and the records of an answer: a budget, a certificate, a fit."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from budgetnet.amounts import count, microseconds, size_bytes
from budgetnet.arguments import integer, number, of_kind
from budgetnet.budgets.dials import DIALS
from budgetnet.budgets.path import without_skips
from budgetnet.codec import (
    ONLY_IF_SET,
    NonNegativeInt,
    PositiveInt,
    as_object,
    from_plain,
    require,
    require_known,
    to_plain,
)
from budgetnet.costs.latency import DeviceTiming, Prediction
from budgetnet.costs.network_cost import Cost, DType, cost, least_cost
from budgetnet.costs.planners import Runtime, planner_of
from budgetnet.networks import Network, choose
from budgetnet.networks.scaling import FitStrategy

LimitName = Literal[
    "macs", "params", "weight_bytes", "peak_activation_bytes", "peak_bytes", "train_bytes", "latency_us"
]
LIMITS: tuple[LimitName, ...] = get_args(LimitName)
"""The fields of a budget that are limits."""
TIME, MEMORY = "time", "memory"
"""The names beside those of the limits in a certificate: there is too little time or memory to train the network."""
BAND = "band"
"""The name for a network that is too far from the compound line: see `budgets.joint`."""
NARROW_HEAD = "head"
"""The name for a network whose head is narrower than its last stage: see `budgets.joint`."""
NO_MORE = "no more multiply-adds"
"""The name for a network that has no more multiply-adds than the answer."""
ONE_BLOCK_MORE = "block"
"""The name for a network that has more multiply-adds than the answer, but too few more for its blocks: see
`budgets.staged`."""

REASONS = (TIME, MEMORY, BAND, NARROW_HEAD, NO_MORE, ONE_BLOCK_MORE)
"""The names in a certificate that are not those of limits."""


@dataclass(frozen=True, slots=True)
class Budget:
    """Limits on a network. Every field that is not None is one.

    A limit is a positive integer in any form: 60_000_000, 60e6, a number of numpy, or text as people write it, such as
    "60M", "4MiB" or "8ms".

    Attributes:
        macs: Most multiply-adds for one image.
        params: Most parameters.
        weight_bytes: Most bytes of the weights, BatchNorm folded, in `dtype`: a microcontroller's flash.
        peak_activation_bytes: Most bytes of live activations at any moment of an inference: a microcontroller's SRAM.
        peak_bytes: Most bytes of both together.
        train_bytes: Most bytes of a training step in float32 with AdamW and a moving average of the weights, the most
            that a recipe here needs.
        dtype: The number type that bytes are counted in: "float32", "float16" or "int8".
        batch: For how many images at once bytes are counted.
        runtime: What runs the network: "deployed", a lower bound for all, or "tflite_micro", for int8 and one image.
            There `weight_bytes` limits its file, and `peak_activation_bytes` its arena: all that it needs of RAM for
            the network.
        latency_us: Most microseconds of an inference of one image on the device of `timing`. It is compared with what
            nine in ten networks keep: the prediction and its margin.
        timing: How long networks take on the device: `read_device` has it from a device file.

    Raises:
        ValueError: There is no limit, a value is not a limit, the runtime does not have this dtype or batch, or there
            is a latency without a timing, or the other way round.

    Example:
        >>> import budgetnet
        >>> print(budgetnet.Budget(macs="60M", weight_bytes="4MiB", dtype="int8"))
        macs <= 60,000,000 and weight_bytes <= 4,194,304
        >>> print(budgetnet.Budget(peak_activation_bytes="256KiB", dtype="int8", runtime="tflite_micro"))
        peak_activation_bytes <= 262,144 on tflite_micro
    """

    macs: int | None = None
    params: int | None = None
    weight_bytes: int | None = None
    peak_activation_bytes: int | None = None
    peak_bytes: int | None = None
    train_bytes: int | None = None
    dtype: DType = "float32"
    batch: int = 1
    runtime: Runtime = field(default="deployed", metadata=ONLY_IF_SET)
    latency_us: int | None = field(default=None, metadata=ONLY_IF_SET)
    timing: DeviceTiming | None = field(default=None, metadata=ONLY_IF_SET)

    def __post_init__(self) -> None:
        if not self.limits():
            raise ValueError(f"a budget needs at least one limit: {', '.join(LIMITS)}")
        for name, limit in self.limits().items():
            object.__setattr__(self, name, integer(name, limit, written=_written(name)))
        if (self.latency_us is None) != (self.timing is None):
            missing, there = ("timing", "latency_us") if self.timing is None else ("latency_us", "timing")
            raise ValueError(
                f"a budget has {there} and no {missing}; a latency is a limit on a device: `budgetnet profile` "
                "writes a device file, which budgetnet.read_device reads"
            )
        if self.timing is not None:
            of_kind("timing", self.timing, DeviceTiming, "a DeviceTiming, as budgetnet.read_device reads it")
        choose("dtype", self.dtype, get_args(DType))
        if self.timing is not None and self.timing.dtype != self.dtype:
            raise ValueError(
                f"dtype is {self.dtype!r}, and the times of {self.timing.device} are of networks in "
                f"{self.timing.dtype}; give a device file in {self.dtype} (profile --dtype), or that dtype"
            )
        object.__setattr__(self, "batch", integer("batch", self.batch))
        planner_of(self.runtime, self.batch, self.dtype)

    def limits(self) -> dict[LimitName, int]:
        """The limits that are set.

        Returns:
            The value of each limit by its name.
        """
        return {name: limit for name in LIMITS if (limit := getattr(self, name)) is not None}

    def times(self, share: float) -> Budget:
        """The budget with every limit multiplied by a share, rounded down.

        Args:
            share: A number above 0.

        Returns:
            A new budget.

        Raises:
            ValueError: A limit would fall to 0.
        """
        share = number("share", share, above=0.0)
        return dataclasses.replace(self, **{name: int(limit * share) for name, limit in self.limits().items()})

    def price(self, network: Network) -> Cost:
        """The cost of a network at this budget's batch, dtype and runtime.

        Args:
            network: Any network.

        Returns:
            Its cost.
        """
        return cost(network, self.batch, self.dtype, self.runtime)

    def check(self, network: Network) -> Certificate:
        """What a network uses and leaves of every limit.

        Args:
            network: Any network.

        Returns:
            A certificate without a next network, since one network alone has no path.
        """
        return Certificate(limit_rows(self.price(network), self), runtime=self.runtime)

    def to_dict(self) -> dict[str, Any]:
        """The limits that are set, dtype and batch, and the runtime unless it is "deployed", in JSON's types.

        Returns:
            What `from_dict` takes.
        """
        return {name: value for name, value in to_plain(self).items() if value is not None}

    @staticmethod
    def from_dict(row: dict[str, Any]) -> Budget:
        """The budget of `to_dict`.

        Args:
            row: Limits by their names, dtype, batch and runtime.

        Returns:
            The budget.

        Raises:
            ValueError: A name is unknown.
        """
        known = [each.name for each in dataclasses.fields(Budget)]
        if unknown := sorted(set(row) - set(known)):
            raise ValueError(f"a budget has no {', '.join(unknown)}; it has {', '.join(known)}")
        timing = row.get("timing")
        if timing is not None and not isinstance(timing, DeviceTiming):
            row = {**row, "timing": from_plain(DeviceTiming, timing, "the budget's timing")}
        return Budget(**row)

    def __str__(self) -> str:
        names = self.limits().items()
        counted = " and ".join(f"{name} <= {limit:,}" for name, limit in names if name != "latency_us")
        counted = counted if self.runtime == "deployed" else f"{counted} on {self.runtime}"
        timed = "" if self.timing is None else f"latency_us <= {self.latency_us:,} by {self.timing.runtime}"
        return " and ".join(part for part in (counted, timed) if part)


def _written(name: LimitName) -> Callable[[str], int]:
    """How people write a limit."""
    if name == "latency_us":
        return microseconds
    return size_bytes if name.endswith("bytes") else count


def budget_of(what: str, value: object) -> Budget:
    """The value, if it is a budget. Raises a one-line `TypeError` that says how one is given."""
    return of_kind(what, value, Budget, "a Budget, as budgetnet.Budget(macs=60_000_000)")


@dataclass(frozen=True, slots=True)
class LimitRow:
    """One limit of a certificate.

    Attributes:
        name: The name of the budget's field.
        limit: The most that is allowed.
        used: What the network uses.
        left: What it leaves; below 0 where the limit is broken.
        prediction: Of a latency: what is predicted, and how far that may be wrong. `used` counts its margin.
    """

    name: LimitName
    limit: PositiveInt
    used: NonNegativeInt
    left: int
    prediction: Prediction | None = field(default=None, metadata=ONLY_IF_SET)

    def __post_init__(self) -> None:
        kept = self.left == self.limit - self.used
        require(
            kept,
            f"left is {self.left}; of a limit of {self.limit} with {self.used} used it is {self.limit - self.used}",
        )

    @property
    def share(self) -> float:
        """used / limit: above 1 where the limit is broken."""
        return self.used / self.limit


@dataclass(frozen=True, slots=True)
class NextStep:
    """The next larger network of a path, and why it is not the answer.

    Attributes:
        network: The network.
        phi: The smallest phi that gives it.
        breaks: The limits that it breaks; with "time" or "memory" where there is too little of it for its training.
    """

    network: Network
    phi: float
    breaks: tuple[str, ...]

    def __post_init__(self) -> None:
        require_known("breaks", self.breaks, (*LIMITS, TIME, MEMORY), "a budget")
        require(bool(self.breaks), "breaks is empty; a network that breaks nothing is not the next larger one")

    @property
    def broken_limits(self) -> tuple[str, ...]:
        """The limits of the budget that it breaks."""
        return tuple(name for name in self.breaks if name not in (TIME, MEMORY))

    @property
    def lacks(self) -> tuple[str, ...]:
        """What there is too little of to train it: TIME, MEMORY, both or nothing."""
        return tuple(name for name in self.breaks if name in (TIME, MEMORY))


@dataclass(frozen=True, slots=True)
class DialStep:
    """One dial of a joint or staged network, and why it is not turned further.

    Attributes:
        dial: "depth", "width", "resolution" or "head"; of a staged network such as "stage 3 width", too.
        at: Where it stands, in words.
        next: Its next setting; None where it has none.
        breaks: What the network with this setting breaks: limits, "time" or "memory" for its training, "band",
            "head", "block", or "no more multiply-adds".
        end: Why there is no next setting; None where there is one.
    """

    dial: str
    at: str
    next: str | None
    breaks: tuple[str, ...]
    end: str | None = None

    def reason(self, title: Callable[[str], str]) -> str:
        """Why it is not turned further, in words.

        Args:
            title: A function from the name of a limit to what people call it.

        Returns:
            The end of a sentence that begins with the next setting.
        """
        if self.end is not None:
            return self.end
        broken = [title(name) for name in self.breaks if name not in REASONS]
        lacks = [name for name in self.breaks if name in (TIME, MEMORY)]
        parts = [f"breaks {' and '.join(broken)}"] if broken else []
        parts += [f"leaves too little {' and '.join(lacks)} for its training"] if lacks else []
        parts += ["is too far from the compound line"] if BAND in self.breaks else []
        parts += ["needs a wider head"] if NARROW_HEAD in self.breaks else []
        parts += ["has no more multiply-adds"] if NO_MORE in self.breaks else []
        parts += ["has too few more multiply-adds for another block"] if ONE_BLOCK_MORE in self.breaks else []
        return " and ".join(parts)


@dataclass(frozen=True, slots=True)
class Certificate:
    """Why a network is the answer: its limits, and why nothing larger on its path is.

    Attributes:
        limits: A row for each limit.
        next: The next larger network of the path with what it breaks; None for a single network, or where the path
            ends.
        end: Why the path ends, where it ends while its last network still fits.
        dials: Of a joint or staged network: each dial, and why it is not turned further.
        runtime: What runs the network: its planner has counted the bytes.

    Raises:
        ValueError: There are no limits.
    """

    limits: tuple[LimitRow, ...]
    next: NextStep | None = None
    end: str | None = None
    dials: tuple[DialStep, ...] = field(default=(), metadata=ONLY_IF_SET)
    runtime: Runtime = field(default="deployed", metadata=ONLY_IF_SET)

    def __post_init__(self) -> None:
        if not self.limits:
            raise ValueError("a certificate needs at least one limit")
        require(self.next is None or self.end is None, "next and end are both there; where a path ends nothing is next")

    @property
    def fits(self) -> bool:
        """Whether every limit is kept."""
        return not self.breaks

    @property
    def breaks(self) -> tuple[str, ...]:
        """Names of the limits that are not kept."""
        return tuple(row.name for row in self.limits if row.left < 0)

    @property
    def staged(self) -> bool:
        """Whether it is a staged network's: each stage has dials of its own."""
        return not {dial.dial for dial in self.dials} <= set(DIALS)

    @property
    def hindrances(self) -> frozenset[str]:
        """What keeps the next larger networks from being the answer: limits, TIME, MEMORY."""
        steps = [] if self.next is None else [self.next.breaks]
        return frozenset(name for breaks in (*steps, *(dial.breaks for dial in self.dials)) for name in breaks)

    @property
    def binding(self) -> LimitRow:
        """The limit of which the largest share is used."""
        return max(self.limits, key=lambda row: row.share)

    def to_dict(self) -> dict[str, Any]:
        """The certificate in JSON's types.

        Returns:
            What `from_dict` takes.
        """
        return to_plain(self)

    @staticmethod
    def from_dict(row: dict[str, Any]) -> Certificate:
        """The certificate of `to_dict`, or of certificate.json, which names the network as well.

        Args:
            row: A JSON object.

        Returns:
            The certificate.

        Raises:
            ValueError: The object is not a certificate; the message says what is wrong in one line.
        """
        limits = {name: value for name, value in as_object(row, "the certificate").items() if name != "network"}
        return from_plain(Certificate, limits, "the certificate")


@dataclass(frozen=True, slots=True)
class Fit:
    """The largest network within a budget.

    Attributes:
        network: The network.
        phi: The smallest phi that gives it; None for "joint" and "staged", which have several dials.
        cost: What it costs at the budget's batch and dtype.
        certificate: The reasons.
        strategy: How it was scaled.
    """

    network: Network
    phi: float | None
    cost: Cost
    certificate: Certificate
    strategy: FitStrategy


class BudgetError(ValueError):
    """No network of the path keeps the budget. It is a `ValueError`.

    Attributes:
        limit: The name of the limit that is missed by the largest factor.
        smallest: The smallest network of the path.
        excess: How much more than the limit it uses, in the limit's unit.

    Example:
        >>> import budgetnet
        >>> try:
        ...     budgetnet.fit(budgetnet.network("efficientnet_b0"), budgetnet.Budget(params=1000))
        ... except budgetnet.BudgetError as error:
        ...     print(error.limit, error.excess > 0)
        params True
    """

    def __init__(self, message: str, limit: str, smallest: Network, excess: int) -> None:
        super().__init__(message)
        self.limit = limit
        self.smallest = smallest
        self.excess = excess


def nearest_miss(errors: Iterable[BudgetError], budget: Budget) -> BudgetError:
    """Of the errors of several paths the one whose limit is missed by the smallest factor."""
    return min(errors, key=lambda error: error.excess / getattr(budget, error.limit))


def used(price: Cost, budget: Budget) -> dict[LimitName, int]:
    """Name and amount of everything that the budget limits."""
    return {name: used_amount(price, name, budget) for name in budget.limits()}


def used_amount(price: Cost, name: str, budget: Budget) -> int:
    """What a network uses of one limit, whether the budget sets it or not."""
    if name == "train_bytes":
        return price.train_bytes(budget.batch, "adamw", ema=True)
    if name == "latency_us":
        assert budget.timing is not None, "a budget without a timing has no latency"
        return budget.timing.bound_us(price.network)
    return getattr(price, name)


def limit_rows(price: Cost, budget: Budget) -> tuple[LimitRow, ...]:
    """A row for each limit of the budget."""
    limits = budget.limits()

    def predicted(name: LimitName) -> Prediction | None:
        return budget.timing.prediction(price.network) if name == "latency_us" and budget.timing else None

    return tuple(
        LimitRow(name, limits[name], value, limits[name] - value, predicted(name))
        for name, value in used(price, budget).items()
    )


def beyond_hope(
    network: Network, budget: Budget, obstacles: Callable[[Network], tuple[str, ...]] | None = None
) -> bool:
    """Whether it breaks a limit and so does every network that is larger in each way.

    Asked of the least that it can cost, which never falls: no skips, and of memory what its runtime's planner has for
    a lower bound.
    """
    least = without_skips(network)
    price = least_cost(least, budget.batch, budget.dtype, budget.runtime)
    limits = budget.limits()
    breaks = any(value > limits[name] for name, value in used(price, budget).items())
    return breaks or bool(obstacles and obstacles(least))


def nothing_fits(where: str, at: str, smallest: Network, budget: Budget, breaks: Sequence[str]) -> BudgetError:
    """The error for a budget that even the smallest network there, at this place, does not keep."""
    worst = budget.check(smallest).binding
    if worst.left >= 0:
        what = " and ".join(breaks)
        message = f"there is not enough {what} to train any network {where}"
        return BudgetError(message, breaks[0], smallest, 0)
    height, width = smallest.resolution_px
    message = (
        f"no network {where} keeps {budget}: the smallest "
        f"({at}{height}x{width} px, {smallest.depth} blocks) has {worst.name} {worst.used:,}, "
        f"{_times(worst.share)} the limit; raise it, or take a smaller base, fewer classes or another strategy"
    )
    return BudgetError(message, worst.name, smallest, -worst.left)


def _times(share: float) -> str:
    return f"{share:,.0f} times" if share >= 100 else f"{share:.3g} times"
