"""Makes the .onnx file of a trained model: in float32, or in int8 as near to it as validation images say."""

from __future__ import annotations

from functools import partial

import onnx

from budgetnet.parallel.progress import Progress
from budgetnet.ship.eight_bits.ladder import nearest
from budgetnet.ship.exported import NumberType
from budgetnet.ship.made import Made
from budgetnet.ship.onnx.eight_bits import OnnxEightBits
from budgetnet.ship.onnx.graph import exported, with_softmax
from budgetnet.ship.onnx.metadata import content_of, with_notes
from budgetnet.ship.onnx.parity import first_difference
from budgetnet.ship.plain_pixels import PlainPixels
from budgetnet.ship.subject import Subject


def make(subject: Subject, dtype: NumberType, progress: Progress | None) -> Made:
    """The file of a model, with labels and notes in its properties."""
    loaded, images = subject.loaded, subject.images
    module = PlainPixels(loaded.model, loaded.preprocessing).eval()
    if dtype == "int8":
        return _int8(subject, module, progress)
    model = exported(module).model
    file = _finished(model, subject)
    return Made(
        notes=subject.notes(),
        packed=partial(with_notes, file),
        flash_bytes=len(content_of(file)),
        first_difference=lambda: first_difference(model, module, next(images.pixels(images.test))),
    )


def _int8(subject: Subject, module: PlainPixels, progress: Progress | None) -> Made:
    best = nearest(subject, OnnxEightBits(module, subject.loaded.preprocessing), progress)
    file = _finished(best.file, subject)
    return Made(
        notes=subject.notes(answers=best.answers),
        packed=partial(with_notes, file),
        flash_bytes=len(content_of(file)),
        quantile=best.quantile,
        calibration_images=best.calibration_images,
        tried=best.tried,
    )


def _finished(model: onnx.ModelProto, subject: Subject) -> onnx.ModelProto:
    return with_softmax(model, subject.loaded.temperature) if subject.softmax else model
