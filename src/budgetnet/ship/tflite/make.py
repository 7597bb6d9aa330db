"""Makes the .tflite file of a trained model: in float32, or in int8 as near to it as validation images say."""

from __future__ import annotations

from budgetnet.costs.network_cost import cost
from budgetnet.parallel.progress import Progress
from budgetnet.ship.eight_bits.ladder import nearest
from budgetnet.ship.exported import NumberType
from budgetnet.ship.made import Made
from budgetnet.ship.subject import Subject
from budgetnet.ship.tflite.archive import with_archive
from budgetnet.ship.tflite.eight_bits import TfliteEightBits
from budgetnet.ship.tflite.interpreters import allocates, logits_by_litert
from budgetnet.ship.tflite.parity import first_difference
from budgetnet.ship.tflite.steps import ModelWeights
from budgetnet.ship.tflite.writer import written


def make(subject: Subject, dtype: NumberType, progress: Progress | None) -> Made:
    """The file of a model, with labels and notes behind it. That in int8 is made once of a subject.

    Raises a one-line `ValueError` for an activation that TensorFlow Lite has no op for.
    """
    weights = ModelWeights(subject.loaded.model, subject.loaded.preprocessing)
    if dtype == "float32":
        return _float32(subject, weights)
    if dtype not in subject.kept:
        subject.kept[dtype] = _int8(subject, weights, progress)
    return subject.kept[dtype]


def _float32(subject: Subject, weights: ModelWeights) -> Made:
    network, images = subject.loaded.network, subject.images
    file = written(network, weights, None)
    return Made(
        content=with_archive(file.content, subject.notes()),
        flash_bytes=len(file.content),
        first_difference=lambda: first_difference(network, weights, file, next(images.pixels(images.test))),
    )


def _int8(subject: Subject, weights: ModelWeights, progress: Progress | None) -> Made:
    network, images = subject.loaded.network, subject.images
    best = nearest(subject, TfliteEightBits(network, weights), progress)
    arena_bytes = cost(network, dtype="int8", runtime="tflite_micro").peak_activation_bytes
    return Made(
        content=with_archive(
            best.file, subject.notes(arena_bytes, lambda pixels: logits_by_litert(best.file, pixels, reference=True))
        ),
        flash_bytes=len(best.file),
        arena_bytes=arena_bytes,
        allocated=allocates(best.file, next(images.pixels(images.calibration)), arena_bytes),
        quantile=best.quantile,
        calibration_images=best.calibration_images,
        tried=best.tried,
    )
