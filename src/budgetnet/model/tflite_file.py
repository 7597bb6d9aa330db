"""TensorFlow Lite files as they lie on the disk: ops, tensors, and what stands in the archive behind them.

Nothing is run, and nothing is believed: every place in the file is looked for inside of it, and numbers are made only
where the file has the bytes that its shapes claim. Source of the format: TensorFlow Lite's schema.fbs, version 3.
"""

from __future__ import annotations

import importlib
import importlib.util
import io
import math
import struct
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from budgetnet.model.exported_names import LABELS, NOTES, NOTES_FORMAT
from budgetnet.model.files import check_start
from budgetnet.model.seal import check_seal
from budgetnet.reading import file_content, named_json

TFLITE_SUFFIX = ".tflite"
IDENTIFIER = b"TFL3"
MOST_BYTES = (1 << 31) - 1
"""A file may have at most this many bytes: a flatbuffer of the format cannot be larger."""
MOST_OPS = 20_000
"""A file may have at most this many ops, and as many kinds of them; the largest network of the zoo has some 800."""
MOST_TENSORS = 4 * MOST_OPS
MOST_SIDES, MOST_READ = 8, 256
"""A tensor may have at most so many sides, and an op may read so many tensors."""
MOST_NOTES_BYTES = 1 << 24
"""What is read of the archive may have at most this many bytes, unpacked."""
PACKAGES = {"flatbuffers": "flatbuffers", "ai_edge_litert": "ai-edge-litert"}

NUMBERS: Mapping[str, str] = {
    "FLOAT32": "<f4",
    "FLOAT16": "<f2",
    "INT32": "<i4",
    "INT64": "<i8",
    "INT8": "<i1",
    "UINT8": "<u1",
}
"""Number types that are read, with numpy's names of them as they lie in the file."""

TABLES: Mapping[str, str] = {
    "CONV_2D": "Conv2DOptions",
    "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions",
    "FULLY_CONNECTED": "FullyConnectedOptions",
    "AVERAGE_POOL_2D": "Pool2DOptions",
    "MAX_POOL_2D": "Pool2DOptions",
    "ADD": "AddOptions",
    "SUB": "SubOptions",
    "MUL": "MulOptions",
    "CONCATENATION": "ConcatenationOptions",
}
"""The table of an op's options, where it has some that change what it computes."""
OPTIONS = (
    *("Padding", "StrideH", "StrideW", "FilterHeight", "FilterWidth", "DilationHFactor", "DilationWFactor"),
    *("DepthMultiplier", "FusedActivationFunction", "Axis"),
)
"""The options that are read, by their names in those tables."""

_DAMAGES = (struct.error, ValueError, IndexError, TypeError, AttributeError, OverflowError, KeyError, RuntimeError)
"""What the flatbuffers package raises on its way through bytes that are no file of the format."""


@dataclass(frozen=True, slots=True, eq=False)
class StoredTensor:
    """A tensor of a file.

    `numbers` are a constant's, as they are stored; None for what an op makes. real = scale * (number - zero point), by
    scales along `axis` where there is more than one; without any the numbers are real ones.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    numbers: NDArray[Any] | None
    scale: NDArray[np.float32]
    zero_point: NDArray[np.int64]
    axis: int

    def scales(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Its scales and zero points, as many as scales. Raises a one-line `ValueError` for what cannot be any."""
        scale, zero_point = self.scale.astype(np.float64), self.zero_point
        if not bool(np.isfinite(scale).all() and (scale > 0).all()):
            raise ValueError(f"{self.name} has a scale that is not a number above 0")
        if len(zero_point) not in (0, 1, len(scale)):
            raise ValueError(f"{self.name} has {len(scale):,} scales and {len(zero_point):,} zero points")
        return scale, np.broadcast_to(zero_point if len(zero_point) else np.zeros(1, np.int64), scale.shape)

    def real(self) -> NDArray[np.float64]:
        """A constant's numbers as they are meant. Raises a one-line `ValueError` where its scales do not fit them."""
        assert self.numbers is not None
        numbers = self.numbers.astype(np.float64)
        if not len(self.scale):
            return numbers
        (scale, zero_point), shape = self.scales(), [1] * numbers.ndim
        if len(scale) > 1:
            if not 0 <= self.axis < numbers.ndim or numbers.shape[self.axis] != len(scale):
                raise ValueError(f"{self.name} has {len(scale):,} scales, not one for each of its channels")
            shape[self.axis] = -1
        return (numbers - zero_point.reshape(shape)) * scale.reshape(shape)


@dataclass(frozen=True, slots=True)
class StoredOp:
    """An op of a file: its name in TensorFlow Lite, the tensors that it reads (-1: none) and makes, its options."""

    code: str
    reads: tuple[int, ...]
    makes: tuple[int, ...]
    options: Mapping[str, int]


@dataclass(frozen=True, slots=True, eq=False)
class TfliteFile:
    """A file. `labels` and `notes` are those of the archive behind the model; `notes` only where we wrote them."""

    where: str
    bytes: int
    tensors: tuple[StoredTensor, ...]
    ops: tuple[StoredOp, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    labels: tuple[str, ...] | None
    notes: Mapping[str, Any] | None


def load_tflite(path: Path) -> TfliteFile:
    """The ops, tensors and archive of a file.

    Raises a one-line `ValueError` where a package is missing, for a file that is absent, cut short, damaged or of
    another format, and for one whose tensors claim numbers that it does not have.
    """
    missing = [package for module, package in PACKAGES.items() if importlib.util.find_spec(module) is None]
    if missing:
        raise ValueError(f"{path} needs {' and '.join(missing)} to be read; pip install 'budgetnet[tflite]'")
    check_start(path)
    content = file_content(path, MOST_BYTES)
    if content[4:8] != IDENTIFIER:
        raise ValueError(f"{path} is not a TensorFlow Lite file: it does not have {IDENTIFIER.decode()} where they do")
    try:
        rows = _rows(content)
    except _OtherError as error:
        raise ValueError(f"{path} {error}") from error
    except _DAMAGES as error:
        raise _damaged(path) from error
    tensors = tuple(_tensor(path, index, row, content) for index, row in enumerate(rows.tensors))
    for op in rows.ops:
        if any(not -1 <= index < len(tensors) for index in op.reads) or not _inside(op.makes, tensors):
            raise _damaged(path)
    if not _inside(rows.inputs, tensors) or not _inside(rows.outputs, tensors):
        raise _damaged(path)
    labels, notes = _archive(path, content)
    return TfliteFile(str(path), len(content), tensors, rows.ops, rows.inputs, rows.outputs, labels, notes)


def _damaged(path: Path) -> ValueError:
    return ValueError(f"{path} is cut short or damaged: its tables lead out of it; copy it again")


def _inside(indices: tuple[int, ...], tensors: tuple[StoredTensor, ...]) -> bool:
    return all(0 <= index < len(tensors) for index in indices)


@dataclass(frozen=True, slots=True)
class _TensorRow:
    """A tensor as its table has it, believed in nothing: `data` is the place and length of its buffer."""

    kind: str
    shape: tuple[int, ...]
    data: tuple[int, int]
    elsewhere: bool
    sparse: bool
    scale: NDArray[np.float32]
    zero_point: NDArray[np.int64]
    axis: int


@dataclass(frozen=True, slots=True)
class _Rows:
    tensors: tuple[_TensorRow, ...]
    ops: tuple[StoredOp, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


class _OtherError(ValueError):
    """A file that is whole, and not one that is read here; the line goes on from its name."""


def _rows(content: bytes) -> _Rows:
    """All tables of the one graph. Raises one of `_DAMAGES` where they lead out of the file."""
    schema: Any = importlib.import_module("ai_edge_litert.schema_py_generated")
    model = schema.Model.GetRootAs(content, 0)
    graph = model.Subgraphs(0)
    if model.SubgraphsLength() > 1:
        raise _OtherError(f"has {model.SubgraphsLength():,} graphs; classifiers that are read have one")
    counts = (graph.TensorsLength(), graph.OperatorsLength(), model.OperatorCodesLength())
    if counts[0] > MOST_TENSORS or max(counts[1:]) > MOST_OPS:
        raise _OtherError(f"says that it has {counts[0]:,} tensors and {counts[1]:,} ops, more than any that is read")
    kinds, codes = (_names(table) for table in (schema.TensorType, schema.BuiltinOperator))
    names = [_code(model.OperatorCodes(index), codes) for index in range(model.OperatorCodesLength())]
    tensors = tuple(_tensor_row(model, graph.Tensors(index), kinds) for index in range(graph.TensorsLength()))
    ops = tuple(_op(schema, graph.Operators(index), names) for index in range(graph.OperatorsLength()))
    return _Rows(tensors, ops, _integers(graph, "Inputs", MOST_READ), _integers(graph, "Outputs", MOST_READ))


def _names(table: Any) -> dict[int, str]:
    return {value: name for name, value in vars(table).items() if isinstance(value, int)}


def _code(row: Any, names: Mapping[int, str]) -> str:
    """An op's name. Files from before there were more than 127 ops have it in another field."""
    return names[max(row.BuiltinCode(), row.DeprecatedBuiltinCode())]


def _integers(table: Any, what: str, most: int) -> tuple[int, ...]:
    """A vector of integers that is at most so long."""
    count = getattr(table, f"{what}Length")()
    if count > most:
        raise IndexError
    return tuple(int(getattr(table, what)(index)) for index in range(count))


def _tensor_row(model: Any, row: Any, kinds: Mapping[int, str]) -> _TensorRow:
    buffer = model.Buffers(row.Buffer()) if 0 <= row.Buffer() < model.BuffersLength() else None
    if buffer is None:
        raise IndexError
    data = buffer._tab
    field = data.Offset(4)  # Buffer.data, the first field: a vector that is looked at in place
    place = (data.Vector(field), data.VectorLen(field)) if field else (0, 0)
    scales = row.Quantization()
    return _TensorRow(
        kind=kinds[row.Type()],
        shape=_integers(row, "Shape", MOST_SIDES),
        data=place,
        elsewhere=buffer.Offset() > 1 or row.ExternalBuffer() > 0,
        sparse=row.Sparsity() is not None,
        scale=_vector(scales, "Scale", np.float32),
        zero_point=_vector(scales, "ZeroPoint", np.int64),
        axis=0 if scales is None else scales.QuantizedDimension(),
    )


def _vector(table: Any, what: str, dtype: type[np.number[Any]]) -> NDArray[Any]:
    """Numbers side by side, in place: a length that leads out of the file is refused before anything is made."""
    numbers = None if table is None else getattr(table, f"{what}AsNumpy")()
    return numbers if isinstance(numbers, np.ndarray) else np.zeros(0, dtype)


def _op(schema: Any, row: Any, names: list[str]) -> StoredOp:
    code = names[row.OpcodeIndex()]
    options: dict[str, int] = {}
    stated = row.BuiltinOptions()
    if code in TABLES and stated is not None:
        table = getattr(schema, TABLES[code])()
        table.Init(stated.Bytes, stated.Pos)
        options = {name: int(getattr(table, name)()) for name in OPTIONS if hasattr(table, name)}
    reads, makes = (_integers(row, what, MOST_READ) for what in ("Inputs", "Outputs"))
    return StoredOp(code, reads, makes, options)


def _tensor(path: Path, index: int, row: _TensorRow, content: bytes) -> StoredTensor:
    """A tensor whose claims are true. Raises a one-line `ValueError` for others."""
    where = f"{path}: tensor {index}"
    if row.elsewhere:
        raise ValueError(f"{where} has its numbers outside of the model; only files that hold all of theirs are read")
    if row.sparse:
        raise ValueError(f"{where} is sparse, which is not read; convert the model without sparsity")
    start, length = row.data
    if not (start >= 0 and length >= 0 and start + length <= len(content)) or min(row.shape, default=0) < -1:
        raise _damaged(path)
    numbers = None
    if length and row.kind in NUMBERS:  # of others, such as strings, nothing is read
        dtype = np.dtype(NUMBERS[row.kind])
        if math.prod(row.shape) * dtype.itemsize != length:
            shape = "x".join(map(str, row.shape))
            raise ValueError(f"{where} is {shape} of {row.kind}, but has {length:,} bytes; the file is damaged")
        numbers = np.frombuffer(content, dtype, math.prod(row.shape), start).reshape(row.shape)
    return StoredTensor(where, row.kind, row.shape, numbers, row.scale, row.zero_point, row.axis)


def _archive(path: Path, content: bytes) -> tuple[tuple[str, ...] | None, Mapping[str, Any] | None]:
    """Labels, and our own notes, of the archive behind the model, if there is one. Raises a one-line `ValueError`."""
    if not zipfile.is_zipfile(io.BytesIO(content)):
        return None, None
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = archive.namelist()
            notes = _entry(path, archive, NOTES) if NOTES in names else None
            # Others have one file of labels, under a name of theirs.
            found = (
                [LABELS] if LABELS in names else [name for name in names if name.endswith(".txt") and "label" in name]
            )
            labels = _entry(path, archive, found[0]) if len(found) == 1 else None
            lines = None if labels is None else tuple(labels.decode("utf-8").splitlines())
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, OSError, EOFError) as error:
        raise ValueError(f"the archive behind the model in {path} is damaged; copy the file again") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"the labels in the archive behind the model in {path} are not UTF-8") from error
    if notes is None:
        return lines, None
    check_seal(str(path), {"": content})
    row = named_json(f"{NOTES} in {path}", notes)
    if not isinstance(row, dict) or row.get("format") != NOTES_FORMAT:
        raise ValueError(f"{NOTES} in {path} is damaged: its format is not {NOTES_FORMAT}")
    return lines, row


def _entry(path: Path, archive: zipfile.ZipFile, name: str) -> bytes:
    with archive.open(name) as file:
        text = file.read(MOST_NOTES_BYTES + 1)
    if len(text) > MOST_NOTES_BYTES:
        raise ValueError(f"{name} in {path} is larger than {MOST_NOTES_BYTES:,} bytes, which no notes are")
    return text
