"""Makes the .tflite file of a trained model: in float32, or in int8 as near to it as validation images say."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from budgetnet.costs.planners.tflite_micro import plan
from budgetnet.model.probabilities import logits_of_probabilities
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
    """The file of a model, with labels and notes behind it.

    Raises a one-line `ValueError` for an activation that TensorFlow Lite has no op for.
    """
    weights = ModelWeights(subject.loaded.model, subject.loaded.preprocessing)
    return _float32(subject, weights) if dtype == "float32" else _int8(subject, weights, progress)


def _float32(subject: Subject, weights: ModelWeights) -> Made:
    network, images = subject.loaded.network, subject.images
    file = written(network, weights, None, _temperature(subject))
    return Made(
        notes=subject.notes(),
        packed=partial(with_archive, file.content),
        flash_bytes=len(file.content),
        first_difference=lambda: first_difference(network, weights, file, next(images.pixels(images.test))),
    )


def _int8(subject: Subject, weights: ModelWeights, progress: Progress | None) -> Made:
    network, images = subject.loaded.network, subject.images
    rounded = TfliteEightBits(network, weights)
    if "int8" not in subject.kept:
        subject.kept["int8"] = nearest(subject, rounded, progress)
    best = subject.kept["int8"]
    file = rounded.file(best.weights, best.scales, _temperature(subject))
    arena_bytes = plan(network, 1, "int8", subject.softmax).arena_bytes
    return Made(
        notes=subject.notes(arena_bytes, partial(_answers, subject, file)),
        packed=partial(with_archive, file),
        flash_bytes=len(file),
        arena_bytes=arena_bytes,
        allocated=allocates(file, next(images.pixels(images.calibration)), arena_bytes),
        quantile=best.quantile,
        calibration_images=best.calibration_images,
        tried=best.tried,
    )


def _answers(subject: Subject, file: bytes, images: Iterable[NDArray[np.uint8]]) -> NDArray[np.float32]:
    """The logits of a file (n, classes), or those that its probabilities are made of, by the kernels of a judgement."""
    temperature, found = _temperature(subject), logits_by_litert(file, images, reference=True)
    return found if temperature is None else logits_of_probabilities(found, temperature)


def _temperature(subject: Subject) -> float | None:
    """At which its file makes probabilities; None where it gives logits."""
    return subject.loaded.temperature if subject.softmax else None
