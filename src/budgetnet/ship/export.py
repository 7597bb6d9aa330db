"""A trained network as the file that a device runs, held to the budget and to the accuracy of its run."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Literal

from budgetnet.arguments import RUN, flag, listener, path
from budgetnet.data import Data, data_of
from budgetnet.model.sources import is_there
from budgetnet.networks import choose
from budgetnet.parallel.progress import Progress
from budgetnet.ship.exported import FORMATS, NUMBER_TYPES, Exported, ExportedFile, Format, NumberType, RefusedFile
from budgetnet.ship.formats import DEVICE_FORMATS, ROWS
from budgetnet.ship.judged import exported
from budgetnet.ship.subject import Subject
from budgetnet.ship.target import target_of


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
    TensorFlow Lite Micro; an ONNX file for ONNX Runtime; a folder for OpenVINO; or a folder of C++ for firmware. Or as
    a folder for the Hugging Face hub, with a model card, which timm loads where it has the network.

    The file takes plain pixels at the network's size and gives logits; labels, preprocessing and temperature lie in the
    format's metadata (docs/shipping.md). For int8, ranges are read from training images; of several quantiles, of
    rounded weights, corrected biases and weights that are trained on in eight bits, the file is taken whose
    probabilities are nearest to the model's on validation images. Read back, it answers the test images once. It is
    left only if it keeps the run's budget and answers as the model does: in int8, paired with the model, it loses at
    most half a point of the test images, with 1,000 images or more at most a point with 95 % confidence; in float32
    logits differ by at most 1e-4 of their standard deviation.

    Args:
        run: A run's folder, or a source of weights as `load_weights` takes it.
        to: "tflite", "onnx", "openvino", "c", "hub", or "all" for every format but "hub" whose packages are installed.
        data: Labelled images, as `open_images` takes them; unless given, those that the run was trained from.
        out: The file, whose name ends in .tflite or .onnx, or the folder; unless given, model.tflite, model.onnx and
            the like in the run's folder, with -softmax and, of a file that is not good enough, -forced in the name
            (docs/shipping.md). With "all" a folder that is there. A file or folder of an
            earlier export in this format is replaced as a whole, and nothing else is; one of "hub", whose card people
            edit, is not: there it must be new or empty.
        dtype: "int8" or "float32"; unless given int8 for "tflite" and "c", float32 for others, and with "all" each.
        force: Whether the file is written although it breaks a limit or answers otherwise, or is another than the one
            that `solve` left under its name. One that is not good enough takes the place of none that was.
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
        why = "; a folder of C gives probabilities as it is" if to == "c" else ", and a folder for the hub has logits"
        raise ValueError(f"softmax is for {known}{why}")
    listener("progress", progress)
    if not is_there(run):
        raise ValueError(f"there is no {run}; give a finished run's folder, or weights")
    wanted = _wanted(to, dtype)
    targets = [target_of(run, out, name, kind, softmax and ROWS[name].softmax, to == "all") for name, kind in wanted]
    subject = Subject.of(run, data, progress)
    files: list[ExportedFile] = []
    refused: list[RefusedFile] = []
    for (name, kind), target in zip(wanted, targets, strict=True):
        try:
            asked = dataclasses.replace(subject, softmax=softmax and ROWS[name].softmax)
            files.append(exported(asked, name, kind, target, progress, force))
        except ValueError as error:
            if to != "all":
                raise
            refused.append(RefusedFile(name, kind, str(error)))
    return Exported(tuple(files), tuple(refused))


def _wanted(to: Format | Literal["all"], dtype: NumberType | None) -> list[tuple[Format, NumberType]]:
    """The formats with their number types. Raises `ValueError` where a package of the one that is named is missing."""
    if to == "all":
        there: list[Format] = [name for name in DEVICE_FORMATS if not ROWS[name].missing()]
        if not there:
            raise ValueError(
                "no format's packages are installed; pip install "
                + " or ".join(dict.fromkeys(f"'budgetnet[{ROWS[name].extra}]'" for name in DEVICE_FORMATS))
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
