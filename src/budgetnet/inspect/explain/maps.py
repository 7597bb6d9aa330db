"""Activation maps: what a network's stages give to the next, over several images."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from budgetnet.inspect.explain.values import StageRow
from budgetnet.model.build import Model

STRONGEST = 3
"""How many channels of a stage are named and drawn."""


StageMaps = dict[str, NDArray[np.float32]]


@torch.inference_mode()
def stage_maps(model: Model, inputs: Tensor, names: Sequence[str]) -> StageMaps:
    """The named maps of `Model.maps` for each input: (n, channels, rows, columns)."""
    _, found = model.maps(inputs, names)
    return {name: found[name].float().cpu().numpy() for name in names}


def mean_absolute(maps: NDArray[np.floating]) -> NDArray[np.floating]:
    """Mean over the channels of |a|: (channels, rows, columns) -> (rows, columns).

    Where a stage answers at all, whatever its channels mean. Source: Zagoruyko & Komodakis,
    arXiv:1612.03928, section 3.1, the activation-based attention map for p = 1, over the channels' number.
    """
    return np.abs(maps).mean(0)


def strongest(absolute: NDArray[np.floating]) -> tuple[int, ...]:
    """The channels of the largest sums of |a|, the largest first."""
    return tuple(np.argsort(-absolute, kind="stable")[:STRONGEST].tolist())


def telling(maps: NDArray[np.floating]) -> NDArray[np.floating]:
    """Of one image's map (channels, rows, columns) each channel's mean |a|, or 0 where it is the same at every place.

    Such a channel, a ReLU6 at its 6 throughout, may be the strongest of all, and a picture of it is empty.
    """
    return np.where(np.ptp(maps, axis=(1, 2)) > 0, np.abs(maps).mean((1, 2)), 0.0)


@dataclass(slots=True)
class _Sums:
    """Running sums of a map over images."""

    absolute: NDArray[np.float64]
    zeros: int = 0
    negatives: int = 0
    values: int = 0
    map_px: tuple[int, int] = (0, 0)

    def add(self, maps: NDArray[np.floating]) -> None:
        """One image's map (channels, rows, columns)."""
        self.absolute += np.abs(maps).sum((1, 2), dtype=np.float64)
        self.zeros += int((maps == 0).sum())
        self.negatives += int((maps < 0).sum())
        self.values += maps.size
        self.map_px = (maps.shape[1], maps.shape[2])


def stage_rows(label: str, images: Iterable[StageMaps], names: Sequence[str]) -> list[StageRow]:
    """What the maps of a network are like over images, each given as `stage_maps` of one input."""
    sums: dict[str, _Sums] = {}
    for found in images:
        for name in names:
            maps = found[name][0]
            sums.setdefault(name, _Sums(np.zeros(len(maps)))).add(maps)
    return [_stage_row(label, name, sums[name]) for name in names]


def _stage_row(label: str, name: str, total: _Sums) -> StageRow:
    return StageRow(
        network=label,
        stage=name,
        channels=len(total.absolute),
        map_px=total.map_px,
        mean_absolute=float(total.absolute.sum() / total.values),
        zero_share=total.zeros / total.values,
        negative_share=total.negatives / total.values,
        strongest=strongest(total.absolute),
    )
