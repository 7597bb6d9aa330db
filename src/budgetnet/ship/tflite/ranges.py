"""From the values of a network's tensors to the scales of their integers.

The fixed scales are those of TensorFlow Lite's 8-bit specification.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from budgetnet.costs.planners.tflite_ops import Code, TfliteOp
from budgetnet.ship.eight_bits.quantiles import QUANTILES, Seen, range_of
from budgetnet.ship.eight_bits.scale import PIXELS, Scale

SHARES = Scale(1 / 256, -128)
FIXED: Mapping[Code, Scale] = {"LOGISTIC": SHARES, "TANH": Scale(1 / 128, 0), "SOFTMAX": SHARES}
"""What these ops make has one scale in every file."""
SHARED: tuple[Code, ...] = ("PAD", "MAX_POOL_2D", "CONCATENATION")
"""Ops that copy integers: what they read and make has one scale."""


class Ranges:
    """How the tensors of a network come to their scales.

    Attributes:
        maps: The tensors whose values decide; others have a fixed scale.
    """

    def __init__(self, ops: Sequence[TfliteOp]) -> None:
        self._owner = _owners(ops)
        self._fixed = {op.makes.name: FIXED[op.code] for op in ops if op.code in FIXED}
        self._fixed[ops[0].reads[0].name] = PIXELS
        self.maps = frozenset(name for name, own in self._owner.items() if own not in self._fixed)

    def scales(self, seen: Mapping[str, Sequence[Seen]], quantile: float = QUANTILES[0]) -> dict[str, Scale]:
        """The scale of every tensor, by its name, from what the maps held.

        A range goes from the quantile 1 - `quantile` to `quantile`; 1 takes the least and the largest value.
        """
        together: dict[str, list[Seen]] = {}
        for name, parts in seen.items():
            together.setdefault(self._owner[name], []).extend(parts)
        scales = {name: Scale.of(*range_of(parts, quantile)) for name, parts in together.items()} | self._fixed
        return {name: scales[own] for name, own in self._owner.items()}


def _owners(ops: Sequence[TfliteOp]) -> dict[str, str]:
    """For every tensor the one whose scale it shares: the first of those that copies connect."""
    owner = {ops[0].reads[0].name: ops[0].reads[0].name}
    for op in ops:
        owner[op.makes.name] = op.makes.name
        if op.code in SHARED:
            joined = {owner[tensor.name] for tensor in (*op.reads, op.makes)}
            first = owner[op.reads[0].name]
            owner.update({name: first for name, old in owner.items() if old in joined})
    return owner
