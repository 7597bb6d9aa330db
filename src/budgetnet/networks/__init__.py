"""Frozen values that describe a network: no weights, no torch, no behaviour beyond derived numbers.

A `Network` is a stem, a row for every stage, and a head. `Network.blocks` places the rows: each
`Block` knows its channels and derives its convolutions (`Conv`). `model.build` makes layers from
those same rows and `costs.network_cost.lower` prices them, so a derived number cannot differ between the two.
"""

from __future__ import annotations

from budgetnet.networks.block import KINDS, Block, BlockKind, Parts, block_macs, chain_px, check_block, check_kernel
from budgetnet.networks.bounds import MOST_BLOCKS, MOST_CHANNELS, MOST_CLASSES, MOST_PX, MOST_STAGES
from budgetnet.networks.network import FORMAT, Head, Network, Rounding, Stage, Stem, network_of
from budgetnet.networks.values import (
    HARD_SIGMOID,
    HARD_SWISH,
    IDENTITY,
    RELU,
    RELU6,
    SIGMOID,
    SWISH,
    TOLERANCE,
    Activation,
    ActivationKind,
    Conv,
    DepthRounding,
    Keeping,
    Norm,
    Padding,
    Px,
    Squeeze,
    ceil,
    check_integer,
    check_share,
    check_text,
    choose,
    round_channels,
    square,
)

__all__ = [
    "FORMAT",
    "HARD_SIGMOID",
    "HARD_SWISH",
    "IDENTITY",
    "KINDS",
    "MOST_BLOCKS",
    "MOST_CHANNELS",
    "MOST_CLASSES",
    "MOST_PX",
    "MOST_STAGES",
    "RELU",
    "RELU6",
    "SIGMOID",
    "SWISH",
    "TOLERANCE",
    "Activation",
    "ActivationKind",
    "Block",
    "BlockKind",
    "Conv",
    "DepthRounding",
    "Head",
    "Keeping",
    "Network",
    "Norm",
    "Padding",
    "Parts",
    "Px",
    "Rounding",
    "Squeeze",
    "Stage",
    "Stem",
    "block_macs",
    "ceil",
    "chain_px",
    "check_block",
    "check_integer",
    "check_kernel",
    "check_share",
    "check_text",
    "choose",
    "network_of",
    "round_channels",
    "square",
]
