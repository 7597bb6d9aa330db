"""A run's model, or weights alone, as an .onnx file in float32 without any images: for a server, which has none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from budgetnet.atomic_write import written_aside
from budgetnet.data.batches import inputs_of
from budgetnet.runs.run import load_run
from budgetnet.ship.difference import difference
from budgetnet.ship.good_enough import MOST_DIFFERENCE
from budgetnet.ship.onnx.graph import exported
from budgetnet.ship.onnx.metadata import with_notes
from budgetnet.ship.onnx.read import opened
from budgetnet.ship.plain_pixels import PlainPixels
from budgetnet.ship.said import said_by
from budgetnet.ship.subject import budget_of, notes_of

IMAGES = 16
"""The file and the model must answer this many drawn images alike."""


def write_float32(paths: tuple[str, str]) -> str:
    """Write the file of the run or weights at the first path to the second one; returns that.

    It is what `export` writes, held to the model by the logits of images of drawn pixels: accuracy is the model's, and
    needs no test images. Raises a one-line `ValueError` for what cannot be read, and where the logits differ.
    """
    run, target = paths
    loaded = load_run(run)
    model = exported(PlainPixels(loaded.model, loaded.preprocessing).eval()).model
    network = loaded.network
    shape = (IMAGES, *network.resolution_px, network.in_channels)
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    with written_aside(Path(target)) as part:
        part.write_bytes(with_notes(model, notes_of(loaded, budget_of(run, said_by(run)))))
        with torch.inference_mode():
            expected, _ = loaded.answer(inputs_of(pixels, loaded.preprocessing, "cpu"))
        found = difference(opened(part).logits(pixels), expected.numpy())
        if found > MOST_DIFFERENCE:
            raise ValueError(
                f"the ONNX file of {run} answers otherwise than the model: logits differ by {found:.1e} of their "
                f"standard deviation, and {MOST_DIFFERENCE:.0e} is the most"
            )
    return target
