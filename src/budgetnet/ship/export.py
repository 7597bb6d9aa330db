"""A trained network as the file that a device runs, held to the budget and to the accuracy of its run."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from budgetnet.arguments import RUN, flag, listener, path
from budgetnet.atomic_write import written_aside
from budgetnet.budgets.budget import Budget, LimitRow, limit_rows
from budgetnet.codec import from_plain, to_plain
from budgetnet.costs.network_cost import cost
from budgetnet.data import Data, data_of, network_pixels, open_cache
from budgetnet.data.draw import evenly
from budgetnet.networks import choose
from budgetnet.parallel.progress import Progress
from budgetnet.runs.record import FILE as PLAN
from budgetnet.runs.run import Loaded, load_run, read_json, reading
from budgetnet.ship.exported import FORMATS, NUMBER_TYPES, Exported, ExportedFile, Format, NumberType
from budgetnet.ship.tflite.difference import MOST_DIFFERENCE, difference, divergence
from budgetnet.ship.tflite.float_run import Weights
from budgetnet.ship.tflite.interpreters import (
    allocates,
    check_installed,
    logits_by_litert,
)
from budgetnet.statistics import paired_difference, wilson
from budgetnet.training.evaluate import images_of, logits_of

MOST_LOSS = 0.01
"""Eight bits must be shown to cost less than this share of the images, by the interval, where there are enough."""
MOST_SEEN_LOSS = 0.005
"""Eight bits may cost at most this share of the images where there are too few to show it."""
ENOUGH_IMAGES = 1000
"""This many test images are enough to show it."""
VALIDATION_IMAGES = 1000
"""At most this many validation images choose among ranges: each answers the file of each of them."""
LABELS, NOTES = "labels.txt", "budgetnet.json"
"""The files of these names lie in the archive behind the model, where TensorFlow Lite's tools look for labels."""
DATE = (1980, 1, 1, 0, 0, 0)
"""The archive's files have this date, so that equal exports are equal bytes."""
NAMES = {("tflite", "int8"): "model.tflite", ("tflite", "float32"): "model-float32.tflite"}
"""Files have these names in a run's folder, by format and number type."""


def export(
    run: str | Path,
    to: Format = "tflite",
    data: Data | None = None,
    out: str | Path | None = None,
    dtype: NumberType = "int8",
    force: bool = False,
    progress: Progress | None = None,
) -> Exported:
    """Write a trained network as a TensorFlow Lite file: int8 for LiteRT and TensorFlow Lite Micro, float32 for LiteRT.

    The file takes plain pixels at the network's size, int8 = pixel - 128 or float32 = pixel, and gives logits; labels,
    preprocessing and temperature lie in an archive behind the model. For int8, ranges are read from training images, by
    the quantile whose probabilities are nearest to the model's on validation images. Then the file answers the test
    images once. It is written only if it keeps the run's budget and answers as the model does: in int8, paired with the
    model, it loses at most half a point of the test images, with 1,000 images or more at most a point with 95 %
    confidence; in float32 logits differ by at most 1e-4 of their standard deviation.

    Args:
        run: A run's folder, or a source of weights as `load_weights` takes it.
        to: "tflite".
        data: Labelled images, as `open_images` takes them; unless given, those that the run was trained from.
        out: The file; unless given, model.tflite or model-float32.tflite in the run's folder.
        dtype: "int8" or "float32".
        force: Whether the file is written although it breaks a limit or answers otherwise.
        progress: Called with an `Update` as the work goes on.

    Returns:
        The file with what it takes and how accurate it is.

    Raises:
        ValueError: A package is missing, the run cannot be read, no images are known, the format has no op for an
            activation of the network, or the file is not good enough.
        TypeError: An argument has another type.

    Example:
        >>> import budgetnet
        >>> net = budgetnet.scale(budgetnet.network("mobilenet_v2", 10, 32), -2)
        >>> trained = budgetnet.train("digits", net, epochs=3, out="run")
        >>> (made,) = budgetnet.export("run", force=True).files
        >>> made.format, made.dtype, made.flash_bytes < made.bytes
        ('tflite', 'int8', True)
    """
    run, data = path("run", run, RUN), None if data is None else data_of(data)
    choose("to", to, FORMATS)
    choose("dtype", dtype, NUMBER_TYPES)
    flag("force", force)
    listener("progress", progress)
    check_installed()
    target = _target(run, out, to, dtype)
    loaded, budget = load_run(run), budget_of(run)
    pictures = _Pictures(run, loaded, data, progress)
    made = _int8(loaded, pictures, progress) if dtype == "int8" else _float32(loaded, pictures)
    test = pictures.scored.indices
    labels = pictures.labels(test)
    answers = pictures.logits(test)
    right, float_right = (row.argmax(1) == labels for row in (made.answers, answers))
    low, high = wilson(int(right.sum()), len(right))
    content = _with_archive(made.model, loaded, budget, made.arena_bytes)
    file = ExportedFile(
        format=to,
        dtype=dtype,
        file=str(target),
        bytes=len(content),
        flash_bytes=len(made.model),
        arena_bytes=made.arena_bytes,
        allocated=made.allocated,
        parity=difference(made.answers, answers) if dtype == "float32" else None,
        images=len(right),
        top1=float(right.mean()),
        top1_low=low,
        top1_high=high,
        float_top1=float(float_right.mean()),
        change=paired_difference(right.tolist(), float_right.tolist()),
        shown=len(right) >= ENOUGH_IMAGES,
        quantile=made.quantile,
        calibration_images=made.calibration_images,
        keeps=() if budget is None else _limits(loaded, budget, len(made.model), made.arena_bytes),
    )
    faults = faults_of(file)
    if faults and not force:
        raise ValueError(
            f"{target} was not written: {'; '.join(faults)}{_hint(file, budget, made)}; "
            "--force (force=True) writes it all the same"
        )
    with written_aside(target) as aside:
        aside.write_bytes(content)
    return Exported((file,))


@dataclass(frozen=True, slots=True, eq=False)
class _Made:
    """A model in a format, and its logits of the test images. `first_difference` is asked where they differ."""

    model: bytes
    answers: NDArray[np.float32]
    first_difference: Callable[[], str | None] = lambda: None
    arena_bytes: int | None = None
    allocated: bool | None = None
    quantile: float | None = None
    calibration_images: int = 0


# What needs the packages of the extra is imported once they were looked for.


def _int8(loaded: Loaded, pictures: _Pictures, progress: Progress | None) -> _Made:
    from budgetnet.ship.tflite.calibrated import CALIBRATION_IMAGES, int8_file

    calibration = pictures.indices("train", CALIBRATION_IMAGES)
    validation = pictures.indices("validation", VALIDATION_IMAGES)
    shown = np.stack(list(pictures.pixels(calibration)))
    expected = pictures.logits(validation)

    def loss(content: bytes) -> float:
        return divergence(expected, logits_by_litert(content, pictures.pixels(validation)), loaded.temperature)

    made = int8_file(loaded, shown, loss, progress)
    arena_bytes = cost(loaded.network, dtype="int8", runtime="tflite_micro").peak_activation_bytes
    return _Made(
        model=made.content,
        answers=logits_by_litert(made.content, pictures.pixels(pictures.scored.indices), reference=True),
        arena_bytes=arena_bytes,
        allocated=allocates(made.content, shown[0], arena_bytes),
        quantile=made.quantile,
        calibration_images=len(calibration),
    )


def _float32(loaded: Loaded, pictures: _Pictures) -> _Made:
    from budgetnet.ship.tflite.parity import first_difference
    from budgetnet.ship.tflite.writer import written

    weights = Weights(loaded.model, loaded.preprocessing)
    made = written(loaded.network, weights, None)
    test = pictures.scored.indices
    return _Made(
        model=made.content,
        answers=logits_by_litert(made.content, pictures.pixels(test)),
        first_difference=lambda: first_difference(loaded.network, weights, made, next(pictures.pixels(test))),
    )


def _hint(file: ExportedFile, budget: Budget | None, made: _Made) -> str:
    """What helps, beside what is wrong."""
    memory = {"peak_activation_bytes", "peak_bytes"} & {row.name for row in file.keeps if row.left < 0}
    if memory and budget is not None and budget.runtime != "tflite_micro":
        return "; its budget counts the least RAM of all runtimes: --runtime tflite_micro counts what this one takes"
    if file.parity is not None and file.parity > MOST_DIFFERENCE:
        first = made.first_difference()
        return "" if first is None else f"; the first op that differs is {first}"
    return ""


def faults_of(file: ExportedFile) -> tuple[str, ...]:
    """Why a file is not good enough, in words; nothing where it is."""
    faults = [
        f"it takes {row.used:,} of {row.name}, {-row.left:,} more than the budget has"
        for row in file.keeps
        if row.left < 0
    ]
    if file.allocated is False:
        faults.append(
            f"TensorFlow Lite Micro does not run it in the {file.arena_bytes or 0:,} bytes that were promised"
        )
    if file.parity is not None and file.parity > MOST_DIFFERENCE:
        faults.append(f"its logits differ from the model's by {file.parity:.1e} of their standard deviation")
    change, what = file.change, "eight bits" if file.dtype == "int8" else file.dtype
    if not file.shown and change.value < -MOST_SEEN_LOSS:
        faults.append(f"{what} cost {-100 * change.value:.1f} points of {file.images:,} test images")
    if file.shown and change.low < -MOST_LOSS:
        faults.append(
            f"{what} cost {-100 * change.value:.1f} points of {file.images:,} test images, and up to "
            f"{-100 * change.low:.1f} are not ruled out"
        )
    return tuple(faults)


def budget_of(run: str) -> Budget | None:
    """The budget that a run was asked to keep; None for weights alone, and where a run had none."""
    plan = Path(run) / PLAN
    if not plan.is_file():
        return None
    with reading(plan):
        row = read_json(plan)["request"].get("budget")
        return None if row is None else from_plain(Budget, row, "request.budget")


def _target(run: str, out: str | Path | None, to: Format, dtype: NumberType) -> Path:
    """Where the file goes. Raises a one-line `ValueError` where there is no folder for it."""
    if out is None and not Path(run).is_dir():
        raise ValueError(f"{run} is not a run's folder, so that it says nothing of where to write; give --out FILE")
    target = Path(run) / NAMES[to, dtype] if out is None else Path(path("out", out))
    if target.is_dir() or not target.parent.is_dir():
        wrong = "is a folder" if target.is_dir() else "is in a folder that is not there"
        raise ValueError(f"{target} {wrong}; give --out a file's name in a folder that is there")
    return target


class _Pictures:
    """The images of a run at its network's size: one split after another, one image after another."""

    def __init__(self, run: str, loaded: Loaded, data: Data | None, progress: Progress | None) -> None:
        self.loaded = loaded
        self.scored = images_of(run, loaded, data, "test", "test", progress)
        self.cached = open_cache(self.scored.images, loaded.side_px, progress=progress)

    def indices(self, split: str, most: int) -> NDArray[np.int64]:
        """At most `most` images of a split, evenly of all in the order of their classes. Raises `ValueError` for
        none."""
        images = self.scored.images
        found = images.indices(split)
        if not len(found):
            raise ValueError(f"{images.name} has no {split} images, which an export needs; give images in three splits")
        by_class = np.array([images.labels[index] for index in found.tolist()])
        return evenly(found[np.argsort(by_class, kind="stable")], most)

    def labels(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        """The classes of images, as the network counts them."""
        scored = self.scored
        return np.array([scored.class_indices[scored.images.labels[index]] for index in indices.tolist()], np.int64)

    def logits(self, indices: NDArray[np.int64]) -> NDArray[np.float32]:
        """What the model in float32 makes of images: (n, classes)."""
        return logits_of(self.loaded.model, self.scored.images, self.cached, indices, self.loaded.preprocessing)

    def pixels(self, indices: NDArray[np.int64]) -> Iterator[NDArray[np.uint8]]:
        """Images (h, w, c), one after another."""
        for index in indices.tolist():
            yield network_pixels([self.cached[index]], self.loaded.network.resolution_px, self.loaded.preprocessing)[0]


def _limits(loaded: Loaded, budget: Budget, flash_bytes: int, arena_bytes: int | None) -> tuple[LimitRow, ...]:
    """What the file uses of each limit; a limit on training is the run's own affair.

    Where no arena is known, limits on RAM are left to the run's certificate.
    """
    real = {"weight_bytes": flash_bytes}
    left_out = {"train_bytes"}
    if arena_bytes is None:
        left_out |= {"peak_activation_bytes", "peak_bytes"}
    else:
        real |= {"peak_activation_bytes": arena_bytes, "peak_bytes": flash_bytes + arena_bytes}
    rows = (row for row in limit_rows(budget.price(loaded.network), budget) if row.name not in left_out)
    return tuple(
        LimitRow(row.name, row.limit, real.get(row.name, row.used), row.limit - real.get(row.name, row.used))
        for row in rows
    )


def _with_archive(model: bytes, loaded: Loaded, budget: Budget | None, arena_bytes: int | None) -> bytes:
    """The model with a zip archive behind it, which has the labels and all that reading the answers takes."""
    weights = hashlib.sha256()
    for name, tensor in sorted(loaded.model.state_dict().items()):
        weights.update(name.encode() + tensor.contiguous().numpy().tobytes())
    notes: Mapping[str, Any] = {
        "format": "budgetnet.export.v1",
        "network": json.loads(loaded.network.to_json()),
        "classes": list(loaded.classes),
        "preprocessing": to_plain(loaded.preprocessing),
        "temperature": loaded.temperature,
        "arena_bytes": arena_bytes,
        "budget": None if budget is None else budget.to_dict(),
        "weights_sha256": weights.hexdigest(),
    }
    content = io.BytesIO(model)
    with zipfile.ZipFile(content, "a", zipfile.ZIP_DEFLATED) as archive:
        for name, text in ((LABELS, "\n".join(loaded.classes)), (NOTES, json.dumps(notes, allow_nan=False))):
            archive.writestr(zipfile.ZipInfo(name, DATE), text)
    return content.getvalue()
