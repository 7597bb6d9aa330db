"""Makes the OpenVINO folder of a trained model."""

from __future__ import annotations

from budgetnet.parallel.progress import Progress
from budgetnet.ship.exported import NumberType
from budgetnet.ship.made import Made
from budgetnet.ship.openvino.folder import add_notes, files_of
from budgetnet.ship.openvino.graph import converted, first_difference
from budgetnet.ship.plain_pixels import PlainPixels
from budgetnet.ship.subject import Subject


def make(subject: Subject, dtype: NumberType, progress: Progress | None) -> Made:
    """The files of a model, with labels and notes in its graph's rt_info."""
    loaded, images = subject.loaded, subject.images
    module = PlainPixels(loaded.model, loaded.preprocessing).eval()
    model = converted(module)
    flash_bytes = sum(map(len, files_of(model).values()))
    add_notes(model, subject.notes())
    return Made(
        content=files_of(model),
        flash_bytes=flash_bytes,
        first_difference=lambda: first_difference(model, module, next(images.pixels(images.test))),
    )
