"""Squeeze-and-excitation's gates: recorded over images, and what they tell of channels and classes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.hooks import RemovableHandle

from budgetnet.inspect.explain.values import BlockRow, ChannelRow, ClassGates, Gates
from budgetnet.model.build import Model
from budgetnet.model.layers import SqueezeExcite

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
NAMED_CHANNELS = 3
SHOWN_CHANNELS = 16
SHOWN_CLASSES = 12
SHUFFLES = 200
LEAST_IMAGES = 2
"""The fewest images of a class that is compared with others: one image has no spread."""

Recorded = Mapping[str, NDArray[np.float32]]
"""Each block ("3.1": stage, block) has the gates of every image and channel, (images, channels)."""


@contextlib.contextmanager
def recording(model: Model) -> Iterator[dict[str, list[Tensor]]]:
    """The gates of each block with squeeze-and-excitation, (n, channels) for every batch that runs meanwhile."""
    found: dict[str, list[Tensor]] = {}
    handles: list[RemovableHandle] = []
    for stage in range(len(model.stages)):
        for index, block in enumerate(model.blocks(stage)):
            if isinstance(block.squeeze, SqueezeExcite):
                rows = found.setdefault(f"{stage}.{index}", [])
                handles.append(block.squeeze.gate.register_forward_hook(_noting(rows)))
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


def _noting(rows: list[Tensor]) -> Callable[[torch.nn.Module, object, Tensor], None]:
    """A forward hook that keeps what its module gives."""

    def note(module: torch.nn.Module, inputs: object, output: Tensor) -> None:
        rows.append(output.detach().flatten(1).float().cpu())

    return note


def joined(found: Mapping[str, Sequence[Tensor]]) -> Recorded:
    """What `recording` found, batch after batch, as one array a block."""
    return {block: torch.cat(list(rows)).numpy() for block, rows in found.items()}


def gate_rows(
    recorded: Recorded, names: Sequence[str], grouped_by: Literal["folder", "prediction"], seed: int = 0
) -> Gates:
    """The gates of all blocks, and how they differ between the classes `names`, one an image.

    Classes with a single image are left out of the comparison; with fewer than two others there is none.
    """
    groups = sorted({name: names.count(name) for name in names}.items(), key=lambda pair: (-pair[1], pair[0]))
    compared = [name for name, count in groups if count >= LEAST_IMAGES]
    kept = np.flatnonzero([name in compared for name in names])
    labels = np.array([compared.index(names[index]) for index in kept.tolist()])
    enough = len(compared) >= 2
    shares = {block: class_share(values[kept], labels, seed) if enough else None for block, values in recorded.items()}
    telling = max(shares, key=lambda block: shares[block] or (0.0, 0.0)) if enough else None
    return Gates(
        images=len(names),
        grouped_by=grouped_by,
        groups=tuple(groups),
        blocks=tuple(_block_row(block, values, shares[block]) for block, values in recorded.items()),
        by_class=None if telling is None else _class_gates(telling, recorded[telling][kept], labels, compared),
    )


def _block_row(block: str, values: NDArray[np.float32], share: tuple[float, float] | None) -> BlockRow:
    means = values.mean(0, dtype=np.float64)
    order = np.argsort(-means, kind="stable")
    low, quarter, median, three_quarters, high = map(float, np.quantile(values, QUANTILES))
    return BlockRow(
        block=block,
        channels=values.shape[1],
        mean=float(means.mean()),
        quantiles=(low, quarter, median, three_quarters, high),
        boosted=tuple(_channel_row(values, int(channel)) for channel in order[:NAMED_CHANNELS]),
        suppressed=tuple(_channel_row(values, int(channel)) for channel in order[::-1][:NAMED_CHANNELS]),
        class_share=share and share[0],
        chance_share=share and share[1],
    )


def _channel_row(values: NDArray[np.float32], channel: int) -> ChannelRow:
    column = values[:, channel]
    low, high = np.quantile(column, (QUANTILES[0], QUANTILES[-1]))
    return ChannelRow(channel, float(column.mean(dtype=np.float64)), float(low), float(high))


def class_share(values: NDArray[np.floating], labels: NDArray[np.integer], seed: int = 0) -> tuple[float, float]:
    """The share of the gates' variance that classes explain, and its 95 % quantile over shuffled classes.

    For n images of k classes, sums over images and channels of squared distances

        epsilon^2 = (between - (k - 1) / (n - k) * within) / (between + within)

    which is 0 in the mean where classes have nothing to do with gates. Gates that never change give 0.
    Source: Kelley, An unbiased correlation ratio measure, PNAS 21 (1935), 554-559.
    """
    centred = values - values.mean(0, keepdims=True, dtype=np.float64)
    random = np.random.default_rng(seed)
    chance = [_epsilon_squared(centred, random.permutation(labels)) for _ in range(SHUFFLES)]
    return _epsilon_squared(centred, labels), float(np.quantile(chance, 0.95))


def _epsilon_squared(centred: NDArray[np.float64], labels: NDArray[np.integer]) -> float:
    members = (labels[:, None] == np.unique(labels)).astype(np.float64)
    total, (count, classes) = float((centred**2).sum()), members.shape
    between = float((((members.T @ centred) ** 2).sum(1) / members.sum(0)).sum())
    if total <= 0.0 or count <= classes:
        return 0.0
    return (between - (classes - 1) / (count - classes) * (total - between)) / total


def _class_gates(
    block: str, values: NDArray[np.float32], labels: NDArray[np.integer], names: Sequence[str]
) -> ClassGates:
    """The largest classes by name, and the channels whose means differ most between them, by who opens each."""
    shown = sorted(range(min(len(names), SHOWN_CLASSES)), key=lambda label: names[label])
    means = np.stack([values[labels == label].mean(0, dtype=np.float64) for label in shown])
    most = np.argsort(-means.std(0), kind="stable")[:SHOWN_CHANNELS]
    apart = means[:, most] - means[:, most].mean(0)
    order = most[np.lexsort((-apart.max(0), apart.argmax(0)))]
    return ClassGates(
        block=block,
        channels=tuple(order.tolist()),
        overall=tuple(values[:, order].mean(0, dtype=np.float64).tolist()),
        classes=tuple(names[label] for label in shown),
        means=tuple(tuple(row) for row in means[:, order].tolist()),
    )
