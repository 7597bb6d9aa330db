"""Makes the OpenVINO folder of a trained model: in float32, or in int8 as near to it as validation images say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from budgetnet.parallel.progress import Progress
from budgetnet.ship.eight_bits.ladder import nearest
from budgetnet.ship.exported import NumberType
from budgetnet.ship.made import Made
from budgetnet.ship.openvino.folder import files_of, with_notes
from budgetnet.ship.openvino.graph import converted, first_difference, name_alike, with_softmax
from budgetnet.ship.plain_pixels import PlainPixels
from budgetnet.ship.subject import Answers, Subject


def make(subject: Subject, dtype: NumberType, progress: Progress | None) -> Made:
    """The files of a model, with labels and notes in its graph's rt_info."""
    loaded, images = subject.loaded, subject.images
    module = PlainPixels(loaded.model, loaded.preprocessing).eval()
    if dtype == "int8":
        return _int8(subject, module, progress)
    model = converted(module)
    content, flash_bytes = _finished(model, subject)
    return Made(
        content=content,
        flash_bytes=flash_bytes,
        first_difference=lambda: first_difference(model, module, next(images.pixels(images.test))),
    )


def _int8(subject: Subject, module: PlainPixels, progress: Progress | None) -> Made:
    from budgetnet.ship.openvino.eight_bits import OpenvinoEightBits  # for which ONNX's packages are needed

    best = nearest(subject, OpenvinoEightBits(module, subject.loaded.preprocessing), progress)
    content, flash_bytes = _finished(best.file, subject, best.answers)
    return Made(
        content=content,
        flash_bytes=flash_bytes,
        quantile=best.quantile,
        calibration_images=best.calibration_images,
        tried=best.tried,
    )


def _finished(model: Any, subject: Subject, answers: Answers | None = None) -> tuple[Mapping[str, bytes], int]:
    """The files of a model that says its labels and notes, and how many bytes they have without these."""
    if subject.softmax:
        model = with_softmax(model, subject.loaded.temperature)
        name_alike(model)
    flash_bytes = sum(map(len, files_of(model).values()))
    return with_notes(model, subject.notes(answers=answers)), flash_bytes
