"""How the channels of a parent's map and of its child's stand to each other.

All is linear: child = encode @ parent, and parent ~ decode @ child + offset. A layer of the child is then
the parent's between two bridges: encode_out @ kernel @ decode_in.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

RIDGE = 1e-4
"""The share of the mean variance that is added to covariances before they are inverted."""
LEAST_SPLIT = 0.3
"""Readers of a copied channel are split unevenly, at least this much to each side: equal copies would stay equal for
ever."""


@dataclass(frozen=True, slots=True, eq=False)
class Moments:
    """Mean (c,) and covariance (c, c) of a map's channels over images and places, in float64."""

    mean: Tensor
    covariance: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Bridge:
    """Between P channels of the parent and C of the child, in float64.

    encode (C, P), decode (P, C), offset (P,). `kept` (C,) names the parent's channel of each of the
    child's, where each is one of them; None where they are mixtures.
    """

    encode: Tensor
    decode: Tensor
    offset: Tensor
    kept: Tensor | None


def same(channels: int) -> Bridge:
    """Channel by channel."""
    one = torch.eye(channels, dtype=torch.float64)
    return Bridge(one, one, torch.zeros(channels, dtype=torch.float64), torch.arange(channels))


def copies(have: int, want: int, seed: int) -> Bridge:
    """More channels than the parent's: some stand several times, and those who read them share out their kernels.

    Source: Chen et al., Net2Net, arXiv:1511.05641, section 2.1; there the shares are equal.
    """
    generator = torch.Generator().manual_seed(seed)
    more = torch.cat([torch.randperm(have, generator=generator) for _ in range(-(-want // have))])
    kept = torch.cat([torch.arange(have), more[: want - have]])
    encode = torch.nn.functional.one_hot(kept, have).double()
    shares = LEAST_SPLIT + (1 - LEAST_SPLIT) * torch.rand(want, generator=generator, dtype=torch.float64)
    decode = (encode * shares[:, None]).T
    decode = decode / decode.sum(1, keepdim=True)
    return Bridge(encode, decode, torch.zeros(have, dtype=torch.float64), kept)


def chosen(moments: Moments, importance: Tensor, want: int) -> Bridge:
    """The channels from which all others are told best, by those who read them.

    Greedy: the next is the one of whose weighted variance the chosen ones explain least (Cholesky's
    factorisation with pivots of importance * covariance * importance). `importance` (P,) is the norm of
    each channel's outgoing weights.
    """
    rest = moments.covariance * importance[:, None] * importance
    left = rest.diagonal().clone()
    factor = torch.zeros(len(left), want, dtype=torch.float64)
    picked: list[int] = []
    for step in range(want):
        left[picked] = -torch.inf
        pivot = int(left.argmax())
        picked.append(pivot)
        column = rest[:, pivot] - factor[:, :step] @ factor[pivot, :step]
        factor[:, step] = column / column[pivot].clamp_min(1e-12).sqrt()
        left = left - factor[:, step] ** 2
    return selection(moments, torch.tensor(sorted(picked)))


def selection(moments: Moments, kept: Tensor) -> Bridge:
    """The channels `kept`; the others are told from them by least squares."""
    have = len(moments.mean)
    among = moments.covariance[kept][:, kept]
    ridge = RIDGE * among.diagonal().mean().clamp_min(1e-12) * torch.eye(len(kept), dtype=torch.float64)
    decode = torch.linalg.solve(among + ridge, moments.covariance[kept]).T
    decode[kept] = torch.eye(len(kept), dtype=torch.float64)
    offset = moments.mean - decode @ moments.mean[kept]
    offset[kept] = 0.0
    encode = torch.nn.functional.one_hot(kept, have).double()
    return Bridge(encode, decode, offset, kept)


def principal(moments: Moments, reading: Tensor, want: int) -> Bridge:
    """The mixtures that lose least for those who read the map.

    Minimises tr(M (I - RE) C (I - RE)') over rank `want`, with C the covariance and M = `reading`, the sum of
    W'W over the readers: with U the first principal components of M^(1/2) C M^(1/2),
    encode E = U' M^(1/2) and decode R = M^(-1/2) U.
    """
    have = len(moments.mean)
    ridge = RIDGE * reading.diagonal().mean() * torch.eye(have, dtype=torch.float64)
    values, vectors = torch.linalg.eigh(reading + ridge)
    root, inverse = ((vectors * values.pow(power)) @ vectors.T for power in (0.5, -0.5))
    components = torch.linalg.eigh(root @ moments.covariance @ root)[1][:, -want:].flip(1)
    encode, decode = components.T @ root, inverse @ components
    # The child's map varies as much as the parent's does.
    spread = (encode @ moments.covariance @ encode.T).trace() / want / (moments.covariance.trace() / have)
    scale = spread.clamp_min(1e-24).sqrt()
    encode, decode = encode / scale, decode * scale
    return Bridge(encode, decode, moments.mean - decode @ (encode @ moments.mean), None)
