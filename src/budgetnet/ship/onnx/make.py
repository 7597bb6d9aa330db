"""Makes the .onnx file of a trained model: in float32, or in int8 with ranges that validation images choose."""

from __future__ import annotations

import numpy as np
import onnx

from budgetnet.parallel.progress import Progress, Update
from budgetnet.ship.difference import divergence
from budgetnet.ship.exported import Int8Try, NumberType
from budgetnet.ship.made import Made
from budgetnet.ship.onnx.eight_bits import Observed, quantised
from budgetnet.ship.onnx.graph import exported
from budgetnet.ship.onnx.metadata import content_of, with_notes
from budgetnet.ship.onnx.parity import first_difference
from budgetnet.ship.onnx.read import logits_by_onnxruntime, session
from budgetnet.ship.plain_pixels import PlainPixels
from budgetnet.ship.quantiles import QUANTILES
from budgetnet.ship.subject import Subject


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
    loaded, images = subject.loaded, subject.images
    calibration, validation = images.calibration, images.validation
    expected, labels = images.logits(validation), images.labels(validation)
    observed = Observed(model, loaded.preprocessing, images.pixels(calibration))
    found: list[tuple[float, float, float, onnx.ModelProto]] = []
    for done, quantile in enumerate(QUANTILES, 1):
        rounded = quantised(model, observed.ranges(quantile))
        answers = logits_by_onnxruntime(session(content_of(rounded)), images.pixels(validation))
        far = divergence(expected, answers, loaded.temperature)
        found.append((far, float(np.mean(answers.argmax(1) == labels)), quantile, rounded))
        if progress is not None:
            progress(Update("quantise", done, len(QUANTILES)))
    far, top1, quantile, rounded = min(found, key=lambda one: one[0])  # the first of equals
    return Made(
        content=with_notes(rounded, subject.notes()),
        flash_bytes=len(content_of(rounded)),
        quantile=quantile,
        calibration_images=len(calibration),
        tried=(Int8Try("rounded", max(0.0, far), top1),),
    )
