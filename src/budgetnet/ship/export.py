"""A trained network as the file that a device runs, held to the budget and to the accuracy of its run."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np

from budgetnet.arguments import RUN, flag, listener, path
from budgetnet.atomic_write import folder_written_aside, written_aside
from budgetnet.data import Data, data_of
from budgetnet.model.probabilities import class_probabilities_of_file, logits_of_probabilities
from budgetnet.networks import choose
from budgetnet.parallel.progress import Progress
from budgetnet.ship.answering import latency_ms_of
from budgetnet.ship.difference import difference
from budgetnet.ship.exported import FORMATS, NUMBER_TYPES, Exported, ExportedFile, Format, NumberType, RefusedFile
from budgetnet.ship.formats import ROWS, FormatRow, maker, opener
from budgetnet.ship.good_enough import ENOUGH_IMAGES, MOST_DIFFERENCE, faults_of, limits_of
from budgetnet.ship.made import Made
from budgetnet.ship.subject import Subject
from budgetnet.statistics import paired_difference, wilson


def export(
    run: str | Path,
    to: Format | Literal["all"] = "tflite",
    data: Data | None = None,
    out: str | Path | None = None,
    dtype: NumberType | None = None,
    force: bool = False,
    progress: Progress | None = None,
    softmax: bool = False,
) -> Exported:
    """Write a trained network as the file that a device runs: a TensorFlow Lite file for LiteRT, and in int8 for
    TensorFlow Lite Micro; an ONNX file for ONNX Runtime; a folder for OpenVINO; or a folder of C++ for firmware.

    The file takes plain pixels at the network's size and gives logits; labels, preprocessing and temperature lie in the
    format's metadata (docs/shipping.md). For int8, ranges are read from training images; of several quantiles, of
    rounded weights, corrected biases and weights that are trained on in eight bits, the file is taken whose
    probabilities are nearest to the model's on validation images. Read back, it answers the test images once. It is
    left only if it keeps the run's budget and answers as the model does: in int8, paired with the model, it loses at
    most half a point of the test images, with 1,000 images or more at most a point with 95 % confidence; in float32
    logits differ by at most 1e-4 of their standard deviation.

    Args:
        run: A run's folder, or a source of weights as `load_weights` takes it.
        to: "tflite", "onnx", "openvino", "c", or "all" for every format whose packages are installed.
        data: Labelled images, as `open_images` takes them; unless given, those that the run was trained from.
        out: The file; unless given, model.tflite, model.onnx and the like in the run's folder (docs/shipping.md). With
            "all" a folder that is there. A folder of an earlier export is replaced as a whole.
        dtype: "int8" or "float32"; unless given int8 for "tflite" and "c", float32 for others, and with "all" each.
        force: Whether the file is written although it breaks a limit or answers otherwise.
        progress: Called with an `Update` as the work goes on.
        softmax: Whether the file gives probabilities, softmax(logits / temperature), in place of logits. In int8 they
            are multiples of 1/256 in "tflite". A folder of "c" gives probabilities as it is.

    Returns:
        The files with what each takes and how accurate it is; with "all" also what was refused, and why.

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
    choose("to", to, (*FORMATS, "all"))
    if dtype is not None:
        choose("dtype", dtype, NUMBER_TYPES)
    flag("force", force)
    flag("softmax", softmax)
    if softmax and to != "all" and not ROWS[to].softmax:
        known = ", ".join(name for name, row in ROWS.items() if row.softmax)
        raise ValueError(f"softmax is for {known}; a folder of C gives probabilities as it is")
    listener("progress", progress)
    wanted = _wanted(to, dtype)
    targets = [_target(run, out, name, kind, several=to == "all") for name, kind in wanted]
    subject = Subject.of(run, data, progress)
    files: list[ExportedFile] = []
    refused: list[RefusedFile] = []
    for (name, kind), target in zip(wanted, targets, strict=True):
        try:
            asked = dataclasses.replace(subject, softmax=softmax and ROWS[name].softmax)
            files.append(_exported(asked, name, kind, target, force, progress))
        except ValueError as error:
            if to != "all":
                raise
            refused.append(RefusedFile(name, kind, str(error)))
    return Exported(tuple(files), tuple(refused))


def _wanted(to: Format | Literal["all"], dtype: NumberType | None) -> list[tuple[Format, NumberType]]:
    """The formats with their number types. Raises `ValueError` where a package of the one that is named is missing."""
    if to == "all":
        there: list[Format] = [name for name in FORMATS if not ROWS[name].missing()]
        if not there:
            raise ValueError(
                "no format's packages are installed; pip install "
                + " or ".join(f"'budgetnet[{row.extra}]'" for row in ROWS.values())
            )
        return [
            (name, kind)
            for name in there
            for kind in NUMBER_TYPES
            if kind in ROWS[name].names and dtype in (None, kind) and not ROWS[name].missing(kind)
        ]
    row = ROWS[to]
    kinds = tuple(row.names)
    if dtype is not None and dtype not in kinds:
        raise ValueError(f"{row.title} files are written in {' or '.join(kinds)}; dtype is {dtype!r}")
    row.check_installed(dtype or kinds[0])
    return [(to, dtype or kinds[0])]


def _target(run: str, out: str | Path | None, to: Format, dtype: NumberType, several: bool) -> Path:
    """Where the file goes. Raises a one-line `ValueError` where there is no folder for it."""
    if out is None and not Path(run).is_dir():
        raise ValueError(f"{run} is not a run's folder, so that it says nothing of where to write; give --out FILE")
    row = ROWS[to]
    name = row.names[dtype]
    if out is None:
        return _replaceable(Path(run) / name, row)
    target = Path(path("out", out))
    if several:
        if not target.is_dir():
            raise ValueError(f"{target} is no folder that is there; --to all writes several files, so give a folder")
        return _replaceable(target / name, row)
    if row.inside and target.is_dir():
        return _replaceable(target, row)
    if target.is_dir() or not target.parent.is_dir():
        wrong = "is a folder" if target.is_dir() else "is in a folder that is not there"
        raise ValueError(f"{target} {wrong}; give --out a file's name in a folder that is there")
    return target


def _replaceable(target: Path, row: FormatRow) -> Path:
    """The path. Raises a one-line `ValueError` for a folder with files that no export wrote: it would go as a whole."""
    if target.is_dir() and any(target.iterdir()) and not row.is_of(target):
        raise ValueError(f"{target} is a folder of something else; give --out the name of a new folder")
    return target


def _exported(
    subject: Subject, to: Format, dtype: NumberType, target: Path, force: bool, progress: Progress | None
) -> ExportedFile:
    """One file, made aside, read back and judged; renamed only if it is good enough or `force` says so."""
    made = maker(to)(subject, dtype, progress)
    aside = written_aside if isinstance(made.content, bytes) else folder_written_aside
    with aside(target) as part:
        _write(part, made.content)
        file = _judged(subject, made, part, to, dtype, target)
        faults = faults_of(file)
        if faults and not force:
            raise ValueError(
                f"{target} was not written: {'; '.join(faults)}{_hint(file, subject, made)}; "
                "--force (force=True) writes it all the same"
            )
    return file


def _write(part: Path, content: bytes | Mapping[str, bytes]) -> None:
    if isinstance(content, bytes):
        part.write_bytes(content)
        return
    for name, some in content.items():
        (part / name).parent.mkdir(parents=True, exist_ok=True)
        (part / name).write_bytes(some)


def _judged(subject: Subject, made: Made, part: Path, to: Format, dtype: NumberType, target: Path) -> ExportedFile:
    """What the file is and does, by its answers to the test images as it is read back."""
    images, budget = subject.images, subject.budget
    labels = images.labels(images.test)
    expected, answers = images.test_logits, opener(to)(part, True).logits(images.pixels(images.test))
    if subject.softmax:  # what a probability near 0 or 1 is made of shows in its logarithm alone
        temperature = subject.loaded.temperature
        expected = logits_of_probabilities(class_probabilities_of_file(expected, temperature), temperature)
    right, float_right = (row.argmax(1) == labels for row in (answers, expected))
    low, high = wilson(int(right.sum()), len(right))
    whole = [made.content] if isinstance(made.content, bytes) else made.content.values()
    return ExportedFile(
        format=to,
        dtype=dtype,
        file=str(target),
        bytes=sum(map(len, whole)),
        flash_bytes=made.flash_bytes,
        arena_bytes=made.arena_bytes,
        allocated=made.allocated,
        parity=difference(answers, expected) if dtype == "float32" else None,
        images=len(right),
        top1=float(np.mean(right)),
        top1_low=low,
        top1_high=high,
        float_top1=float(np.mean(float_right)),
        change=paired_difference(right.tolist(), float_right.tolist()),
        shown=len(right) >= ENOUGH_IMAGES,
        quantile=made.quantile,
        calibration_images=made.calibration_images,
        tried=made.tried,
        latency_ms=latency_ms_of(part, to),
        keeps=() if budget is None else limits_of(subject.loaded.network, budget, made.flash_bytes, made.arena_bytes),
    )


def _hint(file: ExportedFile, subject: Subject, made: Made) -> str:
    """What helps, beside what is wrong."""
    memory = {"peak_activation_bytes", "peak_bytes"} & {row.name for row in file.keeps if row.left < 0}
    if memory and subject.budget is not None and subject.budget.runtime != "tflite_micro":
        return "; its budget counts the least RAM of all runtimes: --runtime tflite_micro counts what this one takes"
    if file.parity is not None and file.parity > MOST_DIFFERENCE:
        first = made.first_difference()
        return "" if first is None else f"; the first op that differs is {first}"
    return ""
