"""Makes the OpenVINO folder of a trained model: in float32, or in int8 as near to it as validation images say."""

from __future__ import annotations

from functools import partial
from typing import Any

from budgetnet.parallel.progress import Progress
from budgetnet.ship.eight_bits.ladder import nearest
from budgetnet.ship.exported import NumberType
from budgetnet.ship.made import Made
from budgetnet.ship.openvino.folder import files_of, with_notes
from budgetnet.ship.openvino.graph import converted, first_difference, name_alike, with_softmax
from budgetnet.ship.plain_pixels import PlainPixels
from budgetnet.ship.subject import Subject


def make(subject: Subject, dtype: NumberType, progress: Progress | None) -> Made:
    """The files of a model, with labels and notes in its graph's rt_info."""
    loaded, images = subject.loaded, subject.images
    module = PlainPixels(loaded.model, loaded.preprocessing).eval()
    if dtype == "int8":
        return _int8(subject, module, progress)
    model = converted(module)
    finished = _finished(model, subject)
    return Made(
        notes=subject.notes(),
        packed=partial(with_notes, finished),
        flash_bytes=_flash_bytes(finished),
        first_difference=lambda: first_difference(model, module, next(images.pixels(images.test))),
    )


def _int8(subject: Subject, module: PlainPixels, progress: Progress | None) -> Made:
    from budgetnet.ship.openvino.eight_bits import OpenvinoEightBits  # for which ONNX's packages are needed

    best = nearest(subject, OpenvinoEightBits(module, subject.loaded.preprocessing), progress)
    notes = subject.notes(answers=best.answers)  # of the file as it is now, before more is added to its graph
    finished = _finished(best.file, subject)
    return Made(
        notes=notes,
        packed=partial(with_notes, finished),
        flash_bytes=_flash_bytes(finished),
        quantile=best.quantile,
        calibration_images=best.calibration_images,
        tried=best.tried,
    )


def _finished(model: Any, subject: Subject) -> Any:
    if subject.softmax:
        model = with_softmax(model, subject.loaded.temperature)
        name_alike(model)
    return model


def _flash_bytes(model: Any) -> int:
    """How many bytes the files of a model have without labels and notes."""
    return sum(map(len, files_of(model).values()))
