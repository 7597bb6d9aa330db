"""What an export leaves, in numbers: the files, what each keeps, and how accurate it is."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, Literal, get_args

from budgetnet.budgets.budget import LimitRow
from budgetnet.codec import ONLY_IF_SET, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, Share, to_plain
from budgetnet.model.trust import CheckedPromise
from budgetnet.statistics import Estimate

Format = Literal["tflite", "onnx", "openvino", "c", "hub"]
FORMATS: tuple[Format, ...] = get_args(Format)
NumberType = Literal["int8", "float32"]
NUMBER_TYPES: tuple[NumberType, ...] = get_args(NumberType)

Way = Literal["rounded", "corrected biases", "trained in eight bits"]
"""These are the ways from a trained network to eight bits."""


@dataclass(frozen=True, slots=True)
class Int8Try:
    """A way to eight bits, measured on the validation images.

    Attributes:
        way: "rounded": weights and maps are rounded, nothing else. "corrected biases": so that every sum has on average
            the value that it has in float. "trained in eight bits": weights were trained on to answer rounded as the
            model does.
        divergence: How far its probabilities are from the model's: the mean of sum p log(p / q), in nats.
        top1: The share of the validation images that it gets right.
    """

    way: Way
    divergence: NonNegativeFloat
    top1: Share


@dataclass(frozen=True, slots=True)
class ExportedFile:
    """A file for a device, as it is measured there.

    Attributes:
        format: "tflite", "onnx", "openvino", "c" or "hub".
        dtype: The number type of its weights and maps, "int8" or "float32".
        file: Its path; of a format that is a folder the folder's.
        bytes: Its size; of a folder that of its files.
        flash_bytes: What of it is flashed: without the labels and notes behind the model; of "hub" its weights.
        arena_bytes: The RAM that TensorFlow Lite Micro takes for it; None for float32.
        allocated: Whether its interpreter was given so many bytes here and answered; None where it is not installed,
            and for float32.
        parity: The largest difference to the run's model, on the test images, in standard deviations of the logits;
            None for int8, which rounds.
        images: The test images.
        top1: The share of them that the file gets right.
        top1_low: The lower end of its 95 % interval (Wilson).
        top1_high: The upper end.
        float_top1: The share that the run's model gets right in float32.
        change: The file's share minus the model's, on the same images.
        shown: Whether there are enough images to show that the file loses less than a point.
        quantile: Ranges end at this quantile of each tensor's values, and at 1 minus it; None for float32.
        calibration_images: How many training images the ranges were read from.
        tried: The ways to eight bits that were tried, in their order; the file is the one of the least divergence; none
            for float32.
        latency_ms: Milliseconds of one image on one thread of the machine that exported it, by this format's runtime
            there: no device's. None where two halves of the runs differ too much, and for "hub".
        keeps: A row for each limit of the run's budget with what the file uses of it; none where the run had no budget.
        promises: The promises of 1, 2, 5 and 10 % of errors that can be made of the file, and what came of them on the
            test images.
        sha256: The SHA-256 of the file, in hex digits; of a folder the digest that it has in itself. None of a file
            that was not written.
    """

    format: Format
    dtype: NumberType
    file: str
    bytes: PositiveInt
    flash_bytes: PositiveInt
    arena_bytes: PositiveInt | None
    allocated: bool | None
    parity: NonNegativeFloat | None
    images: PositiveInt
    top1: Share
    top1_low: Share
    top1_high: Share
    float_top1: Share
    change: Estimate
    shown: bool
    quantile: Share | None
    calibration_images: NonNegativeInt
    tried: tuple[Int8Try, ...]
    latency_ms: PositiveFloat | None
    keeps: tuple[LimitRow, ...]
    promises: tuple[CheckedPromise, ...] = ()
    sha256: str | None = field(default=None, metadata=ONLY_IF_SET)


@dataclass(frozen=True, slots=True)
class FileCertificate:
    """What a file was found to be when it was exported, as it says in itself.

    It is the `ExportedFile` without its time, which is a machine's, and its size, of which this is a part.

    Attributes:
        dtype: The number type of its weights and maps.
        images: The test images that it answered.
        top1: The share of them that it gets right.
        top1_low: The lower end of its 95 % interval (Wilson).
        top1_high: The upper end.
        float_top1: The share that the run's model gets right in float32.
        change: The file's share minus the model's, on the same images.
        parity: The largest difference to the run's model in standard deviations of the logits; None for int8.
        allocated: Whether TensorFlow Lite Micro ran it in the arena; None where that was not tried.
        keeps: A row for each limit of the budget with what the file uses of it.
        promises: What came of the promises of errors on the test images.
        faults: Why it is not good enough; of a file that was not forced there are none.
    """

    dtype: NumberType
    images: PositiveInt
    top1: Share
    top1_low: Share
    top1_high: Share
    float_top1: Share
    change: Estimate
    parity: NonNegativeFloat | None
    allocated: bool | None
    keeps: tuple[LimitRow, ...]
    promises: tuple[CheckedPromise, ...]
    faults: tuple[str, ...]

    @classmethod
    def of(cls, file: ExportedFile, faults: tuple[str, ...]) -> FileCertificate:
        """What a judged file says in itself."""
        rows = {one.name: getattr(file, one.name) for one in fields(cls) if one.name != "faults"}
        return cls(**rows, faults=faults)


class NotGoodEnoughError(ValueError):
    """A file was not written, for its faults; `file` has its figures, `hint` what helps, or nothing."""

    def __init__(self, file: ExportedFile, faults: tuple[str, ...], hint: str) -> None:
        super().__init__(
            f"{file.file} was not written: {'; '.join(faults)}{hint}; --force (force=True) writes it all the same"
        )
        self.file, self.faults, self.hint = file, faults, hint


@dataclass(frozen=True, slots=True)
class RefusedFile:
    """A format and number type of which no file was written.

    Attributes:
        format: The format.
        dtype: The number type.
        reason: Why, in a line.
    """

    format: Format
    dtype: NumberType
    reason: str


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export of a run made.

    Attributes:
        files: One for each format and number type that was asked for and is good enough.
        refused: Where all formats were asked for, those without a file, and why.
    """

    files: tuple[ExportedFile, ...]
    refused: tuple[RefusedFile, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The fields in JSON's types.

        Returns:
            A JSON object.
        """
        return to_plain(self)
