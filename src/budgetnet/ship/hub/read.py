"""Reads an exported folder for the hub and answers by torch, as whoever loads it does."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from budgetnet.data.batches import inputs_of
from budgetnet.model.hub_folder import HUB_NOTES, read_config
from budgetnet.runs.run import Loaded, load_run
from budgetnet.ship.exported import NumberType
from budgetnet.ship.notes import Notes


@dataclass(frozen=True, slots=True, eq=False)
class HubRunner:
    """The network of a folder."""

    notes: Notes
    loaded: Loaded

    @property
    def dtype(self) -> NumberType:
        """The number type of all folders."""
        return "float32"

    @torch.inference_mode()
    def logits(self, images: Iterable[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """The logits of images (h, w, c) in pixels of 0 to 255: (n, classes)."""
        rows = [self.loaded.model(inputs_of(image[None], self.loaded.preprocessing)) for image in images]
        return torch.cat(rows).float().numpy()


def opened(path: Path, reference: bool = False) -> HubRunner:
    """A folder that `export` wrote. Raises a one-line `ValueError` for another, and for a damaged one."""
    config = read_config(path)
    return HubRunner(Notes.from_dict(config.get(HUB_NOTES)), load_run(path))
