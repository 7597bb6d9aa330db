"""How long an inference takes, told from the description alone: a sum of terms that was fitted to networks measured.

    latency = sum over terms of coefficient * term,    every coefficient >= 0

A term is a sum over the ops of the deployed form (BatchNorm folded, ReLU and ReLU6 inside their convolutions), and none
falls as a network grows in depth, width or resolution, so that a search can bound with it. What the terms stand for:

- `dense`, `depthwise`: multiply-adds of every pixel behind the first. Kernels compute 16 channels at once, so channels
  are rounded up to 16.
- `first_pixels`: the weights of every layer: its first pixel, for which they are read. On the small maps of deep
  stages, and behind the pooling, this is most of it.
- `exponentials`, `clipped`: elements that go through Swish, sigmoid and their like, and through hard Swish and its
  like.
- `elements`: elements that additions, multiplications, poolings and concatenations read and write.
- `ops`: how many ops there are.
- `far_weights`: weights beyond those that stay in the processor's cache between two inferences.

Which terms: docs/latency.md and docs/lab-log.md have the errors of these and of fewer.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple

from budgetnet.codec import NonNegativeFloat, NonNegativeInt, PositiveInt, require
from budgetnet.costs.blocks import CACHED_BLOCKS, distinct_blocks
from budgetnet.costs.network_cost import Op, block_rows, stem_rows, tail_rows
from budgetnet.networks import Block, Network, Px

TimedBy = Literal["onnxruntime", "openvino", "tflite", "torch", "other"]
"""What ran the networks that a device file was fitted to; "other" for a list of times from elsewhere."""
TimedDType = Literal["float32", "int8"]

CHANNELS_AT_ONCE = 16
"""So many channels of float32 are computed at once by 512-bit instructions."""
FREE = ("identity", "relu", "relu6")
"""These activations are computed inside the convolution before them."""
CLIPPED = ("hard_swish", "hard_sigmoid")


class Terms(NamedTuple):
    """The terms of a network, or of a part of it; of its `weights` a `DeviceTiming` counts the far ones."""

    dense: float = 0.0
    depthwise: float = 0.0
    first_pixels: float = 0.0
    exponentials: float = 0.0
    clipped: float = 0.0
    elements: float = 0.0
    ops: float = 0.0
    weights: float = 0.0

    @staticmethod
    def of(parts: Iterable[tuple[Terms, int]]) -> Terms:
        """Parts, each so many times."""
        total = [0.0] * len(Terms._fields)
        for part, times in parts:
            total = [one + times * more for one, more in zip(total, part, strict=True)]
        return Terms(*total)


TERMS = (*(name for name in Terms._fields if name != "weights"), "far_weights")
"""The coefficients have these names and this order."""


def amounts(terms: Terms, near_weights: float) -> tuple[float, ...]:
    """What each coefficient is multiplied by, in the order of `TERMS`."""
    return (*terms[:-1], max(0.0, terms.weights - near_weights))


def terms_of(network: Network) -> Terms:
    """The terms of a whole network."""
    blocks = ((block_terms(placed.block, placed.px), placed.times) for placed in distinct_blocks(network))
    return Terms.of([(stem_terms(network), 1), (tail_terms(network), 1), *blocks])


def stem_terms(network: Network) -> Terms:
    """The terms of all before the first block."""
    return _terms(stem_rows(network))


def tail_terms(network: Network) -> Terms:
    """The terms of all behind the last block."""
    *_, last = distinct_blocks(network)
    return _terms(tail_rows(network, last.block.out_px(last.px)))


@lru_cache(maxsize=CACHED_BLOCKS)
def block_terms(block: Block, in_px: Px) -> Terms:
    """The terms of a block that sees such a map."""
    return _terms(block_rows(block, in_px))


def _terms(rows: Iterable[Op]) -> Terms:
    return Terms.of((_of(row), 1) for row in rows)


def _of(op: Op) -> Terms:
    channels, height, width = op.out_shape
    pixels = height * width
    elements = channels * pixels
    match op.kind:
        case "norm":
            return Terms()
        case "conv" | "linear":
            weights = op.conv.weights
            grouped = op.conv.groups > 1
            wide = weights / channels * _rounded_up(channels)
            if not grouped and op.conv.in_channels >= CHANNELS_AT_ONCE // 2:  # an image's channels are packed apart
                wide *= _rounded_up(op.conv.in_channels) / op.conv.in_channels
            macs = wide * (pixels - 1)
            same = Terms(first_pixels=weights, ops=1, weights=weights)
            return same._replace(depthwise=macs) if grouped else same._replace(dense=macs)
        case "activation":
            kind = op.conv.activation.kind
            if kind in FREE:
                return Terms()
            return Terms(clipped=elements, ops=1) if kind in CLIPPED else Terms(exponentials=elements, ops=1)
        case _:
            return Terms(elements=elements + sum(map(math.prod, op.in_shapes)), ops=1)


def _rounded_up(channels: int) -> int:
    return -(-channels // CHANNELS_AT_ONCE) * CHANNELS_AT_ONCE


@dataclass(frozen=True, slots=True)
class Coefficient:
    """What one unit of a term takes.

    Attributes:
        term: The term's name.
        ns: Nanoseconds.
    """

    term: str
    ns: NonNegativeFloat


@dataclass(frozen=True, slots=True)
class Prediction:
    """How long a network takes on a device, as it is told and not measured.

    Attributes:
        device: The machine, in words.
        runtime: What runs the network.
        dtype: The numbers that it computes with.
        threads: Computing threads.
        predicted_us: Microseconds of an inference of one image.
        margin: Of ten networks nine take at most 1 + margin times that: a limit counts it.
        median_error: The median of |predicted / measured - 1| of networks that were left out of the fit.
        ninety_error: What nine in ten of those are below.
    """

    device: str
    runtime: TimedBy
    dtype: TimedDType
    threads: PositiveInt
    predicted_us: NonNegativeFloat
    margin: NonNegativeFloat
    median_error: NonNegativeFloat
    ninety_error: NonNegativeFloat

    def __str__(self) -> str:
        by = "" if self.runtime == "other" else f" in {self.runtime}"
        threads = "1 thread" if self.threads == 1 else f"{self.threads} threads"
        return (
            f"{self.predicted_us / 1000:.3g} ms predicted on {self.device}{by}, {self.dtype}, {threads}; a limit "
            f"counts {100 * self.margin:.0f} % on top, which nine in ten networks keep; those left out were predicted "
            f"within {100 * self.median_error:.1f} % (median) and {100 * self.ninety_error:.1f} % (nine in ten)"
        )


@dataclass(frozen=True, slots=True)
class DeviceTiming:
    """How long networks take on a device, in one runtime: what `budgetnet profile` fits and a device file holds.

    Attributes:
        device: The machine, in words.
        runtime: What ran the networks.
        dtype: The numbers that they computed with.
        threads: Computing threads.
        coefficients: One for each term.
        near_weights: So many weights stay in the cache between two inferences.
        margin: Of ten networks that it was not fitted to nine take at most 1 + margin times what is predicted.
        median_error: The median of |predicted / measured - 1| of networks left out, one after another.
        ninety_error: What nine in ten of those are below.
        networks: How many networks were measured.

    Raises:
        ValueError: A coefficient is missing or has an unknown name.
    """

    device: str
    runtime: TimedBy
    dtype: TimedDType
    threads: PositiveInt
    coefficients: tuple[Coefficient, ...]
    near_weights: NonNegativeInt
    margin: NonNegativeFloat
    median_error: NonNegativeFloat
    ninety_error: NonNegativeFloat
    networks: PositiveInt

    def __post_init__(self) -> None:
        names = [row.term for row in self.coefficients]
        require(
            names == list(TERMS),
            f"its terms ({', '.join(names)}) are those of another version; make it again with `budgetnet profile`",
        )
        require(any(row.ns > 0 for row in self.coefficients), "all coefficients are 0, so that nothing takes any time")

    def prediction(self, network: Network) -> Prediction:
        """What is told of a network, and how far it may be wrong.

        Args:
            network: Any network.

        Returns:
            The prediction.
        """
        return Prediction(
            device=self.device,
            runtime=self.runtime,
            dtype=self.dtype,
            threads=self.threads,
            predicted_us=self.predicted_us(network),
            margin=self.margin,
            median_error=self.median_error,
            ninety_error=self.ninety_error,
        )

    def predicted_us(self, network: Network) -> float:
        """Microseconds of one inference of one image.

        Args:
            network: Any network.

        Returns:
            The sum of the terms.
        """
        return self.us_of(terms_of(network))

    def us_of(self, terms: Terms) -> float:
        """As `predicted_us`, of terms that are known.

        Args:
            terms: Those of a network.

        Returns:
            Microseconds.
        """
        rows = zip(self.coefficients, amounts(terms, self.near_weights), strict=True)
        return sum(row.ns * amount for row, amount in rows) / 1000

    def bound_us(self, network: Network) -> int:
        """What a budget counts: nine networks in ten take at most so long.

        Args:
            network: Any network.

        Returns:
            Microseconds: the prediction and the margin, rounded up.
        """
        return self.bound_of(terms_of(network))

    def bound_of(self, terms: Terms) -> int:
        """As `bound_us`, of terms that are known.

        Args:
            terms: Those of a network.

        Returns:
            Microseconds.
        """
        return math.ceil(self.us_of(terms) * (1.0 + self.margin))
