"""Makes the .onnx file of a trained model: in float32, or in int8 with ranges that validation images choose."""

from __future__ import annotations

import numpy as np
import onnx
from numpy.typing import NDArray

from budgetnet.parallel.progress import Progress
from budgetnet.ship.exported import NumberType
from budgetnet.ship.made import Made
from budgetnet.ship.onnx.eight_bits import Observed, quantised
from budgetnet.ship.onnx.graph import exported
from budgetnet.ship.onnx.metadata import content_of, with_notes
from budgetnet.ship.onnx.parity import first_difference
from budgetnet.ship.onnx.read import logits_by_onnxruntime, session
from budgetnet.ship.plain_pixels import PlainPixels
from budgetnet.ship.subject import Subject
from budgetnet.ship.tries import Tries


def make(subject: Subject, dtype: NumberType, progress: Progress | None) -> Made:
    """The file of a model, with labels and notes in its properties."""
    loaded, images = subject.loaded, subject.images
    module = PlainPixels(loaded.model, loaded.preprocessing).eval()
    model = exported(module)
    if dtype == "int8":
        return _int8(subject, model, progress)
    return Made(
        content=with_notes(model, subject.notes()),
        flash_bytes=len(content_of(model)),
        first_difference=lambda: first_difference(model, module, next(images.pixels(images.test))),
    )


def _int8(subject: Subject, model: onnx.ModelProto, progress: Progress | None) -> Made:
    images, calibration = subject.images, subject.images.calibration
    observed = Observed(model, subject.loaded.preprocessing, images.pixels(calibration))

    def logits(rounded: onnx.ModelProto) -> NDArray[np.float32]:
        return logits_by_onnxruntime(session(content_of(rounded)), images.pixels(images.validation))

    tries = Tries[onnx.ModelProto](subject, logits)
    best = tries.add_rounded(lambda quantile: quantised(model, observed.ranges(quantile)), progress)
    return Made(
        content=with_notes(best.file, subject.notes()),
        flash_bytes=len(content_of(best.file)),
        quantile=best.quantile,
        calibration_images=len(calibration),
        tried=tries.rows,
    )
